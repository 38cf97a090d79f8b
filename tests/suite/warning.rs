//! The session's warning in a backend's pages, as bytes on the wire: what is written into, what is not, and how.

use std::io::{Read as _, Write as _};
use std::sync::Arc;
use std::sync::mpsc;

use crate::harness::backend::{Script, Then, answer_with, respond};
use crate::harness::client::{Client, Request, Response, connect, find, read_response};
use crate::harness::eventually;
use crate::harness::world::{Kind, World};

const TAG: &str =
    "<script src=\"/portail/session.js\" defer data-caf=\"921\" data-inactivite=\"1800\"></script>";
const PAGE: &str = "<!doctype html><html><head><title>Décl.</title></head><body>fin</body></html>";
const HTML: &str = "Content-Type: text/html; charset=utf-8\r\n";

fn dressed(html: &str) -> String {
    html.replacen("<head>", &format!("<head>{TAG}"), 1)
}

/// As a browser goes to a page.
fn visit(client: &mut Client) -> Request<'_> {
    client.get("/declaration").page().header("Sec-Fetch-Dest", "document")
}

fn shows(world: &World, headers: &str, html: &str) -> Response {
    world.caf921.script(answer_with(headers, html));
    visit(&mut world.admitted()).send()
}

#[test]
fn a_page_gets_the_script_and_loses_what_is_no_longer_true() {
    let world = World::new(Kind::Embedded);
    let page = shows(&world, &format!("{HTML}ETag: \"v1\"\r\nAccept-Ranges: bytes\r\nX-Own: 1\r\n"), PAGE);
    assert_eq!((page.status, page.text()), (200, dressed(PAGE)));
    assert_eq!(page.header("content-length"), None);
    assert_eq!(page.header("accept-ranges"), None);
    assert_eq!(page.header("etag"), Some("W/\"v1\""));
    assert_eq!(page.header("x-own"), Some("1"));
    assert_eq!(page.header("content-encoding"), None);
    assert!(page.header("vary").is_some_and(|vary| vary.contains("Accept-Encoding")));
    assert_eq!(world.caf921.last().one("accept-encoding"), "identity");
}

/// Many backends answer a form with the next page itself, on which a person then sits for long.
#[test]
fn a_page_that_answers_a_form_gets_it_too() {
    let world = World::new(Kind::Embedded);
    world.caf921.script(answer_with(HTML, PAGE));
    let mut client = world.admitted();
    let answer = client.post("/saisie").header("Sec-Fetch-Dest", "document").form(&[("a", "b")]).send();
    assert_eq!((answer.status, answer.text()), (200, dressed(PAGE)));
    assert_eq!(world.caf921.last().body, b"a=b");
    // So it does in a browser that knows no Fetch Metadata.
    assert_eq!(client.post("/saisie").form(&[("a", "b")]).send().text(), dressed(PAGE));
}

#[test]
fn a_request_that_is_no_navigation_is_left_as_it_is() {
    let world = World::new(Kind::Embedded);
    world.caf921.script(answer_with(&format!("{HTML}ETag: \"v1\"\r\n"), PAGE));
    let mut client = world.admitted();
    let length = PAGE.len().to_string();
    let fragment = client
        .get("/fragment")
        .page()
        .header("Sec-Fetch-Dest", "empty")
        .header("Accept-Encoding", "gzip, br");
    let fragment = fragment.send();
    assert_eq!((fragment.text().as_str(), fragment.header("etag")), (PAGE, Some("\"v1\"")));
    assert_eq!(fragment.header("content-length"), Some(length.as_str()));
    assert_eq!(world.caf921.last().one("accept-encoding"), "gzip, br");
    assert_eq!(client.get("/a").program().send().text(), PAGE);
    assert_eq!(client.get("/a").send().text(), PAGE);
    let old = client.get("/fragment").page().header("X-Requested-With", "XMLHttpRequest").send();
    assert_eq!(old.text(), PAGE, "a fragment, of a script that knows no Fetch Metadata");
    assert_eq!(client.post("/a").page().json(&serde_json::json!({})).send().text(), PAGE);
    assert_eq!(visit(&mut client).header("Range", "bytes=0-3").send().text(), PAGE);
}

/// RFC 9110 sections 8.6 and 9.3.2: what is said of a page's head is said above the page.
#[test]
fn a_head_alone_says_what_it_says_above_the_page() {
    let world = World::new(Kind::Embedded);
    let headers = format!(
        "{HTML}ETag: \"v1\"\r\nAccept-Ranges: bytes\r\nContent-Security-Policy: default-src 'none'\r\n\
         Content-MD5: x\r\nDate: Tue, 15 Dec 2026 11:00:00 GMT\r\n"
    );
    for text in [PAGE.to_owned(), PAGE.replace("fin", &"fin ".repeat(500))] {
        let answer = format!("HTTP/1.1 200 OK\r\n{headers}Content-Length: {}\r\n\r\n", text.len());
        world.caf921.script(Arc::new(move |received, stream| {
            let body = if received.line().starts_with("HEAD") { "" } else { text.as_str() };
            let _ = stream.write_all((answer.clone() + body).as_bytes());
            Then::Keep
        }));
        let mut client = world.admitted();
        let mut told = ["HEAD", "GET"].map(|method| {
            let answer = client.request(method, "/a").page().header("Accept-Encoding", "gzip").send();
            let kept = |(name, _): &(String, String)| {
                !["transfer-encoding", "x-request-id"].contains(&name.as_str())
            };
            answer.headers.into_iter().filter(kept).collect::<Vec<_>>()
        });
        told.iter_mut().for_each(|headers| headers.sort());
        assert_eq!(told[0], told[1]);
        assert!(!told[0].iter().any(|(name, _)| name == "content-length" || name == "content-md5"));
    }
}

#[test]
fn an_answer_that_is_no_page_is_left_as_it_is() {
    let world = World::new(Kind::Embedded);
    for (status, headers) in [
        ("200 OK", "Content-Type: text/plain\r\n"),
        ("200 OK", "Content-Type: application/xhtml+xml\r\n"),
        ("200 OK", "Content-Type: multipart/x-mixed-replace; boundary=a\r\n"),
        ("200 OK", "Content-Type: text/html; charset=utf-16le\r\n"),
        ("200 OK", "Content-Type: text/html\r\nContent-Encoding: gzip\r\n"),
        ("200 OK", "Content-Type: text/html\r\nContent-Disposition: attachment; filename=a.html\r\n"),
        ("200 OK", "Content-Type: text/html\r\nCache-Control: no-transform\r\n"),
        ("200 OK", "Content-Type: text/html\r\nContent-Security-Policy: sandbox allow-scripts\r\n"),
        ("404 Not Found", HTML),
        ("226 IM Used", HTML),
        ("206 Partial Content", "Content-Type: text/html\r\nContent-Range: bytes 0-1/9\r\n"),
    ] {
        let headers = format!("{headers}ETag: \"v1\"\r\nContent-Length: {}\r\n", PAGE.len());
        world.caf921.script(respond(&format!("HTTP/1.1 {status}\r\n{headers}\r\n{PAGE}")));
        let answer = visit(&mut world.admitted()).send();
        assert_eq!(answer.text(), PAGE, "{status} {headers}");
        assert_eq!(answer.header("etag"), Some("\"v1\""), "{status} {headers}");
    }
}

#[test]
fn a_page_that_was_kept_keeps_its_name_and_its_policy() {
    let world = World::new(Kind::Embedded);
    let own =
        "HTTP/1.1 304 Not Modified\r\nETag: \"v1\"\r\nContent-Security-Policy: default-src 'none'\r\n\r\n";
    world.caf921.script(respond(own));
    let mut client = world.admitted();
    let kept = visit(&mut client).header("If-None-Match", "W/\"v1\"").send();
    assert_eq!((kept.status, kept.header("etag")), (304, Some("W/\"v1\"")));
    assert!(
        kept.header("content-security-policy").is_some_and(|policy| policy.contains("/portail/session.js"))
    );
    assert_eq!(world.caf921.last().one("if-none-match"), "W/\"v1\"");
    // It was kept under the backend's own name: nothing was written into it.
    let other = visit(&mut client).header("If-None-Match", "\"v1\"").send();
    assert_eq!(
        (other.header("etag"), other.header("content-security-policy")),
        (Some("\"v1\""), Some("default-src 'none'"))
    );
}

#[test]
fn successes_of_other_names_are_pages_too() {
    let world = World::new(Kind::Embedded);
    for status in ["201 Created", "202 Accepted", "203 Non-Authoritative Information"] {
        world.caf921.script(respond(&format!(
            "HTTP/1.1 {status}\r\n{HTML}Content-Length: {}\r\n\r\n{PAGE}",
            PAGE.len()
        )));
        assert_eq!(visit(&mut world.admitted()).send().text(), dressed(PAGE), "{status}");
    }
    world.caf921.script(respond(&format!("HTTP/1.1 204 No Content\r\n{HTML}\r\n")));
    let nothing = visit(&mut world.admitted()).send();
    assert_eq!((nothing.status, nothing.body.len()), (204, 0));
}

#[test]
fn latin_1_passes_byte_for_byte() {
    let world = World::new(Kind::Embedded);
    let html = b"<html><head><title>D\xe9claration</title></head>\xff\x80\x00".to_vec();
    let sent = html.clone();
    world.caf921.script(Arc::new(move |_, stream| {
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=iso-8859-1\r\nContent-Length: {}\r\n\r\n",
            sent.len()
        );
        let _ = stream.write_all(&[head.as_bytes(), &sent].concat());
        Then::Keep
    }));
    let page = visit(&mut world.admitted()).send().body;
    let at = find(&page, TAG.as_bytes()).expect("the tag");
    assert_eq!([&page[..at], &page[at + TAG.len()..]].concat(), html);
}

#[test]
fn broken_html_gets_it_too() {
    let world = World::new(Kind::Embedded);
    for html in ["<p>no head", "<html><body", "text alone", "<!-- <head> -->", "</head></html><b"] {
        let page = shows(&world, HTML, html).text();
        assert_eq!(page.matches(TAG).count(), 1, "{page}");
        assert_eq!(page.replacen(TAG, "", 1), html);
    }
}

#[test]
fn a_strict_policy_lets_the_script_in_and_nothing_else() {
    let world = World::new(Kind::Embedded);
    let strict =
        format!("{HTML}Content-Security-Policy: default-src 'none'; img-src https://cdn.example\r\n");
    let page = shows(&world, &strict, PAGE);
    let own = format!("http://{}/portail/session", world.gateway.public);
    let expected = format!(
        "default-src 'none'; img-src https://cdn.example; script-src {own}.js; connect-src {own} {own}/continuer"
    );
    assert_eq!((page.text(), page.all("content-security-policy")), (dressed(PAGE), vec![expected.as_str()]));
    let nonces = "script-src 'strict-dynamic' 'nonce-AbC12='";
    let page = shows(&world, &format!("{HTML}Content-Security-Policy: {nonces}\r\n"), PAGE);
    assert!(page.text().contains("data-inactivite=\"1800\" nonce=\"AbC12=\"></script>"), "{}", page.text());
    assert_eq!(page.all("content-security-policy"), [nonces]);
}

#[test]
fn a_page_is_compressed_for_who_can_read_it() {
    let world = World::new(Kind::Embedded);
    let long = PAGE.replace("fin", &"<p>une ligne de la déclaration</p>\n".repeat(2_000));
    world.caf921.script(answer_with(HTML, &long));
    let mut client = world.admitted();
    for coding in ["gzip", "br"] {
        let page = visit(&mut client).header("Accept-Encoding", coding).send();
        assert_eq!(page.header("content-encoding"), Some(coding));
        assert!(page.body.len() < long.len() / 20, "{coding}: {} bytes", page.body.len());
        let mut text = String::new();
        match coding {
            "gzip" => flate2::read::GzDecoder::new(&*page.body).read_to_string(&mut text).unwrap(),
            _ => brotli::Decompressor::new(&*page.body, 4_096).read_to_string(&mut text).unwrap(),
        };
        assert_eq!(text, dressed(&long), "{coding}");
    }
    let plain = visit(&mut client).header("Accept-Encoding", "identity").send();
    assert_eq!((plain.header("content-encoding"), plain.text()), (None, dressed(&long)));
}

/// Sends the first half, then waits for a word before the second.
fn in_two_halves(first: &str, second: &str) -> (Script, mpsc::Sender<()>) {
    let (go, wait) = mpsc::channel();
    let wait = std::sync::Mutex::new(wait);
    let (first, second) = (first.to_owned(), second.to_owned());
    let script: Script = Arc::new(move |_, stream| {
        let head = format!("HTTP/1.1 200 OK\r\n{HTML}Content-Length: {}\r\n\r\n", first.len() + second.len());
        let _ = stream.write_all((head + &first).as_bytes());
        let _ = wait.lock().unwrap().recv();
        let _ = stream.write_all(second.as_bytes());
        Then::Keep
    });
    (script, go)
}

#[test]
fn what_came_is_seen_before_the_page_ends() {
    let world = World::new(Kind::Embedded);
    for coding in ["identity", "gzip", "br"] {
        let (script, go) = in_two_halves("<head><title>début</title>", &"suite ".repeat(400));
        world.caf921.script(script);
        let mut client = world.admitted();
        let mut stream = connect(client.address);
        stream.write_all(&visit(&mut client).header("Accept-Encoding", coding).bytes()).unwrap();
        let mut seen = Vec::new();
        let mut buffer = [0; 4_096];
        eventually("the first half came", || {
            let read = stream.read(&mut buffer).unwrap();
            seen.extend_from_slice(&buffer[..read]);
            find(&seen, b"\r\n\r\n")
                .is_some_and(|end| decoded(coding, &seen[end + 4..]).contains("début</title>"))
        });
        go.send(()).unwrap();
        stream.read_to_end(&mut seen).unwrap();
        let page = read_response(&mut &*seen, false).expect("a whole answer");
        assert!(page.body.len() > 20, "{coding}");
    }
}

/// What can be read of the first chunk of an answer that goes on.
fn decoded(coding: &str, chunks: &[u8]) -> String {
    let Some(end) = find(chunks, b"\r\n") else { return String::new() };
    let bytes = &chunks[end + 2..];
    let mut text = Vec::new();
    let mut buffer = [0; 1];
    let mut reader: Box<dyn std::io::Read> = match coding {
        "gzip" => Box::new(flate2::read::GzDecoder::new(bytes)),
        "br" => Box::new(brotli::Decompressor::new(bytes, 64)),
        _ => Box::new(bytes),
    };
    while matches!(reader.read(&mut buffer), Ok(1)) {
        text.push(buffer[0]);
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// What a process has in memory, in KiB.
fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse().unwrap()
}

#[test]
fn fifty_megabytes_pass_and_memory_stays_flat() {
    const ROW: &[u8] = b"<tr><td>Dupont</td><td>1234,56</td></tr>\n";
    const ROWS: usize = 50_000_000 / ROW.len();
    let world = World::new(Kind::Embedded);
    world.caf921.script(Arc::new(|_, stream| {
        let _ = write!(stream, "HTTP/1.1 200 OK\r\n{HTML}Content-Length: {}\r\n\r\n", 6 + ROWS * ROW.len());
        let _ = stream.write_all(b"<head>");
        for _ in 0..ROWS / 1_000 {
            let _ = stream.write_all(&ROW.repeat(1_000));
        }
        let _ = stream.write_all(&ROW.repeat(ROWS % 1_000));
        Then::Keep
    }));
    for (coding, least) in [("identity", 49_999_000), ("br", 1_000), ("gzip", 1_000)] {
        let mut client = world.admitted();
        let mut stream = connect(client.address);
        stream.write_all(&visit(&mut client).header("Accept-Encoding", coding).bytes()).unwrap();
        let (before, mut most, mut length) = (resident(world.gateway.pid()), 0, 0);
        let mut buffer = vec![0; 1 << 20];
        loop {
            let read = stream.read(&mut buffer).unwrap();
            if read == 0 {
                break;
            }
            length += read;
            most = most.max(resident(world.gateway.pid()));
        }
        assert!(length > least, "{coding}: {length} bytes");
        assert!(most < before + 20_000, "{coding}: {before} KiB before, {most} KiB at most");
    }
}

#[test]
fn a_page_that_breaks_off_is_not_made_whole() {
    let world = World::new(Kind::Embedded);
    world.caf921.script(Arc::new(|_, stream| {
        let _ = write!(stream, "HTTP/1.1 200 OK\r\n{HTML}Content-Length: 90000\r\n\r\n<head>");
        Then::Close
    }));
    for coding in ["identity", "gzip", "br"] {
        let mut client = world.admitted();
        let bytes = visit(&mut client).header("Accept-Encoding", coding).bytes();
        assert!(client.raw(&bytes).is_none_or(|answer| answer.status == 502), "{coding}");
    }
}

#[test]
fn it_can_be_switched_off_for_a_caf_and_for_all() {
    let off = World::with(Kind::Embedded, |settings| {
        settings.caf_line("inject = false");
    });
    off.caf751.script(answer_with(HTML, PAGE));
    off.caf921.script(answer_with(HTML, PAGE));
    assert_eq!(visit(&mut off.at("751")).send().text(), PAGE);
    assert_eq!(visit(&mut off.at("921")).send().text(), dressed(PAGE));
    let none = World::with(Kind::Embedded, |settings| {
        settings.set("portal", "inject", "false");
    });
    assert_eq!(shows(&none, HTML, PAGE).text(), PAGE);
}

#[test]
fn the_script_is_for_all_and_no_action() {
    let mut world = World::new(Kind::Embedded);
    let script = world.gateway.client().get("/portail/session.js").send();
    assert_eq!((script.status, script.header("content-type")), (200, Some("text/javascript; charset=utf-8")));
    assert!(
        script.body.len() < 6_000 && script.header("cache-control").is_some_and(|it| it.contains("max-age"))
    );
    let mut client = world.admitted();
    world.gateway.advance(1_700);
    assert_eq!(client.get("/portail/session.js").send().status, 200);
    assert_eq!(client.get("/portail/session").program().send().json()["session"]["expire_dans_s"], 100);
    world.gateway.advance(101);
    assert_eq!(client.get("/portail/session.js").send().status, 200);
    assert_eq!(
        client.get("/portail/session").program().send().problem(),
        (401, "session-expiree".to_owned())
    );
}

#[test]
fn the_portals_own_pages_have_it_once_signed_in() {
    let world = World::new(Kind::Embedded);
    let tag = "<script src=\"/portail/session.js\" defer data-inactivite=\"1800\"></script>";
    assert!(!world.gateway.client().get("/portail/connexion").page().send().text().contains("session.js"));
    let page = world.admitted().get("/portail/quitter").page().send();
    assert!(page.text().contains(tag), "{}", page.text());
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("script-src 'self'") && policy.contains("connect-src 'self'"), "{policy}");
}
