//! Keeps web pages away: a browser on the operator's machine can be made to send requests to loopback.

use std::net::IpAddr;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use http::header::{HOST, ORIGIN};
use http::uri::Authority;

use super::Problem;

/// How a request came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Transport {
    /// A loopback port, which any page in a browser of this machine can send requests to.
    #[default]
    Loopback,
    /// An address that other machines reach: its names are not known here, and a token or a certificate is
    /// needed.
    Remote,
    /// A unix socket, which no browser reaches, but a proxy in front of it may: its `Host` says nothing, or what
    /// it says on loopback.
    Unix,
}

/// Refuses what a web page may have sent: an `Origin`, or a name that was made to lead to loopback.
pub(super) async fn refuse_browsers(request: Request, next: Next) -> Response {
    if request.headers().contains_key(ORIGIN) {
        return refusal("a request with an Origin comes from a web page");
    }
    let transport = request.extensions().get::<Transport>().copied().unwrap_or_default();
    let is_meant = match transport {
        Transport::Loopback => names(&request).next().is_some() && names(&request).all(is_loopback),
        Transport::Unix => names(&request).all(|name| name.is_empty() || is_loopback(name)),
        Transport::Remote => true,
    };
    if !is_meant {
        return refusal("the Host must be a loopback address or localhost");
    }
    next.run(request).await
}

fn refusal(detail: &str) -> Response {
    Problem::new(StatusCode::FORBIDDEN, detail).into_response()
}

/// Every name that the request gives to its target; one that is no text is no address.
fn names(request: &Request) -> impl Iterator<Item = &str> {
    let hosts = request.headers().get_all(HOST).iter().map(|host| host.to_str().unwrap_or("?"));
    hosts.chain(request.uri().authority().map(Authority::as_str))
}

fn is_loopback(name: &str) -> bool {
    let Ok(authority) = name.parse::<Authority>() else { return false };
    if name.contains('@') {
        return false;
    }
    let host = authority.host();
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host.eq_ignore_ascii_case("localhost")
        || address.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::is_loopback;

    #[test]
    fn loopback_and_what_only_looks_like_it() {
        for name in
            ["127.0.0.1", "127.0.0.1:9901", "127.9.8.7:1", "[::1]", "[::1]:9901", "localhost", "LocalHost:80"]
        {
            assert!(is_loopback(name), "{name}");
        }
        for name in [
            "",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "evil.example:9901",
            "10.0.0.1",
            "0.0.0.0",
            "localhost@evil.example",
            "evil@localhost",
            "[::2]:80",
            "127.1",
            "2130706433",
            "localhost/",
            "a b",
        ] {
            assert!(!is_loopback(name), "{name}");
        }
    }
}
