//! Who is asking, as far as can be believed: the peer's address, or what a trusted proxy says of it.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderValue};

use super::ids::Ids;
use crate::config::Server;
use crate::entry::Provenance;

/// The other end of a connection.
#[derive(Debug, Clone, Copy)]
pub struct Peer {
    /// Its address.
    pub address: SocketAddr,
    /// Whether it speaks TLS with this gateway.
    pub tls: bool,
}

/// Where a request comes from. Only a trusted proxy is believed about it (RFC 7239 section 8.1).
pub(super) fn provenance(peer: Peer, headers: &HeaderMap, server: &Server, ids: &Ids) -> Provenance {
    let by_trusted_proxy = server.trusts(peer.address.ip().to_canonical());
    let https = peer.tls || server.behind_tls_proxy;
    if !by_trusted_proxy {
        return Provenance {
            client: peer.address.ip().to_canonical(),
            https,
            by_trusted_proxy,
            request_id: ids.request(),
            traceparent: ids.traceparent(),
        };
    }
    let told = told_client(headers, server);
    Provenance {
        client: told.unwrap_or_default().unwrap_or(peer.address.ip().to_canonical()),
        https: https || told_https(headers),
        // Of two that differ, one may be the client's own: none is passed on.
        by_trusted_proxy: told.is_ok(),
        request_id: kept(headers, "x-request-id", is_request_id).unwrap_or_else(|| ids.request()),
        traceparent: kept(headers, "traceparent", is_traceparent).unwrap_or_else(|| ids.traceparent()),
    }
}

/// The client that proxies on the way tell of: the last one that is no trusted proxy.
///
/// A proxy writes `Forwarded` or `X-Forwarded-For` and may pass the other on as a client wrote it; which of
/// them it writes is not known here, so two that differ say nothing.
fn told_client(headers: &HeaderMap, server: &Server) -> Result<Option<IpAddr>, Contradiction> {
    let forwarded = elements(headers, "forwarded");
    let forwarded = forwarded.iter().map(|element| parameter(element, "for").and_then(node));
    let x_forwarded = elements(headers, "x-forwarded-for").into_iter().map(node);
    let told = [believed(forwarded), believed(x_forwarded)];
    let mut clients = told.iter().flatten().map(|hops| {
        let stranger = hops.iter().rev().find(|hop| !server.trusts(**hop));
        stranger.or(hops.first()).copied()
    });
    let client = clients.next().flatten();
    if clients.all(|other| other == client) { Ok(client) } else { Err(Contradiction) }
}

/// `Forwarded` and `X-Forwarded-For` tell of different clients.
#[derive(Debug, Clone, Copy)]
struct Contradiction;

/// Whether the nearest proxy says that it was asked over TLS, in each of the headers that speak of it.
fn told_https(headers: &HeaderMap) -> bool {
    let forwarded = elements(headers, "forwarded").last().and_then(|last| parameter(last, "proto"));
    let told = [forwarded, elements(headers, "x-forwarded-proto").last().copied()];
    let mut schemes = told.iter().flatten().peekable();
    schemes.peek().is_some() && schemes.all(|scheme| scheme.eq_ignore_ascii_case("https"))
}

fn elements<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a str> {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim).filter(|part| !part.is_empty()).collect()
}

/// The hops after the last one that cannot be read, the nearest last; `None` where no header tells of any.
fn believed(
    hops: impl ExactSizeIterator<Item = Option<IpAddr>> + DoubleEndedIterator,
) -> Option<Vec<IpAddr>> {
    if hops.len() == 0 {
        return None;
    }
    let mut near: Vec<IpAddr> = hops.rev().map_while(|hop| hop).collect();
    near.reverse();
    Some(near)
}

fn parameter<'a>(element: &'a str, name: &str) -> Option<&'a str> {
    let pairs = element.split(';').filter_map(|pair| pair.split_once('='));
    let mut named = pairs.filter(|(key, _)| key.trim().eq_ignore_ascii_case(name));
    named.next().map(|(_, value)| value.trim().trim_matches('"'))
}

/// An address, bracketed or not, with a port or not (RFC 7239 section 6).
fn node(text: &str) -> Option<IpAddr> {
    let address = text
        .parse::<SocketAddr>()
        .map(|socket| socket.ip())
        .or_else(|_| text.trim_start_matches('[').trim_end_matches(']').parse());
    address.ok().map(|ip| ip.to_canonical())
}

fn kept(headers: &HeaderMap, name: &str, fits: fn(&[u8]) -> bool) -> Option<HeaderValue> {
    let mut values = headers.get_all(name).iter();
    let (first, more) = (values.next()?, values.next());
    (more.is_none() && fits(first.as_bytes())).then(|| first.clone())
}

fn is_request_id(id: &[u8]) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(byte);
    (1..=128).contains(&id.len()) && id.iter().all(plain)
}

fn is_traceparent(value: &[u8]) -> bool {
    let dashes = [2, 35, 52];
    value.len() == 55
        && value.starts_with(b"00-")
        && value.iter().enumerate().all(|(place, byte)| {
            let hexadecimal = byte.is_ascii_digit() || (b'a'..=b'f').contains(byte);
            if dashes.contains(&place) { *byte == b'-' } else { hexadecimal }
        })
        && [3..35, 36..52]
            .into_iter()
            .all(|id| value.get(id).is_some_and(|id| id.iter().any(|byte| *byte != b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(told: &[(&'static str, &str)]) -> HeaderMap {
        let value = |text: &str| HeaderValue::from_str(text).expect("a header");
        told.iter().map(|(name, text)| (http::HeaderName::from_static(name), value(text))).collect()
    }

    fn client(told: &[(&'static str, &str)]) -> Option<String> {
        let server = Server {
            listen: Vec::new(),
            public_url: None,
            trusted_proxies: vec!["10.0.0.0/8".parse().expect("a network")],
            behind_tls_proxy: false,
            proxy_protocol: false,
            max_connections: 1,
            tls: None,
            workers: 1,
            drain_timeout: std::time::Duration::ZERO,
        };
        told_client(&headers(told), &server).unwrap_or_default().map(|client| client.to_string())
    }

    #[test]
    fn the_rightmost_stranger_is_the_client() {
        for (name, value, expected) in [
            ("x-forwarded-for", "6.6.6.6, 1.1.1.1", Some("1.1.1.1")),
            ("x-forwarded-for", "6.6.6.6, 1.1.1.1:80, 10.0.0.2", Some("1.1.1.1")),
            ("x-forwarded-for", "10.0.0.1, 10.0.0.2", Some("10.0.0.1")),
            ("x-forwarded-for", "1.1.1.1, junk, 10.0.0.3", Some("10.0.0.3")),
            ("x-forwarded-for", "1.1.1.1, junk", None),
            ("forwarded", "for=6.6.6.6, for=\"[2001:db8::1]:443\";proto=https", Some("2001:db8::1")),
            ("forwarded", "for=unknown", None),
        ] {
            assert_eq!(client(&[(name, value)]).as_deref(), expected, "{name}: {value}");
        }
    }

    #[test]
    fn two_headers_that_differ_are_not_believed() {
        let both = |forwarded, x| client(&[("forwarded", forwarded), ("x-forwarded-for", x)]);
        assert_eq!(both("for=1.1.1.1", "1.1.1.1").as_deref(), Some("1.1.1.1"));
        for forged in ["for=6.6.6.6", "for=unknown", "junk"] {
            assert_eq!(both(forged, "1.1.1.1"), None, "{forged}");
        }
        assert_eq!(both("for=1.1.1.1", "6.6.6.6"), None);
        assert_eq!(both("for=1.1.1.1", "junk"), None);
    }

    #[test]
    fn tls_is_believed_where_nothing_contradicts_it() {
        let https = |told: &[(&'static str, &str)]| told_https(&headers(told));
        assert!(https(&[("x-forwarded-proto", "http, https")]));
        assert!(https(&[("forwarded", "for=1.1.1.1;proto=HTTPS")]));
        assert!(https(&[("forwarded", "for=1.1.1.1"), ("x-forwarded-proto", "https")]));
        assert!(!https(&[("forwarded", "for=1.1.1.1;proto=https"), ("x-forwarded-proto", "http")]));
        assert!(!https(&[]));
    }

    #[test]
    fn ids_of_a_trusted_proxy_are_looked_at() {
        assert!(is_request_id(b"7f3a-1") && !is_request_id(b"") && !is_request_id(b"a b"));
        assert!(is_traceparent(b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"));
        assert!(!is_traceparent(b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0\n"));
        assert!(!is_traceparent(b"00-short"));
        assert!(!is_traceparent(b"00-00000000000000000000000000000000-00f067aa0ba902b7-01"));
        assert!(!is_traceparent(b"00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01"));
    }
}
