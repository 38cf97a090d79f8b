use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode, Version};
use http_body::Frame;
use proptest::prelude::*;

use super::chunks::{Chunks, Piece};
use super::heads::{self, Head, Length};
use crate::forward::error::Break;

fn head(text: &str) -> Result<Option<Head>, Break> {
    heads::read(&mut BytesMut::from(text), &mut Vec::new())
}

#[test]
fn a_head_is_read_once_it_is_whole() {
    let text = "HTTP/1.1 299 Presque bien\r\nX-A:  b \r\nx-a: c\r\nX-Empty:\r\nX-Latin: \u{e9}\r\n\r\n";
    for size in 0..text.len() {
        let part = text.as_bytes().get(..size).unwrap_or_default();
        assert!(matches!(heads::read(&mut BytesMut::from(part), &mut Vec::new()), Ok(None)), "{size}");
    }
    let mut bytes = BytesMut::from(text);
    bytes.extend_from_slice(b"body");
    let answer = heads::read(&mut bytes, &mut Vec::new()).expect("a head").expect("whole").answer;
    assert_eq!(
        (answer.status().as_u16(), answer.version(), &bytes[..]),
        (299, Version::HTTP_11, &b"body"[..])
    );
    let values: Vec<_> = answer.headers().get_all("x-a").iter().map(http::HeaderValue::as_bytes).collect();
    assert_eq!((values, answer.headers().len()), (vec![&b"b"[..], b"c"], 4));
    assert_eq!(
        (&answer.headers()["x-empty"], answer.headers()["x-latin"].as_bytes()),
        (&"".parse().expect("a value"), "\u{e9}".as_bytes())
    );
    let reason = answer.extensions().get::<hyper::ext::ReasonPhrase>().expect("its own words");
    assert_eq!(reason.as_bytes(), b"Presque bien");
}

#[test]
fn a_head_that_cannot_be_read_is_refused() {
    let (many, long) = ("A: b\r\n".repeat(101), "a".repeat(70_000));
    for text in [
        "\x16\x03\x01 garbage\r\n\r\n",
        "HTTP/2.0 200 OK\r\n\r\n",
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.1 099 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
        &format!("HTTP/1.1 200 OK\r\n{many}\r\n"),
        &format!("HTTP/1.1 200 OK\r\nA: {long}"),
        &format!("HTTP/1.1 200 OK\r\nA: {long}\r\n\r\n"),
        &format!("HTTP/1.1 200 {long}"),
    ] {
        assert!(matches!(head(text), Err(Break::NoHttp(_))), "{:?}", text.get(..40));
    }
}

#[test]
fn a_body_has_one_length() {
    let length = |lines: &str, is_bare| {
        let text = format!("HTTP/1.1 {lines}\r\n\r\n");
        head(&text).expect("a head").expect("whole").length(is_bare).ok()
    };
    assert_eq!(length("200 OK\r\nContent-Length: 3", false), Some(Length::Known(3)));
    assert_eq!(length("200 OK\r\nContent-Length: 3", true), Some(Length::Known(0)));
    assert_eq!(length("204 No\r\nContent-Length: 3", false), Some(Length::Known(0)));
    assert_eq!(length("304 No\r\nTransfer-Encoding: chunked", false), Some(Length::Known(0)));
    assert_eq!(
        length("200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: gzip, Chunked", false),
        Some(Length::Chunks)
    );
    assert_eq!(length("200 OK\r\nTransfer-Encoding: chunked, gzip", false), Some(Length::Open));
    assert_eq!(length("200 OK", false), Some(Length::Open));
    for doubt in ["3\r\nContent-Length: 3", "3, 3", "+3", "", "0x3", "99999999999999999999"] {
        assert_eq!(length(&format!("200 OK\r\nContent-Length: {doubt}"), false), None, "{doubt}");
    }
    let old = head("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").expect("a head").expect("whole");
    assert!(old.length(false).is_err() && old.is_last);
    let read = |said: &str| {
        head(&format!(
            "HTTP/1.1 200 OK
{said}
"
        ))
        .expect("a head")
        .expect("whole")
    };
    let last = |said: &str| read(said).is_last;
    assert!(last("Connection: x, Close\r\n") && last("Connection: x\r\nConnection: close\r\n"));
    let kept = read("Connection: Keep-Alive\r\nConnection: close, X-A\r\n").answer;
    assert_eq!(kept.headers()["connection"], "close, X-A");
    assert!(!last("") && !last("Connection: closed\r\n") && !last("Connection: keep-alive\r\n"));
}

/// The data and trailers of what comes in pieces, and what is left after the end.
fn read(pieces: &[&[u8]]) -> Result<(Vec<u8>, Option<HeaderMap>, Bytes), &'static str> {
    let (mut chunks, mut bytes) = (Chunks::Size, BytesMut::new());
    let (mut data, mut trailers) = (Vec::new(), None);
    for (number, piece) in pieces.iter().enumerate() {
        bytes.extend_from_slice(piece);
        loop {
            match chunks.next(&mut bytes).map_err(|_| "refused")? {
                Piece::Frame(frame) => match frame.into_data() {
                    Ok(more) => data.extend_from_slice(&more),
                    Err(frame) => trailers = Frame::into_trailers(frame).ok(),
                },
                Piece::Wait => break,
                Piece::End => {
                    pieces.iter().skip(number + 1).for_each(|piece| bytes.extend_from_slice(piece));
                    return Ok((data, trailers, bytes.freeze()));
                }
            }
        }
    }
    Err("not whole")
}

#[test]
fn chunks_are_taken_apart() {
    let body = b"3\r\nabc\r\n0a;x=y\r\n0123456789\r\n0\r\nX-Sum: 7\r\nX-End: \r\n\r\nnext";
    for size in 1..=body.len() {
        let pieces: Vec<&[u8]> = body.chunks(size).collect();
        let (data, trailers, rest) = read(&pieces).expect("a body");
        assert_eq!((data.as_slice(), &rest[..]), (&b"abc0123456789"[..], &b"next"[..]), "{size}");
        assert_eq!(trailers.map(|trailers| trailers.len()), Some(2), "{size}");
    }
    assert_eq!(read(&[b"0\r\n\r\n"]).expect("a body").0, b"");
}

#[test]
fn chunks_that_cannot_be_read_are_refused() {
    let (long, many) = ("a".repeat(9_000), "A: b\r\n".repeat(65));
    for body in [
        "\r\n",
        " \r\n",
        ";x\r\n",
        "3\r\nabc\r\n\r\n",
        "1;a\nb\r\n",
        "1\n",
        "x\r\n",
        "-1\r\n",
        "1\r\nab\r\n",
        "1\r\na\rb",
        "11111111111111111\r\n",
        "0\r\nA b\r\n\r\n",
        "0\r\nA: \0\r\n\r\n",
        &format!("1;{long}"),
        &format!("0\r\nA: {long}{long}"),
        &format!("0\r\n{many}\r\n"),
    ] {
        assert_eq!(read(&[body.as_bytes()]), Err("refused"), "{:?}", body.get(..20));
    }
    for part in ["", "1", "1\r", "1\r\n", "1\r\na", "1\r\na\r", "0\r\n", "0\r\n\r", "0\r\nA: b\r\n"] {
        assert_eq!(read(&[part.as_bytes()]), Err("not whole"), "{part:?}");
    }
}

proptest! {
    /// Whatever comes, in whatever pieces: no panic, and one reading.
    #[test]
    fn what_comes_is_read_in_one_way(
        bytes in prop::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'0'), Just(b'1'), Just(b':'), any::<u8>()], 0..60),
        size in 1_usize..20,
    ) {
        let pieces: Vec<&[u8]> = bytes.chunks(size).collect();
        prop_assert_eq!(read(&[&bytes]), read(&pieces));
        let start = [b"HTTP/1.1 200 OK\r\n".as_slice(), &bytes].concat();
        if let Ok(Some(head)) = heads::read(&mut BytesMut::from(start.as_slice()), &mut Vec::new()) {
            prop_assert_eq!(head.answer.status(), StatusCode::OK);
            for end in 0..start.len() {
                let part = start.get(..end).unwrap_or_default();
                if let Ok(Some(sooner)) = heads::read(&mut BytesMut::from(part), &mut Vec::new()) {
                    prop_assert_eq!(sooner.answer.headers(), head.answer.headers());
                }
            }
        }
    }
}
