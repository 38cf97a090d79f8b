//! HTML to a browser, JSON to a program (RFC 9110 section 12.5.1, as far as the contract needs it).

use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, Method};

/// The tongue of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rendering {
    /// HTML.
    Page,
    /// JSON.
    Json,
}

impl Rendering {
    /// JSON to whoever sends JSON, or accepts it and does not name HTML before it; also to a program that names
    /// neither: a script on a page (Fetch Metadata), or one who posts no form. A browser's form never does so, and a
    /// program is not redirected.
    pub fn of(method: &Method, headers: &HeaderMap) -> Self {
        let sent = headers.get(CONTENT_TYPE).map(|value| essence(value.as_bytes()));
        let named = accepted(headers).find(|media| is_html(media) || is_json(media));
        let is_program = match (sent, named) {
            (Some(sent), _) if is_json(sent) => true,
            (_, Some(named)) => is_json(named),
            (sent, None) => is_script(headers) || *method == Method::POST && !sent.is_some_and(is_form),
        };
        if is_program { Self::Json } else { Self::Page }
    }
}

/// Whether a browser goes to a page: a GET or HEAD that accepts `text/html` by name.
pub fn is_navigation(method: &Method, headers: &HeaderMap) -> bool {
    (method == Method::GET || method == Method::HEAD) && accepted(headers).any(is_html)
}

/// Whether a media type is `application/json`, or another with JSON's syntax (RFC 6839 section 3.1).
pub(super) fn is_json(media: &[u8]) -> bool {
    media.eq_ignore_ascii_case(b"application/json")
        || media.len() >= 5 && media[media.len() - 5..].eq_ignore_ascii_case(b"+json")
}

/// A media type without its parameters.
pub(super) fn essence(value: &[u8]) -> &[u8] {
    value.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii()
}

fn is_form(media: &[u8]) -> bool {
    [b"application/x-www-form-urlencoded".as_slice(), b"multipart/form-data"]
        .iter()
        .any(|form| media.eq_ignore_ascii_case(form))
}

/// Whether a page's script asks, rather than a person's link or form.
fn is_script(headers: &HeaderMap) -> bool {
    headers.get("sec-fetch-mode").is_some_and(|mode| mode != "navigate")
}

fn is_html(media: &[u8]) -> bool {
    media.eq_ignore_ascii_case(b"text/html")
}

/// The media types accepted, in order, but for those with the weight 0.
fn accepted(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    headers
        .get_all(ACCEPT)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .filter(|range| !is_refused(range))
        .map(essence)
}

fn is_refused(range: &[u8]) -> bool {
    range.split(|byte| *byte == b';').skip(1).any(|parameter| {
        let [b'q' | b'Q', b'=', weight @ ..] = parameter.trim_ascii() else { return false };
        !weight.is_empty() && weight.iter().all(|byte| matches!(byte, b'0' | b'.'))
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(accept: Option<&'static str>, content_type: Option<&'static str>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        accept.map(|value| headers.insert(ACCEPT, HeaderValue::from_static(value)));
        content_type.map(|value| headers.insert(CONTENT_TYPE, HeaderValue::from_static(value)));
        headers
    }

    #[test]
    fn json_is_for_those_who_ask_for_it_or_send_it() {
        const FORM: &str = "application/x-www-form-urlencoded";
        for (accept, content_type, expected) in [
            (None, None, Rendering::Page),
            (Some("*/*"), None, Rendering::Page),
            (Some("application/json"), None, Rendering::Json),
            (Some("Application/JSON; charset=utf-8"), None, Rendering::Json),
            (Some("application/problem+json"), None, Rendering::Json),
            (Some("application/json, text/plain, */*"), None, Rendering::Json),
            (Some("text/html,application/xhtml+xml,application/json;q=0.9"), None, Rendering::Page),
            (Some("application/json;q=0, text/html"), None, Rendering::Page),
            (Some("application/json;q=0.000"), None, Rendering::Page),
            (Some("text/html;q=0, application/json"), None, Rendering::Json),
            (Some("text/html"), Some("application/json"), Rendering::Json),
            (None, Some("application/json;charset=utf-8"), Rendering::Json),
            (None, Some(FORM), Rendering::Page),
            (Some("application/json"), Some(FORM), Rendering::Json),
            (Some(",;,;q=0,"), None, Rendering::Page),
        ] {
            let headers = headers(accept, content_type);
            assert_eq!(Rendering::of(&Method::GET, &headers), expected, "{accept:?} {content_type:?}");
        }
    }

    #[test]
    fn whoever_posts_no_form_and_names_nothing_is_a_program() {
        const FORM: &str = "application/x-www-form-urlencoded; charset=utf-8";
        for (accept, content_type, expected) in [
            (Some("*/*"), None, Rendering::Json),
            (None, None, Rendering::Json),
            (Some("*/*"), Some("text/plain"), Rendering::Json),
            (Some("*/*"), Some(FORM), Rendering::Page),
            (None, Some("multipart/form-data; boundary=x"), Rendering::Page),
            (Some("text/html"), None, Rendering::Page),
        ] {
            let headers = headers(accept, content_type);
            assert_eq!(Rendering::of(&Method::POST, &headers), expected, "{accept:?} {content_type:?}");
        }
        let mut script = headers(Some("*/*"), Some(FORM));
        for (mode, expected) in [("cors", Rendering::Json), ("navigate", Rendering::Page)] {
            script.insert("sec-fetch-mode", HeaderValue::from_static(mode));
            assert_eq!(Rendering::of(&Method::POST, &script), expected, "{mode}");
            script.insert(ACCEPT, HeaderValue::from_static("text/html"));
            assert_eq!(Rendering::of(&Method::POST, &script), Rendering::Page);
            script.insert(ACCEPT, HeaderValue::from_static("*/*"));
        }
    }

    #[test]
    fn only_a_get_or_head_that_names_html_is_a_navigation() {
        let html = headers(Some("text/html,*/*;q=0.8"), None);
        assert!(is_navigation(&Method::GET, &html) && is_navigation(&Method::HEAD, &html));
        assert!(!is_navigation(&Method::POST, &html));
        for accept in [None, Some("*/*"), Some("application/json"), Some("text/html;q=0"), Some("xtext/html")]
        {
            assert!(!is_navigation(&Method::GET, &headers(accept, None)), "{accept:?}");
        }
    }
}
