//! The warning before a session ends: a script for any page, the Cafs' and the portal's own.

use std::sync::LazyLock;

use bytes::Bytes;
use http::header::CACHE_CONTROL;
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;

use super::Portal;

/// Read by old browsers too; under 6 kB, without any dependency.
static SCRIPT: LazyLock<Bytes> = LazyLock::new(|| dense(include_str!("templates/session.js")).into());

pub(super) fn get(portal: &Portal) -> Response<Full<Bytes>> {
    let mut response = portal.own(StatusCode::OK, "text/javascript; charset=utf-8", SCRIPT.clone());
    // Its address does not change with it: it is in pages that octroi does not write.
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"));
    response
}

/// Without what only its readers need: indentation, comments, which have lines of their own, and the blanks around
/// operators that no text of it has.
fn dense(source: &str) -> String {
    const OPERATORS: [&str; 12] = ["=", "===", "!==", "+", "-", "&&", "||", "<", ">", ">=", "?", "{"];
    let lines = source.lines().map(str::trim_start).filter(|line| !line.starts_with("/*"));
    let text = lines.collect::<Vec<_>>().join("\n");
    OPERATORS.iter().fold(text, |text, operator| text.replace(&format!(" {operator} "), operator))
}

#[cfg(test)]
mod tests {
    use super::dense;

    const SCRIPT: &str = include_str!("templates/session.js");

    #[test]
    fn it_is_small_and_old_browsers_can_read_it() {
        let served = dense(SCRIPT);
        assert!(served.len() < 6_000, "{} bytes", served.len());
        assert!(!served.contains("/*") && served.lines().count() > 100);
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
