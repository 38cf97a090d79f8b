//! The names of headers that the gateway speaks for, or that end at it.
//!
//! Many backends see `X-Caf-Code`, `X_Caf_Code` and `X.Caf.Code` as one variable (CGI, RFC 3875 section
//! 4.1.18), so a client's name is compared with each punctuation mark taken for a hyphen.

use http::HeaderName;

pub(super) static COMPTE: HeaderName = HeaderName::from_static("x-esat-compte");
pub(super) static SIRET: HeaderName = HeaderName::from_static("x-esat-siret");
pub(super) static COMMUNICATION: HeaderName = HeaderName::from_static("x-esat-identifiant-communication");
pub(super) static CAF_CODE: HeaderName = HeaderName::from_static("x-caf-code");
pub(super) static VOLETS: HeaderName = HeaderName::from_static("x-octroi-volets");
pub(super) static ASSERTION: HeaderName = HeaderName::from_static("x-octroi-assertion");
pub(super) static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
pub(super) static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
pub(super) static TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
pub(super) static FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
pub(super) static FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
pub(super) static FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Whether a client's header of this name goes no further. `trusted` is whether the peer is a proxy
/// whose word about the client counts.
///
/// `X-Original-URL` and `X-Rewrite-URL` go no further from anybody: some backends serve the path that they
/// name rather than the request's own, which is the one that was decided on. `Proxy` is no header of HTTP, and
/// CGI takes it for where requests of its own go to (CVE-2016-5385).
///
/// `Connection`, `TE` and the framing are left to the caller, who reads them first.
pub(super) fn ends_here(name: &HeaderName, trusted: bool) -> bool {
    let name = name.as_str().as_bytes();
    match name.first() {
        Some(b'x') => is_ours(name, trusted),
        Some(b'f') => name == b"forwarded" && !trusted,
        Some(b't') => {
            reads_as(name, b"traceparent")
                || (name == b"tracestate" && !trusted)
                || (name != b"transfer-encoding" && reads_as(name, b"transfer-encoding"))
        }
        Some(b'c') => name != b"content-length" && reads_as(name, b"content-length"),
        Some(b'p') => name == b"proxy" || is_hop_by_hop(name),
        Some(b'k' | b'u' | b'h') => is_hop_by_hop(name),
        _ => false,
    }
}

/// Whether a header of an answer, or of a trailer section, ends at the gateway (RFC 9110 section 7.6.1).
/// `name` is in lower case.
pub(super) fn is_hop_by_hop(name: &[u8]) -> bool {
    match name.len() {
        2 => name == b"te",
        7 => name == b"upgrade",
        10 => name == b"connection" || reads_as(name, b"keep-alive"),
        14 => reads_as(name, b"http2-settings"),
        16 => reads_as(name, b"proxy-connection"),
        17 => reads_as(name, b"transfer-encoding"),
        18 => reads_as(name, b"proxy-authenticate"),
        19 => reads_as(name, b"proxy-authorization"),
        _ => false,
    }
}

/// Whether a header of an answer speaks for the site as a whole, which no Caf's backend may: it is the other
/// Cafs' and the gateway's too. `Clear-Site-Data` would take the session's cookie away.
pub(super) fn is_of_the_whole_site(name: &HeaderName) -> bool {
    use http::header::{ALT_SVC, STRICT_TRANSPORT_SECURITY};
    *name == "clear-site-data" || *name == STRICT_TRANSPORT_SECURITY || *name == ALT_SVC
}

/// Whether `name`, which begins with `x`, is what the gateway alone says, or nobody.
fn is_ours(name: &[u8], trusted: bool) -> bool {
    let starts = |prefix: &[u8]| name.get(..prefix.len()).is_some_and(|start| reads_as(start, prefix));
    match name.get(2) {
        Some(b'e') => starts(b"x-esat-"),
        Some(b'o') => starts(b"x-octroi-") || reads_as(name, b"x-original-url"),
        Some(b'c') => reads_as(name, b"x-caf-code"),
        Some(b'r') => reads_as(name, b"x-request-id") || reads_as(name, b"x-rewrite-url"),
        Some(b'f') => starts(b"x-forwarded-") && !(trusted && name.starts_with(b"x-forwarded-")),
        _ => false,
    }
}

/// Whether a reader who takes every punctuation mark for a hyphen reads `name` as `canonical`.
fn reads_as(name: &[u8], canonical: &[u8]) -> bool {
    let alike = |(a, b): (&u8, &u8)| a == b || (*b == b'-' && !a.is_ascii_alphanumeric());
    name.len() == canonical.len() && name.iter().zip(canonical).all(alike)
}
