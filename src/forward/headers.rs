//! What changes in a request's head on its way: hop-by-hop headers end here (RFC 9110 section 7.6.1), a client's
//! copies of what the gateway says are dropped, and what a backend is told of the session is put in.
//!
//! Heads are edited in place; a request that carries nothing to drop costs no allocation but those of
//! the values that say where it comes from.

use std::fmt::Write as _;

use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, FORWARDED, HOST, TE, TRAILER, TRANSFER_ENCODING};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, Version};
use http_body::{Body, SizeHint};

use super::cookies::Tag;
use super::error::Reason;
use super::names;
use crate::entry::{Admitted, Provenance};

const CHUNKED: HeaderValue = HeaderValue::from_static("chunked");
const TRAILERS: HeaderValue = HeaderValue::from_static("trailers");
const CONNECTION_TE: HeaderValue = HeaderValue::from_static("te");

/// Most headers that are put in, so that the map grows once.
const ADDED: usize = 16;

/// Makes a client's head into what the backend of the permit's Caf gets. `fallback_host` is for a
/// client that named none (HTTP/1.0).
pub(super) fn prepare<B: Body>(
    head: &mut Parts,
    body: &B,
    permit: &Admitted,
    from: Provenance,
    fallback_host: &HeaderValue,
    tag: &Tag,
    scratch: &mut Vec<u8>,
) -> Result<(), Reason> {
    if head.method == Method::CONNECT {
        return Err(Reason::BadRequest("CONNECT"));
    }
    let headers = &mut head.headers;
    frame(headers, body.is_end_stream(), &body.size_hint())?;
    headers.reserve(ADDED);
    let host = settle_host(headers, &head.uri, fallback_host);
    to_origin_form(&mut head.uri)?;
    drop_connection(headers);
    settle_te(headers);
    drop_named(headers, |name| names::ends_here(name, from.by_trusted_proxy));
    tag.inward(headers, scratch);
    tell_session(headers, permit);
    tell_origin(headers, from, host, scratch);
    head.version = Version::HTTP_11;
    head.extensions.clear();
    Ok(())
}

/// Takes out of a client's trailer section what it may not say in a head either.
pub(super) fn strip_trailers(trailers: &mut HeaderMap) {
    drop_named(trailers, |name| names::ends_here(name, false) || is_for_heads_alone(name));
}

/// Whether only a head may say it (RFC 9110 section 6.5.1).
pub(super) fn is_for_heads_alone(name: &HeaderName) -> bool {
    use http::header::{AUTHORIZATION, COOKIE, SET_COOKIE};
    let heads_alone = [CONTENT_LENGTH, HOST, TRAILER, EXPECT, AUTHORIZATION, COOKIE, SET_COOKIE];
    heads_alone.contains(name) || *name == names::CAF_CODE || names::is_hop_by_hop(name.as_str().as_bytes())
}

/// Makes the framing that is said and the body that is sent agree: one length, or chunks.
fn frame(headers: &mut HeaderMap, is_empty: bool, hint: &SizeHint) -> Result<(), Reason> {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    if !codings.all(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked")) {
        return Err(Reason::BadRequest("a transfer coding other than chunked"));
    }
    headers.remove(TRANSFER_ENCODING);
    let known = if is_empty { Some(0) } else { hint.exact() };
    let mut said = headers.get_all(CONTENT_LENGTH).iter();
    match (said.next(), said.next(), known) {
        (None, _, None) => drop(headers.insert(TRANSFER_ENCODING, CHUNKED)),
        (None, _, Some(_)) => {}
        (Some(said), None, Some(known)) if parse_length(said) == Some(known) => {}
        _ => return Err(Reason::BadRequest("the length of the body is in doubt")),
    }
    if is_empty {
        headers.remove(EXPECT);
    }
    Ok(())
}

/// RFC 9110 section 8.6: digits alone.
pub(super) fn parse_length(value: &HeaderValue) -> Option<u64> {
    let digits = value.to_str().ok().filter(|text| text.bytes().all(|b| b.is_ascii_digit()))?;
    digits.parse().ok()
}

/// The host that the client asked: the target's authority where it has one (RFC 9112 section 3.2.2, RFC
/// 9113 section 8.3.1), its `Host` otherwise.
fn settle_host(headers: &mut HeaderMap, target: &Uri, fallback: &HeaderValue) -> HeaderValue {
    if let Some(authority) = target.authority() {
        let host = authority.as_str().rsplit('@').next().unwrap_or_default();
        if let Ok(host) = HeaderValue::from_str(host) {
            headers.insert(HOST, host.clone());
            return host;
        }
    }
    headers.entry(HOST).or_insert_with(|| fallback.clone()).clone()
}

/// Leaves the target's path and query, whose bytes are the client's.
fn to_origin_form(target: &mut Uri) -> Result<(), Reason> {
    if target.scheme().is_some() || target.authority().is_some() {
        let path = target.path_and_query().cloned();
        *target = path.map(Uri::from).ok_or(Reason::BadRequest("a target without a path"))?;
    }
    target.path_and_query().map(|_: &PathAndQuery| ()).ok_or(Reason::BadRequest("a target without a path"))
}

/// Drops `Connection` and all that it names, but for what says where the message goes and how long it
/// is: no sender may name these (RFC 9110 section 7.6.1), and a backend needs them.
pub(super) fn drop_connection(headers: &mut HeaderMap) {
    if headers.contains_key(CONNECTION) {
        let named: Vec<HeaderName> = headers.get_all(CONNECTION).iter().flat_map(names_in).collect();
        for name in named.iter().filter(|name| ![TE, HOST, CONTENT_LENGTH, TRANSFER_ENCODING].contains(name))
        {
            headers.remove(name);
        }
        headers.remove(CONNECTION);
    }
}

/// Leaves of `TE` that the client takes trailers, said anew for the next hop.
fn settle_te(headers: &mut HeaderMap) {
    if headers.contains_key(TE) {
        let trailers = headers.get_all(TE).iter().flat_map(names_in).any(|name| name == "trailers");
        headers.remove(TE);
        if trailers {
            headers.insert(TE, TRAILERS);
            headers.insert(CONNECTION, CONNECTION_TE);
        }
    }
}

fn names_in(list: &HeaderValue) -> impl Iterator<Item = HeaderName> {
    let members = list.as_bytes().split(|b| *b == b',').map(<[u8]>::trim_ascii);
    let members = members.filter(|member| !member.eq_ignore_ascii_case(b"keep-alive"));
    members.filter_map(|member| HeaderName::from_bytes(member).ok())
}

pub(super) fn drop_named(headers: &mut HeaderMap, is_unwanted: impl Fn(&HeaderName) -> bool) {
    let unwanted: Vec<HeaderName> = headers.keys().filter(|name| is_unwanted(name)).cloned().collect();
    for name in &unwanted {
        headers.remove(name);
    }
}

/// Contract section 4: who acts, for which ESAT, at which Caf, and what is open.
fn tell_session(headers: &mut HeaderMap, permit: &Admitted) {
    let papers = permit.papers();
    headers.insert(&names::CAF_CODE, papers.caf_code.clone());
    headers.insert(&names::COMPTE, papers.compte.clone());
    headers.insert(&names::SIRET, papers.siret.clone());
    if let Some(communication) = &papers.identifiant_communication {
        headers.insert(&names::COMMUNICATION, communication.clone());
    }
    headers.insert(&names::VOLETS, permit.volets().clone());
    headers.insert(&names::ASSERTION, permit.assertion().clone());
}

/// Where the request comes from; a trusted proxy's own word is kept, as long as it is about this client
/// (a proxy may pass on, unread, the one of the two headers that it does not know).
fn tell_origin(headers: &mut HeaderMap, from: Provenance, host: HeaderValue, scratch: &mut Vec<u8>) {
    headers.insert(&names::REQUEST_ID, from.request_id);
    headers.insert(&names::TRACEPARENT, from.traceparent);
    let proto = if from.https { "https" } else { "http" };
    let mut client = AddressText { bytes: [0; 48], length: 0 };
    let _ = write!(client, "{}", from.client.to_canonical());
    let kept = |value: Option<&HeaderValue>| {
        from.by_trusted_proxy && value.is_some_and(|value| contains(value.as_bytes(), client.as_bytes()))
    };
    if !kept(headers.get(&names::FORWARDED_FOR)) {
        insert_bytes(headers, &names::FORWARDED_FOR, client.as_bytes());
    }
    if !kept(headers.get(FORWARDED)) {
        write_forwarded(&client, proto, host.as_bytes(), scratch);
        insert_bytes(headers, &FORWARDED, scratch);
    }
    if !headers.contains_key(&names::FORWARDED_PROTO) {
        headers.insert(&names::FORWARDED_PROTO, HeaderValue::from_static(proto));
    }
    if !headers.contains_key(&names::FORWARDED_HOST) {
        headers.insert(&names::FORWARDED_HOST, host);
    }
}

/// RFC 7239 section 4; a host that would need escapes is left out.
fn write_forwarded(client: &AddressText, proto: &str, host: &[u8], out: &mut Vec<u8>) {
    out.clear();
    let address = client.as_bytes();
    let (open, close) = if address.contains(&b':') { ("\"[", "]\"") } else { ("", "") };
    for piece in [b"for=", open.as_bytes(), address, close.as_bytes(), b";proto=", proto.as_bytes()] {
        out.extend_from_slice(piece);
    }
    if !host.is_empty() && host.iter().all(|b| b.is_ascii_alphanumeric() || b"-._:[]".contains(b)) {
        let quote = if host.contains(&b':') { b"\"".as_slice() } else { b"" };
        for piece in [b";host=", quote, host, quote] {
            out.extend_from_slice(piece);
        }
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window.eq_ignore_ascii_case(part))
}

fn insert_bytes(headers: &mut HeaderMap, name: &HeaderName, value: &[u8]) {
    if let Ok(value) = HeaderValue::from_bytes(value) {
        headers.insert(name, value);
    }
}

/// An address as text, on the stack.
struct AddressText {
    bytes: [u8; 48],
    length: usize,
}

impl AddressText {
    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl std::fmt::Write for AddressText {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let end = self.length + text.len();
        self.bytes.get_mut(self.length..end).ok_or(std::fmt::Error)?.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
