//! The audit log says why each session ended, and goes on when its files are moved.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::audit::{Audited, audited, verify};
use crate::harness::client::Client;
use crate::harness::eventually;
use crate::harness::gateway::NOON;
use crate::harness::world::{
    Kind, ONE_CAF, PASSWORD, PROVISIONAL, SIRET, TWO_CAFS, UNKNOWN_SIRET, World, account, sign_in,
};
use crate::on_each_store;

const NEW: &str = "Bruyere-violette-27";

impl Audited {
    /// Waits until these are the reasons for which an account's sessions ended, and no others.
    fn ends(&self, who: &str, reasons: &[&str]) {
        let mut told = Vec::new();
        eventually(&format!("{reasons:?} of {who}"), || {
            let lines = self.lines().into_iter();
            let ends = lines.filter(|line| line["what"] == "session-end" && line["who"] == who);
            told = ends.map(|line| line["reason"].as_str().unwrap_or("-").to_owned()).collect();
            assert!(told.len() <= reasons.len(), "{told:?} for {reasons:?}");
            told == reasons
        });
    }
}

fn change(client: &mut Client, from: &str, to: &str) -> u16 {
    let body = json!({"mot_de_passe_actuel": from, "nouveau_mot_de_passe": to});
    client.post("/portail/mot-de-passe").json(&body).send().status
}

fn others(client: &mut Client) -> Vec<String> {
    let listed = client.get("/portail/sessions").program().send().json();
    let others = listed["sessions"].as_array().unwrap().iter().filter(|session| session["courante"] == false);
    others.map(|session| session["session"].as_str().unwrap().to_owned()).collect()
}

on_each_store! {
    fn each_end_of_a_session_has_its_reason_once(kind: Kind) {
        let audited = audited(kind, |_| ());
        let (_other, mut own) = (audited.world.admitted(), audited.world.admitted());
        assert_eq!(change(&mut own, PASSWORD, NEW), 200);
        audited.ends(ONE_CAF, &["password-changed"]);
        assert_eq!(sign_in(&mut own, ONE_CAF, NEW).status, 200);
        audited.ends(ONE_CAF, &["password-changed", "replaced"]);
        assert_eq!(audited.world.gateway.cli(&["account", "reset-password", ONE_CAF]).0, 0);
        audited.ends(ONE_CAF, &["password-changed", "replaced", "password-reset"]);

        let mut at = audited.world.at("751");
        assert_eq!(audited.world.gateway.cli(&["account", "suspend", TWO_CAFS]).0, 0);
        for _ in 0..2 {
            assert_eq!(at.get("/").program().send().status, 401);
        }
        audited.ends(TWO_CAFS, &["suspended"]);
        let line = audited.has("session-end", "ok", Some("suspended"), Some(TWO_CAFS));
        assert_eq!((&line["caf"], &line["from"]), (&json!("751"), &json!("127.0.0.1")));

        let mut gone = audited.world.signed_in(UNKNOWN_SIRET);
        let deleted = audited.world.gateway.admin().request("DELETE", &format!("/v1/accounts/{UNKNOWN_SIRET}")).send();
        assert_eq!(deleted.status, 204);
        assert_eq!(gone.get("/").program().send().status, 401);
        audited.ends(UNKNOWN_SIRET, &["deleted"]);
        assert_eq!(verify(&[&audited.path]).0, 0);
    }

    fn one_closed_by_its_owner_or_an_operator_says_so(kind: Kind) {
        let audited = audited(kind, |_| ());
        let mut own = audited.world.at("921");
        let _elsewhere = (audited.world.signed_in(TWO_CAFS), audited.world.at("751"));
        let named = others(&mut own);
        let close = |client: &mut Client, name: &str| {
            client.post("/portail/sessions/fermer").json(&json!({"session": name})).send().status
        };
        assert_eq!(close(&mut own, &named[0]), 200);
        audited.ends(TWO_CAFS, &["closed"]);
        assert_eq!(close(&mut own, "autres"), 200);
        audited.ends(TWO_CAFS, &["closed", "closed"]);
        let line = audited.has("session-end", "ok", Some("closed"), Some(TWO_CAFS));
        assert!(named.contains(&line["detail"]["session"].as_str().unwrap().to_owned()), "{line}");

        let one = audited.world.admitted();
        let listed = audited.world.gateway.admin().get(&format!("/v1/accounts/{ONE_CAF}/sessions")).send().json();
        let name = listed["sessions"][0]["session"].as_str().unwrap().to_owned();
        let revoked = audited.world.gateway.admin().request("DELETE", &format!("/v1/sessions/{name}")).send();
        assert_eq!(revoked.status, 200);
        audited.ends(ONE_CAF, &["revoked"]);
        let line = audited.has("session-revoke", "ok", None, Some(ONE_CAF));
        assert_eq!(line["detail"]["session"], name.as_str());
        drop(one);
        let _again = audited.world.admitted();
        assert_eq!(audited.world.gateway.admin().request("DELETE", &format!("/v1/accounts/{ONE_CAF}/sessions")).send().status, 200);
        audited.ends(ONE_CAF, &["revoked", "revoked"]);

        let mut moved = account(TWO_CAFS, SIRET, &["921"]);
        moved["password_changed_at"] = json!(NOON);
        audited.world.gateway.accounts(&[moved]);
        audited.ends(TWO_CAFS, &["closed", "closed", "imported"]);
        // A fifth session is let be, the sixth takes the place of the oldest.
        let _many: Vec<_> = (0..6).map(|_| audited.world.signed_in(PROVISIONAL)).collect();
        audited.ends(PROVISIONAL, &["too-many"]);
    }

    fn both_ends_of_time_are_told_apart(kind: Kind) {
        let mut audited = audited(kind, |settings| {
            settings.set("session", "absolute_timeout", "\"40m\"");
        });
        let (mut idle, mut busy) = (audited.world.admitted(), audited.world.at("921"));
        audited.world.gateway.advance(1_500);
        assert_eq!(busy.get("/").program().send().status, 200);
        audited.world.gateway.advance(300);
        for _ in 0..3 {
            assert_eq!(idle.get("/").program().send().status, 401);
        }
        audited.ends(ONE_CAF, &["idle-timeout"]);
        assert_eq!(busy.get("/").program().send().status, 200);
        audited.world.gateway.advance(600);
        assert_eq!(busy.get("/").program().send().status, 401);
        audited.ends(TWO_CAFS, &["absolute-timeout"]);
        // What ends them all afterwards has nothing left to end.
        assert_eq!(audited.world.gateway.cli(&["account", "suspend", ONE_CAF]).0, 0);
        assert_eq!(audited.world.gateway.cli(&["account", "suspend", TWO_CAFS]).0, 0);
        let _fact = audited.has("account-suspend", "ok", None, Some(TWO_CAFS));
        audited.ends(ONE_CAF, &["idle-timeout"]);
        audited.ends(TWO_CAFS, &["absolute-timeout"]);
    }
}

on_each_store! {
    fn a_session_that_nobody_comes_back_to_is_told_of_too(kind: Kind) {
        let mut audited = audited(kind, |_| ());
        let _left = audited.world.admitted();
        audited.world.gateway.advance(1_810);
        audited.ends(ONE_CAF, &["idle-timeout"]);
        // Once, also by the gateway that comes after.
        audited.world.gateway.kill();
        audited.world.restart();
        audited.world.gateway.advance(10);
        let mut seen = audited.world.admitted();
        assert_eq!(seen.post("/portail/deconnexion").program().send().status, 200);
        audited.ends(ONE_CAF, &["idle-timeout", "signed-out"]);
    }
}

#[test]
fn a_chain_goes_on_when_its_file_was_moved_before_a_restart() {
    let mut audited = audited(Kind::Embedded, |_| ());
    sign_in(&mut audited.world.gateway.client(), ONE_CAF, "faux-2026");
    audited.world.gateway.kill();
    let moved = audited.path.with_extension("jsonl-20261215");
    fs::rename(&audited.path, &moved).unwrap();
    audited.world.restart();
    let (code, told) = verify(&[&moved, &audited.path]);
    assert!(code == 0 && told.contains("no line yet"), "{told}");
    sign_in(&mut audited.world.gateway.client(), ONE_CAF, "faux-2026");
    let (code, told) = verify(&[&moved, &audited.path]);
    assert!(code == 0 && told.contains("after the file before"), "{told}");

    // Where nothing of it is left beside, a new chain begins, and that is said.
    audited.world.gateway.kill();
    let away = tempfile::tempdir().unwrap();
    let first = away.path().join("first.jsonl");
    fs::copy(&moved, &first).unwrap();
    fs::remove_file(&moved).unwrap();
    fs::remove_file(&audited.path).unwrap();
    audited.world.restart();
    sign_in(&mut audited.world.gateway.client(), ONE_CAF, "faux-2026");
    eventually("that is told", || audited.world.gateway.logs().contains("begins a new chain"));
    let begun = &audited.lines()[0];
    assert_eq!((&begun["what"], &begun["reason"]), (&json!("audit-begun"), &json!("no-file-to-continue")));
    let (code, told) = verify(&[&first, &audited.path]);
    assert!(code == 0 && told.contains("a new chain begins here") && told.contains("2 chains"), "{told}");
    let joined = away.path().join("joined.jsonl");
    let both = [fs::read(&first).unwrap(), fs::read(&audited.path).unwrap()].concat();
    fs::write(&joined, both).unwrap();
    let (code, told) = verify(&[&joined]);
    assert!(code == 1 && told.contains("out of its place"), "{told}");
}

#[test]
fn what_rotates_while_it_runs_breaks_nothing() {
    let audited = audited(Kind::Embedded, |_| ());
    let try_one = || sign_in(&mut audited.world.gateway.client(), ONE_CAF, "faux-2026").status;
    assert_eq!(try_one(), 401);
    // As logrotate does by default.
    let moved = audited.path.with_extension("jsonl.2");
    fs::rename(&audited.path, &moved).unwrap();
    assert_eq!(try_one(), 401);
    // As it does with copytruncate.
    let copied = audited.path.with_extension("jsonl.1");
    fs::copy(&audited.path, &copied).unwrap();
    fs::OpenOptions::new().write(true).open(&audited.path).unwrap().set_len(0).unwrap();
    let files: [&Path; 3] = [&moved, &copied, &audited.path];
    assert_eq!(verify(&files).0, 0, "the newest may be empty");
    assert_eq!(try_one(), 401);
    let (code, told) = verify(&files);
    assert_eq!(code, 0, "{told}");
    assert!(told.contains("The chain is whole."), "{told}");
    assert!(!fs::read(&audited.path).unwrap().contains(&0), "no zeros");
    // As they are when it compresses them too.
    for path in [&moved, &copied] {
        assert!(Command::new("gzip").arg("--suffix=.z").arg(path).status().unwrap().success());
    }
    let [moved, copied] = [moved, copied].map(|path| path.with_added_extension("z"));
    let (code, told) = verify(&[&moved, &copied, &audited.path]);
    assert!(code == 0 && told.contains("The chain is whole."), "{told}");
    // However small it is, what was packed has no line that is held in memory.
    let packed = audited.path.with_extension("gz");
    let bomb = format!("head -c 64M /dev/zero | tr '\\0' a | gzip -1 > {packed:?}");
    assert!(Command::new("sh").args(["-c", &bomb]).status().unwrap().success());
    let (code, told) = verify(&[&packed]);
    assert!(code == 1 && told.contains("line 1: too long"), "{told}");
    let (code, told) = verify(&[&copied, &audited.path, &moved]);
    assert!(code == 2 && told.contains("give the oldest first"), "{told}");
    let (code, told) = verify(&[&audited.path]);
    assert!(code == 0 && told.contains("The chain is whole from line"), "{told}");
    eventually("the cut is told", || audited.world.gateway.logs().contains("was cut by another program"));
}

#[test]
fn one_cafs_lines_are_taken_out_whole_and_no_others() {
    let audited = audited(Kind::Embedded, |_| ());
    for caf in ["921", "751"] {
        let mut client = audited.world.at(caf);
        client.post("/portail/quitter").program().body("application/x-www-form-urlencoded", b"").send();
    }
    // What happens to an account is the business of its Cafs, and of no other.
    for _ in 0..6 {
        sign_in(&mut audited.world.gateway.client(), ONE_CAF, "faux-2026");
    }
    for words in [["account", "unlock", ONE_CAF], ["account", "suspend", ONE_CAF]] {
        assert_eq!(audited.world.gateway.cli(&words).0, 0);
    }
    let export = |more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_octroi"));
        let output = command.args(["audit", "export"]).arg(&audited.path).args(more).output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
    };
    for own in ["921", "751"] {
        let (code, lines) = export(&["--caf", own, "--json"]);
        let (made, told): (Vec<Value>, Vec<Value>) =
            lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).partition(|line| {
                ["account-create", "establishment-import"].contains(&line["what"].as_str().unwrap())
            });
        let named = |line: &Value| {
            line["caf"] == own || line["cafs"].as_array().is_some_and(|cafs| cafs.contains(&own.into()))
        };
        assert!(!made.is_empty() && made.iter().all(named), "what its managers made: {lines}");
        let of_its_accounts = if own == "921" { 2 + 6 + 2 } else { 2 };
        let (at_it, about): (Vec<_>, Vec<_>) = told.iter().partition(|line| line["caf"].is_string());
        assert!(code == 0 && at_it.len() == 3, "choice, establishment, leaving: {lines}");
        assert_eq!(about.len(), of_its_accounts, "sign-ins, unlocked, suspended: {lines}");
        assert!(at_it.iter().all(|line| line["caf"] == own), "{lines}");
        assert!(about.iter().all(|line| line["cafs"].as_array().unwrap().contains(&own.into())), "{lines}");
        assert_eq!(export(&["--caf", own]), (0, lines), "no terminal is there to show a table");
    }
    assert_eq!(export(&["--caf", "131"]), (0, String::new()));
    assert_eq!(export(&["/nowhere", "--caf", "921"]).0, 2);
    assert_eq!(export(&["--caf", "92"]).0, 2);
    assert_eq!(export(&[]).0, 2);
    fs::write(&audited.path, "bonjour\n").unwrap();
    assert_eq!(export(&["--caf", "921"]).0, 1);
}

#[test]
fn what_was_noted_is_written_before_the_program_ends() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("audit");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    // Nothing fits into it any more: whatever is written has to wait.
    let mut end = fs::OpenOptions::new().read(true).write(true).open(&pipe).unwrap();
    end.write_all(&vec![b'\n'; 64 * 1024]).unwrap();
    let mut world = World::with(Kind::Embedded, |settings| {
        settings.set("audit", "path", &format!("{:?}", pipe.display().to_string()));
        settings.set("audit", "on_failure", "\"continue\"");
    });
    for _ in 0..4 {
        sign_in(&mut world.gateway.client(), ONE_CAF, "faux-2026");
    }
    world.gateway.terminate();
    eventually("it is nearly gone", || TcpStream::connect(world.gateway.admin).is_err());
    let reader = std::thread::spawn(move || {
        let (mut text, mut piece) = (String::new(), [0; 4096]);
        while text.matches("\"sign-in\"").count() < 4 {
            let read = end.read(&mut piece).unwrap();
            text += std::str::from_utf8(&piece[..read]).unwrap();
        }
    });
    assert!(world.gateway.ended().success());
    eventually("no line is missing", || reader.is_finished());
}
