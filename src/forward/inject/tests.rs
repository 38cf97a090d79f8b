//! Pages of every kind, whole and in pieces; policies, heads and codings.

use std::io::Read as _;

use http::HeaderMap;
use http::header::{CONTENT_SECURITY_POLICY, ETAG};
use http_body_util::{Empty, Full};
use lol_html::AsciiCompatibleEncoding;
use proptest::prelude::*;

use super::coding::Coder;
use super::policy::Site;
use super::scribe::Scribe;
use super::*;

const TAG: &str = "<script src=x></script>";

fn written(pieces: &[&[u8]]) -> Vec<u8> {
    let mut scribe = Scribe::new(AsciiCompatibleEncoding::utf_8(), TAG.to_owned());
    let mut out = Vec::new();
    for piece in pieces {
        scribe.write(piece, &mut out);
    }
    scribe.end(&mut out);
    out
}

fn page(html: &str) -> String {
    String::from_utf8(written(&[html.as_bytes()])).expect("UTF-8")
}

#[test]
fn the_tag_is_first_in_the_head_or_where_one_should_be() {
    for (html, expected) in [
        ("<!doctype html><html><head><title>x", "<!doctype html><html><head>§<title>x"),
        ("<HTML lang=fr><HEAD id=\"a>b\"><base href=/x>", "<HTML lang=fr><HEAD id=\"a>b\">§<base href=/x>"),
        ("\u{feff}<!-- <head> --><html\n><head >", "\u{feff}<!-- <head> --><html\n><head >§"),
        ("<title>no head</title><p>a", "§<title>no head</title><p>a"),
        ("<html><body class=x>y", "<html>§<body class=x>y"),
        ("text <b>bold", "text §<b>bold"),
        ("<p>a<head>b", "§<p>a<head>b"),
        ("<script>'<head>'</script><head>", "§<script>'<head>'</script><head>"),
        ("</head><p", "</head><p§"),
        ("text alone & no tag < 3", "text alone & no tag < 3§"),
        ("", ""),
    ] {
        assert_eq!(page(html), expected.replace('§', TAG), "{html}");
    }
}

#[test]
fn no_other_byte_is_touched_whatever_it_is() {
    let latin: Vec<u8> = b"<head>\xe9\xff\x00\x80".iter().copied().chain(0..=255).collect();
    let out = written(&[&latin]);
    assert_eq!(out.len(), latin.len() + TAG.len());
    assert_eq!(&out[6 + TAG.len()..], &latin[6..]);
}

#[test]
fn what_cannot_be_done_is_left_alone() {
    let wide = b"\xff\xfe<\0h\0e\0a\0d\0>\0";
    assert_eq!(written(&[wide]), wide);
    for policy in [
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'\">",
        "<meta content=\"connect-src 'none'\" http-equiv=Content-Security-Policy>",
        "<meta http-equiv=content-security-policy content='default-src &#39;self&#39;'>",
        "<meta data-content=\"connect-src 'self'\" http-equiv=content-security-policy content=\"default-src 'none'\">",
        "<meta http-equiv=\"content&#45;security-policy\" content=\"default-src 'none'\">",
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'self'; connect-src https://x",
    ] {
        let own = format!("<head>{policy}");
        assert_eq!(page(&own), own);
    }
    let text = "a".repeat(300 << 10);
    assert_eq!(page(&text), text);
    let endless = format!("<p title=\"{}", "a".repeat(400 << 10));
    let pieces: Vec<&[u8]> = endless.as_bytes().chunks(1_000).collect();
    assert_eq!(written(&pieces), endless.as_bytes());
}

#[test]
fn a_pages_own_policy_that_lets_the_state_be_read_is_no_hindrance() {
    for policy in [
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'self'; script-src 'none'\">",
        "<meta content=\"img-src x; connect-src *\" http-equiv='content-security-policy'>",
        "<meta http-equiv=Content-Security-Policy content=\"script-src 'none'\" >",
        "<meta http-equiv=Content-Security-Policy-Report-Only content=\"default-src 'none'\" >",
    ] {
        assert_eq!(page(&format!("<head>{policy}")), format!("<head>{TAG}{policy}"));
    }
}

#[test]
fn the_reader_stops_once_the_tag_is_written() {
    let mut scribe = Scribe::new(AsciiCompatibleEncoding::utf_8(), TAG.to_owned());
    let mut out = Vec::new();
    scribe.write(b"<html>", &mut out);
    assert!(!scribe.is_done());
    assert_eq!(out, b"<html>", "what is settled is given out at once");
    scribe.write(b"<head><tit", &mut out);
    assert!(scribe.is_done());
    assert!(out.ends_with(b"<tit"));
}

proptest! {
    #[test]
    fn cut_anywhere_it_is_the_same_page(html in "(<!--|-->|<head|<html|<p|<b>|>|\"|'|=| |é|a|</|<script>){0,20}", cuts in prop::collection::vec(0_usize..60, 0..6)) {
        let bytes = html.as_bytes();
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
        cuts.sort_unstable();
        let mut from = 0;
        let mut pieces = Vec::new();
        for cut in cuts.into_iter().chain([bytes.len()]) {
            pieces.push(&bytes[from..cut]);
            from = cut;
        }
        let out = written(&pieces);
        prop_assert_eq!(&out, &written(&[bytes]));
        let text = String::from_utf8(out).expect("UTF-8");
        prop_assert_eq!(text.replacen(TAG, "", 1), html.clone());
        prop_assert!(html.is_empty() || text.contains(TAG));
    }
}

fn opened(policies: &[&str]) -> Option<(Vec<String>, Option<String>)> {
    let mut headers = HeaderMap::new();
    for policy in policies {
        headers.append(CONTENT_SECURITY_POLICY, HeaderValue::from_str(policy).expect("a header"));
    }
    let site = Site { origin: Some("https://esat.example"), prefix: "/portail" };
    let permission = policy::permission(&headers, &site)?;
    let nonce = permission.nonce.clone();
    permission.grant(&mut headers);
    let said =
        headers.get_all(CONTENT_SECURITY_POLICY).iter().map(|it| it.to_str().expect("ASCII").to_owned());
    Some((said.collect(), nonce))
}

#[test]
fn a_policy_is_opened_for_the_script_and_the_state_alone() {
    const SCRIPT: &str = "https://esat.example/portail/session.js";
    const STATE: &str = "https://esat.example/portail/session https://esat.example/portail/session/continuer";
    for (policy, expected) in [
        ("default-src 'self'", "default-src 'self'".to_owned()),
        ("img-src x;;  frame-ancestors 'none'", "img-src x;;  frame-ancestors 'none'".to_owned()),
        ("script-src 'self'; connect-src *", "script-src 'self'; connect-src *".to_owned()),
        (
            "default-src 'none'; style-src 'self'",
            format!("default-src 'none'; style-src 'self'; script-src {SCRIPT}; connect-src {STATE}"),
        ),
        (
            "Script-Src 'none'; script-src-elem https://cdn.example",
            format!("Script-Src {SCRIPT}; script-src-elem https://cdn.example {SCRIPT}"),
        ),
        (
            "default-src https://cdn.example; script-src 'self'",
            format!(
                "default-src https://cdn.example; script-src 'self'; connect-src https://cdn.example {STATE}"
            ),
        ),
        (
            "script-src 'nonce-abc'; connect-src 'none'",
            format!("script-src 'nonce-abc' {SCRIPT}; connect-src {STATE}"),
        ),
        ("default-src 'self', script-src", format!("default-src 'self', script-src {SCRIPT}")),
    ] {
        assert_eq!(opened(&[policy]), Some((vec![expected], None)), "{policy}");
    }
}

#[test]
fn a_policy_that_trusts_nonces_alone_is_shown_its_own() {
    let strict = "script-src 'strict-dynamic' 'nonce-r4nd0m+/=' 'unsafe-inline'";
    assert_eq!(opened(&[strict]), Some((vec![strict.to_owned()], Some("r4nd0m+/=".to_owned()))));
}

#[test]
fn a_policy_that_cannot_be_opened_is_left_alone() {
    for policies in [
        &["sandbox allow-scripts; script-src 'self'"] as &[_],
        &["default-src 'self'; SANDBOX"],
        &["script-src 'strict-dynamic' 'sha256-abc'"],
        &["script-src 'strict-dynamic' 'nonce-\">'"],
        &["script-src 'strict-dynamic' 'nonce-a'", "script-src 'strict-dynamic' 'nonce-b'"],
    ] {
        assert_eq!(opened(policies), None, "{policies:?}");
    }
}

#[test]
fn a_policy_that_only_reports_is_opened_too_or_left() {
    let opened = |report: &str| {
        let mut headers = HeaderMap::new();
        headers.insert("content-security-policy-report-only", HeaderValue::from_str(report).expect("one"));
        let site = Site { origin: Some("https://esat.example"), prefix: "/portail" };
        policy::permission(&headers, &site).expect("it bars nothing").grant(&mut headers);
        headers["content-security-policy-report-only"].to_str().expect("ASCII").to_owned()
    };
    assert_eq!(
        opened("script-src https://cdn.example; report-uri /csp"),
        "script-src https://cdn.example https://esat.example/portail/session.js; report-uri /csp"
    );
    for left in ["script-src 'strict-dynamic' 'sha256-abc'", "sandbox; default-src 'none'"] {
        assert_eq!(opened(left), left);
    }
}

#[test]
fn a_head_alone_and_what_was_kept_say_the_same() {
    let edit = |status: u16, wish: &Wish, own: &[(&'static str, &str)]| {
        let mut response = Response::builder().status(status);
        for (name, value) in own {
            response = response.header(*name, *value);
        }
        let mut head = response.body(()).expect("a response").into_parts().0;
        let site = Site { origin: None, prefix: "/portail" };
        assert!(head::edit(&mut head, &Empty::<bytes::Bytes>::new(), wish, &site).is_none());
        head.headers
    };
    let said = [("content-type", "text/html"), ("etag", "\"v1\""), ("content-length", "2000")];
    let head = edit(200, &Wish { is_head: true, ..wish() }, &said);
    assert_eq!(Some(&head), edited(200, &said).as_ref(), "as above the page");
    let small = [said[0], said[1], ("content-length", "20")];
    assert!(!edit(200, &Wish { is_head: true, ..wish() }, &small).contains_key("content-encoding"));
    let kept = |tag: &'static str| Wish { kept: Some(HeaderValue::from_static(tag)), ..wish() };
    for tag in ["W/\"v1\"", "\"v0\", W/\"v1\"", "*"] {
        let confirmed = edit(304, &kept(tag), &said[1..]);
        assert_eq!(confirmed[ETAG], "W/\"v1\"", "{tag}");
        assert!(!confirmed.contains_key("content-length") && confirmed.contains_key("vary"), "{tag}");
    }
    let untouched = edit(304, &kept("\"v0\", \"v1\""), &said[1..]);
    assert_eq!(
        (&untouched[ETAG], &untouched["content-length"]),
        (&"\"v1\"".parse().expect("one"), &"2000".parse().expect("one"))
    );
}

fn edited(status: u16, headers: &[(&'static str, &str)]) -> Option<HeaderMap> {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    let body = Full::new(bytes::Bytes::from(vec![b'a'; 2_000]));
    let (mut head, body) = response.body(body).expect("a response").into_parts();
    let site = Site { origin: None, prefix: "/portail" };
    head::edit(&mut head, &body, &wish(), &site).map(|_| head.headers)
}

fn wish() -> Wish {
    let caf = "921".parse().expect("a code");
    Wish { caf, coding: Some(Coding::Gzip), origin: None, is_head: false, kept: None }
}

#[test]
fn only_pages_are_written_into() {
    const HTML: (&str, &str) = ("content-type", "text/html");
    for kind in [
        "text/html",
        "TEXT/HTML ; charset=\"ISO-8859-1\"",
        "text/html;charset=windows-1252",
        "text/html;charset=?",
    ] {
        assert!(edited(200, &[("content-type", kind)]).is_some(), "{kind}");
    }
    assert!(edited(200, &[HTML, ("content-disposition", "inline; filename=x")]).is_some());
    for kind in [
        "",
        "text/plain",
        "application/xhtml+xml",
        "text/html;charset=utf-16",
        "text/html; charset=iso-2022-jp",
        "multipart/x-mixed-replace",
    ] {
        assert!(edited(200, &[("content-type", kind)]).is_none(), "{kind}");
    }
    for other in [
        HTML,
        ("content-encoding", "gzip"),
        ("content-disposition", "attachment; filename=x.html"),
        ("cache-control", "max-age=3, No-Transform"),
        ("content-security-policy", "sandbox"),
        ("content-security-policy", "default-src 'none'"),
    ] {
        assert!(edited(200, &[HTML, other]).is_none(), "{other:?}");
    }
    for status in [201, 202, 203] {
        assert!(edited(status, &[HTML]).is_some(), "{status}");
    }
    for status in [204, 205, 206, 226, 304, 404, 500] {
        assert!(edited(status, &[HTML]).is_none(), "{status}");
    }
    let mut head =
        Response::builder().header(CONTENT_TYPE, "text/html").body(()).expect("one").into_parts().0;
    let site = Site { origin: None, prefix: "" };
    assert!(head::edit(&mut head, &Empty::<bytes::Bytes>::new(), &wish(), &site).is_none(), "an empty page");
}

#[test]
fn the_head_tells_of_the_new_bytes() {
    let said = [
        ("content-type", "text/html"),
        ("content-length", "2000"),
        ("etag", "\"v1\""),
        ("accept-ranges", "bytes"),
        ("content-digest", "sha-256=:x:"),
        ("vary", "Cookie"),
        ("last-modified", "x"),
    ];
    let headers = edited(200, &said).expect("a page");
    for gone in ["content-length", "accept-ranges", "content-digest"] {
        assert!(!headers.contains_key(gone), "{gone}");
    }
    assert_eq!(headers[ETAG], "W/\"v1\"");
    assert_eq!(headers["content-encoding"], "gzip");
    let vary: Vec<_> = headers.get_all("vary").iter().collect();
    assert_eq!(vary, ["Cookie", "Accept-Encoding, Sec-Fetch-Dest"]);
}

#[test]
fn the_client_chooses_the_coding() {
    let of = |accept: &'static str| {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(accept));
        Coding::of(&headers)
    };
    for (accept, expected) in [
        ("gzip, deflate, br, zstd", Some(Coding::Brotli)),
        ("gzip, deflate", Some(Coding::Gzip)),
        ("br;q=0.5, gzip;q=0.8", Some(Coding::Gzip)),
        ("BR;Q=0.001", Some(Coding::Brotli)),
        ("*", Some(Coding::Gzip)),
        ("*;q=0, identity", None),
        ("gzip;q=0, br;q=0", None),
        ("gzip;q=2, br;q=nan, x;;;", None),
        ("", None),
    ] {
        assert_eq!(of(accept), expected, "{accept}");
    }
    assert_eq!(Coding::of(&HeaderMap::new()), None);
}

#[test]
fn what_was_flushed_can_be_read_before_the_end() {
    for coding in [Coding::Gzip, Coding::Brotli] {
        let mut coder = Coder::new(Some(coding));
        coder.write(b"<html>first").expect("memory");
        coder.flush().expect("memory");
        let mut sent = coder.take().to_vec();
        let mut seen = [0; 11];
        let read = match coding {
            Coding::Gzip => flate2::read::GzDecoder::new(&*sent).read_exact(&mut seen),
            Coding::Brotli => brotli::Decompressor::new(&*sent, 64).read_exact(&mut seen),
        };
        assert!(read.is_ok() && &seen == b"<html>first", "{coding:?}");
        coder.write(b" then the rest").expect("memory");
        sent.extend(coder.finish().expect("memory"));
        let mut whole = String::new();
        let read = match coding {
            Coding::Gzip => flate2::read::GzDecoder::new(&*sent).read_to_string(&mut whole),
            Coding::Brotli => brotli::Decompressor::new(&*sent, 64).read_to_string(&mut whole),
        };
        read.expect("whole");
        assert_eq!(whole, "<html>first then the rest");
    }
}

fn request(method: Method, headers: &[(&'static str, &str)]) -> Request<()> {
    let mut request = Request::builder().method(method);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).expect("a request")
}

#[test]
fn only_a_navigation_may_become_a_page() {
    const HTML: (&str, &str) = ("accept", "application/xml, Text/HTML;q=0.9");
    let may = |headers: &[_]| may_become_a_page(&request(Method::GET, headers));
    assert!(may(&[HTML]));
    assert!(may(&[("sec-fetch-dest", "document")]) && may(&[HTML, ("sec-fetch-dest", "iframe")]));
    assert!(!may(&[]) && !may(&[("accept", "*/*")]));
    assert!(!may(&[HTML, ("sec-fetch-dest", "empty")]), "a fragment that a script asks for");
    assert!(!may(&[HTML, ("range", "bytes=0-")]));
    assert!(!may(&[HTML, ("x-requested-with", "XMLHttpRequest")]), "the same, of its time");
    assert!(may(&[HTML, ("x-requested-with", "com.example.app")]), "a page in an app");
    assert!(may_become_a_page(&request(Method::HEAD, &[HTML])));
    assert!(!may_become_a_page(&request(Method::PUT, &[HTML])));
    let old = |kind| may_become_a_page(&request(Method::POST, &[HTML, ("content-type", kind)]));
    assert!(old("application/x-www-form-urlencoded") && old("Multipart/Form-Data; boundary=b"));
    assert!(!old("application/json") && !may_become_a_page(&request(Method::POST, &[HTML])));
    let form = |dest| may_become_a_page(&request(Method::POST, &[HTML, ("sec-fetch-dest", dest)]));
    assert!(form("document") && form("iframe") && !form("empty"));
}

#[test]
fn the_origin_is_what_the_browser_asked_of() {
    let asked = |uri: &str, headers: &[(&'static str, &str)], https| {
        let mut asked = request(Method::GET, headers);
        *asked.uri_mut() = uri.parse().expect("a target");
        asked_origin(&asked, https)
    };
    let host = |host| [("host", host)];
    assert_eq!(asked("/a", &host("127.0.0.1:8080"), false).as_deref(), Some("http://127.0.0.1:8080"));
    assert_eq!(asked("https://esat.example/a", &[], true).as_deref(), Some("https://esat.example"), "HTTP/2");
    assert_eq!(asked("/a", &host("[::1]:80"), false).as_deref(), Some("http://[::1]:80"));
    for odd in ["a b", "a;script-src *", "a,b", ""] {
        assert_eq!(asked("/a", &host(odd), false), None, "{odd:?}");
    }
}
