//! The ways through, as a program takes them.

use std::time::Duration;

use serde_json::{Value, json};

use super::world::{PASSWORD, World};
use crate::config::Pages;

#[tokio::test]
async fn one_caf_goes_straight_through() {
    let world = World::new().await;
    let state = world.sign_in("Une@ESAT.example").await;
    let expected = json!({
        "etat": "admis", "identifiant": "une@esat.example", "siret": "73282932000074",
        "caf": {"code": "921", "nom": "Caf des Hauts-de-Seine"},
        "cafs": [{"code": "921", "nom": "Caf des Hauts-de-Seine"}],
        "session": {"expire_dans_s": 1800, "alerte_dans_s": 1500},
        "mot_de_passe": {
            "expire_le": "2027-02-23T07:00:00Z", "jours_restants": 92, "expire_pendant_la_campagne": true,
        },
        "volets": {
            "certificat-emploi": {"ouvert": false, "ouvre_le": "2026-12-01", "ferme_le": "2027-02-28"},
            "changement-activite": {"ouvert": true},
        },
        "suite": "/",
    });
    assert_eq!(state, expected);
    let answer = world.json("GET", "/portail/session", Value::Null).await;
    assert_eq!(answer.json(), expected);
    assert_eq!(answer.header("cache-control"), "no-store");
    world.clock.advance(Duration::from_millis(1_700_500));
    let left = world.json("GET", "/portail/session", Value::Null).await.json();
    assert_eq!(left["session"], json!({"expire_dans_s": 100, "alerte_dans_s": 0}));
    world.clock.advance(Duration::from_millis(99_500));
    let answer = world.json("POST", "/portail/session/continuer", Value::Null).await;
    assert_eq!((answer.status, &answer.json()["code"]), (401, &json!("session-expiree")));
    assert_eq!(answer.json()["suite"], "/portail/connexion");
}

#[tokio::test]
async fn several_cafs_choose_identify_leave_and_choose_again() {
    let world = World::new().await;
    let state = world.sign_in("deux@esat.example").await;
    assert_eq!((&state["etat"], &state["suite"]), (&json!("caf_a_choisir"), &json!("/portail/caf")));
    let codes: Vec<_> = state["cafs"].as_array().expect("a list").iter().map(|caf| &caf["code"]).collect();
    assert_eq!(codes, ["921", "751"], "a Caf without configuration is left out");
    let before = world.session().await.0.map(|session| *session.id());
    for (caf, status, code) in [
        ("999", 403, "caf-non-habilitee"),
        ("123", 403, "caf-non-habilitee"),
        ("92", 400, "requete-invalide"),
    ] {
        let answer = world.json("POST", "/portail/caf", json!({"caf": caf})).await;
        assert_eq!((answer.status, &answer.json()["code"]), (status, &json!(code)), "{caf}");
    }
    let answer = world.json("POST", "/portail/caf", json!({"caf": "751", "retour": "/t?a=b"})).await;
    assert_eq!(answer.json()["etat"], "etablissement_a_identifier");
    assert_eq!(answer.json()["suite"], "/portail/etablissement?retour=%2Ft%3Fa%3Db");
    assert_ne!(before, world.session().await.0.map(|session| *session.id()));
    let typed = json!({"identifiant_communication": "00012345678", "retour": "/t?a=b"});
    let answer = world.json("POST", "/portail/etablissement", typed).await;
    assert_eq!((&answer.json()["etat"], &answer.json()["suite"]), (&json!("admis"), &json!("/t?a=b")));
    let answer = world.json("POST", "/portail/quitter", Value::Null).await;
    assert_eq!(answer.json()["etat"], "caf_a_choisir");
    let answer = world.json("POST", "/portail/deconnexion", Value::Null).await;
    assert_eq!(answer.json(), json!({"etat": "anonyme", "suite": "/portail/connexion"}));
    assert!(answer.header("set-cookie").contains("Max-Age=0"));
    let answer = world.json("GET", "/portail/session", Value::Null).await;
    assert_eq!((answer.status, &answer.json()["code"]), (401, &json!("session-absente")));
}

#[tokio::test]
async fn five_wrong_identifiants_bar_the_way() {
    let world = World::new().await;
    world.sign_in("inconnue@esat.example").await;
    for left in (0..5).rev() {
        let answer =
            world.json("POST", "/portail/etablissement", json!({"identifiant_communication": "X1"})).await;
        let problem = answer.json();
        assert_eq!((answer.status, &problem["code"]), (403, &json!("etablissement-inconnu")));
        assert_eq!(problem["contact"], "partenaires@caf751.example");
        assert_eq!(problem["caf"], json!({"code": "751", "nom": "Caf de Paris"}));
        assert_eq!(problem["essais_restants"], left);
    }
    let body = json!({"identifiant_communication": "12345678"});
    let answer = world.json("POST", "/portail/etablissement", body.clone()).await;
    assert_eq!((answer.status, &answer.json()["code"]), (429, &json!("trop-d-essais")));
    assert_eq!(answer.header("retry-after"), "900");
    assert_eq!(answer.json()["contact"], "partenaires@caf751.example");
    world.clock.advance(Duration::from_mins(15));
    assert_eq!(world.json("POST", "/portail/etablissement", body).await.json()["etat"], "admis");
}

#[tokio::test]
async fn a_right_identifiant_frees_no_guess_at_others() {
    let world = World::new().await;
    world.sign_in("inconnue@esat.example").await;
    let typed = [("X1", 403), ("12345678", 200), ("X2", 403), ("X3", 403), ("12345678", 200), ("X4", 403)];
    for (identifiant, status) in typed.into_iter().chain([("X5", 403), ("12345678", 429)]) {
        let body = json!({"identifiant_communication": identifiant});
        let answer = world.json("POST", "/portail/etablissement", body).await;
        assert_eq!(answer.status, status, "{identifiant}");
    }
}

#[tokio::test]
async fn a_due_password_opens_its_change_alone() {
    for (who, due) in [("provisoire@esat.example", false), ("ancien@esat.example", true)] {
        let world = World::new().await;
        let state = world.sign_in(who).await;
        assert_eq!(
            (&state["etat"], &state["suite"]),
            (&json!("mot_de_passe_a_changer"), &json!("/portail/mot-de-passe"))
        );
        assert_eq!(state["mot_de_passe"]["jours_restants"] == 0, due, "{state}");
        let answer = world.json("POST", "/portail/caf", json!({"caf": "921"})).await;
        let problem = answer.json();
        assert_eq!((answer.status, &problem["code"]), (403, &json!("mot-de-passe-a-changer")));
        assert_eq!(problem["suite"], "/portail/mot-de-passe");
        let change = |new: &str, confirmation: &str| {
            let body = json!({"mot_de_passe_actuel": PASSWORD, "nouveau_mot_de_passe": new, "confirmation": confirmation});
            world.json("POST", "/portail/mot-de-passe", body)
        };
        for (new, confirmation, rules) in [
            ("court1", "court1", json!(["longueur"])),
            ("12345678", "12345678", json!(["lettre"])),
            (PASSWORD, PASSWORD, json!(["deja-utilise"])),
            ("Chataigne-2026", "Chataigne-2027", json!(["confirmation"])),
        ] {
            let answer = change(new, confirmation).await;
            assert_eq!((answer.status, &answer.json()["code"]), (422, &json!("mot-de-passe-refuse")));
            assert_eq!(answer.json()["regles"], rules);
        }
        assert_eq!(change("Chataigne-2026", "Chataigne-2026").await.json()["etat"], "admis");
    }
}

#[tokio::test]
async fn one_answer_for_unknown_and_wrong_then_a_lock() {
    let world = World::new().await;
    for who in ["une@esat.example", "personne@esat.example", "pas une adresse", ""] {
        let try_ = || {
            let body = json!({"identifiant": who, "mot_de_passe": "faux"});
            world.json("POST", "/portail/connexion", body)
        };
        for _ in 0..3 {
            let answer = try_().await;
            assert_eq!((answer.status, &answer.json()["code"]), (401, &json!("identifiants-invalides")));
        }
        let answer = try_().await;
        assert_eq!((answer.status, &answer.json()["code"]), (429, &json!("trop-d-essais")));
        assert_eq!(answer.header("retry-after"), "900");
    }
}

#[tokio::test]
async fn an_anonymous_change_signs_in() {
    let world = World::new().await;
    let mut body = json!({"mot_de_passe_actuel": PASSWORD, "nouveau_mot_de_passe": "Chataigne-2026"});
    let answer = world.json("POST", "/portail/mot-de-passe", body.clone()).await;
    assert_eq!((answer.status, &answer.json()["champ"]), (400, &json!("identifiant")));
    body["identifiant"] = json!("une@esat.example");
    let answer = world.json("POST", "/portail/mot-de-passe", body).await;
    assert_eq!((answer.status, &answer.json()["etat"]), (200, &json!("admis")));
    assert!(answer.header("set-cookie").starts_with("octroi="));
}

#[tokio::test]
async fn signing_in_again_ends_the_former_session() {
    let world = World::new().await;
    world.sign_in("une@esat.example").await;
    let former = world.session().await.0.expect("a session");
    world.sign_in("deux@esat.example").await;
    assert!(!world.desk.sessions.end(&former, crate::session::End::Told).await.expect("a store"));
    assert_eq!(world.session().await.0.map(|now| now.stage().name()), Some("caf_a_choisir"));
}

#[tokio::test]
async fn a_session_does_not_outlive_the_password_that_opened_it_whoever_forgot_to_end_it() {
    let world = World::new().await;
    let name = "une@esat.example".parse().expect("a name");
    // As a gateway leaves things that is killed between a change and the end of the account's sessions.
    for action in ["reset", "suspend", "delete"] {
        world.sign_in("une@esat.example").await;
        world.clock.advance(Duration::from_secs(1));
        match action {
            "reset" => drop(world.desk.accounts.reset_password(&name).await.expect("reset")),
            "suspend" => drop(world.desk.accounts.suspend(&name).await.expect("suspended")),
            _ => world.desk.accounts.delete(&name).await.expect("deleted"),
        }
        assert!(world.session().await.1, "{action}: it opens nothing");
        world.restore("une@esat.example").await;
    }
}

#[tokio::test]
async fn retour_never_leads_elsewhere() {
    for (retour, suite) in [
        ("/teleprocedure?a=b", "/teleprocedure?a=b"),
        ("https://evil.example/", "/"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("/portail/deconnexion", "/"),
        ("/x/../portail/quitter", "/"),
        ("", "/"),
    ] {
        let world = World::new().await;
        let body = json!({"identifiant": "une@esat.example", "mot_de_passe": PASSWORD, "retour": retour});
        let answer = world.json("POST", "/portail/connexion", body).await;
        assert_eq!(answer.json()["suite"], suite, "{retour}");
    }
}

#[tokio::test]
async fn another_method_is_told_which_ones_there_are() {
    let world = World::new().await;
    let answer = world.json("DELETE", "/portail/connexion", Value::Null).await;
    assert_eq!((answer.status, answer.header("allow")), (405, "GET, HEAD, POST"));
    assert_eq!(answer.json()["code"], "methode-refusee");
}

#[tokio::test]
async fn keys_and_looks_are_for_everyone() {
    let world = World::new().await;
    let keys = world.json("GET", "/portail/.well-known/jwks.json", Value::Null).await.json();
    assert_eq!(keys["keys"][0]["crv"], "Ed25519");
    let style = world.form("GET", "/portail/style.css?v=x", "").await;
    assert_eq!(style.header("content-type"), "text/css; charset=utf-8");
}

#[tokio::test]
async fn without_pages_a_browser_is_sent_to_them_and_a_program_is_served() {
    let sign_in_url = "https://portail.example/entrer".to_owned();
    let world = World::with_pages(Pages::Off { sign_in_url: sign_in_url.clone() }).await;
    let answer = world.form("GET", "/portail/connexion", "").await;
    assert_eq!((answer.status, answer.header("location")), (303, sign_in_url.as_str()));
    let body = format!("identifiant=deux%40esat.example&mot_de_passe={PASSWORD}");
    let answer = world.form("POST", "/portail/connexion", &body).await;
    assert_eq!((answer.status, &answer.json()["suite"]), (200, &json!(sign_in_url)));
    let answer = world.form("POST", "/portail/caf", "caf=zzz").await;
    assert_eq!((answer.status, &answer.json()["code"]), (400, &json!("requete-invalide")));
}
