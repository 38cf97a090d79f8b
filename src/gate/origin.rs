//! Requests that another site made a browser send.
//!
//! A browser says which site a request comes from in `Sec-Fetch-Site`, an older one in `Origin`, a still older one in
//! `Referer` alone, and often nowhere. A request that carries none of them comes from a program, or from a browser that
//! was told to say nothing.

use http::header::{HOST, ORIGIN, REFERER};
use http::{HeaderValue, Method, Request};

use super::tunnel;
use crate::config::Origin;

/// Whether an unsafe method (RFC 9110 section 9.2.1) is sent from another origin than this one, which clients
/// reach over TLS if `https`: a page that came in the clear may be anybody's. A WebSocket's handshake is a `GET`, and
/// what it opens is as unsafe as any method.
pub(super) fn is_foreign<B>(request: &Request<B>, public: Option<&Origin>, https: bool) -> bool {
    let is_safe = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    if is_safe && !tunnel::asks_to_switch(request) {
        return false;
    }
    let headers = request.headers();
    match headers.get("sec-fetch-site").map(HeaderValue::as_bytes) {
        Some(b"same-origin" | b"none") => false,
        Some(_) => true,
        None => {
            let own = |origin: &[u8]| is_own(origin, request, public, https);
            let mut origins = headers.get_all(ORIGIN).iter().map(HeaderValue::as_bytes).peekable();
            if origins.peek().is_some() {
                return !origins.all(own);
            }
            !headers.get_all(REFERER).iter().filter_map(origin_of).all(own)
        }
    }
}

/// The origin of the page that a link or form stood on (RFC 9110 section 10.1.3); none of what is no page of the web.
fn origin_of(page: &HeaderValue) -> Option<&[u8]> {
    let page = page.as_bytes();
    let scheme = [b"https://".as_slice(), b"http://"].into_iter().find(|scheme| page.starts_with(scheme))?;
    let end = page[scheme.len()..].iter().position(|byte| b"/?#\\".contains(byte));
    Some(end.map_or(page, |end| &page[..scheme.len() + end]))
}

fn is_own<B>(origin: &[u8], request: &Request<B>, public: Option<&Origin>, https: bool) -> bool {
    let Ok(origin) = std::str::from_utf8(origin) else { return false };
    let Some((scheme, authority)) = origin.split_once("://") else { return false };
    let is = |https: bool, host: &[u8]| {
        scheme == if https { "https" } else { "http" } && host.eq_ignore_ascii_case(authority.as_bytes())
    };
    let host = request.headers().get(HOST).map(HeaderValue::as_bytes);
    let host = host.or_else(|| request.uri().authority().map(|it| it.as_str().as_bytes()));
    public.is_some_and(|public| is(public.https, public.authority.as_bytes()))
        || host.is_some_and(|host| is(https, host))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn foreign(method: Method, headers: &[(&str, &str)]) -> bool {
        let public = Origin { https: true, authority: "esat.example".to_owned() };
        let mut request = Request::builder().method(method).uri("/").header(HOST, "127.0.0.1:8080");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        is_foreign(&request.body(()).expect("a request"), Some(&public), false)
    }

    #[test]
    fn another_site_may_look_but_not_touch() {
        let cross = [("sec-fetch-site", "cross-site")];
        assert!(foreign(Method::POST, &cross));
        assert!(foreign(Method::DELETE, &[("sec-fetch-site", "same-site")]));
        assert!(!foreign(Method::GET, &cross));
        assert!(!foreign(Method::POST, &[("sec-fetch-site", "same-origin"), ("origin", "null")]));
        assert!(!foreign(Method::POST, &[("sec-fetch-site", "none")]));
    }

    #[test]
    fn an_old_browser_is_known_by_its_origin() {
        assert!(!foreign(Method::POST, &[]));
        assert!(!foreign(Method::POST, &[("origin", "http://127.0.0.1:8080")]));
        assert!(!foreign(Method::POST, &[("origin", "https://ESAT.example")]));
        let others = ["https://evil.example", "https://127.0.0.1:8080", "http://127.0.0.1:8081"];
        for origin in ["null", "", "http://esat.example"].into_iter().chain(others) {
            assert!(foreign(Method::POST, &[("origin", origin)]), "{origin}");
        }
        assert!(foreign(
            Method::POST,
            &[("origin", "https://esat.example"), ("origin", "https://evil.example")]
        ));
    }

    #[test]
    fn one_older_still_is_known_by_the_page_it_comes_from() {
        for own in
            ["http://127.0.0.1:8080/d?x", "https://ESAT.example/", "https://esat.example", "about:blank", ""]
        {
            assert!(!foreign(Method::POST, &[("referer", own)]), "{own}");
        }
        for page in [
            "https://evil.example/p",
            "https://evil.example",
            "http://esat.example/",
            "https://esat.example@evil.example/",
            "https://esat.example.evil.example/",
            "https://evil.example\\esat.example/",
        ] {
            assert!(foreign(Method::POST, &[("referer", page)]), "{page}");
            assert!(!foreign(Method::GET, &[("referer", page)]), "{page}");
        }
        assert!(!foreign(
            Method::POST,
            &[("origin", "https://esat.example"), ("referer", "https://evil.example/")]
        ));
    }

    #[test]
    fn a_page_that_came_in_the_clear_is_foreign_to_tls() {
        let foreign = |origin: &str| {
            let request = Request::post("/").header(HOST, "esat.example").header(ORIGIN, origin);
            is_foreign(&request.body(()).expect("a request"), None, true)
        };
        assert!(!foreign("https://esat.example"));
        assert!(foreign("http://esat.example"));
    }
}
