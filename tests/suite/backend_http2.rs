//! HTTP/2 to backends, without TLS by prior knowledge (RFC 9113 section 3.3).

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Frame;
use hyper::{HeaderMap, Request, Response, StatusCode, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::harness::backend::{Backend, Then};
use crate::harness::eventually;
use crate::harness::gateway::Settings;
use crate::harness::modern::{Modern, text};
use crate::harness::world::{Kind, PASSWORD, SIRET, World, account};
use crate::tls;

const SOUTH: &str = "sud@esat.example";

/// A world with a Caf 131 whose backend speaks HTTP/2 alone.
fn south(backend: &Modern, change: impl FnOnce(&mut Settings)) -> World {
    let world = World::with(Kind::Embedded, |settings| {
        settings.caf("131", "Caf des Bouches-du-Rhône", &[backend.address]).caf_line("protocol = \"http2\"");
        change(settings);
    });
    world.gateway.accounts(&[account(SOUTH, SIRET, &["131"])]);
    world.gateway.establishments(&[json!({"caf": "131", "siret": SIRET})]);
    world
}

#[test]
fn a_request_arrives_as_it_was_sent_with_who_is_asking() {
    let backend = Modern::start(None);
    let world = south(&backend, |_| ());
    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    let bodies = Arc::clone(&seen);
    backend.script(move |request| {
        let bodies = Arc::clone(&bodies);
        async move {
            let body = request.into_body().collect().await.unwrap().to_bytes();
            bodies.lock().unwrap().push(body);
            let mut answer = text("reçu");
            answer.headers_mut().insert("set-cookie", "JSESSIONID=abc; Path=/".parse().unwrap());
            answer
        }
    });
    let mut client = world.signed_in(SOUTH);
    let sent = client
        .request("PUT", "/d/caf%C3%A9;v=1/?q=%20a+b&&x")
        .body("application/octet-stream", b"a=1&b=\x00\xff")
        .header("X-Esat-Compte", "autre@esat.example")
        .header("TE", "trailers, gzip")
        .header("Connection", "X-Saut")
        .header("X-Saut", "1")
        .header("Expect", "100-continue")
        .send();
    assert_eq!((sent.status, sent.text().as_str()), (200, "reçu"));
    let got = backend.last();
    assert_eq!((got.version, got.method.as_str()), (Version::HTTP_2, "PUT"));
    assert_eq!(got.scheme.as_deref(), Some("http"));
    assert_eq!(got.path, "/d/caf%C3%A9;v=1/?q=%20a+b&&x");
    assert_eq!(got.authority.as_deref(), Some(world.gateway.public.to_string().as_str()));
    assert_eq!(seen.lock().unwrap()[0].as_ref(), b"a=1&b=\x00\xff");
    assert!(got.headers["x-esat-compte"] == SOUTH && got.headers["x-caf-code"] == "131");
    assert_eq!(
        (&got.headers["te"], &got.headers["expect"]),
        (&"trailers".parse().unwrap(), &"100-continue".parse().unwrap())
    );
    for name in ["x-saut", "connection", "transfer-encoding", "cookie"] {
        assert!(!got.headers.contains_key(name), "{name}: {:?}", got.headers);
    }
    client.get("/").program().send();
    assert_eq!(backend.last().headers["cookie"], "JSESSIONID=abc");
    for target in ["/", "*"] {
        let options = client.request("OPTIONS", target).send();
        assert!([200, 204].contains(&options.status), "{target}: {}", options.status);
    }
    assert_eq!(client.request("HEAD", "/").send().status, 200);
}

#[test]
fn answers_without_a_body_keep_what_they_say_of_it() {
    let backend = Modern::start(None);
    let world = south(&backend, |settings| {
        settings.set("server", "workers", "1");
    });
    backend.script(|request| async move {
        let mut answer = text("");
        let is_same = request.headers().contains_key("if-none-match");
        *answer.status_mut() = StatusCode::from_u16(if is_same { 304 } else { 200 }).unwrap();
        let length = if is_same { "etag" } else { "content-length" };
        answer.headers_mut().insert(length, "1234".parse().unwrap());
        answer
    });
    let mut client = world.signed_in(SOUTH);
    let head = client.request("HEAD", "/d").send();
    assert_eq!((head.status, head.header("content-length")), (200, Some("1234")));
    let same = client.get("/d").header("If-None-Match", "1234").send();
    assert_eq!((same.status, same.header("etag"), same.body.len()), (304, Some("1234"), 0));
    assert_eq!(backend.connections(), 1, "its connection goes on");
}

/// A Caf whose backend speaks HTTP/2 alone, behind TLS, and an account of it.
fn in_front_of(backend: &Modern) -> tls::Secured {
    let secured = tls::secured_with(|settings| {
        settings.caf("131", "Caf des Bouches-du-Rhône", &[backend.address]).caf_line("protocol = \"http2\"");
    });
    secured.world.gateway.accounts(&[account(SOUTH, SIRET, &["131"])]);
    secured.world.gateway.establishments(&[json!({"caf": "131", "siret": SIRET})]);
    secured
}

/// A call of gRPC: a body and trailers each way, over HTTP/2 all along.
#[test]
fn a_call_of_grpc_passes_with_its_trailers() {
    let backend = Modern::start(None);
    let secured = in_front_of(&backend);
    let world = &secured.world;
    backend.script(|request| async move {
        let body = request.into_body().collect().await.unwrap();
        let said = body.trailers().and_then(|trailers| trailers.get("x-fin")).cloned();
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", "0".parse().unwrap());
        trailers.insert("x-recu", said.unwrap_or_else(|| "rien".parse().unwrap()));
        let frames = [Frame::data(body.to_bytes()), Frame::trailers(trailers)];
        let frames = stream::iter(frames.into_iter().map(Ok::<_, Infallible>));
        let answer = Response::builder().header("content-type", "application/grpc");
        answer.body(StreamBody::new(frames).boxed_unsync()).unwrap()
    });
    let cookie = cookie(world);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let trailers = runtime.block_on(async {
        let mut sender = speak_http2(world).await;
        let mut last = HeaderMap::new();
        last.insert("x-fin", "oui".parse().unwrap());
        let frames = [Frame::data(Bytes::from_static(b"\0\0\0\0\x03abc")), Frame::trailers(last)];
        let body = StreamBody::new(stream::iter(frames.into_iter().map(Ok::<_, Infallible>)));
        let request = Request::post("https://esat.extranet.example/caf.Declaration/Envoyer")
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .header("cookie", cookie)
            .body(body)
            .unwrap();
        let answer = sender.send_request(request).await.unwrap();
        assert_eq!(answer.status(), 200);
        let body = answer.into_body().collect().await.unwrap();
        let trailers = body.trailers().expect("trailers").clone();
        assert_eq!(body.to_bytes().as_ref(), b"\0\0\0\0\x03abc");
        trailers
    });
    assert_eq!(
        (&trailers["grpc-status"], &trailers["x-recu"]),
        (&"0".parse().unwrap(), &"oui".parse().unwrap())
    );
    assert_eq!(backend.last().headers["te"], "trailers");
}

/// They are no part of a value, and a client that holds to RFC 9113 section 8.2.1 closes its connection over them.
#[test]
fn blanks_around_an_answers_values_stay_behind() {
    let backend = Modern::start(None);
    let secured = in_front_of(&backend);
    let world = &secured.world;
    backend.script(|_| async move {
        let trailers = HeaderMap::from_iter([("x-fin".parse().unwrap(), "fin\t ".parse().unwrap())]);
        let frames = [Frame::data(Bytes::from_static(b"bien")), Frame::trailers(trailers)];
        let frames = stream::iter(frames.into_iter().map(Ok::<_, Infallible>));
        let answer =
            Response::builder().header("x-avant", " \ta  b \t").header("x-vide", "\t").header("x-net", "c");
        answer.header("x-caf-code", " 131 ").body(StreamBody::new(frames).boxed_unsync()).unwrap()
    });
    let cookie = cookie(world);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (head, trailers) = runtime.block_on(async {
        let mut sender = speak_http2(world).await;
        let request = Request::get("https://esat.extranet.example/d").header("cookie", cookie);
        let request = request.header("accept", "text/plain").body(Full::<Bytes>::default()).unwrap();
        let (head, body) = sender.send_request(request).await.unwrap().into_parts();
        (head, body.collect().await.unwrap().trailers().expect("trailers").clone())
    });
    assert_eq!(head.status, 200);
    let values = ["x-avant", "x-vide", "x-net"].map(|name| head.headers[name].to_str().unwrap());
    assert_eq!(values, ["a  b", "", "c"]);
    assert_eq!(trailers["x-fin"], "fin");
}

/// A call that goes on for as long as both sides want goes no further than its session, and is told why it ends.
#[test]
fn a_call_of_grpc_ends_with_its_session() {
    let backend = Modern::start(None);
    let secured = in_front_of(&backend);
    let world = &secured.world;
    let ended = Arc::new(AtomicUsize::new(0));
    let ends = Arc::clone(&ended);
    backend.script(move |_| {
        let messages = stream::unfold(OnDrop(Arc::clone(&ends)), |end| async move {
            tokio::time::sleep(Duration::from_millis(20)).await;
            Some((Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"\0\0\0\0\x03abc"))), end))
        });
        let answer = Response::builder().header("content-type", "application/grpc+proto");
        let answer = answer.body(StreamBody::new(messages.boxed()).boxed_unsync()).unwrap();
        async move { answer }
    });
    let cookie = cookie(world);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let trailers = runtime.block_on(async {
        let mut sender = speak_http2(world).await;
        let request = Request::post("https://esat.extranet.example/caf.Suivi/Suivre")
            .header("content-type", "application/grpc+proto")
            .header("cookie", cookie)
            .body(Full::new(Bytes::from_static(b"\0\0\0\0\0")))
            .unwrap();
        let mut body = sender.send_request(request).await.unwrap().into_body();
        assert!(body.frame().await.unwrap().unwrap().is_data());
        let suspended = world.gateway.admin().post(&format!("/v1/accounts/{SOUTH}/suspend")).send();
        assert!(suspended.status < 300, "{}", suspended.text());
        let rest = tokio::time::timeout(Duration::from_secs(5), body.collect()).await;
        rest.expect("it ends in time").unwrap().trailers().expect("trailers").clone()
    });
    assert_eq!(trailers["grpc-status"], "16");
    eventually("the backend is told too", || ended.load(Ordering::SeqCst) == 1);
}

/// One whose backend only listens is not yet answered when its session ends.
#[test]
fn a_call_of_grpc_that_is_not_answered_yet_ends_with_its_session_too() {
    let backend = Modern::start(None);
    let secured = in_front_of(&backend);
    let world = &secured.world;
    let (begun, ended) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (begins, ends) = (Arc::clone(&begun), Arc::clone(&ended));
    backend.script(move |request| {
        let (begins, end) = (Arc::clone(&begins), OnDrop(Arc::clone(&ends)));
        async move {
            let mut body = request.into_body();
            while let Some(Ok(_)) = body.frame().await {
                begins.fetch_add(1, Ordering::SeqCst);
            }
            drop(end);
            Response::new(Full::default().boxed_unsync())
        }
    });
    let cookie = cookie(world);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let status = runtime.block_on(async {
        let mut sender = speak_http2(world).await;
        let messages = stream::unfold((), |()| async move {
            tokio::time::sleep(Duration::from_millis(20)).await;
            Some((Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"\0\0\0\0\x03abc"))), ()))
        });
        let request = Request::post("https://esat.extranet.example/caf.Suivi/Dire")
            .header("content-type", "application/grpc")
            .header("cookie", cookie)
            .body(StreamBody::new(messages.boxed()))
            .unwrap();
        let answer = sender.send_request(request);
        let ends = async {
            let heard = || begun.load(Ordering::SeqCst) > 0;
            while !heard() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            let suspended = world.gateway.admin().post(&format!("/v1/accounts/{SOUTH}/suspend")).send();
            assert!(suspended.status < 300, "{}", suspended.text());
        };
        let (answer, ()) = tokio::join!(tokio::time::timeout(Duration::from_secs(10), answer), ends);
        answer.expect("it ends in time").unwrap().status()
    });
    // gRPC reads it as UNAUTHENTICATED.
    assert_eq!(status, 401);
    eventually("the backend is told too", || ended.load(Ordering::SeqCst) == 1);
}

/// The cookie of who signed in at Caf 131.
fn cookie(world: &World) -> String {
    let body = json!({"identifiant": SOUTH, "mot_de_passe": PASSWORD}).to_string();
    let length = body.len();
    let sign_in = format!(
        "POST /portail/connexion HTTP/1.1\r\nHost: esat.extranet.example\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    let signed_in = tls::ask(world.gateway.public, tls::config(&rustls::version::TLS13, &[]), &sign_in);
    signed_in.header("set-cookie").unwrap().split(';').next().unwrap().to_owned()
}

async fn speak_http2<B>(world: &World) -> hyper::client::conn::http2::SendRequest<B>
where
    B: hyper::body::Body<Data = Bytes, Error = Infallible> + Send + Unpin + 'static,
{
    let stream = TcpStream::connect(world.gateway.public).await.unwrap();
    let name = rustls::pki_types::ServerName::try_from("esat.extranet.example").unwrap();
    let tls = TlsConnector::from(Arc::new(tls::config(&rustls::version::TLS13, &["h2"])));
    let stream = tls.connect(name, stream).await.unwrap();
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

#[test]
fn many_requests_share_a_connection_and_none_blocks_another() {
    let backend = Modern::start(None);
    let world = south(&backend, |_| ());
    let waiting = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&waiting);
    backend.script(move |request| {
        let count = Arc::clone(&count);
        async move {
            if request.uri().path() == "/lent" {
                count.fetch_add(1, Ordering::SeqCst);
                while count.load(Ordering::SeqCst) < 20 {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
            text(request.uri().path())
        }
    });
    let person = world.signed_in(SOUTH);
    std::thread::scope(|scope| {
        let slow: Vec<_> = (0..20)
            .map(|_| {
                let mut client = world.gateway.known(&person);
                scope.spawn(move || client.get("/lent").program().send().text())
            })
            .collect();
        let mut client = world.gateway.known(&person);
        for _ in 0..20 {
            assert_eq!(client.get("/vite").program().send().text(), "/vite");
        }
        for thread in slow {
            assert_eq!(thread.join().unwrap(), "/lent");
        }
    });
    assert!(backend.connections() <= 2, "one a worker at most: {}", backend.connections());
}

#[test]
fn a_client_that_goes_away_ends_its_stream_and_no_other() {
    let backend = Modern::start(None);
    let world = south(&backend, |settings| {
        settings.set("server", "workers", "1");
    });
    let (live, ended) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counts = (Arc::clone(&live), Arc::clone(&ended));
    backend.script(move |request| {
        let (live, ended) = counts.clone();
        async move {
            if request.uri().path() == "/" {
                return text("bien");
            }
            live.fetch_add(1, Ordering::SeqCst);
            let end = OnDrop(ended);
            let ticks = stream::unfold(end, |end| async move {
                tokio::time::sleep(Duration::from_millis(10)).await;
                Some((Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"tic"))), end))
            });
            Response::new(StreamBody::new(ticks.boxed()).boxed_unsync())
        }
    });
    let mut client = world.signed_in(SOUTH);
    let request = format!(
        "GET /flot HTTP/1.1\r\nHost: {}\r\nCookie: {}\r\n\r\n",
        world.gateway.public,
        client.cookies()
    );
    let mut gone = crate::harness::client::connect(world.gateway.public);
    std::io::Write::write_all(&mut gone, request.as_bytes()).unwrap();
    eventually("it streams", || live.load(Ordering::SeqCst) == 1);
    assert_eq!(client.get("/").program().send().text(), "bien");
    let connections = backend.connections();
    drop(gone);
    eventually("the backend is told", || ended.load(Ordering::SeqCst) == 1);
    assert_eq!(client.get("/").program().send().text(), "bien");
    assert_eq!(backend.connections(), connections, "the connection that others share was closed");
}

struct OnDrop(Arc<AtomicUsize>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn a_backend_that_hangs_or_speaks_no_http2_is_told_by_its_name() {
    let backend = Modern::start(None);
    let world = south(&backend, |settings| {
        settings.caf_line("first_byte_timeout = \"2s\"");
    });
    backend.script(|request| async move {
        if request.uri().path() == "/pendu" {
            std::future::pending::<()>().await;
        }
        let _ = request.into_body().collect().await;
        text("bien")
    });
    let mut client = world.signed_in(SOUTH);
    assert_eq!(client.get("/pendu").program().send().problem(), (504, "caf-indisponible".to_owned()));
    assert_eq!(client.post("/f").json(&json!({"a": 1})).send().status, 200, "its other streams live on");

    let old = Backend::start("131");
    old.script(Arc::new(|_, stream| {
        let _ = std::io::Write::write_all(stream, b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
        Then::Close
    }));
    let world = World::with(Kind::Embedded, |settings| {
        settings.caf("131", "Caf des Bouches-du-Rhône", &[old.address]).caf_line("protocol = \"http2\"");
    });
    world.gateway.accounts(&[account(SOUTH, SIRET, &["131"])]);
    world.gateway.establishments(&[json!({"caf": "131", "siret": SIRET})]);
    let refused = world.signed_in(SOUTH).get("/").program().send();
    assert_eq!(refused.problem(), (502, "caf-indisponible".to_owned()));
}

#[test]
fn an_answer_of_another_caf_is_not_given_out_over_http2_either() {
    let backend = Modern::start(None);
    let world = south(&backend, |_| ());
    backend.script(|_| async {
        let mut answer = text("la réponse d'une autre");
        answer.headers_mut().insert("x-caf-code", "751".parse().unwrap());
        answer
    });
    let refused = world.signed_in(SOUTH).get("/").program().send();
    assert_eq!(refused.problem(), (502, "caf-indisponible".to_owned()));
    assert!(!refused.text().contains("d'une autre"));
}

#[test]
fn a_large_body_goes_both_ways_whole() {
    let backend = Modern::start(None);
    let world = south(&backend, |_| ());
    backend.script(|request| async move {
        let body = request.into_body().collect().await.unwrap().to_bytes();
        Response::new(Full::new(body).boxed_unsync())
    });
    let mut client = world.signed_in(SOUTH);
    let body: Vec<u8> = (0..5_000_000_u32).map(|n| (n % 251) as u8).collect();
    let sent = client.request("POST", "/f").body("application/octet-stream", &body).send();
    assert!(sent.status == 200 && sent.body == body, "{} {}", sent.status, sent.body.len());
}

#[test]
fn a_backend_that_takes_no_connection_holds_nobody_up_for_the_others() {
    let (_full, address) = crate::parked::full_backend();
    let world = World::with(Kind::Embedded, |settings| {
        settings.caf("131", "Caf des Bouches-du-Rhône", &[address]).caf_line("protocol = \"http2\"");
        settings.set("server", "workers", "1").caf_line("connect_timeout = \"300ms\"");
    });
    world.gateway.accounts(&[account(SOUTH, SIRET, &["131"])]);
    world.gateway.establishments(&[json!({"caf": "131", "siret": SIRET})]);
    let person = world.signed_in(SOUTH);
    let began = tokio::time::Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..20 {
            let mut client = world.gateway.known(&person);
            scope.spawn(move || assert_eq!(client.get("/").program().send().status, 504));
        }
    });
    assert!(began.elapsed() < Duration::from_secs(3), "one after the other: {:?}", began.elapsed());
}
