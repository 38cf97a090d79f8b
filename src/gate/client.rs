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
    let told = Told::read(headers);
    let untrusted = told.hops.iter().rev().find(|hop| !server.trusts(**hop)).or(told.hops.first());
    Provenance {
        client: untrusted.copied().unwrap_or(peer.address.ip().to_canonical()),
        https: https || told.https,
        by_trusted_proxy,
        request_id: kept(headers, "x-request-id", is_request_id).unwrap_or_else(|| ids.request()),
        traceparent: kept(headers, "traceparent", is_traceparent).unwrap_or_else(|| ids.traceparent()),
    }
}

/// What proxies on the way wrote, the nearest last. A hop that cannot be read ends what is believed.
struct Told {
    hops: Vec<IpAddr>,
    https: bool,
}

impl Told {
    fn read(headers: &HeaderMap) -> Self {
        let forwarded = elements(headers, "forwarded");
        if forwarded.is_empty() {
            let hops = believed(elements(headers, "x-forwarded-for").into_iter().map(node));
            let https = elements(headers, "x-forwarded-proto").last() == Some(&"https");
            return Self { hops, https };
        }
        let hops = believed(forwarded.iter().map(|element| parameter(element, "for").and_then(node)));
        let https = forwarded.last().and_then(|last| parameter(last, "proto")) == Some("https");
        Self { hops, https }
    }
}

fn elements<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a str> {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim).filter(|part| !part.is_empty()).collect()
}

/// The hops after the last one that cannot be read.
fn believed(hops: impl DoubleEndedIterator<Item = Option<IpAddr>>) -> Vec<IpAddr> {
    let mut near: Vec<IpAddr> = hops.rev().map_while(|hop| hop).collect();
    near.reverse();
    near
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rightmost_stranger_is_the_client() {
        let hops = |name: &'static str, value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, HeaderValue::from_str(value).expect("a header"));
            Told::read(&headers).hops.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(hops("x-forwarded-for", "1.1.1.1, 2.2.2.2:80"), ["1.1.1.1", "2.2.2.2"]);
        assert_eq!(hops("x-forwarded-for", "1.1.1.1, junk, 3.3.3.3"), ["3.3.3.3"]);
        assert_eq!(
            hops("forwarded", "for=1.1.1.1, for=\"[2001:db8::1]:443\";proto=https"),
            ["1.1.1.1", "2001:db8::1"]
        );
        assert_eq!(hops("forwarded", "for=unknown"), Vec::<String>::new());
    }

    #[test]
    fn ids_of_a_trusted_proxy_are_looked_at() {
        assert!(is_request_id(b"7f3a-1") && !is_request_id(b"") && !is_request_id(b"a b"));
        assert!(is_traceparent(b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"));
        assert!(!is_traceparent(b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0\n"));
        assert!(!is_traceparent(b"00-short"));
    }
}
