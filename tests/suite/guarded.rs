//! What every answer of the gateway's own tells a browser it may do with it, whatever the answer is: a page, JSON, a
//! redirection, an error, a file. And that nothing of a request stands in a page as anything but text.

use serde_json::json;

use crate::harness::client::{Client, Response};
use crate::harness::world::{Kind, ONE_CAF, PASSWORD, TWO_CAFS, UNKNOWN_SIRET, World, sign_in};
use crate::tls::{ask, config, secured};

fn said(answer: &Response, name: &str) -> String {
    answer.header(name).unwrap_or_default().to_owned()
}

fn is_guarded(answer: &Response, what: &str) {
    let policy = said(answer, "content-security-policy");
    for part in ["default-src 'none'", "form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'"] {
        assert!(policy.contains(part), "{what}: {policy:?}");
    }
    assert!(
        !policy.contains("unsafe") && !policy.contains('*') && !policy.contains("data:"),
        "{what}: {policy}"
    );
    assert_eq!(said(answer, "x-content-type-options"), "nosniff", "{what}");
    assert_eq!(said(answer, "referrer-policy"), "same-origin", "{what}");
    assert_eq!(said(answer, "x-frame-options"), "DENY", "{what}");
    assert!(said(answer, "permissions-policy").contains("camera=()"), "{what}");
}

/// Everything the gateway says by itself, with its status.
fn answers(world: &World) -> Vec<(&'static str, u16, Response)> {
    let (mut inside, mut outside) = (world.admitted(), world.gateway.client());
    let mut choosing = world.signed_in(TWO_CAFS);
    let huge = vec![b'x'; 20_000];
    let long = "x".repeat(300_000);
    let post = |client: &mut Client, path: &str, form: &[(&str, &str)]| client.post(path).form(form).send();
    vec![
        ("a page", 200, outside.get("/portail/connexion").page().send()),
        ("a page's head", 200, outside.request("HEAD", "/portail/connexion").page().send()),
        ("a way to sign in", 303, outside.get("/declaration").page().send()),
        ("a way to choose", 303, choosing.get("/declaration").page().send()),
        ("a state", 200, inside.get("/portail/session").program().send()),
        ("sessions", 200, inside.get("/portail/sessions").program().send()),
        ("no session", 401, outside.get("/declaration").program().send()),
        ("a form without a session", 401, post(&mut outside, "/declaration", &[("a", "b")])),
        ("a wrong password", 401, sign_in(&mut outside, ONE_CAF, "faux")),
        ("no such page", 404, inside.get("/portail/rien").page().send()),
        ("no such method", 405, inside.get("/portail/deconnexion").page().send()),
        ("two readings", 400, inside.get("/a%2Fb").page().send()),
        ("framing", 400, inside.raw(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n").expect("an answer")),
        ("no Caf of one's own", 403, post(&mut choosing, "/portail/caf", &[("caf", "131")])),
        ("another Caf", 409, inside.get("/x").program().header("X-Caf-Code", "751").send()),
        (
            "another site",
            403,
            inside.post("/portail/caf").header("Origin", "https://evil.example").form(&[]).send(),
        ),
        (
            "a form that is too big",
            413,
            choosing.post("/portail/caf").page().body("application/json", &huge).send(),
        ),
        ("a head that is too big", 431, inside.get("/").page().header("X-Long", &long).send()),
        ("signing out", 303, post(&mut choosing, "/portail/deconnexion", &[])),
        ("leaving", 200, inside.post("/portail/quitter").program().send()),
        (
            "a forgotten password",
            202,
            post(&mut outside, "/portail/mot-de-passe/oubli", &[("identifiant", "a@b.fr")]),
        ),
        (
            "too many tries",
            429,
            post(&mut outside, "/portail/connexion", &[("identifiant", "a"), ("mot_de_passe", "b")]),
        ),
    ]
}

#[test]
fn every_answer_of_the_gateways_own_is_guarded_and_kept_nowhere() {
    let world = World::with(Kind::Embedded, |settings| {
        settings.set("limits", "login_per_client", r#"{ rate = "1/m", burst = 4 }"#);
    });
    for (what, status, answer) in answers(&world) {
        assert_eq!(answer.status, status, "{what}: {}", answer.text());
        is_guarded(&answer, what);
        assert_eq!(said(&answer, "cache-control"), "no-store", "{what}");
        assert_eq!(answer.header("strict-transport-security"), None, "{what}: not over plain HTTP");
    }
    for file in ["style.css", "pages.js", "session.js", ".well-known/jwks.json"] {
        let answer = world.gateway.client().get(&format!("/portail/{file}")).send();
        assert_eq!(answer.status, 200, "{file}");
        is_guarded(&answer, file);
        assert!(said(&answer, "cache-control").starts_with("public, max-age="), "{file}");
    }
}

#[test]
fn over_tls_every_answer_says_to_come_back_that_way() {
    let secured = secured();
    for (target, status) in [
        ("/portail/connexion", 200),
        ("/x", 303),
        ("/portail/rien", 404),
        ("/a%2Fb", 400),
        ("/portail/style.css", 200),
    ] {
        let request = format!(
            "GET {target} HTTP/1.1\r\nHost: esat.extranet.example\r\nAccept: text/html\r\nConnection: close\r\n\r\n"
        );
        let answer = ask(secured.world.gateway.public, config(&rustls::version::TLS13, &[]), &request);
        assert_eq!(answer.status, status, "{target}");
        assert_eq!(said(&answer, "strict-transport-security"), "max-age=31536000", "{target}");
        is_guarded(&answer, target);
    }
}

const EVIL: &str = "\"'><script>alert(1)</script><img src=x onerror=y>\u{202e}&amp;";

/// Text that broke out of where it stands, or a password that came back.
fn is_clean(answer: &Response, what: &str) {
    let html = answer.text();
    for broken in ["<script>", "<img", "\"'>", "onerror=y>", "href=\"javascript:", "action=\"javascript:"] {
        assert!(!html.contains(broken), "{what} holds {broken}: {html}");
    }
    assert!(!html.contains("Secret-1"), "{what} gives a password back: {html}");
    for (name, value) in &answer.headers {
        assert!(!value.contains('<'), "{what}: {name}: {value}");
    }
}

#[test]
fn nothing_that_is_sent_comes_back_as_anything_but_text() {
    let world = World::new(Kind::Embedded);
    let mut unknown = world.signed_in(UNKNOWN_SIRET);
    unknown.post("/portail/caf").json(&json!({"caf": "921"})).send();
    let forms: [(Client, &str, &[&str]); 8] = [
        (world.gateway.client(), "/connexion", &["identifiant", "retour"]),
        (world.gateway.client(), "/mot-de-passe", &["identifiant", "confirmation", "retour"]),
        (world.gateway.client(), "/mot-de-passe/oubli", &["identifiant"]),
        (world.gateway.client(), "/mot-de-passe/reinitialisation", &["jeton", "confirmation"]),
        (unknown.clone(), "/etablissement", &["identifiant_communication", "retour"]),
        (unknown.clone(), "/caf", &["caf", "retour"]),
        (unknown.clone(), "/sessions/fermer", &["session"]),
        (unknown.clone(), "/rien", &["quoi"]),
    ];
    for (mut client, path, names) in forms {
        for evil in [EVIL, "javascript:alert(1)", "/\"'><script>alert(1)</script>"] {
            let mut fields: Vec<(&str, &str)> = names.iter().map(|name| (*name, evil)).collect();
            for secret in ["mot_de_passe", "mot_de_passe_actuel", "nouveau_mot_de_passe"] {
                fields.push((secret, "Secret-1"));
            }
            let path = format!("/portail{path}");
            is_clean(&client.post(&path).form(&fields).send(), &path);
            let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(&fields).finish();
            is_clean(&client.get(&format!("{path}?{query}")).page().send(), &path);
        }
    }
    let mut client = world.gateway.client();
    let answer = client
        .post("/portail/connexion")
        .header("User-Agent", "<script>alert(1)</script> Firefox/1.0 (Windows \"'>)")
        .header("X-Request-Id", "<script>")
        .header("Referer", &format!("http://{}/\"'><script>", world.gateway.public))
        .header("X-Forwarded-Host", "<img")
        .header("Accept-Language", "<img")
        .form(&[("identifiant", ONE_CAF), ("mot_de_passe", PASSWORD)])
        .send();
    assert_eq!(answer.status, 303);
    is_clean(&client.get("/portail/sessions").page().send(), "sessions");
}
