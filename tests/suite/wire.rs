//! HTTP as it is meant (RFC 9110, RFC 9112): what a gateway passes on, and what it answers itself.

use std::io::{Read as _, Write as _};
use std::sync::Arc;

use crate::harness::backend::{Then, answer_with, respond};
use crate::harness::client::{connect, find};
use crate::harness::world::{Kind, World};

/// Sends one request on a connection of its own; all that comes back.
fn talk(world: &World, head: &str) -> String {
    let client = world.admitted();
    let mut stream = connect(world.gateway.public);
    let (line, rest) = head.split_once("\r\n").unwrap();
    let own = format!("Host: {}\r\nCookie: {}\r\nConnection: close", world.gateway.public, client.cookies());
    stream.write_all(format!("{line}\r\n{own}\r\n{rest}").as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8(answer).unwrap()
}

#[test]
fn interim_answers_come_before_the_answer() {
    let world = World::new(Kind::Embedded);
    let early =
        "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nSet-Cookie: octroi=pirate\r\n\r\n";
    let working = "HTTP/1.1 102 Processing\r\n\r\n";
    world.caf921.script(respond(&format!("{early}{working}HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")));
    let answer = talk(&world, "GET /d HTTP/1.1\r\n\r\n");
    let expected = "HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\n";
    assert!(answer.starts_with(expected) && answer.ends_with("\r\n\r\nok"), "{answer}");
    let old = talk(&world, "GET /d HTTP/1.0\r\n\r\n");
    assert!(old.starts_with("HTTP/1.0 200"), "HTTP/1.0 knows none: {old}");
}

#[test]
fn an_interim_answer_comes_as_soon_as_it_is_given() {
    let world = World::new(Kind::Embedded);
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    world.caf921.script(Arc::new(move |_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 103 Early Hints\r\nLink: </b.css>\r\n\r\n");
        let _ = wait.lock().unwrap().recv();
        let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n");
        Then::Keep
    }));
    let client = world.admitted();
    let mut stream = connect(world.gateway.public);
    for _ in 0..3 {
        let head = format!("GET /d HTTP/1.1\r\nHost: a\r\nCookie: {}\r\n\r\n", client.cookies());
        stream.write_all(head.as_bytes()).unwrap();
        let mut seen = Vec::new();
        read_until(&mut stream, &mut seen, b"link: </b.css>\r\n\r\n");
        assert!(seen.starts_with(b"HTTP/1.1 103 Early Hints\r\n"), "{}", String::from_utf8_lossy(&seen));
        go.send(()).unwrap();
        seen.clear();
        read_until(&mut stream, &mut seen, b"\r\n\r\n");
        assert!(seen.starts_with(b"HTTP/1.1 204 "), "{}", String::from_utf8_lossy(&seen));
    }
}

fn read_until(stream: &mut impl std::io::Read, seen: &mut Vec<u8>, end: &[u8]) {
    while find(seen, end).is_none() {
        let mut buffer = [0; 4_096];
        let size = stream.read(&mut buffer).unwrap();
        assert!(size > 0, "{}", String::from_utf8_lossy(seen));
        seen.extend_from_slice(&buffer[..size]);
    }
}

#[test]
fn trailers_pass_both_ways() {
    let world = World::new(Kind::Embedded);
    let (told, trailers) = std::sync::mpsc::channel();
    let told = std::sync::Mutex::new(told);
    world.caf921.script(Arc::new(move |got, stream| {
        let _ = told.lock().unwrap().send(got.clone());
        let _ = stream.write_all(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\nTrailer: grpc-status, x-caf-code\r\nTransfer-Encoding: chunked\r\n\r\n\
              2\r\nok\r\n0\r\ngrpc-status: 0\r\nx-caf-code: 751\r\n\r\n",
        );
        Then::Keep
    }));
    let answer = talk(
        &world,
        "POST /g HTTP/1.1\r\nTE: trailers\r\nTrailer: x-somme\r\nContent-Type: application/grpc\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nx-somme: 42\r\ncookie: octroi=x\r\nx-esat-compte: pirate\r\n\r\n",
    );
    assert!(answer.contains("2\r\nok\r\n0\r\ngrpc-status: 0\r\n\r\n"), "{answer}");
    let got = trailers.recv().unwrap();
    assert_eq!((got.one("te"), got.one("trailer"), got.one("connection")), ("trailers", "x-somme", "te"));
    assert_eq!(got.body, b"ab");
}

#[test]
fn answers_without_a_body_have_none() {
    let world = World::new(Kind::Embedded);
    world.caf921.script(respond("HTTP/1.1 200 OK\r\nContent-Length: 1234\r\nETag: \"e\"\r\n\r\n"));
    let head = talk(&world, "HEAD /d HTTP/1.1\r\n\r\n");
    assert!(
        head.to_ascii_lowercase().contains("content-length: 1234\r\n") && head.ends_with("\r\n\r\n"),
        "{head}"
    );
    assert_eq!(world.caf921.last().line(), "HEAD /d HTTP/1.1");
    world.caf921.script(respond("HTTP/1.1 204 No Content\r\n\r\n"));
    let none = talk(&world, "DELETE /d HTTP/1.1\r\n\r\n").to_ascii_lowercase();
    assert!(none.starts_with("http/1.1 204") && none.ends_with("\r\n\r\n"), "{none}");
    assert!(!none.contains("content-length") && !none.contains("transfer-encoding"), "{none}");
    world.caf921.script(respond("HTTP/1.1 304 Not Modified\r\nETag: \"e\"\r\n\r\n"));
    let same = talk(&world, "GET /d HTTP/1.1\r\nIf-None-Match: \"e\"\r\n\r\n").to_ascii_lowercase();
    assert!(
        same.starts_with("http/1.1 304") && same.contains("etag: \"e\"") && same.ends_with("\r\n\r\n"),
        "{same}"
    );
    assert_eq!(world.caf921.last().one("if-none-match"), "\"e\"");
}

#[test]
fn ranges_and_conditions_are_the_backends() {
    let world = World::new(Kind::Embedded);
    world.caf921.script(respond(
        "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 2-3/10\r\nAccept-Ranges: bytes\r\nVary: Accept\r\nContent-Length: 2\r\n\r\nab",
    ));
    let asked = "Range: bytes=2-3\r\nIf-Range: \"e\"\r\nIf-Match: \"e\"\r\nIf-Unmodified-Since: Tue, 15 Dec 2026 11:00:00 GMT\r\nAccept-Encoding: br";
    let part = talk(&world, &format!("GET /d HTTP/1.1\r\n{asked}\r\n\r\n")).to_ascii_lowercase();
    for line in [
        "http/1.1 206 partial content",
        "content-range: bytes 2-3/10",
        "accept-ranges: bytes",
        "vary: accept",
        "\r\n\r\nab",
    ] {
        assert!(part.contains(line), "{line}: {part}");
    }
    let got = world.caf921.last();
    for line in asked.split("\r\n") {
        let (name, value) = line.split_once(": ").unwrap();
        assert_eq!(got.one(name), value);
    }
}

#[test]
fn options_of_the_server_are_told_by_the_gateway_and_hops_are_counted() {
    let world = World::new(Kind::Embedded);
    let told = world.gateway.client().request("OPTIONS", "*").send();
    assert_eq!((told.status, told.body.len()), (204, 0));
    assert!(told.header("allow").unwrap().contains("POST"), "{:?}", told.headers);
    let mut client = world.admitted();
    let last = client.request("OPTIONS", "/d").header("Max-Forwards", "0").send();
    assert_eq!((last.status, last.header("allow").is_some()), (204, true));
    assert_eq!(world.caf921.bytes(), 0);
    world.caf921.script(answer_with("Allow: GET\r\n", ""));
    let further = client.request("OPTIONS", "/d").header("Max-Forwards", "3").send();
    assert_eq!((further.status, further.header("allow")), (200, Some("GET")));
    assert_eq!(world.caf921.last().one("max-forwards"), "2");
    let trace = client.request("TRACE", "/d").header("Max-Forwards", "0").program().send();
    assert_eq!((trace.status, trace.header("allow").is_some()), (405, true));
    assert_eq!(world.caf921.count(), 1);
}

#[test]
fn events_come_as_they_are_sent() {
    let world = World::new(Kind::Embedded);
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    world.caf921.script(Arc::new(move |_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n");
        for number in 1..=3 {
            // At once: what comes in pieces goes on in pieces.
            let _ = stream.write_all(format!("data: {number}\n\n").as_bytes());
            let _ = wait.lock().unwrap().recv();
        }
        Then::Close
    }));
    let client = world.admitted();
    let mut stream = connect(world.gateway.public);
    let head = format!(
        "GET /flux HTTP/1.1\r\nHost: a\r\nCookie: {}\r\nAccept: text/event-stream\r\n\r\n",
        client.cookies()
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut seen = Vec::new();
    for number in 1..=3 {
        // The backend goes on only once this one has come.
        read_until(&mut stream, &mut seen, format!("data: {number}\n\n").as_bytes());
        go.send(()).unwrap();
    }
    read_until(&mut stream, &mut seen, b"\r\n0\r\n\r\n");
}
