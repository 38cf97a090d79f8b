//! Problems: RFC 9457 to a program, a page to a person, and what is refused before it means anything.

use std::io::{Read as _, Write as _};

use serde_json::json;

use crate::harness::client::{connect, read_response};
use crate::harness::eventually;
use crate::harness::world::{Kind, World};

/// Sends bytes as they are; the status, 0 where the connection just ends.
fn status(world: &World, bytes: &str) -> u16 {
    world.gateway.client().raw(bytes.as_bytes()).map_or(0, |answer| answer.status)
}

#[test]
fn a_problem_is_whole_and_in_french() {
    let world = World::new(Kind::Embedded);
    let answer = world.gateway.client().get("/").program().send();
    assert_eq!(answer.problem(), (401, "session-absente".to_owned()));
    let problem = answer.json();
    assert_eq!(problem["type"], "urn:octroi:probleme:session-absente");
    assert_eq!(problem["suite"], "/portail/connexion");
    assert_eq!(answer.header("content-language"), Some("fr"));
    assert!(answer.header("www-authenticate").is_some(), "a 401 carries a challenge (RFC 9110, 15.5.2)");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert!(problem["title"].as_str().unwrap().contains("connecter"));
}

#[test]
fn a_person_reads_a_page_with_the_requests_id() {
    let world = World::new(Kind::Embedded);
    let mut client = world.admitted();
    for (path, expected) in [("/a%2Fb", 400), ("/portail/rien", 404)] {
        let answer = client.get(path).page().send();
        assert_eq!(answer.status, expected, "{path}");
        assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"), "{path}");
        let html = answer.text();
        let id = html.split("<code>").nth(1).and_then(|rest| rest.split("</code>").next()).unwrap();
        eventually("the log knows the id", || world.gateway.logs().contains(id));
    }
}

#[test]
fn a_host_is_needed_once() {
    let world = World::new(Kind::Embedded);
    for head in [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n",
        "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        assert_eq!(status(&world, head), 400, "{head:?}");
    }
}

#[test]
fn framing_in_doubt_reaches_no_backend() {
    let world = World::new(Kind::Embedded);
    let cookies = world.admitted().cookies();
    for framing in [
        "Content-Length: 4\r\nContent-Length: 5\r\n",
        "Content-Length: +4\r\n",
        "Content-Length: 4,4\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding : chunked\r\n",
        "Content-Length : 4\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: 0x4\r\n",
        "X: a\0b\r\nContent-Length: 4\r\n",
        "X: a\rb\r\nContent-Length: 4\r\n",
    ] {
        let head = format!(
            "POST /declaration HTTP/1.1\r\nHost: a\r\nCookie: {cookies}\r\nConnection: close\r\n{framing}\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
        );
        let answer = status(&world, &head);
        assert_eq!(answer, 400, "{framing:?}");
    }
    let lines: Vec<String> = world.caf921.received().iter().map(|it| it.line().to_owned()).collect();
    assert_eq!(lines, Vec::<String>::new());
}

/// RFC 9112 section 6.1 lets such a request be refused, or read as chunked with its length left out and the
/// connection closed after it.
#[test]
fn a_length_beside_chunks_is_never_believed() {
    let world = World::new(Kind::Embedded);
    let cookies = world.admitted().cookies();
    for framing in [
        "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
    ] {
        let before = world.caf921.count();
        let head = format!(
            "POST /declaration HTTP/1.1\r\nHost: a\r\nCookie: {cookies}\r\n{framing}\r\n3\r\nabc\r\n0\r\n\r\n\
             GET /smuggled HTTP/1.1\r\nHost: a\r\nCookie: {cookies}\r\n\r\n"
        );
        let mut stream = connect(world.gateway.public);
        stream.write_all(head.as_bytes()).unwrap();
        let mut said = Vec::new();
        let _ = stream.read_to_end(&mut said);
        let said = String::from_utf8_lossy(&said).into_owned();
        assert_eq!(said.matches("HTTP/1.1 ").count(), 1, "closed after it: {said}");
        for got in &world.caf921.received()[before..] {
            assert_eq!(got.line(), "POST /declaration HTTP/1.1");
            assert_eq!(got.body, b"abc");
            assert!(got.all("content-length").is_empty() || got.all("transfer-encoding").is_empty());
        }
    }
}

#[test]
fn tunnels_and_echoes_are_refused() {
    let world = World::new(Kind::Embedded);
    let mut client = world.admitted();
    let trace = client.request("TRACE", "/").program().send();
    assert_eq!(trace.status, 405);
    let cookies = client.cookies();
    let connect = format!("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\nCookie: {cookies}\r\n\r\n");
    assert!([400, 405].contains(&status(&world, &connect)));
    assert_eq!(world.caf921.count(), 0);
}

#[test]
fn a_pages_script_is_told_as_a_program_is_even_where_it_accepts_html() {
    let world = World::new(Kind::Embedded);
    for (name, value) in [("Sec-Fetch-Mode", "cors"), ("X-Requested-With", "XMLHttpRequest")] {
        let told = world.gateway.client().get("/d").page().header(name, value).send();
        assert_eq!(told.problem(), (401, "session-absente".to_owned()), "{name}");
        assert_eq!(told.header("content-type"), Some("application/problem+json"), "{name}");
    }
}

#[test]
fn heads_have_a_largest_size() {
    let world = World::new(Kind::Embedded);
    let mut client = world.admitted();
    let answer = client.get("/").program().header("X-Long", &"a".repeat(300_000)).send();
    assert_eq!((answer.status, answer.header("content-type")), (431, Some("application/problem+json")));
    let page = client.get("/").page().header("X-Long", &"a".repeat(300_000)).send();
    assert_eq!((page.status, page.header("content-type")), (431, Some("text/html; charset=utf-8")));
    assert!(page.text().contains("lang=\"fr\""), "{}", page.text());
    let broken = client.raw(b"GET / HTTP/1.1\r\nAccept: text/html\r\nHost: a\r\nX : y\r\n\r\n").unwrap();
    assert_eq!((broken.status, broken.header("content-type")), (400, Some("text/html; charset=utf-8")));
    assert_eq!(world.caf921.count(), 0);
}

#[test]
fn a_method_that_a_page_does_not_have_is_told_those_it_has() {
    let world = World::new(Kind::Embedded);
    let mut client = world.admitted();
    let answer = client.request("DELETE", "/portail/caf").program().send();
    assert_eq!(answer.status, 405);
    assert_eq!(answer.header("allow"), Some("GET, HEAD, POST"));
    assert_eq!(client.get("/portail/deconnexion").program().send().status, 405);
    assert_eq!(client.get("/portail/session").program().send().etat(), "admis", "and nothing ended");
}

#[test]
fn a_body_has_a_largest_size() {
    let world = World::with(Kind::Embedded, |settings| {
        settings.set("limits", "body", r#""1MiB""#);
    });
    let mut client = world.admitted();
    let fits = vec![b'x'; 1024 * 1024];
    assert_eq!(client.post("/a").program().body("text/plain", &fits).send().status, 200);
    assert_eq!(world.caf921.last().body.len(), fits.len());
    let count = world.caf921.count();
    let too_big = vec![b'x'; 1024 * 1024 + 1];
    let answer = client.post("/a").program().body("text/plain", &too_big).send();
    assert_eq!(answer.problem(), (413, "corps-trop-grand".to_owned()));
    assert_eq!(world.caf921.count(), count, "told before a byte is sent");
    // Without a length it is told once it is passed; the backend never sees a whole request.
    let cookies = client.cookies();
    let head = format!(
        "POST /a HTTP/1.1\r\nHost: a\r\nAccept: application/json\r\nCookie: {cookies}\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    let mut bytes = head.into_bytes();
    for _ in 0..20 {
        bytes.extend_from_slice(format!("{:x}\r\n{}\r\n", 65_536, "y".repeat(65_536)).as_bytes());
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    let answer = client.raw(&bytes).expect("an answer");
    assert_eq!(answer.problem(), (413, "corps-trop-grand".to_owned()));
    assert_eq!(world.caf921.count(), count);
}

#[test]
fn the_pages_can_be_switched_off() {
    let world = World::with(Kind::Embedded, |settings| {
        settings.set("portal", "pages", r#""off""#);
        settings.set("portal", "sign_in_url", r#""https://portail.example/connexion""#);
    });
    let mut client = world.gateway.client();
    let (status, location) = client.get("/teleprocedure").page().send().redirect();
    assert_eq!(status, 303);
    assert!(location.starts_with("https://portail.example/connexion"), "{location}");
    let problem = client.get("/").program().send();
    assert_eq!(problem.problem(), (401, "session-absente".to_owned()));
    let body = json!({"identifiant": "une.caf@esat.example", "mot_de_passe": "faux"});
    let answer = client.post("/portail/connexion").page().json(&body).send();
    assert_eq!(answer.problem(), (401, "identifiants-invalides".to_owned()));
}

#[test]
fn the_portal_can_be_moved() {
    let world = World::with(Kind::Embedded, |settings| {
        settings.set("portal", "prefix", r#""/acces""#);
    });
    let mut client = world.gateway.client();
    let (_, location) = client.get("/x").page().send().redirect();
    assert_eq!(location, "/acces/connexion?retour=%2Fx");
    let page = client.get("/acces/connexion").page().send();
    assert!(page.text().contains("action=\"/acces/connexion\""));
    let body = json!({"identifiant": "une.caf@esat.example", "mot_de_passe": "Tilleul-2026"});
    assert_eq!(client.post("/acces/connexion").json(&body).send().etat(), "admis");
    assert_eq!(client.get("/portail/connexion").program().send().text(), "Caf 921", "now the backend's");
}

#[test]
fn a_connection_that_ends_with_its_answer_says_so_and_the_answer_arrives() {
    let world = World::new(Kind::Embedded);
    let large = vec![b'x'; 30 << 20];
    for (mut client, status) in [(world.gateway.client(), 401), (world.admitted(), 413)] {
        let mut stream = connect(world.gateway.public);
        let request =
            client.post("/d").program().header("Connection", "keep-alive").body("text/plain", &large);
        // It may be told to stop before all is sent.
        let _ = stream.write_all(&request.bytes()[..20 << 20]);
        let answer = read_response(&mut stream, false).expect("an answer");
        assert_eq!((answer.status, answer.header("connection")), (status, Some("close")));
    }
    // What is short has come with its head, and costs nobody the connection.
    let mut client = world.gateway.client();
    let short =
        client.post("/d").program().header("Connection", "keep-alive").body("text/plain", b"x").bytes();
    let mut stream = connect(world.gateway.public);
    for _ in 0..2 {
        stream.write_all(&short).unwrap();
        let answer = read_response(&mut stream, false).expect("an answer");
        assert_eq!((answer.status, answer.header("connection")), (401, None));
    }
}
