//! Interim answers (1xx, RFC 9110 section 15.2) and bodies that are cancelled, where a side speaks HTTP/2.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use hyper::{HeaderMap, Request, Response, StatusCode};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::time::{Instant, timeout};

use crate::harness::client::find;
use crate::harness::eventually;
use crate::harness::gateway::Settings;
use crate::harness::world::{Kind, PASSWORD, SIRET, World, account};
use crate::tls::{self, Secured};

const NORTH: &str = "nord@esat.example";
const LONG: Duration = Duration::from_secs(10);
/// So long is waited for what must not come.
const SHORT: Duration = Duration::from_millis(200);
/// After so long an upload goes on by itself.
const ITSELF: Duration = Duration::from_secs(1);

/// A Caf 591 whose backend, which speaks one protocol, is played by the test.
struct North {
    runtime: Runtime,
    backend: TcpListener,
    protocol: &'static str,
}

impl North {
    fn new(protocol: &'static str) -> Self {
        let runtime = Runtime::new().unwrap();
        let backend = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        Self { runtime, backend, protocol }
    }

    fn settings(&self, settings: &mut Settings) {
        let address = self.backend.local_addr().unwrap();
        let line = format!("protocol = {:?}", self.protocol);
        settings.caf("591", "Caf du Nord", &[address]).caf_line(&line);
    }

    fn people(world: &World) {
        world.gateway.accounts(&[account(NORTH, SIRET, &["591"])]);
        world.gateway.establishments(&[json!({"caf": "591", "siret": SIRET})]);
    }

    /// The gateway with TLS, and the cookie of who is at the Caf.
    fn secured(&self) -> (Secured, String) {
        let secured = tls::secured_with(|settings| self.settings(settings));
        Self::people(&secured.world);
        let body = json!({"identifiant": NORTH, "mot_de_passe": PASSWORD}).to_string();
        let length = body.len();
        let sign_in = format!(
            "POST /portail/connexion HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        let address = secured.world.gateway.public;
        let signed_in = tls::ask(address, tls::config(&rustls::version::TLS13, &[]), &sign_in);
        let cookie = signed_in.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
        (secured, cookie)
    }

    /// The gateway without TLS, and the cookie.
    fn clear(&self) -> (World, String) {
        let world = World::with(Kind::Embedded, |settings| self.settings(settings));
        Self::people(&world);
        let cookie = world.signed_in(NORTH).cookies();
        (world, cookie)
    }

    /// The next request to the backend.
    async fn asked(&self) -> Asked {
        let (mut stream, _) = self.backend.accept().await.unwrap();
        if self.protocol == "http1" {
            let head = until(&mut stream, b"\r\n\r\n").await;
            return Asked::Http1(stream, head);
        }
        let mut connection = h2::server::handshake(stream).await.unwrap();
        let (request, respond) = connection.accept().await.unwrap().unwrap();
        tokio::spawn(async move { while connection.accept().await.is_some() {} });
        let (head, body) = request.into_parts();
        Asked::Http2(head.headers, body, respond)
    }
}

/// A request, as the backend has it.
enum Asked {
    Http1(TcpStream, String),
    Http2(HeaderMap, RecvStream, SendResponse<Bytes>),
}

impl Asked {
    fn expects(&self) -> bool {
        match self {
            Self::Http1(_, head) => head.contains("\r\nexpect: 100-continue\r\n"),
            Self::Http2(headers, ..) => {
                headers.get("expect").is_some_and(|expected| expected == "100-continue")
            }
        }
    }

    /// Says `status` before the answer, with a link and a cookie.
    async fn tell(&mut self, status: u16) {
        let head = Response::builder().status(status).header("link", "</a.css>");
        let head = head.header("set-cookie", "octroi=pirate").body(()).unwrap();
        match self {
            Self::Http1(stream, _) => {
                let head =
                    format!("HTTP/1.1 {status} x\r\nLink: </a.css>\r\nSet-Cookie: octroi=pirate\r\n\r\n");
                stream.write_all(head.as_bytes()).await.unwrap();
            }
            Self::Http2(_, _, respond) => respond.send_informational(head).unwrap(),
        }
    }

    async fn answer(&mut self, status: u16) {
        match self {
            Self::Http1(stream, _) => {
                let head = format!("HTTP/1.1 {status} x\r\nContent-Length: 0\r\n\r\n");
                stream.write_all(head.as_bytes()).await.unwrap();
            }
            Self::Http2(_, _, respond) => {
                let head = Response::builder().status(status).body(()).unwrap();
                respond.send_response(head, true).unwrap();
            }
        }
    }

    /// The next piece of the body, as it comes; `None` at its end, whole or not.
    async fn piece(&mut self) -> Option<Result<Vec<u8>, ()>> {
        match self {
            Self::Http1(stream, _) => {
                let mut buffer = [0; 4_096];
                let size = stream.read(&mut buffer).await.unwrap_or(0);
                (size > 0).then(|| Ok(buffer[..size].to_vec()))
            }
            Self::Http2(_, body, _) => {
                let piece = poll_fn(|cx| body.poll_data(cx)).await?;
                Some(piece.map(|piece| piece.to_vec()).map_err(drop))
            }
        }
    }
}

async fn until(stream: &mut (impl tokio::io::AsyncRead + Unpin), end: &[u8]) -> String {
    let mut seen = Vec::new();
    while find(&seen, end).is_none() {
        let mut byte = [0];
        let size = timeout(LONG, stream.read(&mut byte)).await.expect("it comes in time").unwrap();
        assert_eq!(size, 1, "it ended: {}", String::from_utf8_lossy(&seen));
        seen.push(byte[0]);
    }
    String::from_utf8(seen).unwrap()
}

async fn speak(world: &World) -> SendRequest<Bytes> {
    let stream = TcpStream::connect(world.gateway.public).await.unwrap();
    let name = rustls::pki_types::ServerName::try_from("esat.extranet.example").unwrap();
    let config = tls::config(&rustls::version::TLS13, &["h2"]);
    let stream = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
    let (sender, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    sender.ready().await.unwrap()
}

fn request(method: &str, cookie: &str, more: &[(&str, &str)]) -> Request<()> {
    let request = Request::builder().method(method).uri("https://esat.extranet.example/d");
    more.iter()
        .fold(request.header("cookie", cookie), |request, (name, value)| request.header(*name, *value))
        .body(())
        .unwrap()
}

async fn interim(answer: &mut ResponseFuture) -> Option<Response<()>> {
    poll_fn(|cx| answer.poll_informational(cx)).await.map(Result::unwrap)
}

/// Looks at exchanges until one was over before its upload would have gone on by itself: on a machine that stopped
/// for longer, what was seen shows nothing.
fn in_time(exchange: impl Fn() -> Seen) {
    eventually("an exchange shows something", || exchange() == Seen::InTime);
}

#[derive(Debug, PartialEq, Eq)]
enum Seen {
    InTime,
    TooLate,
}

impl Seen {
    fn since(began: Instant) -> Self {
        if began.elapsed() < ITSELF { Self::InTime } else { Self::TooLate }
    }
}

#[test]
fn a_client_of_http2_is_told_of_them_as_they_come() {
    for protocol in ["http1", "http2"] {
        let north = North::new(protocol);
        let (secured, cookie) = north.secured();
        north.runtime.block_on(async {
            let mut client = speak(&secured.world).await;
            let (mut answer, _) = client.send_request(request("GET", &cookie, &[]), true).unwrap();
            let mut asked = north.asked().await;
            for status in [103, 102, 103] {
                asked.tell(status).await;
                let told = timeout(LONG, interim(&mut answer)).await.expect("it comes by itself").unwrap();
                assert_eq!(
                    (told.status().as_u16(), told.headers()["link"].to_str().unwrap()),
                    (status, "</a.css>")
                );
                assert_eq!(told.headers().len(), 1, "{protocol}: {told:?}");
            }
            asked.answer(204).await;
            assert!(interim(&mut answer).await.is_none());
            assert_eq!(answer.await.unwrap().status(), StatusCode::NO_CONTENT);
        });
    }
}

#[test]
fn a_client_of_http1_is_told_of_those_of_a_backend_of_http2() {
    let north = North::new("http2");
    let (world, cookie) = north.clear();
    north.runtime.block_on(async {
        let mut client = TcpStream::connect(world.gateway.public).await.unwrap();
        let head = format!("GET /d HTTP/1.1\r\nHost: a\r\nCookie: {cookie}\r\n\r\n");
        client.write_all(head.as_bytes()).await.unwrap();
        let mut asked = north.asked().await;
        asked.tell(103).await;
        let told = until(&mut client, b"\r\n\r\n").await;
        assert_eq!(told, "HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n");
        asked.answer(204).await;
        let answer = until(&mut client, b"\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 204 "), "{answer}");
    });
}

#[test]
fn an_upload_over_http2_stays_where_it_is_until_the_backend_wants_it() {
    for protocol in ["http1", "http2"] {
        in_time(|| {
            let north = North::new(protocol);
            let (secured, cookie) = north.secured();
            north.runtime.block_on(async {
                let mut client = speak(&secured.world).await;
                let head = request("PUT", &cookie, &[("expect", "100-continue"), ("content-length", "5")]);
                let began = Instant::now();
                let (mut answer, mut upload) = client.send_request(head, false).unwrap();
                let mut asked = north.asked().await;
                assert!(asked.expects(), "{protocol}");
                let is_silent = timeout(SHORT, interim(&mut answer)).await.is_err();
                if Seen::since(began) == Seen::TooLate {
                    return Seen::TooLate;
                }
                assert!(is_silent, "nobody said 100 yet");
                asked.tell(100).await;
                let told = timeout(LONG, interim(&mut answer)).await.expect("it comes by itself").unwrap();
                // Sooner than it would come if the backend said nothing.
                let seen = Seen::since(began);
                assert_eq!((told.status(), told.headers().len()), (StatusCode::CONTINUE, 0));
                upload.send_data(Bytes::from_static(b"salut"), true).unwrap();
                assert_eq!(asked.piece().await.unwrap().unwrap(), b"salut");
                asked.answer(200).await;
                if seen == Seen::InTime {
                    assert!(interim(&mut answer).await.is_none());
                    assert_eq!(answer.await.unwrap().status(), StatusCode::OK);
                }
                seen
            })
        });
    }
}

#[test]
fn an_upload_that_the_backend_does_not_want_is_never_asked_for() {
    for protocol in ["http1", "http2"] {
        in_time(|| {
            let north = North::new(protocol);
            let (secured, cookie) = north.secured();
            north.runtime.block_on(async {
                let mut client = speak(&secured.world).await;
                let head = request("PUT", &cookie, &[("expect", "100-continue"), ("content-length", "5")]);
                let began = Instant::now();
                let (mut answer, _upload) = client.send_request(head, false).unwrap();
                let mut asked = north.asked().await;
                asked.answer(403).await;
                let first = interim(&mut answer).await;
                if Seen::since(began) == Seen::TooLate {
                    return Seen::TooLate;
                }
                assert!(first.is_none(), "{protocol}: nothing came before the answer");
                assert_eq!(answer.await.unwrap().status(), StatusCode::FORBIDDEN);
                let rest = timeout(LONG, asked.piece()).await.expect("it is told that nothing will come");
                assert!(matches!(rest, None | Some(Err(()))), "{protocol}: {rest:?}");
                Seen::InTime
            })
        });
    }
}

/// A client of HTTP/1.1 waits for a backend of HTTP/2 as for any other.
#[test]
fn an_upload_over_http1_waits_for_a_backend_of_http2() {
    in_time(|| {
        let north = North::new("http2");
        let (world, cookie) = north.clear();
        north.runtime.block_on(async {
            let mut client = TcpStream::connect(world.gateway.public).await.unwrap();
            let head = format!(
                "POST /d HTTP/1.1\r\nHost: a\r\nCookie: {cookie}\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
            );
            let began = Instant::now();
            client.write_all(head.as_bytes()).await.unwrap();
            let mut asked = north.asked().await;
            assert!(asked.expects());
            let is_silent = timeout(SHORT, client.readable()).await.is_err();
            if Seen::since(began) == Seen::TooLate {
                return Seen::TooLate;
            }
            assert!(is_silent, "nobody said 100 yet");
            asked.tell(100).await;
            let told = until(&mut client, b"\r\n\r\n").await;
            let seen = Seen::since(began);
            assert_eq!(told, "HTTP/1.1 100 Continue\r\n\r\n");
            client.write_all(b"salut").await.unwrap();
            assert_eq!(asked.piece().await.unwrap().unwrap(), b"salut");
            asked.answer(200).await;
            if seen == Seen::InTime {
                let answer = until(&mut client, b"\r\n\r\n").await;
                assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
            }
            seen
        })
    });
}

/// It may go on for a while; then its stream ends, and its place is free.
#[test]
fn an_upload_that_goes_on_after_its_answer_ends_in_time() {
    let north = North::new("http2");
    let (world, cookie) = north.clear();
    north.runtime.block_on(async {
        let (mut from, mut to) = TcpStream::connect(world.gateway.public).await.unwrap().into_split();
        let head = format!(
            "POST /d HTTP/1.1\r\nHost: a\r\nCookie: {cookie}\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n"
        );
        to.write_all(head.as_bytes()).await.unwrap();
        let mut asked = north.asked().await;
        asked.answer(200).await;
        let answer = until(&mut from, b"\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        let dripping = async {
            while to.write_all(b"1\r\nx\r\n").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            std::future::pending::<()>().await;
        };
        let ended = async { while let Some(Ok(_)) = asked.piece().await {} };
        tokio::select! {
            () = dripping => unreachable!("it goes on"),
            ended = timeout(LONG, ended) => ended.expect("the backend is told"),
        }
    });
}

/// A declaration that its client cancels half-way is no shorter declaration.
#[test]
fn an_upload_that_is_cancelled_is_never_a_whole_one() {
    for protocol in ["http1", "http2"] {
        for reason in [Reason::CANCEL, Reason::NO_ERROR] {
            let north = North::new(protocol);
            let (secured, cookie) = north.secured();
            north.runtime.block_on(async {
                let mut client = speak(&secured.world).await;
                let (_answer, mut upload) =
                    client.send_request(request("POST", &cookie, &[]), false).unwrap();
                upload.send_data(Bytes::from_static(b"siret=1&montant=1"), false).unwrap();
                let mut asked = north.asked().await;
                let mut seen = asked.piece().await.unwrap().unwrap();
                assert!(!seen.is_empty());
                upload.send_reset(reason);
                let is_whole = timeout(LONG, async {
                    loop {
                        match asked.piece().await {
                            Some(Ok(piece)) => seen.extend(piece),
                            Some(Err(())) => return false,
                            // Over HTTP/1.1 the last chunk tells; over HTTP/2 the end alone does.
                            None => return protocol == "http2" || find(&seen, b"\r\n0\r\n").is_some(),
                        }
                    }
                });
                assert!(!is_whole.await.expect("the backend is told"), "{protocol} {reason:?}");
            });
        }
    }
}

/// Nor is a page that its backend cancels half-way a shorter page.
#[test]
fn an_answer_that_is_cancelled_is_never_a_whole_one() {
    let half = |asked: Asked, reason: Reason| {
        let Asked::Http2(_, _, mut respond) = asked else { unreachable!("the backend speaks HTTP/2") };
        let mut page = respond.send_response(Response::new(()), false).unwrap();
        page.send_data(Bytes::from_static(b"la moiti"), false).unwrap();
        (page, reason)
    };
    for reason in [Reason::CANCEL, Reason::NO_ERROR] {
        let north = North::new("http2");
        let (secured, cookie) = north.secured();
        north.runtime.block_on(async {
            let mut client = speak(&secured.world).await;
            let (answer, _) = client.send_request(request("GET", &cookie, &[]), true).unwrap();
            let (mut page, reason) = half(north.asked().await, reason);
            let mut body = answer.await.unwrap().into_body();
            assert_eq!(body.data().await.unwrap().unwrap(), "la moiti");
            page.send_reset(reason);
            let end = timeout(LONG, body.data()).await.expect("the client is told");
            assert!(matches!(end, Some(Err(_))), "{reason:?}: {end:?}");
        });
    }
    for reason in [Reason::CANCEL, Reason::NO_ERROR] {
        let north = North::new("http2");
        let (world, cookie) = north.clear();
        north.runtime.block_on(async {
            let mut client = TcpStream::connect(world.gateway.public).await.unwrap();
            let head = format!("GET /d HTTP/1.1\r\nHost: a\r\nCookie: {cookie}\r\n\r\n");
            client.write_all(head.as_bytes()).await.unwrap();
            let (mut page, reason) = half(north.asked().await, reason);
            until(&mut client, b"la moiti").await;
            page.send_reset(reason);
            let mut rest = Vec::new();
            let _ = timeout(LONG, client.read_to_end(&mut rest)).await.expect("the client is told");
            assert!(find(&rest, b"0\r\n\r\n").is_none(), "{reason:?}: {}", String::from_utf8_lossy(&rest));
        });
    }
}
