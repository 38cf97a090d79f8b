//! HTTP/2 frame by frame (RFC 9113): what is malformed reaches no backend, what floods ends, and a WebSocket (RFC 8441).

use std::io::{Read as _, Write as _};
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use crate::harness::backend::{Then, respond};
use crate::harness::world::{PASSWORD, SIRET, account};
use crate::harness::{eventually, within};
use crate::parked::full_backend;
use crate::tls::{Secured, Stream, ask, config, connect, secured, secured_with, sign_in_request};

const HOST: &str = "esat.extranet.example";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// A connection on which frames are sent as they are.
struct Raw {
    stream: Stream,
    unread: Vec<u8>,
}

/// What came of a request.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Status(u16),
    Reset(u32),
    GoAway(u32),
    Closed,
}

#[derive(Debug)]
struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

type Fields<'a> = Vec<(&'a str, &'a str)>;

impl Raw {
    fn open(secured: &Secured) -> Self {
        let stream = connect(secured.world.gateway.public, config(&rustls::version::TLS13, &["h2"]));
        stream.sock.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut raw = Self { stream, unread: Vec::new() };
        raw.stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
        raw.send(SETTINGS, 0, 0, &[]);
        raw
    }

    fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let _ = self.stream.write_all(&frame(kind, flags, stream, payload));
    }

    fn ask(&mut self, fields: &Fields<'_>, ends: bool) {
        let block = block(fields);
        let mut kind = HEADERS;
        let mut flags = if ends { END_STREAM } else { 0 };
        let mut pieces = block.chunks(16_384).peekable();
        while let Some(piece) = pieces.next() {
            flags |= if pieces.peek().is_none() { END_HEADERS } else { 0 };
            self.send(kind, flags, 1, piece);
            (kind, flags) = (CONTINUATION, 0);
        }
    }

    /// The next frame; `None` at the connection's end.
    fn frame(&mut self) -> Option<Frame> {
        loop {
            if self.unread.len() >= 9 {
                let size = usize::from(self.unread[0]) << 16
                    | usize::from(self.unread[1]) << 8
                    | usize::from(self.unread[2]);
                if self.unread.len() >= 9 + size {
                    let bytes: Vec<u8> = self.unread.drain(..9 + size).collect();
                    let stream = u32::from_be_bytes([bytes[5] & 0x7f, bytes[6], bytes[7], bytes[8]]);
                    return Some(Frame {
                        kind: bytes[3],
                        flags: bytes[4],
                        stream,
                        payload: bytes[9..].to_vec(),
                    });
                }
            }
            let mut buffer = [0; 16_384];
            match self.stream.read(&mut buffer) {
                Ok(size @ 1..) => self.unread.extend_from_slice(&buffer[..size]),
                _ => return None,
            }
        }
    }

    /// What the first stream, or the connection, comes to.
    fn outcome(&mut self) -> Outcome {
        let code = |payload: &[u8]| u32::from_be_bytes(payload.try_into().unwrap());
        loop {
            match self.frame() {
                None => return Outcome::Closed,
                Some(Frame { kind: GOAWAY, payload, .. }) => return Outcome::GoAway(code(&payload[4..8])),
                Some(Frame { kind: RST_STREAM, stream: 1, payload, .. }) => {
                    return Outcome::Reset(code(&payload));
                }
                Some(Frame { kind: HEADERS, stream: 1, payload, .. }) => {
                    return Outcome::Status(status(&payload));
                }
                Some(_) => {}
            }
        }
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let size = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&size[1..], &[kind, flags], stream.to_be_bytes().as_slice(), payload].concat()
}

/// HPACK, each field as a literal (RFC 7541 section 6.2.2).
fn block(fields: &Fields<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in fields {
        bytes.push(0);
        for text in [name, value] {
            let mut size = text.len();
            if size < 127 {
                bytes.push(u8::try_from(size).unwrap());
            } else {
                bytes.push(127);
                size -= 127;
                while size >= 128 {
                    bytes.push(u8::try_from(size % 128).unwrap() | 128);
                    size /= 128;
                }
                bytes.push(u8::try_from(size).unwrap());
            }
            bytes.extend_from_slice(text.as_bytes());
        }
    }
    bytes
}

/// The status that a header block begins with, from the static table or as three digits (RFC 7541 appendix A, B).
fn status(block: &[u8]) -> u16 {
    // A change of the table's size may come first.
    let block = if block[0] & 0xe0 == 0x20 { &block[1..] } else { block };
    match block {
        [indexed @ 0x88..=0x8e, ..] => [200, 204, 206, 304, 400, 404, 500][usize::from(indexed - 0x88)],
        [_, size, text @ ..] if size & 0x80 == 0 => {
            std::str::from_utf8(&text[..usize::from(*size)]).unwrap().parse().unwrap()
        }
        [_, size, text @ ..] => {
            let bytes = &text[..usize::from(size & 0x7f)];
            let bits = bytes.iter().map(|byte| format!("{byte:08b}")).collect::<Vec<_>>().concat();
            let (mut digits, mut bits) = (0, bits.as_str());
            for _ in 0..3 {
                let short = u16::from_str_radix(&bits[..5], 2).unwrap();
                let (digit, size) = if short < 3 {
                    (short, 5)
                } else {
                    (u16::from_str_radix(&bits[..6], 2).unwrap() - 0b01_1001 + 3, 6)
                };
                digits = digits * 10 + digit;
                bits = &bits[size..];
            }
            digits
        }
        _ => panic!("{block:?}"),
    }
}

fn cookie(secured: &Secured) -> String {
    let answer = ask(secured.world.gateway.public, config(&rustls::version::TLS13, &[]), &sign_in_request());
    answer.header("set-cookie").unwrap().split(';').next().unwrap().to_owned()
}

/// A good request, less the fields that `more` has too, then `more`.
fn request<'a>(cookie: &'a str, more: &[(&'a str, &'a str)]) -> Fields<'a> {
    let good = [(":method", "POST"), (":scheme", "https"), (":authority", HOST), (":path", "/d")];
    let mut fields: Fields<'_> =
        good.into_iter().filter(|(name, _)| !more.iter().any(|(other, _)| other == name)).collect();
    fields.extend(more.iter().filter(|(name, value)| name.starts_with(':') && *value != "-"));
    fields.push(("cookie", cookie));
    fields.extend(more.iter().filter(|(name, value)| !name.starts_with(':') && *value != "-"));
    fields
}

#[test]
fn what_is_malformed_reaches_no_backend() {
    let secured = secured();
    let cookie = cookie(&secured);
    let long = "a".repeat(70_000);
    let malformed: &[&[(&str, &str)]] = &[
        &[("X-Upper", "a")],
        &[("connection", "close")],
        &[("connection", "x-esat-compte")],
        &[("transfer-encoding", "chunked")],
        &[("upgrade", "websocket")],
        &[("keep-alive", "1")],
        &[("proxy-connection", "close")],
        &[("te", "gzip")],
        &[("te", "trailers, chunked")],
        &[(":method", "-")],
        &[(":scheme", "-")],
        &[(":path", "-")],
        &[(":path", "")],
        &[(":path", "/a"), (":path", "/b")],
        &[(":method", "GET"), (":method", "POST")],
        &[(":authority", "a"), (":authority", "b")],
        &[(":status", "200")],
        &[(":unknown", "a")],
        &[(":path", "a")],
        &[(":path", "/a b")],
        &[(":path", "/a\r\nb")],
        &[(":path", "//a")],
        &[(":path", "/a%2Fb")],
        &[(":path", "/a\\b")],
        &[(":path", "*")],
        &[(":method", "G T")],
        &[(":method", "GET\r\n")],
        &[(":authority", "a@esat.extranet.example")],
        &[(":authority", "a/b")],
        &[("host", "evil.example")],
        &[("host", HOST), ("host", HOST)],
        &[("a", "b\r\nx-esat-compte: pirate")],
        &[("a", "b\nc")],
        &[("a", "b\rc")],
        &[("a", "b\0c")],
        &[("a\r\nb", "c")],
        &[("a b", "c")],
        &[("a:b", "c")],
        &[("", "c")],
        &[("x-caf-code", "751")],
        &[("content-length", "5")],
        &[("content-length", "0"), ("content-length", "5")],
        &[("content-length", "+0")],
        &[("content-length", "0, 0")],
        &[("content-length", " 0")],
        &[("a", " b")],
        &[("a", "b\t")],
        &[("a", &long)],
        &[(":method", "CONNECT")],
        &[(":method", "CONNECT"), (":protocol", "connect-udp")],
        &[(":method", "GET"), (":protocol", "websocket")],
        &[(":method", "TRACE")],
        &[("cookie", "__Host-octroi=0000000000000000000000000000000000000000000000000000000000000000")],
    ];
    for more in malformed {
        let mut raw = Raw::open(&secured);
        raw.ask(&request(&cookie, more), true);
        let outcome = raw.outcome();
        let is_refused = match outcome {
            Outcome::Status(status) => [400, 405, 409, 431].contains(&status),
            Outcome::Reset(code) | Outcome::GoAway(code) => [1, 2, 9].contains(&code),
            Outcome::Closed => false,
        };
        let shown: Vec<String> = more.iter().map(|(name, value)| format!("{name}: {value:.40}")).collect();
        assert!(is_refused, "{shown:?}: {outcome:?}");
        assert_eq!(secured.world.caf921.bytes(), 0, "{shown:?}: {outcome:?}");
    }
    let mut raw = Raw::open(&secured);
    raw.ask(&request(&cookie, &[]), true);
    assert_eq!(raw.outcome(), Outcome::Status(200), "and what is well-formed does");
}

#[test]
fn a_body_has_the_length_that_was_said() {
    let secured = secured();
    let cookie = cookie(&secured);
    for (said, body) in [("5", "abc"), ("2", "abc")] {
        let mut raw = Raw::open(&secured);
        raw.ask(&request(&cookie, &[("content-length", said)]), false);
        raw.send(DATA, END_STREAM, 1, body.as_bytes());
        let outcome = raw.outcome();
        assert!(
            matches!(outcome, Outcome::Reset(_) | Outcome::GoAway(_) | Outcome::Status(400)),
            "{said} {body}: {outcome:?}"
        );
        assert_eq!(secured.world.caf921.count(), 0, "no whole request came: {said} {body}");
    }
}

/// Some clients take the reset that says to send no more for the answer's end (curl 7.88).
#[test]
fn an_answer_that_wants_no_body_resets_nobody_who_sends_it_in_time() {
    let secured = secured();
    let cookie = cookie(&secured);
    let body = vec![b'x'; 16_000];
    let mut raw = Raw::open(&secured);
    raw.ask(&request(&cookie, &[(":path", "/portail/nulle-part"), ("accept", "application/json")]), false);
    assert_eq!(raw.outcome(), Outcome::Status(404));
    for _ in 0..4 {
        raw.send(DATA, 0, 1, &body);
    }
    raw.send(DATA, END_STREAM, 1, b"");
    raw.send(PING, 0, 0, b"whether.");
    loop {
        let frame = raw.frame().expect("a pong");
        assert_ne!(frame.kind, RST_STREAM, "{frame:?}");
        if frame.kind == PING && frame.flags == 1 {
            break;
        }
    }
}

#[test]
fn the_way_down_to_http_1_adds_nothing() {
    let secured = secured();
    let cookie = cookie(&secured);
    let mut raw = Raw::open(&secured);
    let more = [
        ("cookie", "a=b"),
        ("cookie", "c=d"),
        ("te", "trailers"),
        ("host", HOST),
        ("x-a", "1"),
        ("x-a", "2"),
    ];
    raw.ask(&request(&cookie, &more), false);
    raw.send(DATA, 0, 1, b"abc");
    raw.send(HEADERS, END_HEADERS | END_STREAM, 1, &block(&vec![("x-somme", "42")]));
    assert_eq!(raw.outcome(), Outcome::Status(200));
    let got = secured.world.caf921.last();
    assert_eq!(got.line(), "POST /d HTTP/1.1");
    assert_eq!((got.one("cookie"), got.one("host"), got.one("te")), ("a=b; c=d", HOST, "trailers"));
    assert_eq!((got.one("transfer-encoding"), got.all("content-length").len()), ("chunked", 0));
    assert_eq!((got.all("x-a"), &got.body[..]), (vec!["1", "2"], &b"abc"[..]));
    assert!(!got.head.contains(":authority") && !got.head.contains(":path"), "{}", got.head);
}

#[test]
fn trailers_of_a_backend_come_last() {
    let secured = secured();
    secured.world.caf921.script(crate::harness::backend::respond(
        "HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\ngrpc-status: 0\r\n\r\n",
    ));
    let cookie = cookie(&secured);
    let mut raw = Raw::open(&secured);
    raw.ask(&request(&cookie, &[("te", "trailers"), ("content-type", "application/grpc")]), true);
    let mut kinds = Vec::new();
    while let Some(frame) = raw.frame() {
        if frame.stream == 1 && [HEADERS, DATA].contains(&frame.kind) {
            kinds.push((frame.kind, frame.flags & END_STREAM));
        }
        if frame.stream == 1 && frame.flags & END_STREAM != 0 {
            break;
        }
    }
    assert_eq!(kinds, [(HEADERS, 0), (DATA, 0), (HEADERS, END_STREAM)]);
}

#[test]
fn resets_in_a_hurry_end_the_connection() {
    let secured = secured();
    let cookie = cookie(&secured);
    let mut raw = Raw::open(&secured);
    let ask = block(&request(&cookie, &[]));
    for burst in 0..50_u32 {
        let mut bytes = Vec::new();
        for number in 0..100 {
            let stream = (burst * 100 + number) * 2 + 1;
            bytes.extend(frame(HEADERS, END_HEADERS, stream, &ask));
            bytes.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
        }
        if raw.stream.write_all(&bytes).is_err() {
            break;
        }
    }
    let end = loop {
        match raw.frame() {
            Some(Frame { kind: GOAWAY, payload, .. }) => break payload[7],
            Some(_) => {}
            None => break 0,
        }
    };
    assert!([0, 11].contains(&end), "{end}");
    assert!(secured.world.caf921.count() < 100, "{}", secured.world.caf921.count());
    let mut other = Raw::open(&secured);
    other.ask(&request(&cookie, &[]), true);
    assert_eq!(other.outcome(), Outcome::Status(200), "others are served");
}

#[test]
fn a_head_without_end_ends_the_connection() {
    let secured = secured();
    let cookie = cookie(&secured);
    let mut raw = Raw::open(&secured);
    raw.send(HEADERS, 0, 1, &block(&request(&cookie, &[])));
    let piece = block(&vec![("a", &"b".repeat(4_000)); 4]);
    let mut sent = 0;
    for _ in 0..4_000 {
        if raw.stream.write_all(&frame(CONTINUATION, 0, 1, &piece)).is_err() {
            break;
        }
        sent += piece.len();
    }
    let outcome = raw.outcome();
    assert!(
        matches!(outcome, Outcome::GoAway(_) | Outcome::Reset(_) | Outcome::Status(431) | Outcome::Closed),
        "{outcome:?}"
    );
    assert!(sent < 20 << 20, "{sent} bytes were taken");
    assert_eq!(secured.world.caf921.bytes(), 0);
}

/// As over HTTP/1.1.
#[test]
fn heads_have_a_largest_size_and_so_many_fields() {
    let secured = secured();
    let cookie = cookie(&secured);
    let sized = |size: usize, fields: usize| {
        let mut raw = Raw::open(&secured);
        let value = "a".repeat(size / fields);
        let names: Vec<String> = (0..fields).map(|number| format!("x-champ-{number}")).collect();
        let more: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), value.as_str())).collect();
        raw.ask(&request(&cookie, &more), true);
        raw.outcome()
    };
    assert_eq!((sized(40_000, 1), sized(400, 80)), (Outcome::Status(200), Outcome::Status(200)));
    assert_eq!((sized(70_000, 1), sized(400, 120)), (Outcome::Status(431), Outcome::Status(431)));
    let crumbs: Vec<(&str, &str)> = (0..120).map(|_| ("cookie", "a=b")).collect();
    let mut raw = Raw::open(&secured);
    raw.ask(&request(&cookie, &crumbs), true);
    assert_eq!(raw.outcome(), Outcome::Status(200), "one list of cookies, in crumbs");
    assert_eq!(secured.world.caf921.count(), 3);
}

#[test]
fn a_client_cannot_fill_the_log() {
    let secured = secured();
    let mut raw = Raw::open(&secured);
    for _ in 0..5_000 {
        // Answers to pings that nobody sent.
        raw.send(PING, 1, 0, b"12345678");
    }
    raw.send(PING, 0, 0, b"la fin !");
    eventually("all was read", || raw.frame().is_none_or(|frame| frame.kind == PING && frame.flags == 1));
    let log = secured.world.gateway.logs();
    assert!(log.len() < 100_000, "{} bytes", log.len());
}

#[test]
fn pings_and_settings_are_answered_and_no_more_than_asked() {
    let secured = secured();
    let mut raw = Raw::open(&secured);
    raw.send(PING, 0, 0, b"12345678");
    let pong = loop {
        let frame = raw.frame().expect("a frame");
        if frame.kind == PING {
            break frame;
        }
    };
    assert_eq!((pong.flags, pong.payload.as_slice()), (1, b"12345678".as_slice()));
}

const HERE: &str = "https://esat.extranet.example";

/// Asks for a WebSocket.
fn handshake(secured: &Secured, cookie: &str, origin: &str) -> Raw {
    let more = [
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":path", "/ws?a"),
        ("origin", origin),
        ("sec-websocket-version", "13"),
    ];
    let mut raw = Raw::open(secured);
    let settings = raw.frame().expect("settings");
    let is_offered = settings.payload.chunks(6).any(|setting| setting == [0, 8, 0, 0, 0, 1]);
    assert!(is_offered, "RFC 8441: {settings:?}");
    raw.ask(&request(cookie, &more), false);
    raw
}

#[test]
fn a_websocket_over_http_2() {
    let secured = secured();
    secured.world.caf921.script(Arc::new(|got, stream| {
        let key = got.one("sec-websocket-key");
        let whole = [key.as_bytes(), b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"].concat();
        let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY, &whole);
        let accept = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, hash);
        let _ = write!(
            stream,
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
        );
        let mut buffer = [0; 4_096];
        while let Ok(size @ 1..) = stream.read(&mut buffer) {
            if stream.write_all(&buffer[..size]).is_err() {
                break;
            }
        }
        Then::Close
    }));
    let cookie = cookie(&secured);
    assert_eq!(handshake(&secured, &cookie, "https://evil.example").outcome(), Outcome::Status(403));
    assert_eq!(secured.world.caf921.bytes(), 0);
    let mut raw = handshake(&secured, &cookie, HERE);
    assert_eq!(raw.outcome(), Outcome::Status(200));
    let got = secured.world.caf921.last();
    assert_eq!((got.line(), got.one("sec-websocket-version")), ("GET /ws?a HTTP/1.1", "13"));
    raw.send(DATA, 0, 1, &[0x81, 0x82, 0, 0, 0, 0, b'o', b'k']);
    let mut echoed = Vec::new();
    while echoed.len() < 8 {
        let frame = raw.frame().expect("a frame");
        if (frame.kind, frame.stream) == (DATA, 1) {
            echoed.extend(frame.payload);
        }
    }
    assert_eq!(echoed[6..], *b"ok");
    let mut client = secured.world.gateway.client();
    let (name, token) = cookie.split_once('=').unwrap();
    client.jar.insert(name.to_owned(), token.to_owned());
    let account = format!("/v1/accounts/{}/suspend", crate::harness::world::ONE_CAF);
    assert!(secured.world.gateway.admin().post(&account).send().status < 300);
    within(Duration::from_secs(5), "the session's end ends it", || {
        let frame = raw.frame();
        frame.is_none_or(|frame| frame.kind == DATA && frame.payload.starts_with(&[0x88]))
    });
}

#[test]
fn a_websocket_that_the_backend_does_not_open_is_not_told_to_be_open() {
    let secured = secured();
    let cookie = cookie(&secured);
    for (answer, told) in [("200 OK", 502), ("204 No Content", 502), ("404 Not Found", 404)] {
        secured.world.caf921.script(respond(&format!("HTTP/1.1 {answer}\r\nContent-Length: 0\r\n\r\n")));
        assert_eq!(handshake(&secured, &cookie, HERE).outcome(), Outcome::Status(told), "{answer}");
    }
}

#[test]
fn a_late_form_that_reaches_nobody_waits_again_though_its_stream_is_reset() {
    const PATH: &str = "/saisie";
    let (_full, address) = full_backend();
    let mut secured = secured_with(|settings| {
        settings.set("backend", "connect_timeout", "\"5s\"").caf(
            "131",
            "Caf des Bouches-du-Rhône",
            &[address],
        );
    });
    secured.world.gateway.accounts(&[account("sud@esat.example", SIRET, &["131"])]);
    secured.world.gateway.establishments(&[json!({"caf": "131", "siret": SIRET})]);
    let public = secured.world.gateway.public;
    let call = |head: &str, cookies: &str, body: &str| {
        let length = body.len();
        let head = format!(
            "{head}\r\nHost: {HOST}\r\nConnection: close\r\nCookie: {cookies}\r\nContent-Length: {length}"
        );
        ask(public, config(&rustls::version::TLS13, &[]), &format!("{head}\r\n\r\n{body}"))
    };
    let person = json!({"identifiant": "sud@esat.example", "mot_de_passe": PASSWORD}).to_string();
    let sign_in = || {
        let answer =
            call("POST /portail/connexion HTTP/1.1\r\nContent-Type: application/json", "a=b", &person);
        answer.header("set-cookie").unwrap().split(';').next().unwrap().to_owned()
    };
    let dead = sign_in();
    secured.world.gateway.advance(1_800);
    let head =
        "POST /saisie HTTP/1.1\r\nAccept: text/html\r\nContent-Type: application/x-www-form-urlencoded";
    let late = call(head, &dead, "a=b");
    let ticket = late.header("set-cookie").expect("it is kept").split(';').next().unwrap();
    let cookies = format!("{}; {ticket}", sign_in());
    let waiting = || {
        call("GET /portail/declaration-en-attente HTTP/1.1\r\nAccept: application/json", &cookies, "").json()
    };
    let told = waiting();
    let word = format!("octroi-attente={}", told["envoi"]["valeur"].as_str().unwrap());
    let length = word.len().to_string();
    let mut raw = Raw::open(&secured);
    let kind = ("content-type", "application/x-www-form-urlencoded");
    raw.ask(&request(&cookies, &[(":path", PATH), kind, ("content-length", &length)]), false);
    raw.send(DATA, END_STREAM, 1, word.as_bytes());
    eventually("it is on its way", || waiting().is_null());
    raw.send(RST_STREAM, 0, 1, &8_u32.to_be_bytes());
    raw.send(PING, 0, 0, &[0; 8]);
    // What answers the ping has read of the reset.
    while raw.frame().expect("an answer").kind != PING {}
    eventually("it waits again", || waiting()["chemin"] == PATH);
}
