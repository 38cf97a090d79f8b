//! Bodies that wait until they are wanted (`Expect: 100-continue`, RFC 9110 section 10.1.1), and answers that come
//! before a body has ended.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use crate::harness::client::{Client, connect, find};
use crate::harness::eventually;
use crate::harness::world::{Kind, SIRET, World, account};

const NORTH: &str = "nord@esat.example";

/// A world with a Caf 591 whose backend is played by the test itself.
struct North {
    world: World,
    backend: TcpListener,
}

impl North {
    fn new() -> Self {
        let backend = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = backend.local_addr().unwrap();
        let world = World::with(Kind::Embedded, |settings| {
            settings.caf("591", "Caf du Nord", &[address]);
        });
        world.gateway.accounts(&[account(NORTH, SIRET, &["591"])]);
        world.gateway.establishments(&[json!({"caf": "591", "siret": SIRET})]);
        Self { world, backend }
    }

    fn client(&self) -> Client {
        self.world.signed_in(NORTH)
    }

    /// The next connection to the backend, and the head that came on it.
    fn asked(&self) -> (TcpStream, String) {
        let (mut stream, _) = self.backend.accept().unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let head = read_until(&mut stream, b"\r\n\r\n");
        (stream, head)
    }
}

/// Sends a form's head, which announces `length` bytes.
fn ask(client: &Client, length: usize, more: &str) -> TcpStream {
    let mut stream = connect(client.address);
    let cookies = client.cookies();
    let head =
        format!("POST /d HTTP/1.1\r\nHost: a\r\nCookie: {cookies}\r\nContent-Length: {length}\r\n{more}\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    stream
}

fn read_until(stream: &mut TcpStream, end: &[u8]) -> String {
    let mut seen = Vec::new();
    let mut byte = [0];
    while find(&seen, end).is_none() {
        assert_eq!(stream.read(&mut byte).unwrap(), 1, "it ended: {}", String::from_utf8_lossy(&seen));
        seen.push(byte[0]);
    }
    String::from_utf8(seen).unwrap()
}

/// Whether nothing comes for a while.
fn is_silent(stream: &mut TcpStream) -> bool {
    stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let silent = stream.read(&mut [0]).is_err();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    silent
}

/// After so long an upload goes on by itself.
const ITSELF: Duration = Duration::from_secs(1);

/// Looks at exchanges until one was over before its upload would have gone on by itself: on a machine that stopped
/// for longer, what was seen shows nothing.
fn in_time(exchange: impl Fn(&North) -> Option<()>) {
    eventually("an exchange shows something", || exchange(&North::new()).is_some());
}

#[test]
fn a_client_is_told_to_go_on_when_the_backend_says_so() {
    in_time(|north| {
        let person = north.client();
        let began = Instant::now();
        let mut client = ask(&person, 5, "Expect: 100-continue\r\n");
        let (mut backend, head) = north.asked();
        assert!(head.contains("\r\nexpect: 100-continue\r\n"), "{head}");
        let was_silent = is_silent(&mut client);
        backend.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").unwrap();
        let told = if was_silent { read_until(&mut client, b"\r\n\r\n") } else { String::new() };
        if began.elapsed() >= ITSELF {
            return None;
        }
        assert!(was_silent, "nobody said 100 yet");
        assert_eq!(told, "HTTP/1.1 100 Continue\r\n\r\n");
        assert!(is_silent(&mut backend), "nothing of the body yet");
        client.write_all(b"salut").unwrap();
        assert_eq!(read_until(&mut backend, b"salut"), "salut");
        backend.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlu !").unwrap();
        let answer = read_until(&mut client, b"lu !");
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        Some(())
    });
}

#[test]
fn a_backend_that_wants_no_body_is_heard_and_the_body_stays_where_it_is() {
    for refusal in ["417 Expectation Failed", "413 Content Too Large", "401 Unauthorized"] {
        in_time(|north| {
            let person = north.client();
            let began = Instant::now();
            let mut client = ask(&person, 5_000_000, "Expect: 100-continue\r\n");
            let (mut backend, _) = north.asked();
            let bytes = format!("HTTP/1.1 {refusal}\r\nContent-Length: 3\r\n\r\nnon");
            backend.write_all(bytes.as_bytes()).unwrap();
            let answer = read_until(&mut client, b"non");
            if began.elapsed() >= ITSELF {
                return None;
            }
            assert!(answer.starts_with(&format!("HTTP/1.1 {}", &refusal[..3])), "{answer}");
            assert_eq!(backend.read(&mut [0]).unwrap_or_default(), 0, "the connection has no other use");
            Some(())
        });
    }
}

#[test]
fn a_client_that_does_not_wait_for_ever_is_served_by_a_backend_that_never_says_100() {
    let north = North::new();
    let mut client = ask(&north.client(), 5, "Expect: 100-continue\r\n");
    client.write_all(b"salut").unwrap();
    let (mut backend, _) = north.asked();
    assert_eq!(read_until(&mut backend, b"salut"), "salut");
    backend.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
    let answer = read_until(&mut client, b"204 No Content\r\n");
    assert!(answer.ends_with("HTTP/1.1 204 No Content\r\n"), "{answer}");
}

#[test]
fn an_answer_before_the_upload_ends_is_heard_whatever_becomes_of_the_upload() {
    let north = North::new();
    let person = north.client();
    for sends in [0, 1_000_000] {
        let mut client = ask(&person, 20_000_000, "");
        let (mut backend, _) = north.asked();
        backend.write_all(b"HTTP/1.1 422 Unprocessable Content\r\nContent-Length: 3\r\n\r\nnon").unwrap();
        // It reads no more, and leaves.
        drop(backend);
        let _ = client.write_all(&vec![b'x'; sends]);
        let answer = read_until(&mut client, b"non");
        assert!(answer.starts_with("HTTP/1.1 422 "), "{answer}");
    }
}

/// What a client and the backend do before the client leaves.
type Step = fn(&mut TcpStream, &mut TcpStream);

/// Wherever its request is, a client that leaves takes it along: the backend is not kept for nobody.
#[test]
fn a_client_that_leaves_frees_the_backend_at_once() {
    let north = North::new();
    let person = north.client();
    let steps: [(&str, usize, Step); 4] = [
        ("while it waits for the answer", 0, |_, _| ()),
        ("in the middle of its upload", 1_000, |client, backend| {
            client.write_all(b"un debut").unwrap();
            read_until(backend, b"un debut");
        }),
        ("in the middle of the answer", 0, |client, backend| {
            backend.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nun debut").unwrap();
            read_until(client, b"un debut");
        }),
        ("while the answer overflows", 0, |_, backend| {
            backend.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n").unwrap();
            backend.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
            let much = vec![b'x'; 65_536];
            while backend.write_all(&much).is_ok() {}
        }),
    ];
    for (when, length, step) in steps {
        let mut client = ask(&person, length, "");
        let (mut backend, _) = north.asked();
        step(&mut client, &mut backend);
        drop(client);
        let left = Instant::now();
        let mut rest = Vec::new();
        // What was under way may still come; then the end.
        let _ = backend.read_to_end(&mut rest);
        assert!(left.elapsed() < Duration::from_secs(1), "{when}: {:?}", left.elapsed());
    }
}
