//! Signing in (contract, section 2; rule 1), by form and by JSON.

use std::time::Instant;

use serde_json::json;

use crate::harness::world::{
    Kind, ONE_CAF, PASSWORD, PROVISIONAL, SIRET, TWO_CAFS, UNKNOWN_SIRET, World, account, sign_in,
};
use crate::on_each_store;

on_each_store! {
    fn right_passwords_that_come_together_lock_nobody_out(kind: Kind) {
        let world = World::with(kind, |settings| {
            settings.set("limits", "login_per_client", r#"{ rate = "100/s", burst = 100 }"#);
        });
        let statuses = |password: &'static str| -> Vec<u16> {
            std::thread::scope(|scope| {
                let tries: Vec<_> = (0..12)
                    .map(|_| scope.spawn(|| sign_in(&mut world.gateway.client(), ONE_CAF, password).status))
                    .collect();
                tries.into_iter().map(|tried| tried.join().unwrap()).collect()
            })
        };
        assert_eq!(statuses(PASSWORD), [200; 12]);
        let wrong = statuses("faux-2026");
        let count = |status: u16| wrong.iter().filter(|own| **own == status).count();
        assert_eq!((count(401), count(429)), (5, 7), "{wrong:?}");
    }

    fn each_account_signs_in_to_the_state_that_is_its_own(kind: Kind) {
        let world = World::new(kind);
        for (identifiant, etat, page) in [
            (ONE_CAF, "admis", "/"),
            (TWO_CAFS, "caf_a_choisir", "/portail/caf"),
            (PROVISIONAL, "mot_de_passe_a_changer", "/portail/mot-de-passe"),
        ] {
            let answer = sign_in(&mut world.gateway.client(), identifiant, PASSWORD);
            assert_eq!(answer.etat(), etat, "{identifiant}");
            let state = answer.json();
            assert_eq!(state["suite"], page, "{identifiant}");
            assert_eq!(state["identifiant"], identifiant);
            let fields = [("identifiant", identifiant), ("mot_de_passe", PASSWORD)];
            let answer = world.gateway.client().post("/portail/connexion").form(&fields).send();
            assert_eq!(answer.redirect(), (303, page.to_owned()), "{identifiant}, by form");
        }
    }

    fn suspended_unknown_and_wrong_get_one_answer(kind: Kind) {
        let world = World::new(kind);
        let mut suspended = account("suspendu@esat.example", SIRET, &["921"]);
        suspended["status"] = json!("suspended");
        world.gateway.accounts(&[suspended]);
        let mut answers = Vec::new();
        for (identifiant, password) in [
            ("personne@esat.example", PASSWORD),
            (ONE_CAF, "Erable-2026"),
            ("suspendu@esat.example", PASSWORD),
            ("pas une adresse", PASSWORD),
        ] {
            let mut client = world.gateway.client();
            let answer = sign_in(&mut client, identifiant, password);
            assert_eq!(answer.problem(), (401, "identifiants-invalides".to_owned()), "{identifiant}");
            assert_eq!(client.session(), None);
            let mut problem = answer.json();
            problem["requete"] = json!(null);
            answers.push((answer.header("www-authenticate").map(str::to_owned), problem.to_string()));
        }
        answers.dedup();
        assert_eq!(answers.len(), 1, "one answer: {answers:?}");
    }
}

/// The hashes of the tests are cheap; what an unknown account costs is the dummy's business, so only a gross
/// difference the wrong way round is looked for: an unknown account must not be answered faster.
#[test]
#[expect(clippy::disallowed_methods, reason = "what a client's own watch shows")]
fn an_unknown_account_costs_no_less_than_a_wrong_password() {
    let world = World::new(Kind::Embedded);
    let time = |identifiant: &str| {
        let began = Instant::now();
        let _ = sign_in(&mut world.gateway.client(), identifiant, "Erable-2026");
        began.elapsed()
    };
    // By turns, so that whatever else this machine does falls on both; four of each name, before it is locked.
    let (mut wrong, mut unknown) = (Vec::new(), Vec::new());
    for n in [1, 2, 3] {
        for _ in 0..4 {
            wrong.push(time([ONE_CAF, TWO_CAFS, UNKNOWN_SIRET][n - 1]));
            unknown.push(time(&format!("personne{n}@esat.example")));
        }
    }
    let (wrong, unknown) = (wrong.into_iter().min().unwrap(), unknown.into_iter().min().unwrap());
    assert!(unknown * 2 > wrong, "unknown {unknown:?}, wrong {wrong:?}");
}

#[test]
fn the_state_is_the_contracts() {
    let world = World::new(Kind::Embedded);
    let answer = sign_in(&mut world.gateway.client(), ONE_CAF, PASSWORD);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let state = answer.json();
    assert_eq!(state["siret"], SIRET);
    assert_eq!(state["caf"], json!({"code": "921", "nom": "Caf des Hauts-de-Seine"}));
    assert_eq!(state["cafs"], json!([{"code": "921", "nom": "Caf des Hauts-de-Seine"}]));
    assert_eq!(state["session"], json!({"expire_dans_s": 1800, "alerte_dans_s": 1500}));
    // Changed on 15 December 2026 at 11:00Z, plus 92 × 86,400 s.
    let password = json!({"expire_le": "2027-03-17T11:00:00Z", "jours_restants": 92});
    assert_eq!(state["mot_de_passe"], password);
    let campaign = json!({"ouvert": true, "ouvre_le": "2026-12-01", "ferme_le": "2027-02-28"});
    assert_eq!(state["volets"]["certificat-emploi"], campaign);
    assert_eq!(state["volets"]["changement-activite"]["ouvert"], true);
}

#[test]
fn the_home_page_carries_the_legal_notice_before_the_form() {
    let world = World::new(Kind::Embedded);
    let page = world.gateway.client().get("/portail/connexion").page().send();
    assert_eq!(page.status, 200);
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    let html = page.text();
    let notice = html.find("88-19").expect("the law of 5 January 1988");
    let form = html.find("name=\"mot_de_passe\"").expect("the form");
    assert!(notice < form, "the notice stands before the form");
    for word in ["réservé", "poursuivi", "convention", "personnels"] {
        assert!(html[..form].contains(word), "{word}");
    }
    assert!(html.to_lowercase().contains("mot de passe oublié"));
    assert!(html.contains("Mettre à jour votre mot de passe"));
    assert!(html.contains("lang=\"fr\""));
}

#[test]
fn the_identifiants_case_does_not_count() {
    let world = World::new(Kind::Embedded);
    let answer = sign_in(&mut world.gateway.client(), " UNE.Caf@ESAT.example ", PASSWORD);
    assert_eq!(answer.etat(), "admis");
    assert_eq!(answer.json()["identifiant"], ONE_CAF);
}

#[test]
fn a_wrong_password_shows_the_form_again_with_what_was_typed() {
    let world = World::new(Kind::Embedded);
    let fields = [
        ("identifiant", "\"><script>x</script>@b.fr"),
        ("mot_de_passe", "Secret-2026&<"),
        ("retour", "/a?b=c"),
    ];
    let answer = world.gateway.client().post("/portail/connexion").form(&fields).send();
    assert_eq!(answer.status, 401);
    assert_eq!(answer.header("location"), None);
    let html = answer.text();
    assert!(html.contains("name=\"mot_de_passe\""), "the form is there again");
    assert!(!html.contains("<script>"), "nothing typed becomes markup");
    assert!(!html.contains("Secret-2026"), "a password is not written back");
    assert!(html.contains("name=\"retour\" value=\"/a?b=c\""), "the way back is kept");
}

#[test]
fn what_is_no_form_and_no_json_is_refused() {
    let world = World::new(Kind::Embedded);
    for (kind, body) in [
        ("application/json", "{"),
        ("application/json", "[]"),
        ("application/json", "null"),
        ("application/json", r#"{"identifiant": "a@b.fr"}"#),
        ("application/json", r#"{"identifiant": "a@b.fr", "mot_de_passe": 12}"#),
        ("application/json", r#"{"identifiant": "a@b.fr", "mot_de_passe": "a", "mot_de_passe": "b"}"#),
        ("application/x-www-form-urlencoded", "identifiant=a%40b.fr"),
        ("application/x-www-form-urlencoded", "identifiant=a%40b.fr&mot_de_passe=a&mot_de_passe=b"),
        ("application/x-www-form-urlencoded", "identifiant=%FF&mot_de_passe=a"),
        ("text/plain", "identifiant=a&mot_de_passe=b"),
        ("multipart/form-data; boundary=x", "--x--"),
    ] {
        let request = |client: &mut crate::harness::client::Client| {
            client.post("/portail/connexion").program().body(kind, body.as_bytes()).send()
        };
        let answer = request(&mut world.gateway.client());
        assert_eq!(answer.problem(), (400, "requete-invalide".to_owned()), "{kind}: {body}");
    }
    let huge = format!("identifiant=a%40b.fr&mot_de_passe={}", "a".repeat(200_000));
    let mut client = world.gateway.client();
    let answer = client.post("/portail/connexion").program();
    let answer = answer.body("application/x-www-form-urlencoded", huge.as_bytes()).send();
    assert_eq!(answer.problem(), (413, "corps-trop-grand".to_owned()));
}

#[test]
fn each_change_of_state_brings_a_new_cookie() {
    let world = World::new(Kind::Embedded);
    let mut client = world.gateway.client();
    let mut seen = Vec::new();
    sign_in(&mut client, UNKNOWN_SIRET, PASSWORD);
    seen.push(client.session().unwrap().to_owned());
    client.post("/portail/caf").json(&json!({"caf": "921"})).send();
    seen.push(client.session().unwrap().to_owned());
    client.post("/portail/etablissement").json(&json!({"identifiant_communication": "12345678"})).send();
    seen.push(client.session().unwrap().to_owned());
    let change = json!({"mot_de_passe_actuel": PASSWORD, "nouveau_mot_de_passe": "Platane-2027"});
    assert_eq!(client.post("/portail/mot-de-passe").json(&change).send().etat(), "admis");
    seen.push(client.session().unwrap().to_owned());
    let unique: std::collections::BTreeSet<_> = seen.iter().collect();
    assert_eq!(unique.len(), seen.len(), "each token is new");
    for old in &seen[..3] {
        let mut ghost = world.gateway.client();
        ghost.jar.insert("octroi".to_owned(), old.clone());
        assert_eq!(ghost.get("/portail/session").send().problem(), (401, "session-expiree".to_owned()));
    }
}

#[test]
fn a_cookie_that_one_chose_oneself_opens_nothing() {
    let world = World::new(Kind::Embedded);
    for forged in ["", "x", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"] {
        let mut client = world.gateway.client();
        client.jar.insert("octroi".to_owned(), forged.to_owned());
        assert_eq!(client.get("/").program().send().problem(), (401, "session-expiree".to_owned()));
        // Nor is it taken over by signing in: the session's name is the gateway's to give.
        assert_eq!(sign_in(&mut client, ONE_CAF, PASSWORD).etat(), "admis");
        assert_ne!(client.session(), Some(forged));
    }
}
