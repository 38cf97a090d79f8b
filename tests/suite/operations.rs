//! Limits, origins, TLS, logs, the end: what an operator counts on.

use std::io::Write as _;
use std::sync::{Arc, Mutex, mpsc};

use serde_json::{Value, json};

use crate::harness::backend::Then;
use crate::harness::client::{connect, read_response};
use crate::harness::eventually;
use crate::harness::world::{Kind, ONE_CAF, PASSWORD, World, sign_in};

#[test]
fn an_unsafe_method_from_another_site_ends_before_anything_else() {
    let world = World::new(Kind::Embedded);
    let mut client = world.admitted();
    for (name, value) in [
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Site", "same-site"),
        ("Origin", "https://evil.example"),
        ("Origin", "null"),
    ] {
        for path in ["/d", "/portail/quitter", "/portail/connexion"] {
            let refused = client.post(path).program().header(name, value).json(&json!({})).send();
            assert_eq!(refused.problem(), (403, "origine-refusee".to_owned()), "{name}: {value} {path}");
        }
    }
    assert_eq!(world.caf921.count(), 0);
    let own = format!("http://{}", world.gateway.public);
    assert_eq!(client.post("/d").header("Origin", &own).json(&json!({})).send().status, 200);
    assert_eq!(client.post("/d").header("Sec-Fetch-Site", "same-origin").json(&json!({})).send().status, 200);
    assert_eq!(client.get("/d").header("Sec-Fetch-Site", "cross-site").send().status, 200);
}

#[test]
fn each_limit_is_told_with_the_time_to_wait() {
    let world = World::with(Kind::Embedded, |settings| {
        settings.set("limits", "per_session", r#"{ rate = "1/m", burst = 3 }"#);
        settings.set("limits", "login_per_client", r#"{ rate = "1/m", burst = 3 }"#);
        settings.set("server", "trusted_proxies", r#"["127.0.0.1/32"]"#);
    });
    let mut client = world.admitted();
    for _ in 0..3 {
        assert_eq!(client.get("/").program().send().status, 200);
    }
    let refused = client.get("/").program().send();
    assert_eq!(refused.problem(), (429, "trop-de-requetes".to_owned()));
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    let mut other = world.gateway.client();
    for _ in 0..2 {
        assert_eq!(sign_in(&mut other, "personne@esat.example", "x").status, 401);
    }
    assert_eq!(sign_in(&mut other, ONE_CAF, PASSWORD).code(), "trop-de-requetes");
    let body = json!({"identifiant": ONE_CAF, "mot_de_passe": PASSWORD});
    let elsewhere =
        other.post("/portail/connexion").header("X-Forwarded-For", "192.0.2.7").json(&body).send();
    assert_eq!(elsewhere.status, 200, "a trusted proxy's clients are told apart");
}

#[test]
fn a_client_that_asks_too_much_is_told_to_wait() {
    let world = World::with(Kind::Embedded, |settings| {
        settings.set("limits", "per_client", r#"{ rate = "1/m", burst = 2 }"#);
    });
    let mut client = world.gateway.client();
    assert_eq!(client.get("/portail/connexion").page().send().status, 200);
    assert_eq!(client.get("/portail/connexion").page().send().status, 200);
    let refused = client.get("/portail/connexion").page().send();
    assert!(
        refused.status == 429 && refused.header("retry-after").is_some() && refused.text().contains("<html")
    );
}

#[test]
fn an_owner_elsewhere_gets_in_while_an_attacker_is_locked_out() {
    let mut world = World::with(Kind::Embedded, |settings| {
        settings.set("server", "trusted_proxies", r#"["127.0.0.1/32"]"#);
    });
    let mut attacker = world.gateway.client();
    for _ in 0..5 {
        assert_eq!(sign_in(&mut attacker, ONE_CAF, "faux").status, 401);
    }
    let locked = sign_in(&mut attacker, ONE_CAF, PASSWORD);
    assert_eq!(
        (locked.problem(), locked.header("retry-after")),
        ((429, "trop-d-essais".to_owned()), Some("900"))
    );
    let body = json!({"identifiant": ONE_CAF, "mot_de_passe": PASSWORD});
    let owner = world
        .gateway
        .client()
        .post("/portail/connexion")
        .header("X-Forwarded-For", "192.0.2.7")
        .json(&body)
        .send();
    assert_eq!(owner.status, 200);
    world.gateway.advance(900);
    assert_eq!(sign_in(&mut attacker, ONE_CAF, "faux").status, 401);
    let longer = sign_in(&mut attacker, ONE_CAF, PASSWORD);
    assert_eq!(longer.header("retry-after"), Some("1800"), "it grows");
    let unlocked = world.gateway.admin().post(&format!("/v1/accounts/{ONE_CAF}/unlock")).send();
    assert_eq!(unlocked.status, 200);
    assert_eq!(sign_in(&mut attacker, ONE_CAF, PASSWORD).status, 200);
    for _ in 0..5 {
        assert_eq!(sign_in(&mut attacker, "personne@esat.example", "x").status, 401);
    }
    assert_eq!(
        sign_in(&mut attacker, "personne@esat.example", "x").code(),
        "trop-d-essais",
        "unknown names too"
    );
}

#[test]
fn sigterm_lets_a_slow_request_end_and_exits_0() {
    let mut world = World::new(Kind::Embedded);
    let (go, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    world.caf921.script(Arc::new(move |_, stream| {
        let _ = wait.lock().unwrap().recv();
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        Then::Keep
    }));
    let client = world.admitted();
    let mut slow = connect(world.gateway.public);
    write!(slow, "GET /lent HTTP/1.1\r\nHost: a\r\nCookie: {}\r\n\r\n", client.cookies()).unwrap();
    eventually("the backend has it", || world.caf921.count() == 1);
    world.gateway.terminate();
    eventually("no connection is accepted", || std::net::TcpStream::connect(world.gateway.public).is_err());
    go.send(()).unwrap();
    let answer = read_response(&mut slow, false).expect("the slow answer");
    assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
    drop(slow);
    assert_eq!(world.gateway.ended().code(), Some(0));
}

/// It may have been acted upon.
#[test]
fn a_request_whose_client_does_not_wait_has_its_line_too() {
    let world = World::new(Kind::Embedded);
    let client = world.admitted();
    let (asked, wait) = std::sync::mpsc::channel();
    let asked = std::sync::Mutex::new(asked);
    world.caf921.script(std::sync::Arc::new(move |_, stream| {
        let _ = asked.lock().unwrap().send(());
        // Until the gateway gives it up.
        let _ = std::io::Read::read(stream, &mut [0]);
        crate::harness::backend::Then::Close
    }));
    let mut stream = crate::harness::client::connect(world.gateway.public);
    let head = format!(
        "POST /lent HTTP/1.1\r\nHost: a\r\nCookie: {}\r\nContent-Length: 0\r\n\r\n",
        client.cookies()
    );
    std::io::Write::write_all(&mut stream, head.as_bytes()).unwrap();
    wait.recv().unwrap();
    drop(stream);
    eventually("its line is written", || {
        let logs = world.gateway.logs();
        let mut lines = logs.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.any(|line| line["path"] == "/lent" && line["status"] == 499 && line["caf"] == "921")
    });
}

#[test]
fn a_request_is_one_line_and_no_secret_is_in_it() {
    let world = World::new(Kind::Embedded);
    let mut client = world.admitted();
    let token = client.session().unwrap().to_owned();
    client.post("/declaration/7?nir=1850592123456").form(&[("salaire", "1234,56")]).send();
    sign_in(&mut world.gateway.client(), ONE_CAF, "MauvaisMotDePasse-1");
    let lines = || {
        let logs = world.gateway.logs();
        logs.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).collect::<Vec<_>>()
    };
    let is_there = |wanted: fn(&Value) -> bool| lines().iter().any(wanted);
    eventually("the lines are written", || {
        is_there(|line| line["status"] == 401) && is_there(|line| line["path"] == "/declaration/7")
    });
    let forwarded: Vec<Value> = lines().into_iter().filter(|line| line["path"] == "/declaration/7").collect();
    assert_eq!(forwarded.len(), 1, "{forwarded:?}");
    let line = &forwarded[0];
    assert_eq!(
        (&line["etat"], &line["caf"], &line["status"], &line["method"]),
        (&json!("admis"), &json!("921"), &json!(200), &json!("POST"))
    );
    assert_eq!(line["id"], world.caf921.last().one("x-request-id"));
    assert!(line["time_us"].as_u64().is_some());
    let logs = world.gateway.logs();
    for secret in
        [token.as_str(), PASSWORD, "MauvaisMotDePasse", "1850592123456", "1234,56", "salaire", "argon2"]
    {
        assert!(!logs.contains(secret), "{secret} is in the log");
    }
    let assertion = world.caf921.last().one("x-octroi-assertion").to_owned();
    assert!(!logs.contains(&assertion));
}
