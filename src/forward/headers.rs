//! What changes in a request's head on its way: hop-by-hop headers end here (RFC 9110 section 7.6.1), a client's
//! copies of what the gateway says are dropped.
//!
//! A client's head is edited in place, and most have nothing to drop; what the gateway says stays beside it ([`Word`]) until
//! it is written.

use http::header::{CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, HOST, TE, TRAILER, TRANSFER_ENCODING};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, Version};
use http_body::{Body, SizeHint};

use super::cookies::Tag;
use super::error::Reason;
use super::names;
use super::sticky::Mark;
use super::word::{Desk, Word};
use crate::entry::{Admitted, Provenance};

const CHUNKED: HeaderValue = HeaderValue::from_static("chunked");
const TRAILERS: HeaderValue = HeaderValue::from_static("trailers");
const CONNECTION_TE: HeaderValue = HeaderValue::from_static("te");

/// What else than its head is to be known of a request that can be sent.
pub(super) struct Ready {
    pub(super) word: Word,
    /// How long its body is; `None` where it goes in chunks.
    pub(super) length: Option<u64>,
    /// The instance that a cookie says it should go to.
    pub(super) marked: Option<Mark>,
}

/// Leaves of a client's head what the backend of the permit's Caf may see of it, and adds the gateway's word.
/// `fallback_host` is for a client that named none (HTTP/1.0).
pub(super) fn prepare<B: Body>(
    head: &mut Parts,
    body: &B,
    permit: Admitted,
    from: Provenance,
    fallback_host: &HeaderValue,
    tag: &Tag,
    desk: &mut Desk,
) -> Result<Ready, Reason> {
    if head.method == Method::CONNECT {
        return Err(Reason::BadRequest("CONNECT"));
    }
    let headers = &mut head.headers;
    let survey = Survey::of(headers, from.by_trusted_proxy);
    let length = frame(headers, &survey, body.is_end_stream(), &body.size_hint())?;
    settle_host(headers, &head.uri, fallback_host);
    to_origin_form(&mut head.uri)?;
    if survey.connection {
        drop_connection(headers);
    }
    if survey.te {
        settle_te(headers);
    }
    if from.by_trusted_proxy && headers.get(&names::TRACEPARENT) != Some(&from.traceparent) {
        // It tells of a trace that is not gone on with (W3C Trace Context, section 4.3).
        headers.remove(&names::TRACESTATE);
    }
    for name in &survey.unwanted {
        headers.remove(name);
    }
    let marked = if survey.cookie { tag.inward(headers, &mut desk.scratch) } else { None };
    head.version = Version::HTTP_11;
    head.extensions.clear();
    Ok(Ready { word: Word::new(headers, permit, from, desk), length, marked })
}

/// What a head has of what must be looked at, found in one pass: most have next to nothing of it.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, not states")]
struct Survey {
    transfer_encoding: bool,
    content_length: bool,
    connection: bool,
    te: bool,
    expect: bool,
    cookie: bool,
    unwanted: Vec<HeaderName>,
}

impl Survey {
    fn of(headers: &HeaderMap, by_trusted_proxy: bool) -> Self {
        let mut survey = Self::default();
        for name in headers.keys() {
            match *name {
                TRANSFER_ENCODING => survey.transfer_encoding = true,
                CONTENT_LENGTH => survey.content_length = true,
                CONNECTION => survey.connection = true,
                TE => survey.te = true,
                EXPECT => survey.expect = true,
                COOKIE => survey.cookie = true,
                _ if names::ends_here(name, by_trusted_proxy) => survey.unwanted.push(name.clone()),
                _ => {}
            }
        }
        survey
    }
}

/// Takes out of a client's trailer section what it may not say in a head either.
pub(super) fn strip_trailers(trailers: &mut HeaderMap) {
    drop_named(trailers, |name| names::ends_here(name, false) || is_for_heads_alone(name));
}

/// Whether only a head may say it (RFC 9110 section 6.5.1).
pub(super) fn is_for_heads_alone(name: &HeaderName) -> bool {
    use http::header::{AUTHORIZATION, SET_COOKIE};
    let heads_alone = [CONTENT_LENGTH, HOST, TRAILER, EXPECT, AUTHORIZATION, COOKIE, SET_COOKIE];
    heads_alone.contains(name) || *name == names::CAF_CODE || names::is_hop_by_hop(name.as_str().as_bytes())
}

/// Makes the framing that is said and the body that is sent agree: one length, or chunks.
fn frame(
    headers: &mut HeaderMap,
    survey: &Survey,
    is_empty: bool,
    hint: &SizeHint,
) -> Result<Option<u64>, Reason> {
    if survey.transfer_encoding {
        let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
        if !codings.all(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked")) {
            return Err(Reason::BadRequest("a transfer coding other than chunked"));
        }
        headers.remove(TRANSFER_ENCODING);
    }
    let known = if is_empty { Some(0) } else { hint.exact() };
    if survey.content_length {
        let mut said = headers.get_all(CONTENT_LENGTH).iter();
        let is_known =
            known.is_some() && said.next().and_then(|length| parse_length(length.as_bytes())) == known;
        if !is_known || said.next().is_some() {
            return Err(Reason::BadRequest("the length of the body is in doubt"));
        }
    } else {
        match known {
            Some(0) => {}
            Some(length) => drop(headers.insert(CONTENT_LENGTH, length.into())),
            None => drop(headers.insert(TRANSFER_ENCODING, CHUNKED)),
        }
    }
    if is_empty && survey.expect {
        headers.remove(EXPECT);
    }
    Ok(known)
}

/// RFC 9110 section 8.6: digits alone.
pub(super) fn parse_length(digits: &[u8]) -> Option<u64> {
    let is_number = (1..=18).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
    is_number.then(|| digits.iter().fold(0, |length, digit| length * 10 + u64::from(digit - b'0')))
}

/// The host that the client asked: the target's authority where it has one (RFC 9112 section 3.2.2, RFC
/// 9113 section 8.3.1), its `Host` otherwise.
fn settle_host(headers: &mut HeaderMap, target: &Uri, fallback: &HeaderValue) {
    if let Some(authority) = target.authority() {
        let host = authority.as_str().rsplit('@').next().unwrap_or_default();
        if let Ok(host) = HeaderValue::from_str(host) {
            headers.insert(HOST, host);
            return;
        }
    }
    if !headers.contains_key(HOST) {
        headers.insert(HOST, fallback.clone());
    }
}

/// Leaves the target's path and query, whose bytes are the client's.
fn to_origin_form(target: &mut Uri) -> Result<(), Reason> {
    const NO_PATH: Reason = Reason::BadRequest("a target without a path");
    let path = target.path_and_query().ok_or(NO_PATH)?;
    if path.as_str().starts_with('?') {
        // RFC 9112 section 3.2.1: an empty path is said to be `/`.
        *target = Uri::try_from(format!("/{}", path.as_str())).map_err(|_| NO_PATH)?;
    } else if target.scheme().is_some() || target.authority().is_some() {
        *target = Uri::from(path.clone());
    }
    Ok(())
}

/// Drops `Connection` and all that it names, but for what says where the message goes and how long it
/// is: no sender may name these (RFC 9110 section 7.6.1), and a backend needs them.
pub(super) fn drop_connection(headers: &mut HeaderMap) {
    // `keep-alive` and `close`, which is what is said most, name no header.
    let names_some = |value: &HeaderValue| ![b"keep-alive".as_slice(), b"close"].contains(&value.as_bytes());
    if !headers.get_all(CONNECTION).iter().any(names_some) {
        headers.remove(CONNECTION);
        return;
    }
    let named: Vec<HeaderName> = headers.get_all(CONNECTION).iter().flat_map(names_in).collect();
    for name in named.iter().filter(|name| ![TE, HOST, CONTENT_LENGTH, TRANSFER_ENCODING].contains(name)) {
        headers.remove(name);
    }
    headers.remove(CONNECTION);
}

/// Leaves of `TE` that the client takes trailers, said anew for the next hop.
fn settle_te(headers: &mut HeaderMap) {
    let trailers = headers.get_all(TE).iter().flat_map(names_in).any(|name| name == "trailers");
    headers.remove(TE);
    if trailers {
        headers.insert(TE, TRAILERS);
        headers.insert(CONNECTION, CONNECTION_TE);
    }
}

/// The names in a list of them.
pub(super) fn names_in(list: &HeaderValue) -> impl Iterator<Item = HeaderName> {
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

#[cfg(test)]
mod tests;
