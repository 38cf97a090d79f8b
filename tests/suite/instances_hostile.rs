//! Instances, connections and clients that break off at the worst moment: nobody gets another's answer, nothing is
//! sent twice, and every place comes back.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::Response;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::harness::backend::{Backend, Script, Then, answer, respond};
use crate::harness::client::connect;
use crate::harness::eventually;
use crate::harness::gateway::Settings;
use crate::harness::modern::Modern;
use crate::harness::world::{Kind, SIRET, World, account};

const SOUTH: &str = "sud@esat.example";

fn south(urls: &[String], change: impl FnOnce(&mut Settings)) -> World {
    let world = World::with(Kind::Embedded, |settings| {
        settings.caf_urls("131", "Caf des Bouches-du-Rhône", urls);
        change(settings);
    });
    world.gateway.accounts(&[account(SOUTH, SIRET, &["131"])]);
    world.gateway.establishments(&[json!({"caf": "131", "siret": SIRET})]);
    world
}

fn url(address: SocketAddr) -> String {
    format!("http://{address}")
}

fn instances(world: &World) -> Vec<Value> {
    world.gateway.admin().get("/v1/cafs/131").send().json()["instances"].as_array().unwrap().clone()
}

fn is_quiet(world: &World) -> bool {
    instances(world).iter().all(|told| told["outstanding"] == 0 && told["waiting"] == 0)
}

#[test]
fn what_a_backend_says_unasked_is_nobodys_answer() {
    let backend = Backend::start("131");
    let (asked, said) = (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
    let told = Arc::clone(&said);
    backend.script(Arc::new(move |request, stream| {
        let pirate = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npirate";
        let path = request.line().split(' ').nth(1).unwrap();
        let own = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{path}", path.len());
        // In one piece, in two, or a moment later.
        let _ = match asked.fetch_add(1, Ordering::Relaxed) % 3 {
            0 => stream.write_all((own + pirate).as_bytes()),
            1 => stream.write_all(own.as_bytes()).and_then(|()| stream.write_all(pirate.as_bytes())),
            _ => stream.write_all(own.as_bytes()).and_then(|()| stream.write_all(b"\r\n")),
        };
        told.fetch_add(1, Ordering::Relaxed);
        Then::Keep
    }));
    let world = south(&[url(backend.address)], |_| ());
    let mut client = world.signed_in(SOUTH);
    let mut own = 0;
    for number in 0..150 {
        let path = format!("/{number}");
        let bytes = client.get(&path).program().bytes();
        let answer = client.raw(&bytes).expect("an answer");
        assert!(answer.status == 502 || answer.text() == path, "{path}: {} {}", answer.status, answer.text());
        own += usize::from(answer.status == 200);
        // What comes only after the next request is, over HTTP/1.1, its answer: nobody could tell.
        eventually("all is said before the next request", || said.load(Ordering::Relaxed) == backend.count());
    }
    assert!(own >= 75, "only {own} of 150 got their own answer");
}

#[test]
fn every_place_comes_back_whoever_breaks_off_and_when() {
    let backend = Backend::start("131");
    let slow: Script = Arc::new(|_, stream| {
        std::thread::sleep(Duration::from_millis(20));
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\npart");
        std::thread::sleep(Duration::from_millis(20));
        Then::Close
    });
    backend.script(slow);
    let world = south(&[url(backend.address)], |settings| {
        settings.set("backend", "max_waiting", "20").caf_line("max_connections = 3");
    });
    let mut client = world.signed_in(SOUTH);
    let get = client.get("/").program().bytes();
    let mut cut = client.post("/f").program().body("text/plain", &[b'x'; 5_000]).bytes();
    cut.truncate(cut.len() - 3_000);
    std::thread::scope(|scope| {
        for thread in 0..8_u64 {
            let (get, cut, public) = (&get, &cut, world.gateway.public);
            scope.spawn(move || {
                for turn in 0..60_u64 {
                    let mut stream = connect(public);
                    let _ = stream.write_all(if (turn + thread) % 3 == 0 { cut } else { get });
                    std::thread::sleep(Duration::from_millis((turn * 7 + thread) % 45));
                }
            });
        }
    });
    eventually("all places are given back", || is_quiet(&world));
    backend.script(answer("bien"));
    assert_eq!(client.get("/").program().send().text(), "bien");
}

#[test]
fn a_form_is_never_sent_twice_however_its_backend_breaks_off() {
    let backends = [Backend::start("131-0"), Backend::start("131-1")];
    let world = south(&[url(backends[0].address), url(backends[1].address)], |settings| {
        settings.set("backend", "eject_after", "1000").caf_line("first_byte_timeout = \"1s\"");
        settings.caf_line("idle_timeout = \"200ms\"");
    });
    let mut client = world.signed_in(SOUTH);
    let scripts: [Script; 6] = [
        Arc::new(|_, _| Then::Close),
        respond("HTTP/1.1 200"),
        respond("pas du HTTP\r\n\r\n"),
        respond("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"),
        respond("HTTP/1.1 200 OK\r\nX-Caf-Code: 751\r\nContent-Length: 0\r\n\r\n"),
        respond("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\npart"),
    ];
    for (number, script) in scripts.into_iter().enumerate() {
        for backend in &backends {
            backend.script(Arc::clone(&script));
        }
        for method in ["POST", "PUT", "PATCH", "DELETE"] {
            let before: usize = backends.iter().map(Backend::count).sum();
            let bytes = client.request(method, "/f").program().json(&json!({"a": 1})).bytes();
            let mut stream = connect(world.gateway.public);
            stream.write_all(&bytes).unwrap();
            eventually("it ended", || {
                backends.iter().map(Backend::count).sum::<usize>() > before && is_quiet(&world)
            });
            let sent = backends.iter().map(Backend::count).sum::<usize>() - before;
            assert_eq!(sent, 1, "{method} was sent {sent} times, script {number}");
            // Once a part was given out, nothing is asked again.
            if number == 5 {
                let before: usize = backends.iter().map(Backend::count).sum();
                let get = client.get("/").program().bytes();
                let mut stream = connect(world.gateway.public);
                stream.write_all(&get).unwrap();
                eventually("it ended", || {
                    backends.iter().map(Backend::count).sum::<usize>() > before && is_quiet(&world)
                });
                assert_eq!(backends.iter().map(Backend::count).sum::<usize>(), before + 1);
            }
        }
    }
}

#[test]
fn a_handshake_that_stalls_holds_nobody_longer_than_its_own_connecting() {
    // Accepts, and never speaks.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let authority = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, authority.cert.pem()).unwrap();
    let urls = [format!("https://{}", listener.local_addr().unwrap())];
    let world = south(&urls, |settings| {
        settings.set("server", "workers", "1").caf_line("protocol = \"http2\"");
        settings.caf_line(&format!("ca = {:?}", ca.display().to_string()));
        settings.caf_line("connect_timeout = \"300ms\"");
    });
    let client = world.signed_in(SOUTH);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..20)
            .map(|_| {
                let mut client = world.gateway.known(&client);
                scope.spawn(move || {
                    let began = Instant::now();
                    (client.get("/").program().send().status, began.elapsed())
                })
            })
            .collect();
        for thread in threads {
            let (status, time) = thread.join().unwrap();
            assert!(status == 504 && time < Duration::from_secs(2), "{status} after {time:?}");
        }
    });
    eventually("all places are given back", || is_quiet(&world));
    drop(listener);
}

#[test]
fn an_upload_that_its_client_breaks_off_after_the_answer_began_is_no_failure_of_the_instance() {
    let (eager, reads) = eager();
    let other = Backend::start("131");
    let world = south(&[url(eager), url(other.address)], |settings| {
        settings.set("backend", "eject_after", "1").set("backend", "idle_timeout", r#""300ms""#);
        settings.set("limits", "body", r#""1KiB""#);
    });
    let mut client = world.signed_in(SOUTH);
    let mut whole = client.post("/f").program().body("text/plain", &[b'x'; 900]).bytes();
    whole.truncate(whole.len() - 500);
    let head = String::from_utf8(whole.clone()).unwrap();
    let chunked =
        head.split("\r\n\r\n").next().unwrap().replace("Content-Length: 900", "Transfer-Encoding: chunked");
    let chunked = format!("{chunked}\r\n\r\n1\r\nx\r\n");
    let silent = |_: &mut TcpStream| ();
    let broken = |stream: &mut TcpStream| stream.shutdown(Shutdown::Write).unwrap();
    let too_large = |stream: &mut TcpStream| {
        let chunk = format!("500\r\n{}\r\n", "x".repeat(0x500));
        let _ = stream.write_all(chunk.as_bytes());
    };
    let ends: [&dyn Fn(&mut TcpStream); 3] = [&silent, &broken, &too_large];
    let begun = [whole.as_slice(), whole.as_slice(), chunked.as_bytes()];
    for (number, (end, begun)) in ends.into_iter().zip(begun).enumerate() {
        let before = reads.load(Ordering::Relaxed);
        eventually("the eager instance is asked", || {
            let mut stream = connect(world.gateway.public);
            stream.write_all(begun).unwrap();
            let mut bytes = [0; 4_096];
            // The other one answers only when it has all.
            stream.set_read_timeout(Some(Duration::from_millis(150))).unwrap();
            let Ok(1..) = stream.read(&mut bytes) else { return false };
            end(&mut stream);
            stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            while let Ok(1..) = stream.read(&mut bytes) {}
            reads.load(Ordering::Relaxed) > before
        });
        eventually("it ended", || is_quiet(&world));
        for told in instances(&world) {
            assert!(told["state"] == "up" && told["last_error"].is_null(), "end {number}: {told}");
        }
    }
}

#[test]
fn an_upload_that_drips_until_its_time_is_up_is_no_failure_of_the_instance() {
    let instance = Backend::start("131");
    let world = south(&[url(instance.address)], |settings| {
        settings.set("backend", "eject_after", "1").set("backend", "request_timeout", r#""500ms""#);
    });
    let mut client = world.signed_in(SOUTH);
    let whole = client.post("/f").program().body("text/plain", &[b'x'; 900]).bytes();
    let mut stream = connect(world.gateway.public);
    let (head, body) = whole.split_at(whole.len() - 900);
    stream.write_all(head).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let mut bytes = [0; 4_096];
    let answered = body.chunks(1).find_map(|byte| {
        let _ = stream.write_all(byte);
        stream.read(&mut bytes).ok()
    });
    let answer = String::from_utf8_lossy(&bytes[..answered.expect("an answer in time")]).into_owned();
    assert!(answer.starts_with("HTTP/1.1 504 "), "{answer}");
    for told in instances(&world) {
        assert!(told["state"] == "up" && told["last_error"].is_null(), "{told}");
    }
}

/// An instance that begins to answer once it has a request's head, and reads on for as long as it may; how many
/// connections it had to the end.
fn eager() -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, ended) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&ended);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, count) = (stream.unwrap(), Arc::clone(&count));
            std::thread::spawn(move || {
                let mut bytes = [0; 4_096];
                let Ok(1..) = stream.read(&mut bytes) else { return };
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nle d\xc3\xa9but");
                while let Ok(1..) = stream.read(&mut bytes) {}
                count.fetch_add(1, Ordering::Relaxed);
            });
        }
    });
    (address, ended)
}

#[test]
fn marks_that_are_forged_choose_among_their_cafs_instances_at_most() {
    let backend = Backend::start("131");
    let world = south(&[url(backend.address)], |settings| {
        settings.caf_line("sticky_cookie = \"ID\"");
    });
    let mut client = world.signed_in(SOUTH);
    let cookies = client.cookies();
    let large = "a".repeat(3_000);
    for (forged, seen) in [
        ("octroi-131-ID=00000000~x", "ID=x"),
        ("octroi-131-ID=00000000~x; octroi-131-ID=ffffffff~y", "ID=x; ID=y"),
        ("octroi-131-ID=00000000~00000000~x", "ID=00000000~x"),
        ("octroi-131-ID=zzzzzzzz~x", "ID=zzzzzzzz~x"),
        ("octroi-131-ID=", "ID="),
        (&format!("octroi-131-ID=00000000~{large}"), &format!("ID={large}")),
        ("octroi-751-ID=00000000~x; a=b", "a=b"),
    ] {
        let sent = client.get("/").program().header("Cookie", &format!("{cookies}; {forged}")).send();
        assert_eq!(sent.status, 200, "{forged}");
        assert_eq!(backend.last().one("cookie"), seen, "{forged}");
    }
    assert_eq!(world.caf751.count() + world.caf921.count(), 0);
}

#[test]
fn clients_that_do_not_read_cost_little_memory_and_their_places_come_back() {
    let backend = Modern::start(None);
    backend
        .script(|_| async { Response::new(Full::new(Bytes::from(vec![b'x'; 50_000_000])).boxed_unsync()) });
    let world = south(&[url(backend.address)], |settings| {
        settings.caf_line("protocol = \"http2\"");
    });
    let mut client = world.signed_in(SOUTH);
    let before = resident_kb(&world);
    let get = client.get("/").program().bytes();
    let held: Vec<_> = (0..6)
        .map(|_| {
            let mut stream = connect(world.gateway.public);
            stream.write_all(&get).unwrap();
            stream
        })
        .collect();
    eventually("all are under way", || instances(&world)[0]["outstanding"] == 6);
    let (mut last, mut same) = (0, 0);
    eventually("nothing grows any more", || {
        let now = resident_kb(&world);
        same = if now == last { same + 1 } else { 0 };
        last = now;
        same > 30
    });
    let grown = last.saturating_sub(before);
    assert!(grown < 60_000, "{grown} kB for 300 MB that nobody reads");
    drop(held);
    eventually("places are given back", || is_quiet(&world));
}

#[test]
fn a_client_that_takes_its_time_gives_its_place_back_once_the_request_has_had_its_own() {
    let backend = Modern::start(None);
    backend
        .script(|_| async { Response::new(Full::new(Bytes::from(vec![b'x'; 50_000_000])).boxed_unsync()) });
    let world = south(&[url(backend.address)], |settings| {
        settings.caf_line("protocol = \"http2\"");
        settings.set("backend", "request_timeout", r#""2s""#);
    });
    let mut client = world.signed_in(SOUTH);
    let mut stream = connect(world.gateway.public);
    stream.write_all(&client.get("/").program().bytes()).unwrap();
    eventually("it is under way", || instances(&world)[0]["outstanding"] == 1);
    let (mut piece, mut taken) = ([0; 10_000], 0);
    eventually("its place is given back, though it goes on reading", || {
        taken += stream.read(&mut piece).unwrap_or_default();
        is_quiet(&world)
    });
    assert!(taken > 0 && instances(&world)[0]["failures"] == 0, "nor is that the instance's fault");
    let _ = stream.read_to_end(&mut Vec::new());
}

#[test]
fn hints_without_end_cost_little_memory_and_end_in_time() {
    let backend = Backend::start("131");
    backend.script(hints(8_000));
    let world = south(&[url(backend.address)], |settings| {
        settings.set("backend", "first_byte_timeout", r#""3s""#);
    });
    let mut client = world.signed_in(SOUTH);
    let get = client.get("/").program().bytes();
    let before = resident_kb(&world);
    let mut held: Vec<_> = (0..4).map(|_| connect(world.gateway.public)).collect();
    for stream in &mut held {
        stream.write_all(&get).unwrap();
    }
    let mut most = 0;
    eventually("the backend is given up", || {
        most = most.max(resident_kb(&world));
        instances(&world)[0]["failures"] == 4
    });
    let grown = most.saturating_sub(before);
    assert!(grown < 20_000, "{grown} kB of hints that nobody reads");
    drop(held);
    eventually("places are given back", || is_quiet(&world));
}

#[test]
fn hints_without_end_leave_time_for_other_cafs_and_end_in_time() {
    for size in [8_000, 1] {
        let backend = Backend::start("131");
        backend.script(hints(size));
        let world = south(&[url(backend.address)], |settings| {
            settings.set("server", "workers", "1").set("backend", "first_byte_timeout", r#""2s""#);
        });
        let mut client = world.signed_in(SOUTH);
        let mut other = world.admitted();
        let mut held = connect(world.gateway.public);
        let began = Instant::now();
        held.write_all(&client.get("/").program().bytes()).unwrap();
        eventually("hints come", || backend.count() == 1);
        for _ in 0..10 {
            let asked = Instant::now();
            assert_eq!(other.get("/").program().send().status, 200);
            assert!(asked.elapsed() < Duration::from_secs(1), "{size}: {:?}", asked.elapsed());
        }
        let mut said = String::new();
        while !said.contains("HTTP/1.1 504") {
            let mut piece = [0; 16_384];
            let read = held.read(&mut piece).unwrap();
            assert!(read > 0, "{size}: no answer");
            said = format!(
                "{}{}",
                &said[said.len().saturating_sub(20)..],
                String::from_utf8_lossy(&piece[..read])
            );
        }
        let took = began.elapsed();
        assert!(took < Duration::from_secs(4), "{size}: a limit of 2 s, held after {took:?}");
    }
}

/// An answer that breaks off tells as much as has come: a browser that is told nothing on a kept connection may ask again
/// by itself.
#[test]
fn what_came_before_an_answer_broke_off_is_given_out() {
    let parts = [
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\nx\r\n",
    ];
    let backend = Backend::start("131");
    let world = south(&[url(backend.address)], |_| ());
    let mut client = world.signed_in(SOUTH);
    for part in parts {
        backend.script(Arc::new(move |_, stream| {
            stream.write_all(part.as_bytes()).unwrap();
            Then::Close
        }));
        for _ in 0..5 {
            let mut stream = connect(world.gateway.public);
            stream.write_all(&client.post("/f").json(&json!({})).bytes()).unwrap();
            let mut got = Vec::new();
            let _ = stream.read_to_end(&mut got);
            let got = String::from_utf8_lossy(&got);
            assert!(got.starts_with("HTTP/1.1 200") && got.contains("ok"), "{part:?}: {got:?}");
        }
    }
}

/// That an answer is the last on its connection says nothing of the request that it answers.
#[test]
fn an_upload_goes_on_after_an_answer_that_closes() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let reading = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut got = Vec::new();
        let mut piece = [0; 4_096];
        while !got.windows(4).any(|end| end == b"\r\n\r\n") {
            let read = stream.read(&mut piece).unwrap();
            got.extend_from_slice(&piece[..read]);
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok").unwrap();
        while let Ok(read @ 1..) = stream.read(&mut piece) {
            got.extend_from_slice(&piece[..read]);
        }
        got
    });
    let world = south(&[url(address)], |_| ());
    let mut client = world.signed_in(SOUTH);
    let body = vec![b'x'; 300_000];
    let whole = client.post("/f").body("application/pdf", &body).bytes();
    let (first, rest) = whole.split_at(whole.len() - 290_000);
    let mut stream = connect(world.gateway.public);
    stream.write_all(first).unwrap();
    let mut answer = [0; 4_096];
    let read = stream.read(&mut answer).unwrap();
    assert!(String::from_utf8_lossy(&answer[..read]).starts_with("HTTP/1.1 200"));
    for piece in rest.chunks(10_000) {
        stream.write_all(piece).unwrap();
    }
    let got = reading.join().unwrap();
    assert!(got.ends_with(&body), "{} of 300,000 bytes", got.len());
}

/// Interim answers of that size, without end.
fn hints(size: usize) -> Script {
    let hint = format!("HTTP/1.1 103 Early Hints\r\nLink: <{}>\r\n\r\n", "a".repeat(size));
    let hints = hint.repeat(65_536 / hint.len());
    Arc::new(move |_, stream| {
        while stream.write_all(hints.as_bytes()).is_ok() {}
        Then::Close
    })
}

fn resident_kb(world: &World) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", world.gateway.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
