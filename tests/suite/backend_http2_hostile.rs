//! Backends that speak HTTP/2 badly or with malice, frame by frame (RFC 9113), and clients that aim at good ones.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::harness::eventually;
use crate::harness::gateway::Settings;
use crate::harness::modern::{Modern, text};
use crate::harness::world::{Kind, SIRET, World, account};

const SOUTH: &str = "sud@esat.example";

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const PUSH: u8 = 5;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// `:status: 200` in HPACK's static table (RFC 7541 appendix A).
const OK: &[u8] = &[0x88];

/// A backend that does what it likes with the head of each request.
struct Raw {
    address: SocketAddr,
    requests: Arc<AtomicUsize>,
    connections: Arc<AtomicUsize>,
}

/// One frame of a backend's connection: what to answer to the `usize`th request of all, on a stream.
type Script = dyn Fn(&mut Wire, u32, usize) + Send + Sync;

struct Wire {
    stream: TcpStream,
    /// Of this connection, from 0.
    number: usize,
}

impl Wire {
    fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut frame = vec![length[1], length[2], length[3], kind, flags];
        frame.extend_from_slice(&stream.to_be_bytes());
        frame.extend_from_slice(payload);
        let _ = self.stream.write_all(&frame);
    }

    fn answer(&mut self, stream: u32, text: &str) {
        self.send(HEADERS, END_HEADERS, stream, OK);
        self.send(DATA, END_STREAM, stream, text.as_bytes());
    }

    fn frame(&mut self) -> Option<(u8, u8, u32)> {
        let mut head = [0; 9];
        self.stream.read_exact(&mut head).ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        self.stream.read_exact(&mut vec![0; length as usize]).ok()?;
        Some((head[3], head[4], u32::from_be_bytes([head[5], head[6], head[7], head[8]])))
    }
}

impl Raw {
    fn start(
        settings: &'static [u8],
        script: impl Fn(&mut Wire, u32, usize) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (requests, connections) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let (asked, connected, script) =
            (Arc::clone(&requests), Arc::clone(&connections), Arc::new(script) as Arc<Script>);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let number = connected.fetch_add(1, Ordering::SeqCst);
                let (asked, script) = (Arc::clone(&asked), Arc::clone(&script));
                let wire = Wire { stream: stream.unwrap(), number };
                std::thread::spawn(move || serve(wire, settings, &asked, &*script));
            }
        });
        Self { address, requests, connections }
    }

    fn count(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

fn serve(mut wire: Wire, settings: &[u8], asked: &AtomicUsize, script: &Script) {
    if wire.stream.read_exact(&mut [0; 24]).is_err() {
        return;
    }
    wire.send(SETTINGS, 0, 0, settings);
    while let Some((kind, flags, stream)) = wire.frame() {
        match kind {
            SETTINGS if flags & 1 == 0 => wire.send(SETTINGS, 1, 0, &[]),
            HEADERS => script(&mut wire, stream, asked.fetch_add(1, Ordering::SeqCst)),
            _ => {}
        }
    }
}

/// A world with a Caf 131 whose only instance speaks HTTP/2 alone.
fn south(address: SocketAddr, change: impl FnOnce(&mut Settings)) -> World {
    let world = World::with(Kind::Embedded, |settings| {
        settings.caf("131", "Caf des Bouches-du-Rhône", &[address]).caf_line("protocol = \"http2\"");
        change(settings);
    });
    world.gateway.accounts(&[account(SOUTH, SIRET, &["131"])]);
    world.gateway.establishments(&[json!({"caf": "131", "siret": SIRET})]);
    world
}

fn instance(world: &World) -> Value {
    world.gateway.admin().get("/v1/cafs/131").send().json()["instances"][0].clone()
}

fn is_quiet(world: &World) -> bool {
    let told = instance(world);
    told["outstanding"] == 0 && told["waiting"] == 0
}

#[test]
fn an_instance_that_takes_one_stream_a_connection_gets_a_second_connection() {
    // SETTINGS_MAX_CONCURRENT_STREAMS: 1. The first request is never answered.
    let backend = Raw::start(&[0, 3, 0, 0, 0, 1], |wire, stream, number| {
        if number == 0 {
            wire.send(HEADERS, END_HEADERS, stream, OK);
        } else {
            wire.answer(stream, "bien");
        }
    });
    let world = south(backend.address, |settings| {
        settings.set("server", "workers", "1").caf_line("first_byte_timeout = \"30s\"");
    });
    let mut client = world.signed_in(SOUTH);
    let mut held = crate::harness::client::connect(world.gateway.public);
    held.write_all(&client.get("/").program().bytes()).unwrap();
    eventually("the first is there", || backend.count() == 1);
    let began = Instant::now();
    assert_eq!(client.get("/").program().send().text(), "bien");
    assert!(began.elapsed() < Duration::from_secs(2), "it waited for the first: {:?}", began.elapsed());
    assert_eq!(backend.connections.load(Ordering::SeqCst), 2);
    drop(held);
    eventually("all places are given back", || is_quiet(&world));
}

#[test]
fn an_upload_waits_no_longer_than_a_second_for_a_backend_that_never_says_100() {
    let backend = Modern::start(None);
    backend.script(|request| async move {
        let body = request.into_body().collect().await.unwrap().to_bytes();
        text(std::str::from_utf8(&body).unwrap())
    });
    let world = south(backend.address, |_| ());
    let mut client = world.signed_in(SOUTH);
    client.get("/").program().send();
    let began = Instant::now();
    let sent = client.post("/f").header("Expect", "100-continue").body("text/plain", b"formulaire").send();
    assert_eq!((sent.status, sent.text().as_str()), (200, "formulaire"));
    assert!(began.elapsed() < Duration::from_secs(3), "it waited for nobody: {:?}", began.elapsed());
}

/// RFC 9113 sections 6.8 and 8.7: the instance has done nothing about these.
#[test]
fn a_request_that_the_instance_did_not_look_at_is_sent_again() {
    for refused in [true, false] {
        let backend = Raw::start(&[], move |wire, stream, number| {
            if number % 3 != 1 {
                wire.answer(stream, "bien");
            } else if refused {
                wire.send(RESET, 0, stream, &7_u32.to_be_bytes());
            } else {
                let goodbye = [(stream - 2).to_be_bytes(), 0_u32.to_be_bytes()].concat();
                wire.send(GOAWAY, 0, 0, &goodbye);
            }
        });
        let world = south(backend.address, |settings| {
            settings.set("backend", "eject_after", "1").set("backend", "retry_budget", "0");
            settings.set("server", "workers", "1");
        });
        let mut client = world.signed_in(SOUTH);
        for number in 0..4 {
            let answer = client.request(if number == 1 { "DELETE" } else { "GET" }, "/").program().send();
            assert_eq!((answer.status, answer.text().as_str()), (200, "bien"), "{refused}, {number}");
        }
        assert!(backend.count() >= 5, "{}", backend.count());
        assert!(instance(&world)["last_error"].is_null(), "{}", instance(&world));
    }
}

/// Answers that nobody reads leave the others their room on the connection that they share.
#[test]
fn clients_that_do_not_read_stop_nobody_elses_answer() {
    let backend = Modern::start(None);
    backend.script(|request| async move {
        let large = request.uri().path() == "/grand";
        text(&"x".repeat(if large { 4 << 20 } else { 100_000 }))
    });
    let world = south(backend.address, |settings| {
        settings.set("server", "workers", "1");
    });
    let mut client = world.signed_in(SOUTH);
    client.get("/").program().send();
    let bytes = client.get("/grand").program().bytes();
    let stalled: Vec<TcpStream> = (0..30)
        .map(|_| {
            let mut stream = TcpStream::connect(world.gateway.public).unwrap();
            stream.write_all(&bytes).unwrap();
            stream
        })
        .collect();
    eventually("all of them are asked", || instance(&world)["outstanding"] == 30);
    for _ in 0..5 {
        let began = Instant::now();
        assert_eq!(client.get("/").program().send().body.len(), 100_000);
        assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    }
    drop(stalled);
}

#[test]
fn odd_heads_neither_reach_the_backend_malformed_nor_count_against_it() {
    let backend = Modern::start(None);
    let world = south(backend.address, |settings| {
        settings.set("backend", "eject_after", "1");
    });
    let client = world.signed_in(SOUTH);
    let own = format!("Cookie: {}\r\nConnection: close\r\n", client.cookies());
    let public = world.gateway.public;
    for host in [
        "", "a@b", "a,b", "a:b:c", "[", "[::1", "a b", "%zz", "a/b", "a?b", "a#b", "é", "a:", ":80",
        "a:99999", "a:x", "-", "a\\b", "[x]", "[::1]x", "a..b",
    ] {
        let answer = client.raw(format!("GET / HTTP/1.1\r\nHost: {host}\r\n{own}\r\n").as_bytes());
        let status = answer.map(|answer| answer.status);
        assert!(matches!(status, Some(200 | 400 | 421) | None), "{host:?}: {status:?}");
    }
    for (line, headers) in [
        ("OPTIONS * HTTP/1.1", ""),
        ("OPTIONS / HTTP/1.1", ""),
        ("GET /a|b\"c^`{} HTTP/1.1", ""),
        ("GET /?a=[]|%zz HTTP/1.1", ""),
        ("GET http://a.example/x?y HTTP/1.1", ""),
        ("GET http://u:p@a.example/x HTTP/1.1", ""),
        ("GET http://a.example HTTP/1.1", ""),
        ("GET / HTTP/1.1", "TE: gzip, trailers\r\n"),
        ("GET / HTTP/1.1", "Connection: x-esat-compte, te, close\r\nTE: trailers\r\n"),
        (
            "GET / HTTP/1.1",
            "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\nConnection: upgrade, http2-settings\r\n",
        ),
        ("GET / HTTP/1.1", "Keep-Alive: 3\r\nProxy-Connection: x\r\n"),
        ("GET / HTTP/1.1", ":authority: evil\r\n"),
        ("GET / HTTP/1.1", "X-A: \u{e9}\u{fc}\r\n"),
        ("BREW / HTTP/1.1", ""),
        ("CONNECT a.example:443 HTTP/1.1", ""),
        ("TRACE / HTTP/1.1", ""),
    ] {
        let answer = client.raw(format!("{line}\r\nHost: {public}\r\n{headers}{own}\r\n").as_bytes());
        let status = answer.map(|answer| answer.status);
        assert!(status.is_none_or(|status| status < 500 || status == 501), "{line} {headers:?}: {status:?}");
    }
    for got in backend.got() {
        for name in
            ["connection", "upgrade", "keep-alive", "proxy-connection", "http2-settings", "transfer-encoding"]
        {
            assert!(!got.headers.contains_key(name), "{name} in {got:?}");
        }
        assert!(got.headers.get("te").is_none_or(|te| te == "trailers"), "{got:?}");
        assert!(got.headers.contains_key("x-esat-compte"), "{got:?}");
        assert!(!got.authority.as_deref().unwrap_or_default().contains('@'), "{got:?}");
    }
    let told = instance(&world);
    assert!(told["state"] == "up" && told["last_error"].is_null(), "{told}");
    eventually("all places are given back", || is_quiet(&world));
}

/// How one hostile answer is given.
type Attack = (&'static str, fn(&mut Wire, u32));

#[test]
fn no_malice_in_frames_harms_more_than_its_own_request() {
    const ATTACKS: &[Attack] = &[
        ("reset", |wire, stream| wire.send(RESET, 0, stream, &[0, 0, 0, 2])),
        ("refused", |wire, stream| wire.send(RESET, 0, stream, &[0, 0, 0, 7])),
        ("goaway", |wire, _| wire.send(GOAWAY, 0, 0, &[0, 0, 0, 0, 0, 0, 0, 0])),
        ("goaway in anger", |wire, _| wire.send(GOAWAY, 0, 0, &[0, 0, 0, 0, 0, 0, 0, 11])),
        ("push", |wire, stream| wire.send(PUSH, END_HEADERS, stream, &[0, 0, 0, 2, 0x82])),
        ("no status", |wire, stream| wire.send(HEADERS, END_HEADERS | END_STREAM, stream, &[])),
        ("status 99", |wire, stream| {
            wire.send(HEADERS, END_HEADERS | END_STREAM, stream, b"\x08\x0299");
        }),
        ("status x", |wire, stream| wire.send(HEADERS, END_HEADERS | END_STREAM, stream, b"\x08\x03abc")),
        ("status 101", |wire, stream| {
            wire.send(HEADERS, END_HEADERS | END_STREAM, stream, b"\x08\x03101");
        }),
        ("connection", |wire, stream| {
            wire.send(HEADERS, END_HEADERS | END_STREAM, stream, b"\x88\x00\x0aconnection\x01x");
        }),
        ("another caf", |wire, stream| {
            wire.send(HEADERS, END_HEADERS | END_STREAM, stream, b"\x88\x00\x0ax-caf-code\x03751");
        }),
        ("a longer length", |wire, stream| {
            wire.send(HEADERS, END_HEADERS, stream, b"\x88\x0f\x0d\x0210");
            wire.send(DATA, END_STREAM, stream, b"abc");
        }),
        ("a shorter length", |wire, stream| {
            wire.send(HEADERS, END_HEADERS, stream, b"\x88\x0f\x0d\x011");
            wire.send(DATA, END_STREAM, stream, b"abc");
        }),
        ("continuations", |wire, stream| {
            wire.send(HEADERS, 0, stream, OK);
            for _ in 0..2_000 {
                wire.send(
                    CONTINUATION,
                    0,
                    stream,
                    &[b"\x00\x01a\x7f\x81\x03".as_slice(), &[b'x'; 512]].concat(),
                );
            }
        }),
        ("pings", |wire, _| {
            for _ in 0..20_000 {
                wire.send(PING, 0, 0, &[0; 8]);
            }
        }),
        ("interim answers", |wire, stream| {
            for _ in 0..5_000 {
                wire.send(HEADERS, END_HEADERS, stream, b"\x08\x03103");
            }
            wire.send(RESET, 0, stream, &[0, 0, 0, 2]);
        }),
        ("garbage", |wire, _| drop(wire.stream.write_all(&[0xff; 1_000]))),
        ("silence", |_, _| ()),
        ("gone", |wire, _| drop(wire.stream.shutdown(std::net::Shutdown::Both))),
    ];
    let current = Arc::new(Mutex::new(None::<Attack>));
    let attack = Arc::clone(&current);
    let backend = Raw::start(&[], move |wire, stream, _| match *attack.lock().unwrap() {
        Some((_, attack)) => attack(wire, stream),
        None => wire.answer(stream, "bien"),
    });
    let world = south(backend.address, |settings| {
        settings.caf_line("first_byte_timeout = \"1500ms\"").caf_line("idle_timeout = \"1500ms\"");
    });
    let mut client = world.signed_in(SOUTH);
    for attack in ATTACKS {
        *current.lock().unwrap() = Some(*attack);
        let before = backend.count();
        for _ in 0..2 {
            let bytes = client.post("/f").program().json(&json!({"a": 1})).bytes();
            let status = client.raw(&bytes).map(|answer| answer.status);
            let is_cut = attack.0.ends_with("length");
            assert!(
                matches!(status, Some(502 | 504)) || (is_cut && matches!(status, None | Some(200))),
                "{}: {status:?}",
                attack.0
            );
        }
        assert!(backend.count() <= before + 2, "{}: a form was sent twice", attack.0);
        *current.lock().unwrap() = None;
        let sent = client.get("/").program().send();
        assert_eq!((sent.status, sent.text().as_str()), (200, "bien"), "after {}", attack.0);
    }
    eventually("all places are given back", || is_quiet(&world));
}

#[test]
fn an_instance_that_says_goodbye_politely_loses_nothing() {
    // Each connection takes three requests and says so with the third (RFC 9113 section 6.8).
    let backend = Raw::start(&[], |wire, stream, _| {
        if stream >= 5 {
            let last = stream.to_be_bytes();
            wire.send(GOAWAY, 0, 0, &[last.as_slice(), &[0; 4]].concat());
        }
        let number = wire.number;
        wire.answer(stream, &format!("{number}"));
    });
    let world = south(backend.address, |_| ());
    let mut client = world.signed_in(SOUTH);
    for _ in 0..60 {
        assert_eq!(client.post("/f").json(&json!({"a": 1})).send().status, 200);
    }
    assert_eq!(backend.count(), 60);
    assert!(instance(&world)["last_error"].is_null());
}
