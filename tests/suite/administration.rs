//! The operator's side: the admin API, the command line, the demonstration.

use std::fs;

use serde_json::{Value, json};

use crate::harness::gateway::Gateway;
use crate::harness::world::{Kind, ONE_CAF, PASSWORD, PROVISIONAL, SIRET, TWO_CAFS, World, account, sign_in};
use crate::on_each_store;

on_each_store! {
    fn suspending_ends_the_sessions_at_once_and_reactivating_opens_again(kind: Kind) {
        let world = World::new(kind);
        let mut client = world.admitted();
        let (code, said, _) = world.gateway.cli(&["account", "suspend", ONE_CAF]);
        assert!(code == 0 && said.contains(ONE_CAF), "{said}");
        assert_eq!(client.get("/").program().send().problem(), (401, "session-expiree".to_owned()));
        assert_eq!(sign_in(&mut client, ONE_CAF, PASSWORD).code(), "identifiants-invalides");
        assert_eq!(world.gateway.cli(&["account", "reactivate", ONE_CAF]).0, 0);
        assert_eq!(sign_in(&mut client, ONE_CAF, PASSWORD).etat(), "admis");
    }

    fn an_import_is_all_or_nothing_and_tells_every_bad_row(kind: Kind) {
        let world = World::new(kind);
        let good = account("bon@esat.example", SIRET, &["921"]);
        let mut bad_siret = account("a@esat.example", "73282932000075", &["921"]);
        bad_siret["nom"] = json!("clé fausse");
        let rows = [good.clone(), bad_siret, account("BON@esat.example", SIRET, &["921"]), account("b@esat.example", SIRET, &["999"]), account("pas une adresse", SIRET, &["921"])];
        let refused = world.gateway.import("/v1/accounts/import", &rows);
        assert_eq!(refused.status, 422, "{}", refused.text());
        let mut lines: Vec<u64> = refused.json()["errors"].as_array().unwrap().iter().map(|row| row["line"].as_u64().unwrap()).collect();
        lines.dedup();
        assert_eq!(lines, [2, 3, 4, 5], "{}", refused.text());
        assert_eq!(world.gateway.admin().get("/v1/accounts/bon@esat.example").send().status, 404);
        let dry = world.gateway.import("/v1/accounts/import?dry_run=true", std::slice::from_ref(&good));
        assert_eq!(dry.status, 200, "{}", dry.text());
        assert_eq!(world.gateway.admin().get("/v1/accounts/bon@esat.example").send().status, 404);
        world.gateway.accounts(std::slice::from_ref(&good));
        let shown = world.gateway.admin().get("/v1/accounts/bon@esat.example").send();
        assert!(shown.status == 200 && !shown.text().contains("argon2"), "{}", shown.text());
    }

    fn a_provisional_password_is_shown_once_and_opens_its_change(kind: Kind) {
        let world = World::new(kind);
        let args = ["account", "create", "--identifiant", "neuf@esat.example", "--siret", SIRET, "--nom", "ESAT", "--caf", "921", "--json"];
        let (code, said, _) = world.gateway.cli(&args);
        assert_eq!(code, 0, "{said}");
        let made: Value = serde_json::from_str(&said).unwrap();
        let password = made["provisional_password"].as_str().expect("a password").to_owned();
        let mut client = world.gateway.client();
        assert_eq!(sign_in(&mut client, "neuf@esat.example", &password).etat(), "mot_de_passe_a_changer");
        let (_, again, _) = world.gateway.cli(&["account", "show", "neuf@esat.example", "--json"]);
        assert!(!again.contains(&password), "{again}");
        assert!(!world.gateway.logs().contains(&password));
        let (_, reset, _) = world.gateway.cli(&["account", "reset-password", ONE_CAF, "--json"]);
        let reset: Value = serde_json::from_str(&reset).unwrap();
        let password = reset["provisional_password"].as_str().expect("a password");
        assert_eq!(sign_in(&mut world.gateway.client(), ONE_CAF, password).etat(), "mot_de_passe_a_changer");
    }

    fn a_provisional_password_expires_after_thirty_days_to_the_second(kind: Kind) {
        let mut world = World::new(kind);
        let created = world.gateway.admin().post("/v1/accounts").json(&json!({"identifiant": "neuf@esat.example", "siret": SIRET, "cafs": ["921"]})).send().json();
        let reset = world.gateway.admin().post(&format!("/v1/accounts/{ONE_CAF}/reset-password")).send().json();
        let made = [("neuf@esat.example", created), (ONE_CAF, reset)].map(|(name, answer)| (name, answer["provisional_password"].as_str().expect("a password").to_owned()));
        world.gateway.advance(30 * 86_400 - 1);
        for (name, password) in &made {
            assert_eq!(sign_in(&mut world.gateway.client(), name, password).etat(), "mot_de_passe_a_changer", "{name}");
            let (_, shown, _) = world.gateway.cli(&["account", "show", name]);
            assert!(shown.contains("provisional until 2027-01-14 12:00"), "{shown}");
        }
        world.gateway.advance(1);
        let wrong = sign_in(&mut world.gateway.client(), TWO_CAFS, "Faux-2026");
        for (name, password) in &made {
            let late = sign_in(&mut world.gateway.client(), name, password);
            assert_eq!(late.problem(), (401, "identifiants-invalides".to_owned()), "{name}");
            assert_eq!(late.json()["detail"], wrong.json()["detail"]);
            let changed = json!({"identifiant": name, "mot_de_passe_actuel": password, "nouveau_mot_de_passe": "Platane-2027"});
            assert_eq!(world.gateway.client().post("/portail/mot-de-passe").json(&changed).send().status, 401, "it does not open its own change");
            let (_, shown, _) = world.gateway.cli(&["account", "show", name]);
            assert!(shown.contains("provisional password expired"), "{shown}");
            let (_, why, _) = world.gateway.cli(&["explain", "--account", name, "--caf", "921", "--path", "/"]);
            assert!(why.contains("the provisional password expired on 2027-01-14 12:00:00"), "{why}");
        }
        let (_, table, _) = world.gateway.cli(&["account", "list"]);
        assert_eq!(table.matches("provisional password expired").count(), 2, "{table}");
        let again = world.gateway.admin().post("/v1/accounts/neuf@esat.example/reset-password").send().json();
        let password = again["provisional_password"].as_str().expect("a password");
        assert_eq!(sign_in(&mut world.gateway.client(), "neuf@esat.example", password).etat(), "mot_de_passe_a_changer");
        assert_eq!(sign_in(&mut world.gateway.client(), PROVISIONAL, PASSWORD).etat(), "mot_de_passe_a_changer", "to be changed, but the owner's own");
    }
}

#[test]
fn the_admin_listener_refuses_pages_and_foreign_hosts() {
    let world = World::new(Kind::Embedded);
    let mut admin = world.gateway.admin();
    assert_eq!(admin.get("/v1/accounts").header("Origin", "http://127.0.0.1:8080").send().status, 403);
    assert_eq!(admin.get("/v1/accounts").header("Host", "evil.example").send().status, 403);
    assert_eq!(admin.get("/livez").send().status, 200);
    assert_eq!(admin.get("/readyz").send().status, 200);
}

#[test]
fn the_command_line_says_what_it_did_and_how_it_ended() {
    let world = World::new(Kind::Embedded);
    let (code, table, _) = world.gateway.cli(&["account", "list"]);
    assert!(code == 0 && table.contains(ONE_CAF), "{table}");
    let (code, _, why) = world.gateway.cli(&["account", "show", "personne@esat.example"]);
    assert!(code == 1 && !why.is_empty(), "{why}");
    assert_eq!(world.gateway.cli(&["account", "list", "--jamais"]).0, 2);
    let (code, table, _) = world.gateway.cli(&["establishment", "list"]);
    assert!(code == 0 && table.contains(SIRET) && table.contains("00012345678"), "{table}");
    let file = world.gateway.folder().join("establishments.jsonl");
    fs::write(&file, "{\"caf\": \"921\"}\n").unwrap();
    let (code, _, why) = world.gateway.cli(&["establishment", "import", file.to_str().unwrap()]);
    assert!(code == 1 && why.contains('1'), "{why}");
    let (code, _, why) = world.gateway.cli(&["account", "list", "--admin", "http://127.0.0.1:1"]);
    assert!(code == 1 && why.contains("http://127.0.0.1:1"), "{why}");
    for args in [&["--help"][..], &["account", "--help"], &["run", "--help"], &["completions", "bash"]] {
        let (code, said, _) = world.gateway.cli(args);
        assert!(code == 0 && said.contains("octroi"), "{args:?}: {said}");
    }
}

#[test]
fn what_is_used_wrongly_is_told_apart_from_what_is_refused() {
    let world = World::new(Kind::Embedded);
    for (args, code) in [
        (&["account", "list", "--limit", "0"][..], 1),
        (&["account", "show", "personne@esat.example"], 1),
        (&["account", "import", "/nulle/part.csv"], 2),
        (&["establishment", "import", "/nulle/part.csv"], 2),
        (&["account", "list", "--token-file", "/nulle/part"], 2),
        (&["account", "list", "--expiring-before", "demain"], 2),
        (&["account", "list", "--sort", "nom"], 2),
        (&["account"], 2),
    ] {
        assert_eq!(world.gateway.cli(args).0, code, "{args:?}");
    }
}

#[test]
fn check_tells_every_error_with_its_place() {
    let world = World::new(Kind::Embedded);
    let file = world.gateway.folder().join("faux.toml");
    fs::write(
        &file,
        "[server]\nlisten = [\"0.0.0.0:8443\"]\nlisen = 1\n[session]\nidle_timeout = \"30 minutes\"\n",
    )
    .unwrap();
    let (code, _, why) = world.gateway.cli(&["check", "--config", file.to_str().unwrap()]);
    assert_eq!(code, 1);
    for place in ["faux.toml:3:", "faux.toml:5:16: session.idle_timeout", "caf"] {
        assert!(why.contains(place), "{place}: {why}");
    }
    let right = world.gateway.folder().join("octroi.toml");
    assert_eq!(world.gateway.cli(&["check", "--config", right.to_str().unwrap()]).0, 0);
}

#[test]
fn the_embedded_default_has_an_account_for_each_way_through() {
    let demo = Gateway::demo();
    // Asking for them at the door would soon be refused as too many tries.
    crate::harness::eventually("the accounts are there", || {
        demo.admin().get("/v1/accounts").send().json()["total"] == 5
    });
    for (who, password, etat) in [
        ("une.caf@esat.example", "Tilleul-2026", "admis"),
        ("plusieurs.cafs@esat.example", "Platane-2026", "caf_a_choisir"),
        ("siret.inconnu@esat.example", "Bouleau-2026", "etablissement_a_identifier"),
        ("provisoire@esat.example", "Provisoire-1", "mot_de_passe_a_changer"),
        ("perime@esat.example", "Ancienne-2026", "mot_de_passe_a_changer"),
    ] {
        let mut client = demo.client();
        assert_eq!(sign_in(&mut client, who, password).status, 200, "{who}");
        assert_eq!(client.get("/portail/session").program().send().etat(), etat, "{who}");
        if etat == "admis" {
            let page = client.get("/").page().send().text();
            assert!(page.contains("Caf des Hauts-de-Seine") && page.contains(who), "{page}");
            let fields = [("salarie", "A. B."), ("remuneration", "612,40")];
            let declared = client.post("/teleprocedure/changement-activite").form(&fields).send();
            assert!(declared.status == 200 && declared.text().contains("612,40"), "{}", declared.text());
        }
    }
    assert!(demo.public.ip().is_loopback() && demo.admin.ip().is_loopback());
}
