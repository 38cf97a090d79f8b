//! WebSockets and event streams: opened by an admitted request, ended with its session, and no action of its user
//! but for what the user sends.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use crate::harness::backend::{Received, Script, Then, answer, respond};
use crate::harness::client::{Client, Response, connect, find, read_response};
use crate::harness::gateway::Gateway;
use crate::harness::within;
use crate::harness::world::{Kind, ONE_CAF, SIRET, TWO_CAFS, World, account};
use crate::on_each_store;

/// RFC 6455 section 1.3.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
/// A tunnel ends so long after its session at the latest.
const SOON: Duration = Duration::from_secs(5);

/// Accepts WebSockets, greets, and sends back all that comes.
fn echo() -> Script {
    speak(&[0x81, 5, b's', b'a', b'l', b'u', b't'])
}

fn speak(greeting: &[u8]) -> Script {
    let greeting = greeting.to_vec();
    Arc::new(move |got, stream| {
        if !got.head.to_ascii_lowercase().contains("upgrade: websocket") {
            return answer("Caf 921")(got, stream);
        }
        let head = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {ACCEPT}\r\nSet-Cookie: a=b\r\n\r\n"
        );
        let _ = stream.write_all(&[head.as_bytes(), &greeting].concat());
        let mut buffer = [0; 4_096];
        while let Ok(size @ 1..) = stream.read(&mut buffer) {
            // What a client sends is masked, with zeros here: unmasked it is what a server sends.
            let mut frame = buffer[..size].to_vec();
            if size >= 6 && frame[1] & 0x80 != 0 {
                frame[1] &= 0x7f;
                frame.drain(2..6);
            }
            if stream.write_all(&frame).is_err() {
                break;
            }
        }
        Then::Close
    })
}

/// A client's end of a WebSocket.
struct Socket {
    stream: TcpStream,
    unread: Vec<u8>,
}

fn handshake(gateway: &Gateway, client: &Client, path: &str, more: &str) -> Vec<u8> {
    format!(
        "GET {path} HTTP/1.1\r\nHost: {}\r\nCookie: {}\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\nOrigin: http://{}\r\n{more}\r\n",
        gateway.public,
        client.cookies(),
        gateway.public
    )
    .into_bytes()
}

/// Opens a WebSocket, or gets another answer.
fn ask(gateway: &Gateway, request: &[u8]) -> Result<(String, Socket), Response> {
    let mut stream = connect(gateway.public);
    stream.write_all(request).unwrap();
    let mut unread = Vec::new();
    let end = loop {
        if let Some(end) = find(&unread, b"\r\n\r\n") {
            break end + 4;
        }
        let mut buffer = [0; 4_096];
        let size = stream.read(&mut buffer).unwrap();
        assert!(size > 0, "{}", String::from_utf8_lossy(&unread));
        unread.extend_from_slice(&buffer[..size]);
    };
    if !unread.starts_with(b"HTTP/1.1 101 ") {
        let mut rest = std::io::Cursor::new(unread).chain(stream);
        return Err(read_response(&mut rest, false).expect("a response"));
    }
    let head = String::from_utf8(unread.drain(..end).collect()).unwrap().to_ascii_lowercase();
    Ok((head, Socket { stream, unread }))
}

fn open(gateway: &Gateway, client: &Client) -> Socket {
    let opened = ask(gateway, &handshake(gateway, client, "/ws", ""));
    let mut socket = opened.unwrap_or_else(|answer| panic!("{}: {}", answer.status, answer.text())).1;
    assert_eq!(socket.frame(), Some((1, b"salut".to_vec())));
    socket
}

impl Socket {
    fn send(&mut self, opcode: u8, text: &[u8]) {
        let size = u8::try_from(text.len()).unwrap();
        let frame = [&[0x80 | opcode, 0x80 | size, 0, 0, 0, 0], text].concat();
        self.stream.write_all(&frame).unwrap();
    }

    /// The next frame, or the end.
    fn frame(&mut self) -> Option<(u8, Vec<u8>)> {
        loop {
            if let [first, size, rest @ ..] = self.unread.as_slice()
                && rest.len() >= usize::from(*size)
            {
                let (opcode, size) = (first & 0xf, usize::from(*size));
                let text = rest[..size].to_vec();
                self.unread.drain(..size + 2);
                return Some((opcode, text));
            }
            let mut buffer = [0; 4_096];
            match self.stream.read(&mut buffer) {
                Ok(0) => return None,
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
                Ok(size) => self.unread.extend_from_slice(&buffer[..size]),
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn says(&mut self, text: &str) {
        self.send(1, text.as_bytes());
        assert_eq!(self.frame(), Some((1, text.as_bytes().to_vec())));
    }

    /// Waits for the end of the session, told by a close.
    fn is_closed(&mut self, code: u16) {
        let asked = Instant::now();
        let (opcode, reason) = self.frame().expect("a close");
        assert_eq!((opcode, &reason[..2]), (8, code.to_be_bytes().as_slice()));
        assert_eq!(self.frame(), None);
        assert!(asked.elapsed() < SOON, "{:?}", asked.elapsed());
    }
}

on_each_store! {
    fn a_websocket_is_the_sessions_cafs_and_of_nobody_elses(kind: Kind) {
        let world = World::new(kind);
        world.caf921.script(echo());
        let client = world.at("921");
        let more = "X-Esat-Compte: autre@esat.example\r\nSec-WebSocket-Protocol: soap\r\n";
        let (head, mut socket) = ask(&world.gateway, &handshake(&world.gateway, &client, "/ws?a=b", more)).ok().unwrap();
        assert!(head.contains("\r\nupgrade: websocket\r\n") && head.contains("\r\nconnection: upgrade\r\n"), "{head}");
        assert!(head.contains(&format!("sec-websocket-accept: {}", ACCEPT.to_ascii_lowercase())), "{head}");
        assert!(head.contains("set-cookie: octroi-921-a=b"), "{head}");
        assert_eq!(socket.frame(), Some((1, b"salut".to_vec())));
        for text in ["un", "deux", &"x".repeat(100)] {
            socket.says(text);
        }
        let got = world.caf921.last();
        assert_eq!(got.line(), "GET /ws?a=b HTTP/1.1");
        assert_eq!((got.one("x-esat-compte"), got.one("x-caf-code")), (TWO_CAFS, "921"));
        assert_eq!((got.one("upgrade"), got.one("connection")), ("websocket", "upgrade"));
        assert_eq!((got.one("sec-websocket-key"), got.one("sec-websocket-protocol")), (KEY, "soap"));
        assert!(got.all("cookie").is_empty() && !got.one("x-octroi-assertion").is_empty());
        assert_eq!(world.caf751.bytes(), 0);
    }

    fn a_tunnel_ends_with_its_session(kind: Kind) {
        let mut world = World::new(kind);
        world.caf921.script(echo());
        let mut client = world.admitted();
        let mut socket = open(&world.gateway, &client);
        assert_eq!(client.post("/portail/deconnexion").program().send().status, 200);
        socket.is_closed(1_008);
        let mut socket = open(&world.gateway, &world.admitted());
        let suspended = world.gateway.admin().post(&format!("/v1/accounts/{ONE_CAF}/suspend")).send();
        assert!(suspended.status < 300, "{}", suspended.text());
        socket.is_closed(1_008);
        let mut client = world.at("921");
        let mut socket = open(&world.gateway, &client);
        client.post("/portail/caf").json(&json!({"caf": "751"})).send();
        socket.is_closed(1_008);
        let mut client = world.at("921");
        let mut socket = open(&world.gateway, &client);
        client.post("/portail/quitter").program().send();
        socket.is_closed(1_008);
        let mut socket = open(&world.gateway, &world.at("921"));
        // As many sessions as an account may have end the oldest.
        for _ in 0..5 {
            world.signed_in(TWO_CAFS);
        }
        socket.is_closed(1_008);
        let client = world.at("921");
        let mut socket = open(&world.gateway, &client);
        world.gateway.advance(30 * 60);
        socket.is_closed(1_008);
    }

    fn an_event_stream_ends_with_its_session(kind: Kind) {
        let world = World::new(kind);
        world.caf921.script(events());
        let mut client = world.admitted();
        let mut stream = connect(world.gateway.public);
        let head = format!("GET /flux HTTP/1.1\r\nHost: a\r\nCookie: {}\r\n\r\n", client.cookies());
        stream.write_all(head.as_bytes()).unwrap();
        let mut seen = Vec::new();
        while find(&seen, b"data: 3\n").is_none() {
            let mut buffer = [0; 4_096];
            let size = stream.read(&mut buffer).unwrap();
            assert!(size > 0);
            seen.extend_from_slice(&buffer[..size]);
        }
        client.post("/portail/deconnexion").program().send();
        let asked = Instant::now();
        while find(&seen, b"\r\n0\r\n\r\n").is_none() {
            let mut buffer = [0; 4_096];
            let size = stream.read(&mut buffer).unwrap();
            assert!(size > 0, "it ends whole");
            seen.extend_from_slice(&buffer[..size]);
        }
        assert!(asked.elapsed() < SOON, "{:?}", asked.elapsed());
    }
}

#[test]
fn an_event_stream_ends_with_its_session_though_nobody_reads_it() {
    let world = World::new(Kind::Embedded);
    let cut = Arc::new(AtomicBool::new(false));
    world.caf921.script(gush(&cut));
    let mut client = world.admitted();
    let mut stream = connect(world.gateway.public);
    let head = format!("GET /flux HTTP/1.1\r\nHost: a\r\nCookie: {}\r\n\r\n", client.cookies());
    stream.write_all(head.as_bytes()).unwrap();
    stream.read_exact(&mut [0; 16]).unwrap();
    assert!(!cut.load(Ordering::SeqCst));
    client.post("/portail/deconnexion").program().send();
    within(SOON, "its place at the backend is free", || cut.load(Ordering::SeqCst));
    // What was under way comes to an end, and the connection with it.
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    assert!(!rest.ends_with(b"\r\n0\r\n\r\n"), "it does not end as if it were whole");
}

/// Events as fast as they are taken; `cut` once no more are.
fn gush(cut: &Arc<AtomicBool>) -> Script {
    let cut = Arc::clone(cut);
    Arc::new(move |_, stream| {
        let _ = stream.write_all(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
        );
        let event = format!("data: {}\n\n", "x".repeat(60_000));
        let chunk = format!("{:x}\r\n{event}\r\n", event.len());
        while stream.write_all(chunk.as_bytes()).is_ok() {}
        cut.store(true, Ordering::SeqCst);
        Then::Close
    })
}

/// An event every 50 ms, without end.
fn events() -> Script {
    Arc::new(|_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n");
        for number in 1.. {
            let event = format!("data: {number}\n\n");
            if stream.write_all(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes()).is_err() {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Then::Close
    })
}

#[test]
fn a_tunnel_of_a_volet_ends_with_its_season() {
    let mut world = World::new(Kind::Embedded);
    world.gateway.set_clock("2027-02-28T23:50:00+01:00");
    world.gateway.accounts(&[account("hiver@esat.example", SIRET, &["921"])]);
    world.caf921.script(echo());
    let client = world.signed_in("hiver@esat.example");
    let request = handshake(&world.gateway, &client, "/teleprocedure/certificat-emploi/ws", "");
    let mut socket = ask(&world.gateway, &request).ok().unwrap().1;
    assert_eq!(socket.frame(), Some((1, b"salut".to_vec())));
    let mut other = open(&world.gateway, &client);
    world.gateway.advance(600);
    socket.is_closed(1_008);
    other.says("encore là");
}

#[test]
fn an_end_at_another_replica_ends_the_tunnel_here() {
    let world = World::new(Kind::Redis);
    let replica = world.replica();
    world.caf921.script(echo());
    let client = world.admitted();
    let mut socket = open(&world.gateway, &client);
    assert_eq!(replica.known(&client).post("/portail/deconnexion").program().send().status, 200);
    socket.is_closed(1_008);
}

#[test]
fn a_tunnel_does_not_outlive_its_store_for_long() {
    let mut world = World::new(Kind::Redis);
    world.caf921.script(echo());
    let client = world.admitted();
    let mut socket = open(&world.gateway, &client);
    world.redis.as_mut().unwrap().kill();
    let asked = Instant::now();
    let (opcode, reason) = socket.frame().expect("a close");
    assert_eq!((opcode, &reason[..2]), (8, 1_013_u16.to_be_bytes().as_slice()), "try again later");
    assert!(asked.elapsed() < 2 * SOON, "{:?}", asked.elapsed());
}

#[test]
fn only_what_its_user_sends_keeps_the_session_alive() {
    let mut world = World::with(Kind::Embedded, |settings| {
        settings.set("session", "passive_paths", r#"["/sondage"]"#);
    });
    world.caf921.script(echo());
    let client = world.admitted();
    let mut socket = open(&world.gateway, &client);
    let left = |_: &World| {
        let mut client = client.clone();
        let session = client.get("/portail/session").program().send().json();
        session["session"]["expire_dans_s"].as_i64()
    };
    world.gateway.advance(600);
    socket.send(10, b"pong");
    assert_eq!(socket.frame(), Some((10, b"pong".to_vec())), "the backend heard it and answered");
    assert_eq!(left(&world), Some(1_200), "a browser answers pings by itself");
    socket.says("bonjour");
    within(SOON, "a message is an action", || left(&world) == Some(1_800));
    world.gateway.advance(600);
    let passive = handshake(&world.gateway, &client, "/sondage", "");
    let mut passive = ask(&world.gateway, &passive).ok().unwrap().1;
    assert_eq!(passive.frame(), Some((1, b"salut".to_vec())));
    passive.says("rien de neuf ?");
    assert_eq!(left(&world), Some(1_200), "there, pages ask by themselves");
    world.gateway.advance(1_200);
    socket.send(1, b"trop tard");
    within(SOON, "a dead session stays dead", || client.clone().get("/d").program().send().status == 401);
}

#[test]
fn no_other_site_opens_a_websocket() {
    let world = World::new(Kind::Embedded);
    world.caf921.script(echo());
    let client = world.admitted();
    let own = String::from_utf8(handshake(&world.gateway, &client, "/ws", "")).unwrap();
    let origin = format!("Origin: http://{}\r\n", world.gateway.public);
    for foreign in [
        "Origin: http://evil.example\r\n",
        "Origin: null\r\n",
        "Sec-Fetch-Site: cross-site\r\n",
        "Sec-Fetch-Site: same-site\r\nOrigin: http://evil.example\r\n",
    ] {
        let refused = ask(&world.gateway, own.replace(&origin, foreign).as_bytes()).err().expect("refused");
        assert_eq!(refused.problem(), (403, "origine-refusee".to_owned()), "{foreign}");
    }
    assert_eq!(world.caf921.bytes(), 0);
    assert!(ask(&world.gateway, own.replace(&origin, "").as_bytes()).is_ok(), "a program names no origin");
}

#[test]
fn only_an_admitted_request_opens_a_websocket_and_only_a_websocket() {
    let world = World::new(Kind::Embedded);
    world.caf921.script(echo());
    let stranger = ask(&world.gateway, &handshake(&world.gateway, &world.gateway.client(), "/ws", ""));
    assert_eq!(stranger.err().expect("refused").problem(), (401, "session-absente".to_owned()));
    let unready = world.signed_in(TWO_CAFS);
    let refused = ask(&world.gateway, &handshake(&world.gateway, &unready, "/ws", ""));
    assert_eq!(refused.err().expect("refused").problem(), (403, "caf-a-choisir".to_owned()));
    assert_eq!(world.caf921.bytes(), 0);
    let client = world.admitted();
    let request = String::from_utf8(handshake(&world.gateway, &client, "/ws", "")).unwrap();
    let not_one = [
        request.replace("Upgrade: WebSocket", "Upgrade: h2c"),
        request.replace("keep-alive, Upgrade", "keep-alive"),
        request.replace("GET ", "PUT "),
        request.replace("HTTP/1.1", "HTTP/1.0"),
    ];
    for request in not_one {
        let plain = ask(&world.gateway, request.as_bytes()).err().expect("an answer in HTTP");
        assert_eq!((plain.status, plain.text().as_str()), (200, "Caf 921"), "{request}");
        let got: Received = world.caf921.last();
        assert!(got.all("upgrade").is_empty() && got.all("connection").is_empty(), "{}", got.head);
    }
    world.caf921.script(respond("HTTP/1.1 403 Forbidden\r\nContent-Length: 3\r\n\r\nnon"));
    let declined = ask(&world.gateway, request.as_bytes()).err().expect("declined");
    assert_eq!((declined.status, declined.text().as_str()), (403, "non"));
    world
        .caf921
        .script(respond("HTTP/1.1 101 Switching Protocols\r\nUpgrade: autre\r\nConnection: Upgrade\r\n\r\n"));
    let wrong = ask(&world.gateway, request.as_bytes()).err().expect("refused");
    assert_eq!(wrong.problem(), (502, "caf-indisponible".to_owned()));
}

#[test]
fn what_is_sent_before_the_answer_belongs_to_the_tunnel_or_to_the_next_request() {
    let world = World::new(Kind::Embedded);
    world.caf921.script(echo());
    let client = world.admitted();
    let mut early = handshake(&world.gateway, &client, "/ws", "");
    early.extend_from_slice(&[0x81, 0x83, 0, 0, 0, 0, b't', 0xc3, 0xb4]);
    let mut socket = ask(&world.gateway, &early).ok().unwrap().1;
    assert_eq!(socket.frame(), Some((1, b"salut".to_vec())));
    assert_eq!(socket.frame(), Some((1, "tô".as_bytes().to_vec())));
    let declined = String::from_utf8(handshake(&world.gateway, &client, "/1", "")).unwrap();
    let declined = declined.replace("Upgrade: WebSocket", "Upgrade: h2c");
    let next =
        format!("GET /2 HTTP/1.1\r\nHost: a\r\nConnection: close\r\nCookie: {}\r\n\r\n", client.cookies());
    let mut stream = connect(world.gateway.public);
    stream.write_all(format!("{declined}{next}").as_bytes()).unwrap();
    let mut answers = String::new();
    stream.read_to_string(&mut answers).unwrap();
    assert_eq!(answers.matches("HTTP/1.1 200").count(), 2, "{answers}");
    assert_eq!(world.caf921.last().line(), "GET /2 HTTP/1.1");
    let hidden = format!("{declined}GET /3 HTTP/1.1\nHost: a\n\n");
    let mut stream = connect(world.gateway.public);
    stream.write_all(hidden.as_bytes()).unwrap();
    let mut answers = String::new();
    stream.read_to_string(&mut answers).unwrap();
    assert_eq!(
        (answers.matches("HTTP/1.1 200").count(), answers.matches("HTTP/1.1 400").count()),
        (1, 1),
        "{answers}"
    );
}

#[test]
fn a_session_has_so_many_tunnels() {
    let world = World::with(Kind::Embedded, |settings| {
        settings.set("limits", "tunnels_per_session", "2");
    });
    world.caf921.script(echo());
    let client = world.admitted();
    let first = open(&world.gateway, &client);
    let _second = open(&world.gateway, &client);
    let request = handshake(&world.gateway, &client, "/ws", "");
    let refused = ask(&world.gateway, &request).err().expect("refused");
    assert_eq!(refused.problem(), (429, "trop-de-requetes".to_owned()));
    assert!(refused.header("retry-after").is_some());
    open(&world.gateway, &world.admitted());
    drop(first);
    within(SOON, "a place is free again", || ask(&world.gateway, &request).is_ok());
}

#[test]
fn a_tunnel_has_the_place_of_its_connection() {
    let world = World::with(Kind::Embedded, |settings| {
        settings.set("server", "workers", "1").set("server", "max_connections", "2");
    });
    world.caf921.script(echo());
    let client = world.admitted();
    let tunnels = [open(&world.gateway, &client), open(&world.gateway, &client)];
    let mut waiting = connect(world.gateway.public);
    waiting.write_all(b"GET /portail/session HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    within(SOON, "the operator is told", || {
        world.gateway.logs().contains("server.max_connections is reached")
    });
    drop(tunnels);
    assert_eq!(read_response(&mut waiting, false).expect("an answer").status, 401);
}

#[test]
fn a_side_that_leaves_takes_the_other_along() {
    let world = World::new(Kind::Embedded);
    world.caf921.script(Arc::new(|got, stream| {
        let _ = speak(&[0x88, 2, 3, 0xe8])(
            &Received { head: got.head.clone(), body: Vec::new() },
            &mut stream.try_clone().unwrap(),
        );
        Then::Close
    }));
    let client = world.admitted();
    let mut socket = ask(&world.gateway, &handshake(&world.gateway, &client, "/ws", "")).ok().unwrap().1;
    assert_eq!(socket.frame(), Some((8, vec![3, 0xe8])));
    socket.stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(socket.frame(), None);
}

#[test]
fn the_drain_waits_for_tunnels_and_closes_them_at_its_end() {
    let mut world = World::with(Kind::Embedded, |settings| {
        settings.set("server", "drain_timeout", r#""3s""#);
    });
    world.caf921.script(echo());
    let client = world.admitted();
    let mut socket = open(&world.gateway, &client);
    world.gateway.terminate();
    within(SOON, "no connection is accepted any more", || TcpStream::connect(world.gateway.public).is_err());
    socket.says("encore là");
    socket.is_closed(1_001);
    assert!(world.gateway.ended().success());
}

#[test]
fn a_websocket_speaks_http_1_also_to_a_backend_that_speaks_http_2_otherwise() {
    let world = World::with(Kind::Embedded, |settings| {
        settings.caf_line("protocol = \"http2\"");
    });
    world.caf751.script(echo());
    let client = world.at("751");
    let (_, mut socket) = ask(&world.gateway, &handshake(&world.gateway, &client, "/ws", "")).ok().unwrap();
    assert_eq!(socket.frame(), Some((1, b"salut".to_vec())));
    socket.says("bonjour");
    assert_eq!(world.caf751.last().line(), "GET /ws HTTP/1.1");
}
