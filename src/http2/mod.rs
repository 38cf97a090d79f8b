//! HTTP/2 (RFC 9113) as both sides of the gateway speak it, on the `h2` crate: hyper's own HTTP/2 has no word for
//! interim answers (1xx), and takes a body that its sender resets with `NO_ERROR` for a whole one.

mod alive;
mod duplex;
mod receive;
mod send;
#[cfg(test)]
mod tests;

use http::header::{CONNECTION, HeaderName, TE, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderValue};

pub use alive::{Heard, Lifeline};
pub use duplex::Duplex;
pub use receive::Received;
pub use send::{SendError, send};

/// Takes out what only HTTP/1.1 has words for (RFC 9113 section 8.2.2).
pub fn strip_connection_headers(headers: &mut HeaderMap) {
    const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
    const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
    for name in [CONNECTION, TRANSFER_ENCODING, UPGRADE, KEEP_ALIVE, PROXY_CONNECTION] {
        headers.remove(name);
    }
    if headers.get(TE).is_some_and(|coding| coding != "trailers") {
        headers.remove(TE);
    }
}

/// Takes the blanks (SP and HTAB) around values away: over HTTP/1.1 they are no part of a value, over HTTP/2 a message that
/// has them is malformed (RFC 9113 section 8.2.1), and whoever gets it may close the connection.
pub fn trim_values(headers: &mut HeaderMap) {
    let is_blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    for value in headers.values_mut() {
        let mut bytes = value.as_bytes();
        if !is_blank(bytes.first()) && !is_blank(bytes.last()) {
            continue;
        }
        while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = bytes {
            bytes = rest;
        }
        // What is left of a value is one.
        if let Ok(trimmed) = HeaderValue::from_bytes(bytes) {
            *value = trimmed;
        }
    }
}
