//! When the audit log cannot be written: nothing is done unseen or all goes on, and the operator knows.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::audit::{verify, whole_lines};
use crate::harness::client::connect;
use crate::harness::eventually;
use crate::harness::world::{Kind, ONE_CAF, PASSWORD, SIRET, World, account, sign_in};

/// A log in a folder of its own, which can be taken away and brought back.
struct Shelf {
    world: World,
    folder: PathBuf,
    _root: tempfile::TempDir,
}

fn shelf(on_failure: &str) -> Shelf {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("shelf");
    fs::create_dir(&folder).unwrap();
    let world = World::with(Kind::Embedded, |settings| {
        let path = folder.join("audit.jsonl").display().to_string();
        settings.set("audit", "path", &format!("{path:?}"));
        settings.set("audit", "on_failure", &format!("{on_failure:?}"));
    });
    let shelf = Shelf { world, folder, _root: root };
    // Nobody waited for these: what a test takes away later must not hold them up.
    eventually("the lines of the setting-up are written", || {
        fs::read_to_string(shelf.path())
            .is_ok_and(|text| text.matches("\"establishment-import\"").count() == 3)
    });
    shelf
}

impl Shelf {
    fn path(&self) -> PathBuf {
        self.folder.join("audit.jsonl")
    }

    fn away(&self) -> PathBuf {
        self.folder.with_extension("away")
    }

    fn take_away(&self) {
        fs::rename(&self.folder, self.away()).unwrap();
    }

    fn bring_back(&self) {
        fs::rename(self.away(), &self.folder).unwrap();
    }

    fn lines(&self) -> Vec<Value> {
        whole_lines(&self.path())
    }

    fn ready(&self) -> (u16, String) {
        let answer = self.world.gateway.admin().get("/readyz").send();
        (answer.status, answer.text())
    }

    fn metric(&self, line: &str) -> bool {
        self.world.gateway.admin().get("/metrics").send().text().lines().any(|told| told == line)
    }
}

fn is_whole(path: &Path) {
    let (code, told) = verify(&[path]);
    assert_eq!(code, 0, "{told}");
}

#[test]
fn going_on_alarms_counts_what_is_lost_and_tells_it_afterwards() {
    let shelf = shelf("continue");
    assert!(shelf.metric("octroi_audit_failing 0") && shelf.metric("octroi_audit_lines_lost_total 0"));
    shelf.take_away();
    for _ in 0..3 {
        assert_eq!(sign_in(&mut shelf.world.gateway.client(), ONE_CAF, "faux-2026").status, 401);
    }
    eventually("what is lost is counted", || shelf.metric("octroi_audit_lines_lost_total 3"));
    assert!(shelf.metric("octroi_audit_failing 1") && shelf.metric("octroi_store_reachable 1"));
    let (status, said) = shelf.ready();
    assert!(status == 200 && said.contains("audit log cannot be written: 3 lines are lost"), "{said}");
    let alarms = || shelf.world.gateway.logs().matches("the audit log cannot be written").count();
    eventually("the operator is alarmed", || alarms() > 0);
    assert_eq!(alarms(), 1, "said once");
    shelf.bring_back();
    // No decision comes: it finds out by itself.
    eventually("it is written again", || shelf.metric("octroi_audit_failing 0"));
    let last = shelf.lines().pop().unwrap();
    assert_eq!((&last["what"], &last["detail"]["lost"]), (&json!("audit-resumed"), &json!(3)), "{last}");
    is_whole(&shelf.path());
    assert!(!shelf.ready().1.contains("audit"));
    assert!(shelf.metric("octroi_audit_lines_lost_total 3"), "a counter does not go back");
}

#[test]
fn refusing_leaves_nothing_done_and_ends_by_itself() {
    let shelf = shelf("refuse");
    let mut owner = shelf.world.admitted();
    let mut leaving = shelf.world.admitted();
    shelf.take_away();
    // The very first one finds the disk at fault: not even it is done.
    let new = "Bruyere-violette-27";
    let body = json!({"mot_de_passe_actuel": PASSWORD, "nouveau_mot_de_passe": new});
    let refused = owner.post("/portail/mot-de-passe").json(&body).send();
    assert_eq!(refused.problem(), (503, "service-indisponible".to_owned()));
    assert_eq!(shelf.world.gateway.cli(&["account", "suspend", ONE_CAF]).0, 1);
    assert_eq!(owner.get("/").program().send().status, 200, "who is in declares on");
    let out = leaving.post("/portail/deconnexion").json(&json!({})).send();
    assert_eq!(out.status, 200, "and who leaves is not kept in: {}", out.text());
    let (status, said) = shelf.ready();
    assert!(status == 503 && said.contains("audit log"), "{said}");
    assert!(shelf.metric("octroi_store_reachable 1"), "the store is not at fault");
    shelf.bring_back();
    eventually("it is ready again", || shelf.ready().0 == 200);
    eventually("it says so", || shelf.world.gateway.logs().contains("the audit log is written again"));
    let lines = shelf.lines();
    let has = |what: &str, reason: &Value| {
        lines.iter().any(|line| line["what"] == what && line["reason"] == *reason)
    };
    assert!(has("session-end", &json!("signed-out")) && has("audit-resumed", &Value::Null), "{lines:?}");
    assert_eq!(sign_in(&mut shelf.world.gateway.client(), ONE_CAF, PASSWORD).etat(), "admis");
    is_whole(&shelf.path());
}

#[test]
fn the_first_change_of_an_operator_on_a_full_disk_is_not_made() {
    let shelf = shelf("refuse");
    shelf.take_away();
    assert_eq!(shelf.world.gateway.cli(&["account", "suspend", ONE_CAF]).0, 1);
    let shown = shelf.world.gateway.admin().get(&format!("/v1/accounts/{ONE_CAF}")).send();
    assert_eq!(shown.json()["status"], "active");
}

#[test]
fn provisional_passwords_are_shown_though_the_disk_fails_meanwhile() {
    let shelf = shelf("refuse");
    let named = |n: usize| format!("nouveau.{n}@esat.example");
    let rows: Vec<Value> = (0..8)
        .map(|n| {
            let mut row = account(&named(n), SIRET, &["921"]);
            row.as_object_mut().unwrap().retain(|key, _| !key.starts_with("password") && key != "status");
            row
        })
        .collect();
    let lines: Vec<String> = rows.iter().map(ToString::to_string).collect();
    let before = shelf.lines().pop().unwrap()["seq"].as_u64();
    let mut admin = shelf.world.gateway.admin();
    let request = admin.post("/v1/accounts/import?progress=true");
    let mut stream = connect(shelf.world.gateway.admin);
    stream.write_all(&request.body("application/x-ndjson", lines.join("\n").as_bytes()).bytes()).unwrap();
    // Hashing takes a while, in which the disk goes.
    let (mut told, mut piece) = (String::new(), [0; 4096]);
    while !told.contains("hashing") {
        let read = stream.read(&mut piece).unwrap();
        assert!(read > 0, "{told}");
        told += std::str::from_utf8(&piece[..read]).unwrap();
    }
    shelf.take_away();
    stream.read_to_string(&mut told).unwrap();
    for n in 0..8 {
        assert!(told.contains(&named(n)), "{told}");
    }
    assert!(told.contains("provisional_password"), "{told}");
    eventually("the disk is known to fail", || shelf.ready().0 == 503);
    shelf.bring_back();
    eventually("its line was owed", || {
        shelf.lines().iter().any(|line| {
            line["what"] == "account-import" && line["outcome"] == "ok" && line["seq"].as_u64() > before
        })
    });
    is_whole(&shelf.path());
}
