//! Interim answers (1xx, RFC 9110 section 15.2): told to whoever can tell the client, before the answer itself.

use std::sync::Arc;

use http::header::{CONTENT_LENGTH, SET_COOKIE};
use http::{HeaderMap, Request, StatusCode};

use super::names;
use super::upload::{Opening, Upload};

/// Who can send a client something before its answer.
pub trait Teller: Send + Sync {
    /// Takes a whole interim answer, as it is written in HTTP/1.1; it may come to nothing.
    fn tell(&self, interim: Vec<u8>);
}

/// Hears what comes before the answer to `request`: a `100` opens its body, which waits for it; the others
/// are told on.
pub(super) fn listen<B>(
    request: &mut Request<Upload<B>>,
    opening: Option<Arc<Opening>>,
    teller: Option<Arc<dyn Teller>>,
) {
    if opening.is_none() && teller.is_none() {
        return;
    }
    hyper::ext::on_informational(request, move |answer| match (answer.status(), &opening, &teller) {
        (StatusCode::CONTINUE, Some(opening), _) => opening.open(),
        (StatusCode::CONTINUE | StatusCode::SWITCHING_PROTOCOLS, ..) => {}
        (status, _, Some(teller)) => teller.tell(write(status, answer.headers())),
        _ => {}
    });
}

/// What may be said of a head that is not there yet: nothing of its framing, and no cookies.
fn write(status: StatusCode, headers: &HeaderMap) -> Vec<u8> {
    let reason = status.canonical_reason().unwrap_or("Interim");
    let mut bytes = format!("HTTP/1.1 {} {reason}\r\n", status.as_str()).into_bytes();
    let is_dropped = |name: &http::HeaderName| {
        [CONTENT_LENGTH, SET_COOKIE].contains(name)
            || *name == names::CAF_CODE
            || names::is_hop_by_hop(name.as_str().as_bytes())
            || names::is_of_the_whole_site(name)
    };
    for (name, value) in headers.iter().filter(|(name, _)| !is_dropped(name)) {
        for piece in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            bytes.extend_from_slice(piece);
        }
    }
    bytes.extend_from_slice(b"\r\n");
    bytes
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn it_is_written_without_what_ends_here() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("link", "</a.css>; rel=preload"),
            ("set-cookie", "octroi=pirate"),
            ("connection", "x"),
            ("content-length", "3"),
            ("clear-site-data", "*"),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        let hints = write(StatusCode::EARLY_HINTS, &headers);
        assert_eq!(hints, b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\n");
    }
}
