use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::Guard;
use super::chunks::Chunks;
use super::head::{Head, Length, Reader, is_text, is_token, text_size};
use crate::gate::{Link, Malformed, STAND_IN_METHOD};

fn read(head: &str) -> Result<Option<Head>, Malformed> {
    Reader::default().read(head.as_bytes())
}

#[test]
fn a_head_says_where_its_message_ends() {
    let length = |head: &str| read(head).ok().flatten().map(|read| (read.end == head.len(), read.body));
    for (head, body) in [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", Length::Known(0)),
        ("\r\n\r\nGET /a?b=\"\" HTTP/1.0\r\n\r\n".replace('"', "'").leak(), Length::Known(0)),
        ("POST /caf%C3%A9;v=1?q=%20a+b&&x HTTP/1.1\r\ncontent-length:\t 12 \r\n\r\n", Length::Known(12)),
        ("PUT http://a/b HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n", Length::Chunked),
        ("OPTIONS * HTTP/1.1\r\nX: \u{e9}\r\n\r\n", Length::Known(0)),
        ("CONNECT a:443 HTTP/1.1\r\n\r\n", Length::Known(0)),
    ] {
        assert_eq!(length(head), Some((true, body)), "{head:?}");
    }
}

#[test]
fn a_head_with_two_readings_is_refused() {
    for head in [
        "GET / HTTP/1.1\n",
        "GET / HTTP/1.1\r\nA: b\n",
        "GET / HTTP/1.1\r\nA: b\rc\r\n",
        "GET / HTTP/1.1\r\nA: b\0c\r\n",
        "GET / HTTP/1.1\r\nA : b\r\n",
        "GET / HTTP/1.1\r\nA\r\n",
        "GET / HTTP/1.1\r\n: b\r\n",
        "GET / HTTP/1.1\r\n A: b\r\n",
        "GET / HTTP/1.1\r\nA: b\r\n c\r\n",
        "GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n",
        "GET / HTTP/1.1\r\nContent-Length: 1, 1\r\n",
        "GET / HTTP/1.1\r\nContent-Length: +1\r\n",
        "GET / HTTP/1.1\r\nContent-Length: \r\n",
        "GET / HTTP/1.1\r\nContent-Length: 1111111111111111111\r\n",
        "GET / HTTP/1.1\r\nTransfer-Encoding: chunked, chunked\r\n",
        "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "GET / HTTP/1.1\r\nTransfer-Encoding: identity\r\n",
        "GET / HTTP/1.1\r\nTransfer-Encoding: \u{b}chunked\r\n",
        "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n",
        "GET / HTTP/1.1\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n",
        "GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n",
        "GET  / HTTP/1.1\r\n",
        "GET / HTTP/1.1 \r\n",
        "GET\t/ HTTP/1.1\r\n",
        "GET /a b HTTP/1.1\r\n",
        "GET /\r\n",
        "GET / HTTP/2.0\r\n",
        "GET / http/1.1\r\n",
        "GET /a#b HTTP/1.1\r\n",
        "GET http://a/#b HTTP/1.1\r\n",
        "GET a HTTP/1.1\u{7f}\r\n",
        "GET /a<b HTTP/1.1\r\n",
        "G(T / HTTP/1.1\r\n",
        "x-octroi-refused / HTTP/1.1\r\n",
        "\rGET / HTTP/1.1\r\n",
    ] {
        assert!(matches!(read(head), Err(Malformed::Head(_))), "{head:?}: {:?}", read(head));
    }
}

#[test]
fn a_head_has_its_limits() {
    let long = |size: usize| "a".repeat(size);
    assert_eq!(read(&format!("GET /{}", long(17_000))), Err(Malformed::TargetTooLong));
    assert_eq!(read(&format!("GET /{} HTTP/1.1\r\n", long(16_400))), Err(Malformed::TargetTooLong));
    assert_eq!(read(&format!("GET / HTTP/1.1\r\nA: {}", long(65_536))), Err(Malformed::HeadTooLarge));
    assert_eq!(read(&"\r\n".repeat(40_000)), Err(Malformed::HeadTooLarge));
    let fields = |count| format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(count));
    assert!(matches!(read(&fields(100)), Ok(Some(_))));
    assert_eq!(read(&fields(101)), Err(Malformed::HeadTooLarge));
}

#[test]
fn chunks_have_one_end() {
    let read = |body: &str| Chunks::new().read(body.as_bytes()).ok();
    for body in ["0\r\n\r\n", "3\r\nabc\r\n0\r\n\r\n", "a;b=\"c\"\r\n0123456789\r\n00\r\nT: v\r\n\r\n"] {
        assert_eq!(read(&format!("{body}GET")), Some((body.len(), true)), "{body:?}");
        assert_eq!(read(&body[..body.len() - 1]), Some((body.len() - 1, false)), "{body:?}");
    }
    for body in [
        "\r\n",
        ";a\r\n",
        "g\r\n",
        "+1\r\n",
        "0x1\r\n",
        " 1\r\n",
        "1 \r\n",
        "1\n",
        "1;a\n",
        "1;a\rb",
        "1;\0\r\n",
        "-1\r\n",
        "1\r\nab",
        "1\r\na\n",
        "1\r\na\r0",
        "0\r\n\n",
        "0\r\n a: b\r\n",
        "0\r\na\r\n",
        "0\r\na : b\r\n",
        "0\r\na: b\n",
        "1111111111111111\r\n",
        "0\r\n: b\r\n",
    ] {
        assert_eq!(read(body), None, "{body:?}");
    }
    assert_eq!(read(&format!("1;{}", "a".repeat(9_000))), None, "extensions are bounded");
}

/// What hyper makes of a connection's bytes that come in these pieces: each request with its body, or how its
/// body failed; and all that it answers.
async fn serve(pieces: &[&[u8]]) -> (Vec<String>, String) {
    let (mut client, server) = tokio::io::duplex(1 << 20);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let service = service_fn(|request: Request<Incoming>| {
        let seen = Arc::clone(&seen);
        async move {
            let line = format!("{} {}", request.method(), request.uri());
            let body = request.into_body().collect().await;
            let body = body.map_or("broken".to_owned(), |body| format!("{:?}", body.to_bytes()));
            seen.lock().expect("no panic").push(format!("{line} {body}"));
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"ok"))))
        }
    });
    let guard = Guard::new(server, Arc::new(Link::default()));
    let connection = http1::Builder::new().half_close(true).serve_connection(TokioIo::new(guard), service);
    let talk = async {
        for piece in pieces {
            let _ = client.write_all(piece).await;
            tokio::task::yield_now().await;
        }
        let _ = client.shutdown().await;
        let mut answers = Vec::new();
        let _ = client.read_to_end(&mut answers).await;
        String::from_utf8_lossy(&answers).into_owned()
    };
    let (answers, ()) = tokio::join!(talk, async move { drop(connection.await) });
    let seen = seen.lock().expect("no panic").clone();
    (seen, answers)
}

#[tokio::test]
async fn requests_pass_however_they_come() {
    let bytes: &[u8] = b"\r\nGET /a HTTP/1.1\r\nHost: a\r\n\r\nPOST /b HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc\
        POST /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;x\r\nabc\r\n0\r\nT: v\r\n\r\nGET /d HTTP/1.1\r\n\r\n";
    let expected = ["GET /a b\"\"", "POST /b b\"abc\"", "POST /c b\"abc\"", "GET /d b\"\""];
    for size in 1..=bytes.len() {
        let pieces: Vec<&[u8]> = bytes.chunks(size).collect();
        let (seen, answers) = serve(&pieces).await;
        assert_eq!(
            (seen.as_slice(), answers.matches("200 OK").count()),
            (expected.map(str::to_owned).as_slice(), 4),
            "{size}"
        );
    }
}

#[tokio::test]
async fn what_is_refused_is_answered_in_its_turn_and_is_the_last() {
    let bytes: &[u8] = b"GET /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\nHost: a\r\n\r\nGET /c HTTP/1.1\r\n\r\n";
    for size in 1..=bytes.len() {
        let pieces: Vec<&[u8]> = bytes.chunks(size).collect();
        let (seen, answers) = serve(&pieces).await;
        assert_eq!(seen, ["GET /a b\"\"", &format!("{STAND_IN_METHOD} / b\"\"")], "{size}");
        assert!(answers.matches("200 OK").count() == 2 && answers.contains("connection: close"), "{answers}");
    }
}

#[test]
fn a_stand_in_accepts_what_the_refused_one_did_and_nothing_else() {
    let said = |head: &str| String::from_utf8(super::stand_in(head.as_bytes())).expect("ASCII");
    let plain = said("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(plain.starts_with(STAND_IN_METHOD) && plain.ends_with("connection: close\r\n\r\n"), "{plain}");
    let page = said("GET / HTTP/1.1\nHost: a\nACCEPT:text/html, */*;q=0.1\nX");
    assert!(page.ends_with("\r\naccept: text/html, */*;q=0.1\r\n\r\n"), "{page}");
    let long = format!("GET / HTTP/1.1\r\nAccept: {}\r\n\r\n", "a".repeat(513));
    for head in [
        "accept: text/html\r\n\r\n",
        "GET / HTTP/1.1\r\nX-Accept: text/html\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\nAccept: text/html",
        "GET / HTTP/1.1\r\nAccept: text/html\rX: y\r\n\r\n",
        "GET / HTTP/1.1\r\nAccept: text/\u{0}html\r\n\r\n",
        "GET / HTTP/1.1\r\nAccept: é\r\n\r\n",
        "GET / HTTP/1.1\r\nAccept",
        "",
        &long,
    ] {
        assert_eq!(said(head), plain, "{head:?}");
    }
}

#[tokio::test]
async fn chunks_that_cannot_be_read_refuse_their_head_or_break_their_body() {
    let head: &[u8] = b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
    let whole = [head, b"1\r\na\r\n1 \r\n"].concat();
    assert_eq!(serve(&[&whole]).await.0, [format!("{STAND_IN_METHOD} / b\"\"")]);
    assert_eq!(serve(&[head, b"1\r\na\r\n", b"1 \r\n"]).await.0, ["POST /a broken"]);
}

fn head_bytes() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![
        Just("GET / HTTP/1.1\r\n"),
        Just("POST /a?b HTTP/1.1\r\n"),
        Just("GET / HTTP/1.0\r\n"),
        Just("Host: a\r\n"),
        Just("Content-Length: 3\r\n"),
        Just("Content-Length: 0\r\n"),
        Just("Transfer-Encoding: chunked\r\n"),
        Just("Upgrade: websocket\r\n"),
        Just("Connection: close\r\n"),
        Just("\r\n"),
        Just("abc"),
        Just("3\r\nabc\r\n"),
        Just("0\r\n\r\n"),
        Just("1;x=y\r\nz\r\n"),
        Just("T: v\r\n"),
        Just("Expect: 100-continue\r\n"),
        Just("\n"),
        Just("\r"),
        Just(" "),
        Just("\0"),
        Just(":"),
        Just("GET http://a/ HTTP/1.1\r\n"),
        Just("GET /\u{e9}{}|^` HTTP/1.1\r\n"),
    ];
    prop::collection::vec(line, 0..14).prop_map(|lines| lines.concat().into_bytes())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Whatever comes: hyper never answers by itself, and a request begins where the guard says.
    #[test]
    fn hyper_takes_all_that_the_guard_lets_through(bytes in head_bytes(), size in 1_usize..40) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime");
        let pieces: Vec<&[u8]> = bytes.chunks(size).collect();
        let (seen, answers) = runtime.block_on(serve(&pieces));
        let refused = answers.matches("HTTP/1.1 4").count() + answers.matches("HTTP/1.0 4").count();
        prop_assert_eq!(refused, 0, "{}", answers);
        let (at_once, _) = runtime.block_on(serve(&[&bytes]));
        let whole = |seen: Vec<String>| {
            let is_whole = |line: &String| !line.contains("broken") && !line.starts_with(STAND_IN_METHOD);
            seen.into_iter().filter(is_whole).collect::<Vec<_>>()
        };
        prop_assert_eq!(whole(at_once), whole(seen));
    }

    #[test]
    fn text_ends_where_it_ends(bytes in prop::collection::vec(prop_oneof![4 => 0x20..=0x7e_u8, 1 => any::<u8>()], 0..40)) {
        let first = bytes.iter().position(|byte| !is_text(*byte)).unwrap_or(bytes.len());
        prop_assert_eq!(text_size(&bytes), first);
    }

    #[test]
    fn every_byte_has_its_class(byte: u8) {
        let name = http::HeaderName::from_bytes(&[byte]);
        prop_assert_eq!(is_token(byte), name.is_ok());
    }

    #[test]
    fn a_target_that_passes_is_a_uri(target in "/[!-~\u{80}-\u{ff}]{0,12}") {
        let head = format!("GET {target} HTTP/1.1\r\n\r\n");
        let passes = read(&head).is_ok();
        let is_uri = http::Uri::try_from(target.as_str()).is_ok() && !target.contains('#');
        prop_assert_eq!(passes, is_uri, "{}", target);
    }
}
