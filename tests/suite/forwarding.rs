//! What a backend gets, and what comes back (contract, sections 3 and 4).

use std::io::{Read as _, Write as _};
use std::sync::Arc;

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::harness::backend::{Then, answer_with, respond};
use crate::harness::client::{Client, connect, find};
use crate::harness::world::{Kind, ONE_CAF, SIRET, TWO_CAFS, World};
use crate::on_each_store;

on_each_store! {
    fn an_admitted_request_arrives_as_it_was_sent_with_who_is_asking(kind: Kind) {
        let world = World::new(kind);
        let mut client = world.admitted();
        client.jar.insert("theme".to_owned(), "clair".to_owned());
        let body = b"a=1&b=\x00\xff";
        client.request("PUT", "/d/caf%C3%A9;v=1/?q=%20a+b&&x")
            .body("application/octet-stream", body)
            .header("X-Esat-Compte", "autre@esat.example")
            .header("X_Esat_Siret", "00000000000000")
            .header("x-octroi-volets", "tous")
            .header("X-Forwarded-For", "192.0.2.66")
            .header("X-Propre", "gardé")
            .send();
        let got = world.caf921.last();
        assert_eq!(got.line(), "PUT /d/caf%C3%A9;v=1/?q=%20a+b&&x HTTP/1.1");
        assert_eq!(got.body, body);
        assert_eq!((got.one("x-esat-compte"), got.one("x-esat-siret")), (ONE_CAF, SIRET));
        assert_eq!((got.one("x-caf-code"), got.one("x-octroi-volets")), ("921", "certificat-emploi,changement-activite"));
        assert_eq!((got.one("x-forwarded-for"), got.one("x-forwarded-proto")), ("127.0.0.1", "http"));
        assert_eq!(got.one("cookie"), "theme=clair", "the gateway's cookie stays here");
        assert!(got.all("x_esat_siret").is_empty() && got.all("x-esat-identifiant-communication").is_empty());
        assert_eq!(got.one("traceparent").len(), 55);
        assert!(!got.one("x-request-id").is_empty() && !got.one("forwarded").is_empty());
    }

    fn the_assertion_says_the_same_and_can_be_verified(kind: Kind) {
        let world = World::new(kind);
        let mut client = world.admitted();
        client.get("/").program().send();
        let assertion = world.caf921.last().one("x-octroi-assertion").to_owned();
        let (signed, signature) = assertion.rsplit_once('.').unwrap();
        let parts: Vec<Value> = signed.split('.').map(|part| serde_json::from_slice(&decode(part)).unwrap()).collect();
        let (header, claims) = (&parts[0], &parts[1]);
        let jwks = world.gateway.client().get("/portail/.well-known/jwks.json").send().json();
        let key = jwks["keys"].as_array().unwrap().iter().find(|key| key["kid"] == header["kid"]).expect("its key");
        let public = UnparsedPublicKey::new(&ED25519, decode(key["x"].as_str().unwrap()));
        public.verify(signed.as_bytes(), &decode(signature)).expect("a good signature");
        assert_eq!((&header["alg"], &claims["aud"], &claims["sub"]), (&json!("EdDSA"), &json!("921"), &json!(ONE_CAF)));
        assert_eq!((&claims["siret"], &claims["volets"][0]), (&json!(SIRET), &json!("certificat-emploi")));
        let life = claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap();
        assert!((1..=60).contains(&life), "{claims}");
        client.get("/").program().send();
        assert_eq!(world.caf921.last().one("x-octroi-assertion"), assertion, "signed once in a while, not each time");
    }

    fn a_backends_cookies_come_back_to_the_same_caf_and_to_no_other(kind: Kind) {
        let world = World::new(kind);
        world.caf921.script(answer_with("Set-Cookie: JSESSIONID=secret921; Path=/; HttpOnly\r\nSet-Cookie: octroi=pirate\r\nSet-Cookie: __Host-octroi=pirate; Secure; Path=/\r\n", "921"));
        let mut client = world.signed_in(TWO_CAFS);
        client.post("/portail/caf").json(&json!({"caf": "921"})).send();
        let session = client.session().unwrap().to_owned();
        client.get("/").program().send();
        assert_eq!(client.session(), Some(session.as_str()), "no backend sets the gateway's cookie");
        client.get("/").program().send();
        assert_eq!(world.caf921.last().one("cookie"), "JSESSIONID=secret921");
        client.post("/portail/caf").json(&json!({"caf": "751"})).send();
        client.get("/").program().send();
        assert!(!world.caf751.last().head.contains("secret921"), "{}", world.caf751.last().head);
        client.post("/portail/caf").json(&json!({"caf": "921"})).send();
        client.get("/").program().send();
        assert_eq!(world.caf921.last().one("cookie"), "JSESSIONID=secret921");
    }
}

fn decode(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).unwrap()
}

#[test]
fn what_is_meant_for_the_next_hop_goes_no_further() {
    let world = World::new(Kind::Embedded);
    world.caf921.script(answer_with(
        "Connection: X-Interne\r\nX-Interne: 1\r\nKeep-Alive: timeout=5\r\nX-Propre: 2\r\n",
        "ok",
    ));
    let mut client = world.admitted();
    let raw = format!(
        "GET / HTTP/1.1\r\nHost: {}\r\nCookie: {}\r\nConnection: close, X-Saut, X-Esat-Siret\r\nX-Saut: 1\r\nX-Esat-Siret: 2\r\nTE: gzip\r\nKeep-Alive: 3\r\nProxy-Authorization: 4\r\n\r\n",
        world.gateway.public,
        client.cookies()
    );
    let answer = client.raw(raw.as_bytes()).expect("a response");
    let got = world.caf921.last();
    for name in ["x-saut", "keep-alive", "proxy-authorization", "te"] {
        assert!(got.all(name).is_empty(), "{name}: {}", got.head);
    }
    assert_eq!(got.one("x-esat-siret"), SIRET);
    assert_eq!(
        (answer.status, answer.header("x-propre"), answer.header("x-interne")),
        (200, Some("2"), None)
    );
    client.get("/").send();
}

#[test]
fn an_answer_of_another_caf_is_not_given_out() {
    let world = World::new(Kind::Embedded);
    let mut client = world.admitted();
    world.caf921.script(answer_with("X-Caf-Code: 751\r\n", "la réponse d'une autre"));
    let refused = client.get("/").program().send();
    assert_eq!(refused.problem(), (502, "caf-indisponible".to_owned()));
    assert!(refused.text().contains("Hauts-de-Seine") && !refused.text().contains("d'une autre"));
    world.caf921.script(answer_with("X-Caf-Code: 921\r\n", "la sienne"));
    assert_eq!(client.get("/").program().send().text(), "la sienne");
}

#[test]
fn a_caf_that_fails_is_named_and_the_others_do_not_notice() {
    let (_closed, dead) = crate::harness::closed_address();
    let world = World::with(Kind::Embedded, |settings| {
        settings.caf("131", "Caf des Bouches-du-Rhône", &[dead]);
        settings.set("backend", "first_byte_timeout", r#""2s""#);
    });
    world.gateway.accounts(&[crate::harness::world::account("sud@esat.example", SIRET, &["131", "751"])]);
    world.gateway.establishments(&[json!({"caf": "131", "siret": SIRET})]);
    let mut client = world.signed_in("sud@esat.example");
    client.post("/portail/caf").json(&json!({"caf": "131"})).send();
    let down = client.get("/").program().send();
    assert!([502, 503].contains(&down.status), "{}", down.text());
    assert_eq!((down.code().as_str(), &down.json()["caf"]["code"]), ("caf-indisponible", &json!("131")));
    let mut neighbour = world.admitted();
    assert_eq!(neighbour.get("/").program().send().status, 200);
    world.caf921.script(Arc::new(|_, _| Then::Close));
    assert_eq!(neighbour.get("/").program().send().problem(), (502, "caf-indisponible".to_owned()));
    world.caf921.script(respond("n'importe quoi\r\n\r\n"));
    assert_eq!(neighbour.get("/").program().send().problem(), (502, "caf-indisponible".to_owned()));
    world.caf921.script(Arc::new(|_, _| Then::Keep));
    assert_eq!(neighbour.get("/").program().send().problem(), (504, "caf-indisponible".to_owned()));
    client.post("/portail/caf").json(&json!({"caf": "751"})).send();
    assert_eq!(client.get("/").program().send().text(), "Caf 751");
}

#[test]
fn a_body_over_the_limit_is_refused_declared_or_not() {
    let world = World::with(Kind::Embedded, |settings| {
        settings.set("limits", "body", r#""1KiB""#);
    });
    let mut client = world.admitted();
    let refused = client.post("/").program().body("text/plain", &[b'a'; 1_025]).send();
    assert_eq!(refused.problem(), (413, "corps-trop-grand".to_owned()));
    assert_eq!(world.caf921.count(), 0);
    assert_eq!(client.post("/").program().body("text/plain", &[b'a'; 1_024]).send().status, 200);
    let chunk = format!("801\r\n{}\r\n0\r\n\r\n", "a".repeat(0x801));
    let raw = format!(
        "POST / HTTP/1.1\r\nHost: {}\r\nCookie: {}\r\nAccept: application/json\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}",
        world.gateway.public,
        client.cookies()
    );
    assert_eq!(client.raw(raw.as_bytes()).expect("a response").status, 413);
}

const HUNDRED_MB: usize = 100 << 20;

#[test]
fn a_hundred_megabytes_pass_both_ways_and_memory_stays() {
    let world = World::with(Kind::Embedded, |settings| {
        settings.set("limits", "body", r#""200MiB""#);
    });
    world.caf921.script(Arc::new(|_, stream| {
        let _ = write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {HUNDRED_MB}\r\n\r\n");
        let block = vec![b'd'; 1 << 20];
        for _ in 0..100 {
            if stream.write_all(&block).is_err() {
                return Then::Close;
            }
        }
        Then::Keep
    }));
    let client = world.admitted();
    upload_and_download(&world, &client, 1 << 20);
    let before = resident_kb(world.gateway.pid());
    upload_and_download(&world, &client, HUNDRED_MB);
    let grown = peak_kb(world.gateway.pid()).saturating_sub(before);
    assert!(grown < 10 * 1_024, "memory grew by {grown} kB");
    assert_eq!(world.caf921.last().body.len(), HUNDRED_MB);
}

fn upload_and_download(world: &World, client: &Client, size: usize) {
    let mut stream = connect(world.gateway.public);
    let head = format!(
        "POST /gros HTTP/1.1\r\nHost: {}\r\nCookie: {}\r\nContent-Length: {size}\r\n\r\n",
        world.gateway.public,
        client.cookies()
    );
    stream.write_all(head.as_bytes()).unwrap();
    let block = vec![b'u'; 1 << 20];
    for _ in 0..size >> 20 {
        stream.write_all(&block).unwrap();
    }
    let mut block = vec![0; 1 << 20];
    let mut head = Vec::new();
    let end = loop {
        let read = stream.read(&mut block).unwrap();
        head.extend_from_slice(&block[..read]);
        if let Some(end) = find(&head, b"\r\n\r\n") {
            break end + 4;
        }
    };
    assert!(head.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&head[..end]));
    let mut left = HUNDRED_MB - (head.len() - end);
    while left > 0 {
        let read = stream.read(&mut block).unwrap();
        assert!(read > 0, "{left} bytes are missing");
        left -= read;
    }
}

pub fn resident_kb(pid: u32) -> u64 {
    memory(pid, "VmRSS:")
}

fn peak_kb(pid: u32) -> u64 {
    memory(pid, "VmHWM:")
}

fn memory(pid: u32, what: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(what)).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// A proxy writes one of the two headers, and may pass the other on as a client wrote it.
#[test]
fn of_two_headers_that_tell_of_different_clients_none_reaches_a_backend() {
    let world = World::with(Kind::Embedded, |settings| {
        settings.set("server", "trusted_proxies", r#"["127.0.0.1"]"#);
    });
    let mut client = world.admitted();
    for (forwarded, x_forwarded_for) in [
        ("for=203.0.113.9;proto=https", "6.6.6.6, 127.0.0.1"),
        ("for=6.6.6.6;by=127.0.0.1", "203.0.113.9"),
        ("for=6.6.6.6, for=127.0.0.1", "203.0.113.9, 127.0.0.1"),
    ] {
        let request = client.get("/").program().header("Forwarded", forwarded);
        assert_eq!(request.header("X-Forwarded-For", x_forwarded_for).send().status, 200);
        let got = world.caf921.last();
        assert!(!got.head.contains("6.6.6.6") && !got.head.contains("203.0.113.9"), "{}", got.head);
        assert_eq!(got.one("x-forwarded-for"), "127.0.0.1", "{}", got.head);
    }
    // Lines of one header are one list.
    let request = client.get("/").program().header("X-Forwarded-For", "198.51.100.4");
    assert_eq!(request.header("X-Forwarded-For", "203.0.113.9").send().status, 200);
    assert_eq!(world.caf921.last().all("x-forwarded-for"), ["198.51.100.4", "203.0.113.9"]);
}
