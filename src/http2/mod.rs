//! HTTP/2 (RFC 9113) as both sides of the gateway speak it, on the `h2` crate: hyper's own HTTP/2 has no word for
//! interim answers (1xx), and takes a body that its sender resets with `NO_ERROR` for a whole one.

mod alive;
mod duplex;
mod receive;
mod send;
#[cfg(test)]
mod tests;

use http::HeaderMap;
use http::header::{CONNECTION, HeaderName, TE, TRANSFER_ENCODING, UPGRADE};

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
