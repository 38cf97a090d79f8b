//! Where each state leads: a browser's navigation is led, anything else is told (contract, section 1).

use serde_json::json;

use crate::harness::client::Client;
use crate::harness::world::{Kind, PASSWORD, PROVISIONAL, TWO_CAFS, UNKNOWN_SIRET, World, sign_in};

/// A state, someone in it, the page it leads to, and its problem elsewhere.
fn everyone(world: &World) -> Vec<(&'static str, Client, &'static str, (u16, &'static str))> {
    let mut due = world.gateway.client();
    sign_in(&mut due, PROVISIONAL, PASSWORD);
    let mut unknown = world.signed_in(UNKNOWN_SIRET);
    unknown.post("/portail/caf").json(&json!({"caf": "921"})).send();
    vec![
        ("anonyme", world.gateway.client(), "/portail/connexion", (401, "session-absente")),
        ("mot_de_passe_a_changer", due, "/portail/mot-de-passe", (403, "mot-de-passe-a-changer")),
        ("caf_a_choisir", world.signed_in(TWO_CAFS), "/portail/caf", (403, "caf-a-choisir")),
        (
            "etablissement_a_identifier",
            unknown,
            "/portail/etablissement",
            (403, "etablissement-a-identifier"),
        ),
    ]
}

#[test]
fn the_way_back_is_kept_however_it_is_written() {
    let world = World::new(Kind::Embedded);
    let long = format!("/d?{}", "a".repeat(3_000));
    let led = world.gateway.client().get(&long).page().send();
    assert_eq!(led.status, 303);
    assert!(led.header("location").unwrap().contains(&"a".repeat(3_000)), "{:?}", led.headers);
    let raw = format!(
        "GET /d\u{e9}?ville=Orl\u{e9}ans HTTP/1.1\r\nHost: {}\r\nAccept: text/html\r\n\r\n",
        world.gateway.public
    );
    let led = world.gateway.client().raw(raw.as_bytes()).unwrap();
    let place = led.header("location").unwrap();
    assert!(place.ends_with("retour=%2Fd%25C3%25A9%3Fville%3DOrl%25C3%25A9ans"), "{place}");
}

#[test]
fn a_navigation_is_led_to_the_page_of_its_state() {
    let world = World::new(Kind::Embedded);
    for (state, mut client, page, _) in everyone(&world) {
        for method in ["GET", "HEAD"] {
            let led = client.request(method, "/declaration/1?a=b&c=%2F").page().send();
            let retour = "%2Fdeclaration%2F1%3Fa%3Db%26c%3D%252F";
            assert_eq!(led.redirect(), (303, format!("{page}?retour={retour}")), "{state} {method}");
        }
        assert_eq!(client.get(page).page().send().status, 200, "{state}: its own page");
    }
    assert_eq!(world.caf921.count() + world.caf751.count(), 0);
}

#[test]
fn a_program_or_a_form_is_told_and_never_led() {
    let world = World::new(Kind::Embedded);
    for (state, mut client, page, (status, code)) in everyone(&world) {
        let problem = (status, code.to_owned());
        let told = client.get("/declaration").program().send();
        assert_eq!(told.problem(), problem, "{state}: a program");
        assert_eq!(told.json()["suite"], page, "{state}");
        assert_eq!(client.get("/declaration").send().problem(), problem, "{state}: neither");
        let sent = client.post("/declaration").program().json(&json!({})).send();
        assert_eq!(sent.problem(), problem, "{state}: a program that posts");
        let form = client.post("/declaration").form(&[("a", "b")]).send();
        assert_eq!(form.status, status, "{state}: a form");
        assert!(
            form.header("location").is_none() && form.text().contains("<html"),
            "{state}: {}",
            form.text()
        );
    }
    assert_eq!(world.caf921.count() + world.caf751.count(), 0);
}

#[test]
fn each_state_opens_what_the_contract_says_and_no_more() {
    let world = World::new(Kind::Embedded);
    let get = |client: &mut Client, path: &str| client.get(path).program().send().status;
    for (state, mut client, ..) in everyone(&world) {
        let signed_in = state != "anonyme";
        assert_eq!(get(&mut client, "/portail/mot-de-passe"), 200, "{state}: change of password");
        assert_eq!(get(&mut client, "/portail/session") == 200, signed_in, "{state}: state");
        let chooses = ["caf_a_choisir", "etablissement_a_identifier"].contains(&state);
        assert_eq!(get(&mut client, "/portail/caf") == 200, chooses, "{state}: choice of Caf");
        let identifies = state == "etablissement_a_identifier";
        assert_eq!(get(&mut client, "/portail/etablissement") == 200, identifies, "{state}: establishment");
        let out = client.post("/portail/deconnexion").program().send();
        assert_eq!(out.status == 200, signed_in, "{state}: sign out");
        assert!(client.session().is_none(), "{state}");
    }
}

#[test]
fn nobody_is_led_to_another_origin() {
    let world = World::new(Kind::Embedded);
    for retour in
        ["//evil.example/", "https://evil.example/", "/\\evil.example", "/%2F/evil.example", "javascript:1"]
    {
        let mut client = world.gateway.client();
        let fields =
            [("identifiant", "une.caf@esat.example"), ("mot_de_passe", PASSWORD), ("retour", retour)];
        assert_eq!(
            client.post("/portail/connexion").form(&fields).send().redirect(),
            (303, "/".to_owned()),
            "{retour}"
        );
    }
    let mut client = world.gateway.client();
    let fields = [("identifiant", "une.caf@esat.example"), ("mot_de_passe", PASSWORD), ("retour", "/d?x=1")];
    assert_eq!(client.post("/portail/connexion").form(&fields).send().redirect(), (303, "/d?x=1".to_owned()));
}

#[test]
fn retour_is_kept_through_the_states_of_a_form() {
    let world = World::new(Kind::Embedded);
    let mut client = world.gateway.client();
    let fields = [("identifiant", TWO_CAFS), ("mot_de_passe", PASSWORD), ("retour", "/d?x=1")];
    let led = client.post("/portail/connexion").form(&fields).send();
    assert_eq!(led.redirect(), (303, "/portail/caf?retour=%2Fd%3Fx%3D1".to_owned()));
    let page = client.get("/portail/caf?retour=%2Fd%3Fx%3D1").page().send();
    assert!(page.text().contains("name=\"retour\" value=\"/d?x=1\""), "{}", page.text());
    let led = client.post("/portail/caf").form(&[("caf", "921"), ("retour", "/d?x=1")]).send();
    assert_eq!(led.redirect(), (303, "/d?x=1".to_owned()));
}

#[test]
fn hostile_bodies_are_refused_and_told_why() {
    let world = World::new(Kind::Embedded);
    let mut client = world.gateway.client();
    for body in [
        "",
        "{",
        "[]",
        "null",
        "\"a\"",
        "{}",
        r#"{"identifiant": 1, "mot_de_passe": "x"}"#,
        "{\"identifiant\": \"a\\u0000\", \"mot_de_passe\": \"x\"}",
    ] {
        let refused =
            client.post("/portail/connexion").program().body("application/json", body.as_bytes()).send();
        assert_eq!(refused.problem(), (400, "requete-invalide".to_owned()), "{body}");
    }
    for body in [
        &b"identifiant=a"[..],
        b"identifiant=%ff&mot_de_passe=x",
        b"identifiant=a&identifiant=b&mot_de_passe=x",
        b"identifiant=a%00&mot_de_passe=x",
    ] {
        let refused = client
            .post("/portail/connexion")
            .program()
            .body("application/x-www-form-urlencoded", body)
            .send();
        assert_eq!(
            refused.problem(),
            (400, "requete-invalide".to_owned()),
            "{}",
            String::from_utf8_lossy(body)
        );
    }
    let refused = client.post("/portail/connexion").program().body("text/plain", b"x").send();
    assert_eq!(refused.status, 400);
    let huge = vec![b'a'; 100_000];
    let refused = client.post("/portail/connexion").program().body("application/json", &huge).send();
    assert_eq!(refused.problem(), (413, "corps-trop-grand".to_owned()));
}
