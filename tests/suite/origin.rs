//! Unsafe methods from another site are refused before anything else happens (contract, section 2).

use serde_json::json;

use crate::harness::world::{Kind, ONE_CAF, PASSWORD, World, sign_in};

const REFUSED: (u16, &str) = (403, "origine-refusee");

#[test]
fn an_unsafe_method_from_another_site_goes_nowhere() {
    let world = World::new(Kind::Embedded);
    let mut client = world.admitted();
    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        for (name, value) in [
            ("Sec-Fetch-Site", "cross-site"),
            ("Sec-Fetch-Site", "same-site"),
            ("Origin", "https://evil.example"),
            ("Origin", "null"),
            ("Origin", "http://127.0.0.1:1"),
        ] {
            let request = client.request(method, "/declaration").program().header(name, value);
            let answer = request.body("text/plain", b"x").send();
            assert_eq!(answer.problem(), (REFUSED.0, REFUSED.1.to_owned()), "{method} {name}: {value}");
        }
    }
    assert_eq!(world.caf921.count(), 0);
}

#[test]
fn it_is_refused_before_anybody_is_looked_up_or_counted() {
    let world = World::with(Kind::Embedded, |settings| {
        settings.set("limits", "login_per_client", r#"{ rate = "1/h", burst = 1 }"#);
    });
    let mut client = world.gateway.client();
    let body = json!({"identifiant": ONE_CAF, "mot_de_passe": PASSWORD});
    for _ in 0..20 {
        let foreign = client.post("/portail/connexion").header("Origin", "https://evil.example");
        assert_eq!(foreign.json(&body).send().problem(), (REFUSED.0, REFUSED.1.to_owned()));
    }
    assert_eq!(client.session(), None);
    // Neither the client's only try nor the account's were used up.
    assert_eq!(sign_in(&mut client, ONE_CAF, PASSWORD).etat(), "admis");
}

#[test]
fn the_portals_forms_are_covered_too() {
    let world = World::new(Kind::Embedded);
    let mut client = world.at("921");
    for path in
        ["connexion", "mot-de-passe", "caf", "etablissement", "quitter", "deconnexion", "session/continuer"]
    {
        let request =
            client.post(&format!("/portail/{path}")).program().header("Sec-Fetch-Site", "cross-site");
        let answer = request.body("application/x-www-form-urlencoded", b"caf=751").send();
        assert_eq!(answer.problem(), (REFUSED.0, REFUSED.1.to_owned()), "{path}");
    }
    assert_eq!(client.get("/").program().send().text(), "Caf 921", "nothing changed");
}

#[test]
fn ones_own_pages_and_programs_pass() {
    let world = World::new(Kind::Embedded);
    let mut client = world.admitted();
    let own = format!("http://{}", world.gateway.public);
    for (name, value) in [
        ("Sec-Fetch-Site", "same-origin"),
        ("Sec-Fetch-Site", "none"),
        ("Origin", own.as_str()),
        ("X-Program", "payroll"),
    ] {
        let answer = client.post("/declaration").header(name, value).body("text/plain", b"x").send();
        assert_eq!(answer.status, 200, "{name}: {value}");
    }
}

#[test]
fn another_site_may_still_link_here() {
    let world = World::new(Kind::Embedded);
    let mut client = world.admitted();
    let link = client.get("/teleprocedure").page().header("Sec-Fetch-Site", "cross-site");
    assert_eq!(link.header("Origin", "https://evil.example").send().status, 200);
}

#[test]
fn the_public_url_is_ones_own_origin() {
    let world = World::with(Kind::Embedded, |settings| {
        settings.set("server", "public_url", r#""https://esat.extranet.example""#);
        settings.set("server", "behind_tls_proxy", "true");
    });
    let mut client = world.admitted();
    let mut post =
        |origin: &str| client.post("/a").program().header("Origin", origin).body("text/plain", b"x").send();
    assert_eq!(post("https://esat.extranet.example").status, 200);
    for origin in [
        "http://esat.extranet.example",
        "https://esat.extranet.example.evil.example",
        "https://extranet.example",
    ] {
        assert_eq!(post(origin).problem(), (REFUSED.0, REFUSED.1.to_owned()), "{origin}");
    }
}
