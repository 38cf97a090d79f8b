//! Who the client is behind a proxy that speaks the PROXY protocol, and how many clients there may be.

use std::io::Write as _;
use std::net::TcpStream;

use serde_json::json;

use crate::harness::client::{Client, Response, connect, read_response};
use crate::harness::eventually;
use crate::harness::world::{Kind, ONE_CAF, PASSWORD, World};

const V1: &[u8] = b"PROXY TCP4 203.0.113.9 192.0.2.1 40000 443\r\n";

fn v2(command: u8) -> Vec<u8> {
    let addresses = [203, 0, 113, 9, 192, 0, 2, 1, 0x9c, 0x40, 1, 0xbb];
    [b"\r\n\r\n\0\r\nQUIT\n".as_slice(), &[0x20 | command, 0x11, 0, 12], &addresses].concat()
}

fn world(trusted: &str) -> World {
    World::with(Kind::Embedded, |settings| {
        settings.set("server", "proxy_protocol", "true").set("server", "trusted_proxies", trusted);
        settings.set("limits", "login_per_client", r#"{ rate = "1/h", burst = 1 }"#);
    })
}

/// Says `header` and then a request, on a connection of their own.
fn say(world: &World, header: &[u8], request: &[u8]) -> Option<Response> {
    let mut stream = connect(world.gateway.public);
    stream.write_all(header).unwrap();
    // A gateway that refuses the header may close before the rest is written.
    let _ = stream.write_all(request);
    read_response(&mut stream, false)
}

fn sign_in(client: &mut Client) -> Vec<u8> {
    let body = json!({"identifiant": ONE_CAF, "mot_de_passe": PASSWORD});
    client.post("/portail/connexion").json(&body).bytes()
}

#[test]
fn the_client_is_whom_a_trusted_proxy_announces() {
    for header in [V1.to_vec(), v2(1)] {
        let world = world(r#"["127.0.0.1"]"#);
        let mut client = world.gateway.client();
        let answer = say(&world, &header, &sign_in(&mut client)).expect("an answer");
        let cookie = answer.header("set-cookie").expect("a cookie").split(';').next().unwrap().to_owned();
        let ask = client.get("/").program().header("Cookie", &cookie).header("X-Forwarded-For", "6.6.6.6");
        assert_eq!(say(&world, &header, &ask.bytes()).expect("an answer").text(), "Caf 921");
        let got = world.caf921.last();
        assert_eq!(got.one("x-forwarded-for"), "203.0.113.9", "{}", got.head);
        assert!(got.one("forwarded").starts_with("for=203.0.113.9;"), "{}", got.head);
        // The limits are the client's own: another one's are untouched.
        let again = say(&world, &header, &sign_in(&mut client)).expect("an answer");
        assert_eq!(again.problem(), (429, "trop-de-requetes".to_owned()));
        let other = b"PROXY TCP4 203.0.113.10 192.0.2.1 40000 443\r\n";
        assert_eq!(say(&world, other, &sign_in(&mut client)).expect("an answer").status, 200);
    }
}

#[test]
fn a_proxy_may_speak_for_itself() {
    let world = world(r#"["127.0.0.1"]"#);
    for header in [b"PROXY UNKNOWN\r\n".to_vec(), v2(0)] {
        let ask = world.gateway.client().get("/portail/session").program().bytes();
        assert_eq!(say(&world, &header, &ask).expect("an answer").status, 401);
    }
}

#[test]
fn a_trusted_proxy_without_a_header_is_closed_and_nothing_is_forwarded() {
    let world = world(r#"["127.0.0.1"]"#);
    let ask = world.gateway.client().get("/").program().bytes();
    for header in [b"".as_slice(), b"PROXY TCP4 203.0.113.9\r\n", b"PROXY TCP9 a b 1 2\r\n", &v2(1)[..14]] {
        let answer = say(&world, header, &ask);
        assert!(answer.is_none(), "{header:?}: {answer:?}");
    }
    eventually("the operator is told", || {
        world.gateway.logs().contains("a connection of a trusted proxy was closed")
    });
}

#[test]
fn anybody_elses_header_is_not_believed() {
    let world = world(r#"["192.0.2.0/24"]"#);
    let mut client = world.gateway.client();
    let plain = client.get("/portail/session").program().bytes();
    assert_eq!(client.raw(&plain).expect("an answer").status, 401, "a client needs no header");
    let answer = say(&world, V1, &plain).expect("an answer");
    assert_eq!(answer.status, 400, "its header is no HTTP");
}

#[test]
fn clients_beyond_the_most_wait_until_others_end() {
    let world = World::with(Kind::Embedded, |settings| {
        settings.set("server", "workers", "1").set("server", "max_connections", "2");
    });
    let address = world.gateway.public;
    let mut client = world.gateway.client();
    let ask = client.get("/portail/session").program().header("Connection", "keep-alive").bytes();
    let mut served: Vec<TcpStream> = (0..2).map(|_| connect(address)).collect();
    for stream in &mut served {
        stream.write_all(&ask).unwrap();
        assert_eq!(read_response(stream, false).expect("an answer").status, 401);
    }
    let mut waiting = connect(address);
    waiting.write_all(&ask).unwrap();
    eventually("the operator is told", || world.gateway.logs().contains("server.max_connections is reached"));
    waiting.set_nonblocking(true).unwrap();
    assert!(waiting.peek(&mut [0]).is_err(), "nobody answers yet");
    waiting.set_nonblocking(false).unwrap();
    drop(served);
    assert_eq!(read_response(&mut waiting, false).expect("an answer").status, 401);
}
