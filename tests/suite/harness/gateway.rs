//! The real binary, with a configuration of its own, on free ports.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::client::{Client, Response};
use super::eventually;

/// When the tests' gateways live, unless told otherwise: both volets are open.
pub const NOON: &str = "2026-12-15T12:00:00+01:00";

/// A configuration, section by section.
#[derive(Debug, Clone)]
pub struct Settings {
    sections: BTreeMap<String, BTreeMap<String, String>>,
    cafs: Vec<String>,
}

impl Settings {
    /// Everything on free loopback ports, limits out of the way, the clock standing at [`NOON`].
    pub fn new(store: &str) -> Self {
        let mut settings = Self { sections: BTreeMap::new(), cafs: Vec::new() };
        settings
            .set("server", "listen", r#"["127.0.0.1:0"]"#)
            .set("server", "workers", "2")
            .set("admin", "listen", r#""127.0.0.1:0""#)
            .set("store", "url", &format!("{store:?}"))
            .set("rehearsal", "now", &format!("{NOON:?}"))
            .set("limits", "per_client", r#"{ rate = "10000/s", burst = 10000 }"#)
            .set("limits", "per_session", r#"{ rate = "10000/s", burst = 10000 }"#)
            .set("limits", "login_per_client", r#"{ rate = "10000/s", burst = 10000 }"#)
            .set("log", "format", r#""json""#);
        settings
    }

    /// Sets a key to a TOML value.
    pub fn set(&mut self, section: &str, key: &str, value: &str) -> &mut Self {
        self.sections.entry(section.to_owned()).or_default().insert(key.to_owned(), value.to_owned());
        self
    }

    /// A Caf whose backend's instances listen there.
    pub fn caf(&mut self, code: &str, name: &str, backends: &[SocketAddr]) -> &mut Self {
        let urls: Vec<String> = backends.iter().map(|address| format!("http://{address}")).collect();
        self.caf_urls(code, name, &urls)
    }

    /// A Caf whose backend's instances have these URLs.
    pub fn caf_urls(&mut self, code: &str, name: &str, urls: &[String]) -> &mut Self {
        self.cafs.push(format!(
            "[[caf]]\ncode = {code:?}\nname = {name:?}\ncontact = \"partenaires@caf{code}.example\"\nbackends = {urls:?}\n"
        ));
        self
    }

    /// One more line of the last Caf's.
    pub fn caf_line(&mut self, line: &str) -> &mut Self {
        let caf = self.cafs.last_mut().expect("a Caf");
        caf.push_str(line);
        caf.push('\n');
        self
    }

    fn toml(&self) -> String {
        let mut text = String::new();
        for (section, keys) in &self.sections {
            let _ = writeln!(text, "[{section}]");
            for (key, value) in keys {
                let _ = writeln!(text, "{key} = {value}");
            }
        }
        text += "[[volet]]\nname = \"certificat-emploi\"\npaths = [\"/teleprocedure/certificat-emploi\"]\n\
                 opens = \"12-01\"\ncloses = \"02-end\"\n\
                 [[volet]]\nname = \"changement-activite\"\npaths = [\"/teleprocedure/changement-activite\"]\n";
        text + &self.cafs.concat()
    }
}

/// A gateway that runs.
pub struct Gateway {
    process: Child,
    folder: TempDir,
    now: Timestamp,
    logs: Arc<Mutex<String>>,
    pub public: SocketAddr,
    pub admin: SocketAddr,
}

impl Gateway {
    /// Starts `octroi run`, and waits until it listens.
    pub fn start(settings: &Settings) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("octroi.toml");
        std::fs::write(&config, settings.toml()).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_octroi"));
        command.arg("run").arg("--config").arg(config);
        Self::spawn(command, folder)
    }

    /// Starts the embedded default, on free ports.
    pub fn demo() -> Self {
        Self::demo_with(&[])
    }

    /// The same, with more of the environment.
    pub fn demo_with(environment: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_octroi"));
        command.env("OCTROI_SERVER__LISTEN", "127.0.0.1:0").env("OCTROI_ADMIN__LISTEN", "127.0.0.1:0");
        command.env("OCTROI_LOG__FORMAT", "json").envs(environment.iter().copied());
        Self::spawn(command, tempfile::tempdir().unwrap())
    }

    fn spawn(mut command: Command, folder: TempDir) -> Self {
        let mut process = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("started");
        let logs = Arc::new(Mutex::new(String::new()));
        let (lines, written) = (BufReader::new(process.stderr.take().unwrap()), Arc::clone(&logs));
        std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                let mut logs = written.lock().unwrap();
                logs.push_str(&line);
                logs.push('\n');
            }
        });
        let listening = |logs: &Mutex<String>, listener: &str| {
            let logs = logs.lock().unwrap();
            let mut lines = logs.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            let line = lines.find(|line| line["message"] == "listening" && line["listener"] == listener)?;
            line["address"].as_str()?.parse().ok()
        };
        let mut found = (None, None);
        eventually("the gateway listens", || {
            if let Some(status) = process.try_wait().unwrap() {
                panic!("it ended with {status}: {}", logs.lock().unwrap());
            }
            found = (listening(&logs, "public"), listening(&logs, "admin"));
            found.0.is_some() && found.1.is_some()
        });
        let (Some(public), Some(admin)) = found else { unreachable!() };
        Self { process, folder, now: NOON.parse().unwrap(), logs, public, admin }
    }

    /// Someone new at the door.
    pub fn client(&self) -> Client {
        Client::new(self.public)
    }

    /// Someone who was known at another gateway, now at this one's door.
    pub fn known(&self, client: &Client) -> Client {
        Client { jar: client.jar.clone(), ..self.client() }
    }

    /// A call of the admin API.
    pub fn admin(&self) -> Client {
        Client::new(self.admin)
    }

    /// Puts the gateway's clock at an instant.
    pub fn set_clock(&mut self, now: &str) {
        self.now = now.parse().unwrap();
        let told = self.admin().request("PUT", "/v1/clock").json(&json!({"now": now})).send();
        assert_eq!(told.status, 200, "{}", told.text());
    }

    /// Moves the gateway's clock forward.
    pub fn advance(&mut self, seconds: i64) {
        let now = self.now + SignedDuration::from_secs(seconds);
        self.set_clock(&now.to_string());
    }

    /// Imports accounts; none may be refused.
    pub fn accounts(&self, accounts: &[Value]) {
        let done = self.import("/v1/accounts/import", accounts);
        assert_eq!(done.status, 200, "{}", done.text());
    }

    /// Imports establishments; none may be refused.
    pub fn establishments(&self, establishments: &[Value]) {
        let done = self.import("/v1/establishments/import", establishments);
        assert_eq!(done.status, 200, "{}", done.text());
    }

    /// Imports JSON Lines.
    pub fn import(&self, path: &str, rows: &[Value]) -> Response {
        let lines: Vec<String> = rows.iter().map(ToString::to_string).collect();
        self.admin().post(path).body("application/x-ndjson", lines.join("\n").as_bytes()).send()
    }

    /// What it logged so far.
    pub fn logs(&self) -> String {
        self.logs.lock().unwrap().clone()
    }

    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// SIGKILL: nothing is saved any more.
    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// SIGTERM.
    pub fn terminate(&self) {
        self.signal("TERM");
    }

    /// Any signal, by its name.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.pid().to_string()).status().unwrap();
        assert!(sent.success());
    }

    /// Its configuration file.
    pub fn file(&self) -> std::path::PathBuf {
        self.folder.path().join("octroi.toml")
    }

    /// Waits for its end.
    pub fn ended(&mut self) -> ExitStatus {
        let mut status = None;
        eventually("the gateway ends", || {
            status = self.process.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }

    /// A folder that goes with it.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// `octroi ARGS` against this gateway's admin API: exit code, standard output, standard error.
    pub fn cli(&self, args: &[&str]) -> (i32, String, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_octroi"))
            .args(args)
            .env("OCTROI_ADMIN", format!("http://{}", self.admin))
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
