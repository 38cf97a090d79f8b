//! Who may use the admin API, and what each role may do (contract, section 5).

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::client::{Client, Response};
use crate::harness::eventually;
use crate::harness::world::{Kind, ONE_CAF, OTHER_SIRET, SIRET, TWO_CAFS, World, account};

/// A gateway whose admin API demands tokens, and one token of each role.
struct Guarded {
    world: World,
    folder: TempDir,
    operator: String,
    reader: String,
    marie: String,
}

const PARIS: &str = "paris@esat.example";
const SHARED: &str = "partage@esat.example";

impl Guarded {
    fn new(kind: Kind) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tokens");
        let operator = token(&file, &["--name", "nuit", "--role", "operator"]);
        let reader = token(&file, &["--name", "sonde", "--role", "read"]);
        let marie = token(&file, &["--name", "marie", "--role", "gestionnaire", "--caf", "921"]);
        // The world is filled before tokens are demanded.
        let path = format!("{:?}", file.display().to_string());
        let mut world = World::new(kind);
        let mut shared = account(SHARED, SIRET, &["921", "751"]);
        shared["home_caf"] = json!("751");
        world.gateway.accounts(&[account(PARIS, SIRET, &["751"]), shared]);
        world.settings.set("admin", "tokens_file", &path);
        world.gateway.terminate();
        world.gateway.ended();
        world.restart();
        Self { world, folder, operator, reader, marie }
    }

    fn ask(&self, token: &str, method: &str, path: &str) -> Response {
        let bearer = format!("Bearer {token}");
        self.world.gateway.admin().request(method, path).header("Authorization", &bearer).send()
    }

    fn post(&self, token: &str, path: &str, body: &Value) -> Response {
        let bearer = format!("Bearer {token}");
        self.world.gateway.admin().post(path).header("Authorization", &bearer).json(body).send()
    }

    fn names(&self, token: &str) -> Vec<String> {
        let page = self.ask(token, "GET", "/v1/accounts").json();
        let accounts = page["accounts"].as_array().unwrap().iter();
        accounts.map(|one| one["identifiant"].as_str().unwrap().to_owned()).collect()
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }
}

/// `octroi admin-token … --append FILE`: the token.
pub fn token(file: &std::path::Path, args: &[&str]) -> String {
    let made = Command::new(env!("CARGO_BIN_EXE_octroi"))
        .arg("admin-token")
        .args(args)
        .arg("--append")
        .arg(file)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let token = String::from_utf8(made.stdout).unwrap().trim().to_owned();
    assert!(!fs::read_to_string(file).unwrap().contains(&token));
    token
}

fn octroi(args: &[&str], environment: &[(&str, &str)]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_octroi"));
    command.args(args).envs(environment.iter().copied()).stdin(Stdio::null());
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn nobody_is_let_in_without_a_token_where_tokens_are_demanded() {
    let guarded = Guarded::new(Kind::Redis);
    let mut admin = guarded.world.gateway.admin();
    for path in ["/v1/accounts", "/metrics", "/v1/clock", "/v1/nowhere", "/v1/accounts/a%40b.fr"] {
        let refused = admin.get(path).send();
        assert_eq!(refused.status, 401, "{path}");
        assert_eq!(refused.header("www-authenticate"), Some(r#"Bearer realm="octroi""#));
    }
    for path in ["/livez", "/readyz"] {
        assert_eq!(admin.get(path).send().status, 200, "{path}");
    }
    assert_eq!(guarded.ask(&guarded.operator, "GET", "/v1/accounts").status, 200);
    assert_eq!(guarded.ask(&guarded.reader, "GET", "/metrics").status, 200);
}

#[test]
fn wrong_tokens_are_refused_slowed_down_and_never_logged() {
    let guarded = Guarded::new(Kind::Redis);
    let mut flipped = guarded.operator.clone();
    let last = if flipped.pop() == Some('A') { 'E' } else { 'A' };
    flipped.push(last);
    let wrong = ["", "octroi_", &flipped, &guarded.operator[7..], "x\u{e9}", "a b"];
    for token in wrong {
        assert_eq!(guarded.ask(token, "GET", "/v1/accounts").status, 401, "{token:?}");
    }
    let basic = guarded
        .world
        .gateway
        .admin()
        .get("/v1/accounts")
        .header("Authorization", "Basic bnVpdDpudWl0")
        .send();
    assert_eq!(basic.status, 401);
    let twice = format!("Bearer {}", guarded.operator);
    let twice = guarded
        .world
        .gateway
        .admin()
        .get("/v1/accounts")
        .header("Authorization", &twice)
        .header("Authorization", &twice)
        .send();
    assert_eq!(twice.status, 401);
    eventually("the address is told to wait", || {
        let refused = guarded.ask(&flipped, "GET", "/v1/accounts");
        refused.status == 429 && refused.header("retry-after").is_some()
    });
    // A neighbour's guesses do not lock out one who has the right one.
    assert_eq!(guarded.ask(&guarded.operator, "GET", "/v1/accounts").status, 200);
    eventually("that is told", || guarded.world.gateway.logs().contains("the token opens nothing"));
    let logs = guarded.world.gateway.logs();
    assert!(!logs.contains(&flipped) && !logs.contains(&guarded.operator[7..]), "{logs}");
}

#[test]
fn a_reader_changes_nothing() {
    let guarded = Guarded::new(Kind::Redis);
    assert!(guarded.names(&guarded.reader).contains(&PARIS.to_owned()));
    for action in ["suspend", "reactivate", "reset-password", "force-change", "unlock"] {
        let path = format!("/v1/accounts/{ONE_CAF}/{action}");
        assert_eq!(guarded.ask(&guarded.reader, "POST", &path).status, 403, "{action}");
    }
    assert_eq!(guarded.ask(&guarded.reader, "DELETE", &format!("/v1/accounts/{ONE_CAF}")).status, 403);
    let new = account("neuf@esat.example", SIRET, &["921"]);
    assert_eq!(guarded.post(&guarded.reader, "/v1/accounts", &new).status, 403);
    assert_eq!(guarded.post(&guarded.reader, "/v1/accounts/import", &new).status, 403);
    assert_eq!(
        guarded.ask(&guarded.reader, "GET", &format!("/v1/accounts/{ONE_CAF}")).json()["status"],
        "active"
    );
}

#[test]
fn a_gestionnaire_reaches_the_accounts_of_its_cafs_and_no_other() {
    let guarded = Guarded::new(Kind::Redis);
    let marie = &guarded.marie;
    let seen = guarded.names(marie);
    assert!(seen.contains(&ONE_CAF.to_owned()) && seen.contains(&TWO_CAFS.to_owned()), "{seen:?}");
    assert!(!seen.contains(&PARIS.to_owned()), "{seen:?}");
    let on =
        |who: &str, action: &str| guarded.ask(marie, "POST", &format!("/v1/accounts/{who}/{action}")).status;
    assert_eq!(guarded.ask(marie, "GET", &format!("/v1/accounts/{PARIS}")).status, 404);
    for action in ["suspend", "reactivate", "reset-password", "force-change", "unlock"] {
        assert_eq!(on(PARIS, action), 404, "{action}");
        assert_eq!(on("personne@esat.example", action), 404, "{action}");
        assert_eq!(on(ONE_CAF, action), 200, "{action}");
        assert_eq!(on(TWO_CAFS, action), 200, "{action}");
        // It closes an account that another Caf manages; it does not open it.
        let closes = matches!(action, "suspend" | "force-change");
        assert_eq!(on(SHARED, action), if closes { 200 } else { 403 }, "{action}");
    }
    assert_eq!(guarded.ask(marie, "DELETE", &format!("/v1/accounts/{PARIS}")).status, 404);
    assert_eq!(guarded.ask(marie, "DELETE", &format!("/v1/accounts/{SHARED}")).status, 403);
    assert_eq!(guarded.ask(marie, "DELETE", &format!("/v1/accounts/{ONE_CAF}")).status, 204);
    assert_eq!(
        guarded.ask(&guarded.operator, "GET", &format!("/v1/accounts/{PARIS}")).json()["status"],
        "active"
    );
    assert_eq!(guarded.ask(marie, "PUT", "/v1/clock").status / 100, 4);
    let explain = |who: &str, caf: &str| {
        guarded.ask(marie, "GET", &format!("/v1/explain?account={who}&caf={caf}&path=/")).status
    };
    assert_eq!((explain(SHARED, "921"), explain(SHARED, "751"), explain(PARIS, "921")), (200, 403, 404));
}

#[test]
fn a_gestionnaire_makes_accounts_and_establishments_of_its_cafs_alone() {
    let guarded = Guarded::new(Kind::Redis);
    let marie = &guarded.marie;
    let new = |name: &str, cafs: &[&str]| account(name, SIRET, cafs);
    assert_eq!(guarded.post(marie, "/v1/accounts", &new("a@esat.example", &["921"])).status, 201);
    let mut home = new("b@esat.example", &["921"]);
    home["home_caf"] = json!("751");
    for wrong in [new("b@esat.example", &["751"]), new("b@esat.example", &["921", "751"]), home] {
        let refused = guarded.post(marie, "/v1/accounts", &wrong);
        assert_eq!(refused.status, 422, "{}", refused.text());
        assert_eq!(guarded.post(marie, "/v1/accounts/import", &wrong).status, 422);
    }
    assert_eq!(guarded.ask(&guarded.operator, "GET", "/v1/accounts/b@esat.example").status, 404);
    let establishment = |caf: &str| json!({"caf": caf, "identifiant_communication": "00000000099"});
    assert_eq!(guarded.post(marie, "/v1/establishments/import", &establishment("751")).status, 422);
    assert_eq!(guarded.post(marie, "/v1/establishments/import", &establishment("921")).status, 200);
    let seen = guarded.ask(marie, "GET", "/v1/establishments").json();
    let seen = seen["establishments"].as_array().unwrap();
    assert!(seen.len() > 1 && seen.iter().all(|one| one["caf"] == "921"), "{seen:?}");
}

#[test]
fn a_gestionnaires_import_and_export_stay_at_its_cafs() {
    let guarded = Guarded::new(Kind::Redis);
    let (marie, mut taken) = (&guarded.marie, account(SHARED, SIRET, &["921"]));
    taken["home_caf"] = json!("921");
    let refused = guarded.post(marie, "/v1/accounts/import", &taken);
    assert!(refused.status == 422 && refused.text().contains("another Caf manages"), "{}", refused.text());
    let own = account(ONE_CAF, SIRET, &["921"]);
    // A Caf's own list says nothing of the others: what they granted stays, named or not, and is not given to more.
    let cafs = |who: &str| guarded.ask(&guarded.operator, "GET", &format!("/v1/accounts/{who}")).json();
    let granted = cafs(TWO_CAFS)["cafs"].clone();
    assert!(granted.as_array().is_some_and(|cafs| cafs.len() > 1), "{granted}");
    for named in [&["921"][..], &["921", "751"]] {
        let mut known = account(TWO_CAFS, SIRET, named);
        known["nom"] = json!("ESAT renommé");
        let kept = guarded.post(marie, "/v1/accounts/import", &known);
        assert_eq!(kept.status, 200, "{}", kept.text());
        let account = cafs(TWO_CAFS);
        assert_eq!((&account["cafs"], &account["nom"]), (&granted, &json!("ESAT renommé")), "{named:?}");
    }
    // The others let it in by its SIRET: with another it would act there for another ESAT.
    let moved = guarded.post(marie, "/v1/accounts/import", &account(TWO_CAFS, OTHER_SIRET, &["921"]));
    assert!(moved.status == 422 && moved.text().contains("other Cafs know"), "{}", moved.text());
    assert_eq!(cafs(TWO_CAFS)["siret"], SIRET);
    let more = guarded.post(marie, "/v1/accounts/import", &account(ONE_CAF, SIRET, &["921", "751"]));
    assert!(more.status == 422 && more.text().contains("does not look after Caf 751"), "{}", more.text());
    assert_eq!(guarded.post(marie, "/v1/accounts/import?gone=suspend", &own).status, 403);
    let dry = guarded.post(marie, "/v1/accounts/import?dry_run=true", &own);
    assert!(dry.status == 200 && !dry.text().contains(PARIS), "{}", dry.text());
    assert_eq!(guarded.ask(marie, "GET", "/v1/accounts/export").status, 403);
    assert_eq!(guarded.ask(&guarded.reader, "GET", "/v1/accounts/export").status, 403);
    assert_eq!(guarded.ask(&guarded.operator, "GET", "/v1/accounts/export").status, 200);
    let known = guarded.ask(marie, "GET", "/v1/establishments/export").text();
    assert!(known.contains("\"921\"") && !known.contains("\"751\""), "{known}");
    let gone =
        guarded.post(marie, "/v1/establishments/import?gone=delete", &json!({"caf": "921", "siret": SIRET}));
    assert_eq!(gone.status, 200, "{}", gone.text());
    let left = guarded.ask(&guarded.operator, "GET", "/v1/establishments/export").text();
    assert!(left.contains("\"751\""), "{left}");
}

/// Puts another file in the place of one at once: a gateway that looks meanwhile reads no half of it.
fn replace(file: &std::path::Path, text: &str) {
    let new = file.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::set_permissions(&new, fs::metadata(file).unwrap().permissions()).unwrap();
    fs::rename(new, file).unwrap();
}

#[test]
fn a_token_taken_out_of_the_file_no_longer_opens_and_a_new_one_does() {
    let guarded = Guarded::new(Kind::Redis);
    let file = guarded.folder.path().join("tokens");
    let late = token(&file, &["--name", "late", "--role", "read"]);
    eventually("the new token opens", || guarded.ask(&late, "GET", "/v1/accounts").status == 200);
    let kept: Vec<String> = fs::read_to_string(&file)
        .unwrap()
        .lines()
        .filter(|line| !line.starts_with("nuit"))
        .map(str::to_owned)
        .collect();
    replace(&file, &kept.join("\n"));
    eventually("the old one does not", || {
        guarded.ask(&guarded.operator, "GET", "/v1/accounts").status != 200
    });
    assert_eq!(guarded.ask(&late, "GET", "/v1/accounts").status, 200);
    replace(&file, "no token at all");
    eventually("the fault is told", || guarded.world.gateway.logs().contains("what was read before stays"));
    assert_eq!(guarded.ask(&late, "GET", "/v1/accounts").status, 200);
}

#[test]
fn a_change_names_its_author() {
    let guarded = Guarded::new(Kind::Redis);
    let secret = guarded.file("marie.token", &guarded.marie);
    let url = format!("http://{}", guarded.world.gateway.admin);
    let environment = [("OCTROI_ADMIN", url.as_str()), ("USER", "mdupont")];
    let with =
        |args: &[&str]| octroi(&[args, &["--token-file", secret.to_str().unwrap()]].concat(), &environment);
    assert_eq!(with(&["account", "suspend", ONE_CAF]).0, 0);
    assert_eq!(with(&["account", "reactivate", ONE_CAF, "--by", "Éloïse D."]).0, 0);
    let (code, _, why) = octroi(&["account", "suspend", ONE_CAF], &environment);
    assert!(code == 1 && why.contains("a token or a client certificate is needed"), "{why}");
    let noted = |route: &str, by: &str| {
        let logs = guarded.world.gateway.logs();
        logs.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).any(|line| {
            line["message"] == "change asked for"
                && line["route"] == format!("/v1/accounts/{{identifiant}}/{route}")
                && line["author"] == "marie"
                && line["via"] == "token"
                && line["by"] == by
        })
    };
    eventually("both are noted", || noted("suspend", "mdupont") && noted("reactivate", "Éloïse D."));
    let bearer = format!("Bearer {}", guarded.marie);
    for hostile in ["", "a\tb", &"m".repeat(101)] {
        let path = format!("/v1/accounts/{ONE_CAF}/suspend");
        let refused = guarded
            .world
            .gateway
            .admin()
            .post(&path)
            .header("Authorization", &bearer)
            .header("X-Octroi-By", hostile)
            .send();
        assert_eq!(refused.status, 400, "{hostile:?}");
    }
}

#[test]
fn without_tokens_loopback_is_an_operators_and_by_is_the_author() {
    let world = World::new(Kind::Embedded);
    assert_eq!(world.gateway.cli(&["account", "suspend", ONE_CAF, "--by", "garde de nuit"]).0, 0);
    eventually("it is noted", || {
        let logs = world.gateway.logs();
        logs.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).any(|line| {
            line["message"] == "change asked for"
                && line["author"] == "garde de nuit"
                && line["via"] == "local"
        })
    });
}

#[test]
fn a_silent_caller_is_shown_out_and_too_many_wait() {
    use std::io::Read as _;
    let world = World::with(Kind::Embedded, |settings| {
        settings.set("admin", "max_connections", "2");
    });
    let mut silent: Vec<_> = (0..2).map(|_| crate::harness::client::connect(world.gateway.admin)).collect();
    // The third waits for a place: it is answered once those who say nothing were shown out.
    assert_eq!(Client::new(world.gateway.admin).get("/livez").send().status, 200);
    assert_eq!(silent[0].read(&mut [0; 1]).unwrap_or(0), 0);
}

/// A certificate authority, a gateway's certificate and clients' ones.
struct Papers {
    folder: TempDir,
}

impl Papers {
    fn new() -> Self {
        use rcgen::{
            BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
            KeyPair,
        };
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: String| fs::write(folder.path().join(name), text).unwrap();
        let authority = |name: &str| {
            let mut params = CertificateParams::new(Vec::new()).unwrap();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.distinguished_name.push(DnType::CommonName, name);
            CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
        };
        let (ours, strange) = (authority("ours"), authority("strange"));
        write("ca.crt", ours.pem());
        for (file, names, issuer) in [
            ("server", vec!["127.0.0.1".to_owned(), "localhost".to_owned()], &ours),
            ("nuit", vec!["nuit.edge.example".to_owned()], &ours),
            ("marie", vec!["marie@caf921.example".to_owned()], &ours),
            ("unknown", vec!["unknown.edge.example".to_owned()], &ours),
            ("strange", vec!["nuit.edge.example".to_owned()], &strange),
        ] {
            let mut params = CertificateParams::new(names).unwrap();
            params.extended_key_usages =
                vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
            let key = KeyPair::generate().unwrap();
            write(&format!("{file}.crt"), params.signed_by(&key, issuer).unwrap().pem());
            write(&format!("{file}.key"), key.serialize_pem());
        }
        Self { folder }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn set(&self, settings: &mut crate::harness::gateway::Settings) {
        for (key, file) in [("certificate", "server.crt"), ("key", "server.key"), ("client_ca", "ca.crt")] {
            settings.set("admin.tls", key, &format!("{:?}", self.path(file)));
        }
        let clients = r#"["nuit.edge.example = operator", "marie@caf921.example = gestionnaire 921"]"#;
        settings.set("admin.tls", "clients", clients);
    }

    fn cli(&self, address: &str, who: &str, args: &[&str]) -> (i32, String, String) {
        let (ca, cert, key) =
            (self.path("ca.crt"), self.path(&format!("{who}.crt")), self.path(&format!("{who}.key")));
        let url = format!("https://{address}");
        let mut all = vec!["--admin", &url, "--ca", &ca];
        if who != "nobody" {
            all.extend(["--cert", &cert, "--key", &key]);
        }
        octroi(&[args, &all].concat(), &[])
    }
}

#[test]
fn off_loopback_client_certificates_open_by_their_names() {
    let papers = Papers::new();
    let mut world = World::new(Kind::Redis);
    world.gateway.accounts(&[account(PARIS, SIRET, &["751"])]);
    papers.set(&mut world.settings);
    world.settings.set("admin", "listen", "\"0.0.0.0:0\"");
    world.gateway.terminate();
    world.gateway.ended();
    world.gateway = crate::harness::gateway::Gateway::start(&world.settings);
    let address = format!("127.0.0.1:{}", world.gateway.admin.port());
    let cli = |who: &str, args: &[&str]| papers.cli(&address, who, args);

    let (code, table, why) = cli("nuit", &["account", "list"]);
    assert!(code == 0 && table.contains(PARIS), "{table}{why}");
    let (code, table, _) = cli("marie", &["account", "list"]);
    assert!(code == 0 && table.contains(ONE_CAF) && !table.contains(PARIS), "{table}");
    let (code, _, why) = cli("marie", &["account", "suspend", PARIS]);
    assert!(code == 1 && why.contains("no such account"), "{why}");
    assert_eq!(cli("marie", &["account", "suspend", ONE_CAF, "--by", "Marie D."]).0, 0);
    let (code, _, why) = cli("unknown", &["account", "list"]);
    assert!(code == 1 && why.contains("no role"), "{why}");
    for stranger in ["nobody", "strange"] {
        let (code, table, why) = cli(stranger, &["account", "list"]);
        assert!(code == 1 && table.is_empty() && why.contains(&address), "{stranger}: {why}");
    }
    assert!(
        Client::new(address.parse().unwrap()).raw(b"GET /v1/accounts HTTP/1.1\r\nHost: a\r\n\r\n").is_none()
    );
    eventually("the change has its author", || {
        let logs = world.gateway.logs();
        logs.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).any(|line| {
            line["author"] == "marie@caf921.example"
                && line["via"] == "certificate"
                && line["by"] == "Marie D."
        })
    });
}

#[test]
fn off_loopback_without_proof_is_refused_by_check() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("octroi.toml");
    let tokens = folder.path().join("tokens");
    token(&tokens, &["--name", "nuit", "--role", "operator"]);
    let caf = "[[caf]]\ncode='921'\nname='A'\ncontact='a@b.fr'\nbackends=['http://127.0.0.1:1']\n";
    let check = |admin: &str| {
        fs::write(&file, format!("[admin]\nlisten = '0.0.0.0:9901'\n{admin}\n{caf}")).unwrap();
        octroi(&["check", "--config", file.to_str().unwrap()], &[])
    };
    let (code, _, why) = check("");
    assert!(code == 1 && why.contains("octroi.toml:2:10: admin.listen"), "{why}");
    let tokens = format!("tokens_file = {:?}", tokens.display().to_string());
    let (code, _, why) = check(&tokens);
    assert!(code == 1 && why.contains("tokens would travel in clear"), "{why}");
    let (code, said, _) = check(&format!("{tokens}\ntokens_in_clear = true"));
    assert!(code == 0 && said.contains("warning"), "{said}");
}
