//! The warning before a session ends: a script for any page, the Cafs' and the portal's own.

use bytes::Bytes;
use http::header::CACHE_CONTROL;
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;

use super::Portal;

/// Read by old browsers too; under 6 kB, without any dependency.
const SCRIPT: &str = include_str!("templates/session.js");

pub(super) fn get(portal: &Portal) -> Response<Full<Bytes>> {
    let mut response = portal.own(StatusCode::OK, "text/javascript; charset=utf-8", SCRIPT);
    // Its address does not change with it: it is in pages that octroi does not write.
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"));
    response
}

#[cfg(test)]
mod tests {
    use super::SCRIPT;

    #[test]
    fn it_is_small_and_old_browsers_can_read_it() {
        assert!(SCRIPT.len() < 6_000, "{} bytes", SCRIPT.len());
        for young in ["=>", "`", "const ", "let ", "?.", "async ", "class "] {
            assert!(!SCRIPT.contains(young), "{young:?}");
        }
    }

    #[test]
    fn it_asks_for_nothing_that_a_strict_policy_forbids() {
        for forbidden in ["innerHTML", "eval(", "Function(", "setAttribute('style'", "http:", "https:"] {
            assert!(!SCRIPT.contains(forbidden), "{forbidden:?}");
        }
    }
}
