//! The audit log: every decision has its line, none has a secret, and none can be touched unseen.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::harness::eventually;
use crate::harness::world::{
    Kind, ONE_CAF, PASSWORD, PROVISIONAL, SIRET, TWO_CAFS, UNKNOWN_SIRET, World, sign_in,
};
use crate::on_each_store;

const NEW: &str = "Bruyere-violette-27";

pub struct Audited {
    pub world: World,
    pub path: PathBuf,
    _folder: tempfile::TempDir,
}

pub fn audited(kind: Kind, more: impl FnOnce(&mut crate::harness::gateway::Settings)) -> Audited {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let world = World::with(kind, |settings| {
        settings.set("audit", "path", &format!("{:?}", path.display().to_string()));
        more(settings);
    });
    Audited { world, path, _folder: folder }
}

impl Audited {
    pub fn lines(&self) -> Vec<Value> {
        whole_lines(&self.path)
    }

    /// Waits for a line that is so.
    pub fn has(&self, what: &str, outcome: &str, reason: Option<&str>, who: Option<&str>) -> Value {
        let mut found = None;
        eventually(&format!("{what} {outcome} {reason:?} {who:?}"), || {
            let fits = |line: &Value| {
                line["what"] == what
                    && line["outcome"] == outcome
                    && line["reason"].as_str() == reason
                    && line["who"].as_str() == who
            };
            found = self.lines().into_iter().find(fits);
            found.is_some()
        });
        found.unwrap()
    }
}

/// The lines of a log that is being written; the last one may have come half.
pub fn whole_lines(path: &Path) -> Vec<Value> {
    let bytes = fs::read(path).unwrap();
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let text = std::str::from_utf8(&bytes[..whole]).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

pub fn verify(files: &[&Path]) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_octroi"));
    let output = command.args(["audit", "verify"]).args(files).output().unwrap();
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    (output.status.code().unwrap(), text)
}

on_each_store! {
    fn each_decision_has_its_line_and_no_line_a_secret(kind: Kind) {
        let mut audited = audited(kind, |settings| {
            settings.set("session", "max_per_account", "1");
        });
        let world = &mut audited.world;
        assert_eq!(sign_in(&mut world.gateway.client(), ONE_CAF, "faux-Secret1").status, 401);
        // A password typed in the place of the identifiant.
        assert_eq!(sign_in(&mut world.gateway.client(), "Mon-Secret-99", PASSWORD).status, 401);
        for _ in 0..6 {
            sign_in(&mut world.gateway.client(), UNKNOWN_SIRET, "faux-Secret1");
        }
        let mut client = world.signed_in(TWO_CAFS);
        client.post("/portail/caf").json(&json!({"caf": "131"})).send();
        client.post("/portail/caf").json(&json!({"caf": "921"})).send();
        client.post("/portail/quitter").program().body("application/x-www-form-urlencoded", b"").send();
        client.post("/portail/deconnexion").program().body("application/x-www-form-urlencoded", b"").send();
        let mut fresh = world.gateway.client();
        sign_in(&mut fresh, PROVISIONAL, PASSWORD);
        let change = |new: &str| json!({"mot_de_passe_actuel": PASSWORD, "nouveau_mot_de_passe": new});
        assert_eq!(fresh.post("/portail/mot-de-passe").json(&change("court")).send().status, 422);
        assert_eq!(fresh.post("/portail/mot-de-passe").json(&change(NEW)).send().status, 200);
        fresh.post("/portail/mot-de-passe/oubli").json(&json!({"identifiant": PROVISIONAL})).send();
        let (first, mut second) = (world.signed_in(ONE_CAF), world.signed_in(ONE_CAF));
        drop(first);
        world.gateway.cli(&["account", "unlock", UNKNOWN_SIRET]);
        let mut unknown = world.signed_in(UNKNOWN_SIRET);
        unknown.post("/portail/caf").json(&json!({"caf": "921"})).send();
        let identify = |idc: &str| json!({"identifiant_communication": idc});
        unknown.post("/portail/etablissement").json(&identify("99999")).send();
        unknown.post("/portail/etablissement").json(&identify("12345678")).send();
        world.gateway.cli(&["account", "suspend", TWO_CAFS, "--by", "la gestionnaire du 92"]);
        world.gateway.advance(1_800);
        second.get("/").program().send();

        let line = audited.has("sign-in", "refused", Some("identifiants-invalides"), Some(ONE_CAF));
        assert_eq!(line["from"], "127.0.0.1");
        assert_eq!(line["request"].as_str().map(str::len), Some(32));
        audited.has("sign-in", "refused", Some("identifiants-invalides"), None);
        audited.has("sign-in", "locked", Some("trop-d-essais"), Some(UNKNOWN_SIRET));
        audited.has("sign-in", "ok", None, Some(TWO_CAFS));
        assert_eq!(audited.has("caf-choice", "refused", Some("caf-non-habilitee"), Some(TWO_CAFS))["caf"], "131");
        assert_eq!(audited.has("caf-choice", "ok", None, Some(TWO_CAFS))["caf"], "921");
        audited.has("leave", "ok", None, Some(TWO_CAFS));
        audited.has("session-end", "ok", Some("signed-out"), Some(TWO_CAFS));
        audited.has("password-change", "refused", Some("mot-de-passe-refuse"), Some(PROVISIONAL));
        audited.has("password-change", "ok", None, Some(PROVISIONAL));
        audited.has("password-reset-asked", "ok", None, Some(PROVISIONAL));
        audited.has("session-end", "ok", Some("too-many"), Some(ONE_CAF));
        audited.has("account-unlock", "ok", None, Some(UNKNOWN_SIRET));
        audited.has("establishment", "refused", Some("etablissement-inconnu"), Some(UNKNOWN_SIRET));
        audited.has("establishment", "ok", None, Some(UNKNOWN_SIRET));
        assert_eq!(audited.has("account-suspend", "ok", None, Some(TWO_CAFS))["by"], "la gestionnaire du 92");
        audited.has("session-end", "ok", Some("idle-timeout"), Some(ONE_CAF));
        let text = fs::read_to_string(&audited.path).unwrap();
        for secret in [PASSWORD, NEW, "Secret", "argon2", "12345678", second.session().unwrap_or("-none-")] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
        let (code, told) = verify(&[&audited.path]);
        assert_eq!(code, 0, "{told}");
        assert!(told.contains("from the chain's beginning") && told.contains("The chain is whole."), "{told}");
    }
}

#[test]
fn it_survives_being_killed_and_names_what_was_touched() {
    let mut audited = audited(Kind::Embedded, |_| ());
    for _ in 0..3 {
        sign_in(&mut audited.world.gateway.client(), ONE_CAF, "faux-2026");
    }
    let acknowledged = audited.lines().len();
    audited.world.gateway.kill();
    // Cut short, as by a crash in the middle of a write.
    let mut text = fs::read_to_string(&audited.path).unwrap();
    assert!(text.lines().count() >= acknowledged, "what was answered is on the disk");
    text += "{\"seq\":99,\"time\":\"2026";
    fs::write(&audited.path, text).unwrap();
    audited.world.restart();
    sign_in(&mut audited.world.gateway.client(), ONE_CAF, "faux-2026");
    let (code, told) = verify(&[&audited.path]);
    assert_eq!(code, 0, "{told}");

    let whole = fs::read_to_string(&audited.path).unwrap();
    let touched = audited.path.with_extension("touched");
    let lines: Vec<&str> = whole.lines().collect();
    for (text, said) in [
        (whole.replacen("refused", "ok", 1), "it was altered"),
        ([lines[0], lines[2]].join("\n"), "is missing before it"),
        ([lines[0], lines[1], lines[1]].join("\n"), "out of its place"),
        ("n'importe quoi".to_owned(), "not a line of an audit log"),
    ] {
        fs::write(&touched, text).unwrap();
        let (code, told) = verify(&[&touched]);
        assert_eq!(code, 1, "{told}");
        assert!(told.contains(said) && told.contains("line "), "{told}");
    }
    assert_eq!(verify(&[Path::new("/nowhere")]).0, 2);
    assert_eq!(verify(&[]).0, 2);
}

#[test]
fn a_full_disk_refuses_what_must_be_audited_or_goes_on() {
    let full = |on_failure: &str| {
        World::with(Kind::Embedded, |settings| {
            settings.set("audit", "path", "\"/dev/full\"").set(
                "audit",
                "on_failure",
                &format!("{on_failure:?}"),
            );
        })
    };
    let easy = full("continue");
    let mut client = easy.admitted();
    assert_eq!(client.get("/").program().send().status, 200);
    eventually("the operator is alarmed", || easy.gateway.logs().contains("the audit log cannot be written"));
    assert_eq!(easy.gateway.admin().get("/readyz").send().status, 200);
}

#[test]
fn a_full_disk_refuses_sign_ins_and_changes_where_it_is_told_to() {
    // The world's own imports would be refused: the disk is full from the first line on.
    let mut settings = crate::harness::gateway::Settings::new("memory:");
    settings.caf("921", "Caf des Hauts-de-Seine", &[([127, 0, 0, 1], 9).into()]);
    settings.set("audit", "path", "\"/dev/full\"");
    let gateway = crate::harness::gateway::Gateway::start(&settings);
    for _ in 0..3 {
        let refused = sign_in(&mut gateway.client(), ONE_CAF, PASSWORD);
        assert_eq!(refused.problem(), (503, "service-indisponible".to_owned()));
        assert_eq!(refused.header("set-cookie"), None);
    }
    let made = crate::harness::world::account(ONE_CAF, SIRET, &["921"]);
    assert_eq!(gateway.import("/v1/accounts/import", &[made]).status, 503);
    let listed = gateway.admin().get("/v1/accounts").send();
    assert_eq!(listed.json()["total"], 0, "nothing is done that could not be written down");
    let ready = gateway.admin().get("/readyz").send();
    assert_eq!((ready.status, ready.text().contains("audit log")), (503, true), "{}", ready.text());
}

#[test]
fn one_cafs_lines_are_taken_out_and_two_programs_do_not_share_a_file() {
    let audited = audited(Kind::Embedded, |_| ());
    let mut client = audited.world.signed_in(TWO_CAFS);
    for caf in ["921", "751", "751"] {
        client.post("/portail/caf").json(&json!({"caf": caf})).send();
    }
    let export = Command::new(env!("CARGO_BIN_EXE_octroi"))
        .args(["audit", "export", "--json", "--caf", "751"])
        .arg(&audited.path)
        .output()
        .unwrap();
    let all = String::from_utf8(export.stdout).unwrap();
    let (made, met): (Vec<&str>, Vec<&str>) = all
        .lines()
        .partition(|line| line.contains("account-create") || line.contains("establishment-import"));
    assert!(made.iter().any(|line| line.contains("account-create") && line.contains(TWO_CAFS)), "{all}");
    assert!(made.iter().all(|line| line.contains("\"751\"")), "{all}");
    let text = met.join("\n");
    assert_eq!(text.lines().count(), 5, "the sign-in; the choice and what the Caf knows, twice: {text}");
    let of_the_account = "\"cafs\":[\"921\",\"751\"]";
    assert!(text.lines().next().is_some_and(|line| line.contains(of_the_account)), "{text}");
    assert!(text.lines().skip(1).all(|line| line.contains("\"caf\":\"751\"")), "{text}");

    let config = audited.world.gateway.folder().join("second.toml");
    let path = format!("{:?}", audited.path.display().to_string());
    fs::write(&config, format!(
        "[server]\nlisten=[\"127.0.0.1:0\"]\n[admin]\nlisten=\"127.0.0.1:0\"\n[store]\nurl=\"memory:\"\n[audit]\npath={path}\n\
         [[caf]]\ncode=\"921\"\nname=\"x\"\ncontact=\"y\"\nbackends=[\"http://127.0.0.1:9\"]\n"
    )).unwrap();
    let second =
        Command::new(env!("CARGO_BIN_EXE_octroi")).arg("run").arg("--config").arg(&config).output().unwrap();
    let said = String::from_utf8(second.stderr).unwrap();
    assert!(!second.status.success() && said.contains("another octroi writes to it"), "{said}");
}
