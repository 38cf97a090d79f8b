//! What an operator is told: by each command's answer, by the check of a configuration, and of what comes to its end.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::harness::eventually;
use crate::harness::world::{Kind, ONE_CAF, SIRET, TWO_CAFS, World, account};
use crate::tls::{secured, write};

#[test]
fn what_is_deleted_is_told_in_json_too() {
    let world = World::new(Kind::Embedded);
    let (code, told, errors) = world.gateway.cli(&["account", "delete", ONE_CAF, "--json"]);
    assert_eq!((code, errors.as_str()), (0, ""));
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told, json!({"identifiant": ONE_CAF, "deleted": true}));
    let (code, told, _) = world.gateway.cli(&["account", "delete", ONE_CAF, "--json"]);
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!((code, &told["status"]), (1, &json!(404)));
    let (code, told, _) = world.gateway.cli(&["account", "delete", TWO_CAFS]);
    assert_eq!((code, told), (0, format!("{TWO_CAFS} was deleted; its sessions ended.\n")));
}

#[test]
fn a_unix_socket_takes_no_foreign_host_either() {
    let folder = tempfile::tempdir().unwrap();
    let (socket, config) = (folder.path().join("admin.sock"), folder.path().join("octroi.toml"));
    let listen = format!("unix:{}", socket.display());
    fs::write(
        &config,
        format!(
            "[server]\nlisten=[\"127.0.0.1:0\"]\n[admin]\nlisten={listen:?}\n[store]\nurl=\"memory:\"\n\
         [[caf]]\ncode=\"921\"\nname=\"x\"\ncontact=\"y\"\nbackends=[\"http://127.0.0.1:9\"]\n"
        ),
    )
    .unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_octroi"));
    let mut gateway = command.arg("run").arg("--config").arg(&config).spawn().unwrap();
    eventually("it listens", || UnixStream::connect(&socket).is_ok());
    let status = |target: &str, hosts: &str| {
        let mut stream = UnixStream::connect(&socket).unwrap();
        write!(stream, "GET {target} HTTP/1.1\r\n{hosts}Connection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split(' ').nth(1).map(str::to_owned)
    };
    for good in ["Host: localhost\r\n", "Host:\r\n", "Host: 127.0.0.1:9901\r\n", "Host: [::1]\r\n"] {
        assert_eq!(status("/v1/cafs", good).as_deref(), Some("200"), "{good}");
    }
    for wrong in [
        "Host: evil.example\r\n",
        "Host: localhost.evil.example\r\n",
        "Host: 10.0.0.1\r\n",
        "Host: localhost\r\nHost: evil.example\r\n",
        "Host: localhost\r\nOrigin: http://localhost\r\n",
    ] {
        assert_eq!(status("/v1/cafs", wrong).as_deref(), Some("403"), "{wrong}");
    }
    assert_eq!(status("http://evil.example/v1/cafs", "Host: localhost\r\n").as_deref(), Some("403"));
    let asked =
        Command::new(env!("CARGO_BIN_EXE_octroi")).args(["caf", "status", "--admin", &listen]).output();
    assert!(asked.unwrap().status.success(), "its own commands are let in");
    gateway.kill().unwrap();
    gateway.wait().unwrap();
}

#[test]
fn a_password_that_fell_due_is_said_to_have_expired() {
    let world = World::new(Kind::Embedded);
    let changed = |name: &str, at: &str| {
        let mut account = account(name, SIRET, &["921"]);
        account["password_changed_at"] = json!(at);
        account
    };
    let (due, last) = ("echu@esat.example", "dernier@esat.example");
    world.gateway.accounts(&[changed(due, "2026-09-13T09:00:00Z"), changed(last, "2026-09-15T00:00:00Z")]);
    let (code, listed, _) = world.gateway.cli(&["account", "list"]);
    let line = |name: &str| listed.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_owned();
    assert!(code == 0 && line(due).contains("expired on 2026-12-14"), "{listed}");
    assert!(!line(due).contains("left") && line(last).contains("until 2026-12-16, 1 day left"), "{listed}");
    let (_, shown, _) = world.gateway.cli(&["account", "show", due]);
    assert!(shown.contains("expired on 2026-12-14 10:00\n"), "{shown}");
}

#[test]
fn what_a_file_is_named_is_what_is_written_into_it() {
    let world = World::new(Kind::Embedded);
    let folder = tempfile::tempdir().unwrap();
    let export = |what: &str, name: &str, more: &[&str]| {
        let path = folder.path().join(name);
        let words = [&[what, "export", "--output", path.to_str().unwrap()], more].concat();
        let (code, _, errors) = world.gateway.cli(&words);
        assert_eq!(code, 0, "{errors}");
        fs::read_to_string(path).unwrap()
    };
    for name in ["a.csv", "A.CSV"] {
        assert!(export("account", name, &[]).contains("identifiant;"), "{name}");
    }
    assert!(export("establishment", "e.csv", &[]).contains("caf;"));
    for name in ["a.jsonl", "a.ndjson", "a"] {
        assert!(export("account", name, &[]).starts_with('{'), "{name}");
    }
    assert!(export("account", "b.csv", &["--format", "jsonl"]).starts_with('{'), "what is said goes first");
    let import = |more: &[&str]| {
        let path = folder.path().join("b.csv").display().to_string();
        world.gateway.cli(&[&["account", "import", &path], more].concat())
    };
    let (code, _, errors) = import(&[]);
    assert!(code == 2 && errors.contains("--format jsonl"), "{code} {errors}");
    assert_eq!(import(&["--format", "jsonl"]).0, 0);
    let (_, help, _) = world.gateway.cli(&["account", "export", "--help"]);
    assert!(help.contains(".csv") && help.contains(".ndjson"), "{help}");
}

#[test]
fn what_stays_drained_is_told_with_what_lifts_it() {
    let world = World::new(Kind::Embedded);
    let url = format!("http://{}", world.caf921.address);
    let gateway = &world.gateway;
    assert_eq!(gateway.cli(&["caf", "drain", "921", "--instance", &url]).0, 0);
    let (code, told, _) = gateway.cli(&["caf", "undrain", "921"]);
    let lifts = format!("octroi caf undrain 921 --instance {url}");
    assert!(code == 0 && told.contains("stays so") && told.contains(&lifts), "{told}");
    let words: Vec<&str> = lifts.split(' ').skip(1).collect();
    let (code, told, _) = gateway.cli(&words);
    assert!(code == 0 && !told.contains("drained"), "{told}");
    let (code, told, _) = gateway.cli(&["caf", "undrain", "921"]);
    assert!(code == 0 && !told.contains("drained"), "{told}");
}

/// What the check of a configuration says, and how it ends.
fn checked(file: &Path, text: &str) -> (i32, String) {
    fs::write(file, text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_octroi"));
    let output = command.arg("check").arg("--config").arg(file).output().unwrap();
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    (output.status.code().unwrap(), said)
}

#[test]
fn clashes_are_told_with_their_place() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("octroi.toml");
    let volet = |name: &str, path: &str| format!("[[volet]]\nname = {name:?}\npaths = [{path:?}]\n");
    let caf =
        |url: &str| format!("[[caf]]\ncode = \"921\"\nname = \"x\"\ncontact = \"y\"\nbackends = [{url:?}]\n");
    let right = caf("http://127.0.0.1:9");
    for (text, said) in [
        (
            volet("a", "/t") + &volet("b", "/t") + &right,
            ":6:9: volet.paths: found a list, where /t is [[volet]] a's too",
        ),
        (
            volet("a", "/t") + &volet("b", "/T/") + &right,
            ":6:9: volet.paths: found a list, where /T/ is [[volet]] a's",
        ),
        (volet("a", "/portail") + &right, ":3:9: volet.paths: found a list, where /portail is the portal's"),
        (
            format!("[portal]\nprefix = \"/acces\"\n{}{right}", volet("a", "/acces/t")),
            ":5:9: volet.paths: found a list, where /acces/t is the portal's (portal.prefix), expected a path outside /acces",
        ),
        (
            caf("http://127.0.0.1:8080"),
            ":5:12: caf.backends: found a list, where 127.0.0.1:8080 is the gateway's own (server.listen), expected",
        ),
        (caf("https://127.0.0.1:9901"), "127.0.0.1:9901 is the gateway's own (admin.listen)"),
        (
            format!("[server]\nlisten = [\"[::1]:7000\"]\n{}", caf("http://[::1]:7000")),
            ":7:12: caf.backends: found a list, where [::1]:7000 is the gateway's own (server.listen)",
        ),
    ] {
        let (code, told) = checked(&file, &text);
        assert!(code == 1 && told.contains(said), "{text}\n{told}");
    }
    for text in [
        volet("a", "/t") + &volet("b", "/t/u") + &right,
        volet("a", "/portails") + &right,
        caf("http://127.0.0.1:8081"),
    ] {
        let (code, told) = checked(&file, &text);
        assert_eq!(code, 0, "{text}\n{told}");
    }
    let (code, told) = checked(&file, &format!("[session]\npassive_paths = [\"/\"]\n{right}"));
    assert!(code == 0 && told.contains(":2:17: session.passive_paths: holds /"), "{told}");
    let (code, told) = checked(&file, &format!("[audit]\npath = \"/nulle/part/audit.jsonl\"\n{right}"));
    assert!(code == 0 && told.contains("warning: audit.path: there is no folder /nulle/part,"), "{told}");
}

/// A certificate that expires on that day of December 2026, at midnight UTC, and its key.
fn certificate_until(day: u8) -> (String, String) {
    let mut params = rcgen::CertificateParams::new(vec!["esat.extranet.example".to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(2026, 1, 1);
    params.not_after = rcgen::date_time_ymd(2026, 12, day);
    let key = rcgen::KeyPair::generate().unwrap();
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

#[test]
fn a_certificate_that_comes_to_its_end_is_told_of_each_day() {
    let mut secured = secured();
    let told = |logs: String, what: &str| {
        let lines = logs.lines().filter(|line| line.contains("WARN") && line.contains(what));
        lines.filter(|line| line.contains("2026-12-")).count()
    };
    assert_eq!(told(secured.world.gateway.logs(), "the certificate"), 0, "it is good for a hundred years");
    let (certificate, key) = certificate_until(20);
    write(secured.folder.path(), &certificate, &key);
    let until = |secured: &mut crate::tls::Secured, what: &str, times: usize| {
        eventually(what, || told(secured.world.gateway.logs(), what) == times);
    };
    until(&mut secured, "expires soon", 1);
    secured.world.gateway.advance(86_400);
    until(&mut secured, "expires soon", 2);
    secured.world.gateway.signal("HUP");
    until(&mut secured, "expires soon", 3);
    secured.world.gateway.advance(6 * 86_400);
    until(&mut secured, "has expired", 1);

    let mut command = Command::new(env!("CARGO_BIN_EXE_octroi"));
    let output = command.arg("check").arg("--config").arg(secured.world.gateway.file()).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}");
    assert!(
        said.contains("warning: server.tls.certificate: ") && said.contains("expires on 2026-12-20"),
        "{said}"
    );
    secured.world.gateway.kill();
    secured.world.restart();
    until(&mut secured, "expires soon", 1);
}
