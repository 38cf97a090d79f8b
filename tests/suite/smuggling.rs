//! No two readings (RFC 9112): what could be read in two ways is refused whole, told why, and the connection ends.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use crate::harness::client::{Response, connect, find, read_response};
use crate::harness::world::{Kind, World};

/// What comes before the line or lines in question; `{host}` and `{cookie}` are put in.
const GET: &str = "GET /d HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\n";
const POST: &str = "POST /d HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\n";
const CHUNKED: &str =
    "POST /d HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\nTransfer-Encoding: chunked\r\n\r\n";

/// What is added to [`GET`].
const LINES: &[&str] = &[
    "A: b\n\r\n",
    "A: b\rc: d\r\n\r\n",
    "A: b\0c\r\n\r\n",
    "A\0: b\r\n\r\n",
    "A : b\r\n\r\n",
    "A\t: b\r\n\r\n",
    "A: b\r\n folded\r\n\r\n",
    "A: b\r\n\tfolded: c\r\n\r\n",
    " A: b\r\n\r\n",
    "A\r\n\r\n",
    ": b\r\n\r\n",
    "A(: b\r\n\r\n",
    "A: b\u{7f}\r\n\r\n",
    "A: b\u{1}\r\n\r\n",
    "Host: {host}\r\n\r\n",
    "host: evil.example\r\n\r\n",
    "Cookie: octroi=00000000000000000000000000000000000000000000000000000000000000aa\r\n\r\n",
    "Transfer-Encoding: identity\r\n\r\n",
    "\n",
];

/// What is added to [`POST`], with a request hidden in the body.
const FRAMINGS: &[&str] = &[
    "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
    "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
    "Content-Length: 5\r\nContent-Length: 6\r\n",
    "Content-Length: 5\r\nContent-Length: 5\r\n",
    "Content-Length: 5, 5\r\n",
    "Content-Length: +5\r\n",
    "Content-Length: -5\r\n",
    "Content-Length: 0x5\r\n",
    "Content-Length: 5 5\r\n",
    "Content-Length:\r\n",
    "Content-Length: 5;a\r\n",
    "Content-Length: 99999999999999999999999\r\n",
    "Content-Length : 5\r\n",
    "Content-Length\u{b}: 5\r\n",
    "Transfer-Encoding: chunked, chunked\r\n",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
    "Transfer-Encoding: identity\r\n",
    "Transfer-Encoding: identity, chunked\r\n",
    "Transfer-Encoding: gzip, chunked\r\n",
    "Transfer-Encoding: chunked, gzip\r\n",
    "Transfer-Encoding: xchunked\r\n",
    "Transfer-Encoding: \"chunked\"\r\n",
    "Transfer-Encoding: chunked;q=1\r\n",
    "Transfer-Encoding: \u{b}chunked\r\n",
    "Transfer-Encoding:\r\n chunked\r\n",
    "Transfer-Encoding : chunked\r\n",
    "Transfer-Encoding\r\n : chunked\r\n",
    "Transfer-Encoding: chunked\r\nA: b\rTransfer-Encoding: identity\r\n",
];

/// What follows [`CHUNKED`].
const CHUNKS: &[&str] = &[
    "5\nhello\r\n0\r\n\r\n",
    "5\r\nhello\n0\r\n\r\n",
    "5\r\nhello0\r\n\r\n",
    "5;a\nb\r\nhello\r\n0\r\n\r\n",
    "5;a\rb\r\nhello\r\n0\r\n\r\n",
    "5;a=\"\0\"\r\nhello\r\n0\r\n\r\n",
    "5 \r\nhello\r\n0\r\n\r\n",
    " 5\r\nhello\r\n0\r\n\r\n",
    "0x5\r\nhello\r\n0\r\n\r\n",
    "+5\r\nhello\r\n0\r\n\r\n",
    "-1\r\nhello\r\n0\r\n\r\n",
    "\r\nhello\r\n0\r\n\r\n",
    "g\r\n",
    "10000000000000005\r\nhello\r\n0\r\n\r\n",
    "0\r\n folded\r\n\r\n",
    "0\r\nno colon\r\n\r\n",
    "0\r\nA: b\n\r\n",
    "0\r\n\n",
];

/// Whole heads.
const HEADS: &[&str] = &[
    "GET /d HTTP/1.1\r\nCookie: {cookie}\r\n\r\n",
    "GET /d HTTP/1.1\r\nHost:\r\nCookie: {cookie}\r\n\r\n",
    "GET /d HTTP/1.1\r\nHost: a b\r\nCookie: {cookie}\r\n\r\n",
    "GET /d HTTP/1.1\r\nHost: a@b\r\nCookie: {cookie}\r\n\r\n",
    "GET http://evil.example/d HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\n\r\n",
    "GET http://a@{host}/d HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\n\r\n",
    "GET /d HTTP/1.1\nHost: {host}\nCookie: {cookie}\n\n",
    "GET  /d HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\n\r\n",
    "GET /d  HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\n\r\n",
    "GET\t/d\tHTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\n\r\n",
    "GET /d HTTP/1.1 \r\nHost: {host}\r\nCookie: {cookie}\r\n\r\n",
    "GET /d HTTP/1.2\r\nHost: {host}\r\nCookie: {cookie}\r\n\r\n",
    "GET /d HTTP/2.0\r\nHost: {host}\r\nCookie: {cookie}\r\n\r\n",
    "GET /d http/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\n\r\n",
    "GET /d\r\n",
    "G@T /d HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\n\r\n",
    "x-octroi-refused /d HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\n\r\n",
    "POST /d HTTP/1.0\r\nHost: {host}\r\nCookie: {cookie}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}\u{fc}\u{3}\u{3}",
];

/// Targets.
const TARGETS: &[&str] = &[
    "/a%2Fb",
    "/a%2fb",
    "/%2e%2e/b",
    "/a/%2E/b",
    "/a\\b",
    "/a%5Cb",
    "/a//b",
    "//a",
    "//evil.example/",
    "/a%00b",
    "/a%0d%0ab",
    "/a#b",
    "/a?b#c",
    "/a%",
    "/a%zz",
    "/a%3Bb",
    "/a/..;/b",
    "/../a",
    "/a/../../b",
    "*",
    "a",
    "/a<b>",
    "/a\u{7f}b",
    "/a\0b",
    "/a\tb",
    "http:/a",
    "/portail%2Fsession",
    "/a/%2e%2e%2fportail/session",
    "?a",
    "evil.example:80",
];

struct Corpus {
    world: World,
    cookie: String,
}

impl Corpus {
    fn new(admitted: bool) -> Self {
        let world = World::new(Kind::Embedded);
        let cookie =
            if admitted { world.admitted().cookies() } else { "octroi=a-session-that-never-was".to_owned() };
        Self { world, cookie }
    }

    fn bytes(&self, template: &str) -> Vec<u8> {
        let host = self.world.gateway.public.to_string();
        template.replace("{host}", &host).replace("{cookie}", &self.cookie).into_bytes()
    }

    /// Sends bytes, and what comes back until the connection is closed, which it must be.
    fn answers(&self, bytes: &[u8]) -> Vec<u8> {
        let mut stream = connect(self.world.gateway.public);
        let _ = stream.write_all(bytes);
        let mut answers = Vec::new();
        stream
            .read_to_end(&mut answers)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(bytes)));
        answers
    }

    fn refuses(&self, template: &str, expected: (u16, &str)) {
        let answers = self.answers(&self.bytes(template));
        let text = String::from_utf8_lossy(&answers).into_owned();
        assert_eq!(text.matches("HTTP/1.").count(), 1, "one answer to {template:?}: {text}");
        let answer = response(&answers);
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{template:?}: {text}");
        assert_eq!(answer.problem(), (expected.0, expected.1.to_owned()), "{template:?}");
        assert_eq!(answer.header("connection"), Some("close"), "{template:?}");
    }

    fn nothing_was_forwarded(&self) {
        assert_eq!((self.world.caf921.bytes(), self.world.caf751.bytes()), (0, 0));
    }
}

fn response(mut bytes: &[u8]) -> Response {
    read_response(&mut bytes, false).expect("a response")
}

const INVALID: (u16, &str) = (400, "requete-invalide");
const HIDDEN: &str = "0\r\n\r\nGET /portail/session HTTP/1.1\r\nHost: {host}\r\n\r\n";

fn the_whole_corpus(admitted: bool) {
    let corpus = Corpus::new(admitted);
    for lines in LINES {
        corpus.refuses(&format!("{GET}{lines}"), INVALID);
    }
    for framing in FRAMINGS {
        corpus.refuses(&format!("{POST}{framing}\r\n{HIDDEN}"), INVALID);
    }
    for chunks in CHUNKS {
        corpus.refuses(&format!("{CHUNKED}{chunks}"), INVALID);
    }
    for head in HEADS {
        corpus.refuses(head, INVALID);
    }
    for target in TARGETS {
        corpus.refuses(
            &format!("GET {target} HTTP/1.1\r\nHost: {{host}}\r\nCookie: {{cookie}}\r\n\r\n"),
            INVALID,
        );
    }
    let long = "a".repeat(70_000);
    corpus.refuses(&format!("{GET}A: {long}\r\n\r\n"), (431, "entetes-trop-grands"));
    corpus.refuses(&format!("{GET}{}\r\n", "A: b\r\n".repeat(200)), (431, "entetes-trop-grands"));
    corpus.refuses(&format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n"), (400, "requete-invalide"));
    corpus.refuses(&long, (400, "requete-invalide"));
    corpus.nothing_was_forwarded();
}

#[test]
fn what_has_two_readings_is_refused_to_a_stranger() {
    the_whole_corpus(false);
}

#[test]
fn what_has_two_readings_is_refused_to_one_who_is_admitted() {
    the_whole_corpus(true);
}

#[test]
fn what_has_one_reading_passes() {
    let corpus = Corpus::new(true);
    for (template, body) in [
        ("\r\nGET /d HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n", ""),
        ("GET http://{host}/d HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n", ""),
        ("GET /d HTTP/1.0\r\nHost: {host}\r\nCookie: {cookie}\r\n\r\n", ""),
        (
            "POST /d HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\nConnection: close\r\ncontent-length:\t 5 \r\n\r\nhello",
            "hello",
        ),
        (
            "POST /d HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\nConnection: close\r\nTransfer-Encoding: CHUNKED\r\n\r\n5;a=b\r\nhello\r\n00\r\nT: v\r\n\r\n",
            "hello",
        ),
    ] {
        let answer = response(&corpus.answers(&corpus.bytes(template)));
        assert_eq!((answer.status, answer.text().as_str()), (200, "Caf 921"), "{template:?}");
        assert_eq!(corpus.world.caf921.last().body, body.as_bytes(), "{template:?}");
    }
}

#[test]
fn requests_that_come_together_are_answered_in_order_until_one_is_refused() {
    let corpus = Corpus::new(true);
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: {{host}}\r\nCookie: {{cookie}}\r\n\r\n");
    let post = format!("{POST}Content-Length: 5\r\n\r\nhello");
    let template = [get("/1"), post, get("/2"), get("/3#x"), get("/4")].concat();
    let answers = corpus.answers(&corpus.bytes(&template));
    let text = String::from_utf8_lossy(&answers).into_owned();
    assert_eq!(
        (text.matches("HTTP/1.1 200").count(), text.matches("HTTP/1.1 400").count()),
        (3, 1),
        "{text}"
    );
    assert!(text.find("400").unwrap() > text.rfind("Caf 921").unwrap(), "{text}");
    let lines: Vec<String> = corpus.world.caf921.received().iter().map(|got| got.line().to_owned()).collect();
    assert_eq!(lines, ["GET /1 HTTP/1.1", "POST /d HTTP/1.1", "GET /2 HTTP/1.1"]);
}

#[test]
fn a_head_may_come_byte_by_byte_and_is_refused_as_well() {
    let corpus = Corpus::new(true);
    let send = |template: &str| {
        let mut stream = connect(corpus.world.gateway.public);
        for byte in corpus.bytes(template) {
            if stream.write_all(&[byte]).is_err() {
                break;
            }
        }
        read_response(&mut stream, false).expect("a response")
    };
    assert_eq!(send(&format!("{POST}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")).status, 200);
    let count = corpus.world.caf921.bytes();
    assert_eq!(
        send(&format!("{POST}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n")).problem().0,
        400
    );
    assert_eq!(send("GET /d HTTP/1.1\nHost: a\n\n").problem().0, 400);
    assert_eq!(corpus.world.caf921.bytes(), count);
}

#[test]
fn chunks_that_go_wrong_later_end_the_request() {
    let corpus = Corpus::new(true);
    let mut stream = connect(corpus.world.gateway.public);
    stream.write_all(&corpus.bytes(&format!("{CHUNKED}5\r\nhello\r\n"))).unwrap();
    crate::harness::eventually("the backend has the beginning", || corpus.world.caf921.bytes() > 0);
    stream.write_all(b"5 \r\nhello\r\n0\r\n\r\n").unwrap();
    let mut answers = Vec::new();
    stream.read_to_end(&mut answers).unwrap();
    assert_eq!(response(&answers).problem(), (INVALID.0, INVALID.1.to_owned()));
    assert_eq!(corpus.world.caf921.count(), 0, "no whole request came");
}

#[test]
fn a_refused_client_can_read_why_whatever_it_still_sends() {
    let corpus = Corpus::new(false);
    let mut stream = connect(corpus.world.gateway.public);
    let rest = vec![b'x'; 1 << 20];
    stream.write_all(b"POST / HTTP/1.1\r\nContent-Length: 1x\r\n\r\n").unwrap();
    let _ = stream.write_all(&rest);
    assert_eq!(read_response(&mut stream, false).expect("an answer").problem().0, 400);
    assert!(ends(&mut stream));
}

/// Whether nothing more comes, be it told by an end or by a reset.
fn ends(stream: &mut TcpStream) -> bool {
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    find(&rest, b"HTTP/").is_none()
}
