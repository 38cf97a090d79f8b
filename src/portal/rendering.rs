//! HTML to a browser, JSON to a program (RFC 9110 section 12.5.1, as far as the contract needs it).

use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, Method};

static FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
static REQUESTED_WITH: HeaderName = HeaderName::from_static("x-requested-with");

/// The tongue of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rendering {
    /// HTML.
    Page,
    /// JSON.
    Json,
}

impl Rendering {
    /// What the headers say, else what the method does: whoever names neither HTML nor JSON is a program where a
    /// script on a page asks, or one who posts no form. A browser's form never does so, and a program is not
    /// redirected.
    pub fn of(method: &Method, headers: &HeaderMap) -> Self {
        let posts_no_form = || *method == Method::POST && !sent(headers).is_some_and(is_form);
        Self::named(headers)
            .unwrap_or_else(|| if is_script(headers) || posts_no_form() { Self::Json } else { Self::Page })
    }

    /// What the headers say: JSON to whoever sends JSON; else the one of both that weighs more, and of equals the first.
    /// Who refuses one by name takes the other, and who takes any `application/*` and names neither takes JSON.
    pub fn named(headers: &HeaderMap) -> Option<Self> {
        if sent(headers).is_some_and(is_json) {
            return Some(Self::Json);
        }
        let (mut best, mut refuses_html, mut refuses_json, mut takes_any) = (None, false, false, false);
        for range in ranges(headers) {
            let media = essence(range);
            let (named, refuses) = if is_html(media) {
                (Self::Page, &mut refuses_html)
            } else if is_json(media) {
                (Self::Json, &mut refuses_json)
            } else {
                takes_any |= media.eq_ignore_ascii_case(b"application/*") && weight(range) > 0;
                continue;
            };
            match weight(range) {
                // Nothing weighs more, and what weighs the same comes later.
                MOST => return Some(named),
                0 => *refuses = true,
                weight if best.is_none_or(|(most, _)| weight > most) => best = Some((weight, named)),
                _ => {}
            }
        }
        match (best, refuses_html, refuses_json) {
            (Some((_, named)), ..) => Some(named),
            (None, true, false) => Some(Self::Json),
            (None, false, true) => Some(Self::Page),
            (None, false, false) => takes_any.then_some(Self::Json),
            (None, true, true) => None,
        }
    }
}

/// The weight of what is told none (RFC 9110 section 12.4.2), in thousandths.
const MOST: u16 = 1_000;

/// Whether a browser goes to a page: a GET or HEAD that accepts `text/html` by name, and is no script's.
pub fn is_navigation(method: &Method, headers: &HeaderMap) -> bool {
    (method == Method::GET || method == Method::HEAD) && accepts_html(headers) && !is_script(headers)
}

/// Whether a page's script asks, rather than a person's link or form: Fetch Metadata says so, and before it, or
/// over plain HTTP, the libraries of its time did.
pub fn is_script(headers: &HeaderMap) -> bool {
    match headers.get(&FETCH_MODE) {
        Some(mode) => mode != "navigate",
        None => headers.get(&REQUESTED_WITH).is_some_and(|asker| asker == "XMLHttpRequest"),
    }
}

/// Whether `text/html` is accepted by name.
pub fn accepts_html(headers: &HeaderMap) -> bool {
    ranges(headers).any(|range| is_html(essence(range)) && weight(range) > 0)
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

fn sent(headers: &HeaderMap) -> Option<&[u8]> {
    headers.get(CONTENT_TYPE).map(|value| essence(value.as_bytes()))
}

fn is_form(media: &[u8]) -> bool {
    [b"application/x-www-form-urlencoded".as_slice(), b"multipart/form-data"]
        .iter()
        .any(|form| media.eq_ignore_ascii_case(form))
}

fn is_html(media: &[u8]) -> bool {
    media.eq_ignore_ascii_case(b"text/html")
}

/// The media ranges of `Accept`, with their parameters, in order.
fn ranges(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    headers.get_all(ACCEPT).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
}

/// What a range weighs, in thousandths; what cannot be read is no weight.
fn weight(range: &[u8]) -> u16 {
    let told = range.split(|byte| *byte == b';').skip(1).find_map(|parameter| match parameter.trim_ascii() {
        [b'q' | b'Q', b'=', weight @ ..] => Some(weight),
        _ => None,
    });
    told.and_then(thousandths).unwrap_or(MOST)
}

fn thousandths(weight: &[u8]) -> Option<u16> {
    let (whole, digits) = match weight {
        [whole @ (b'0' | b'1')] => (*whole, &[][..]),
        [whole @ (b'0' | b'1'), b'.', digits @ ..] => (*whole, digits),
        _ => return None,
    };
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let digits = digits.iter().chain(std::iter::repeat(&b'0')).take(3);
    let fraction = digits.fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'));
    Some(if whole == b'1' { MOST } else { fraction })
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
            (Some("text/html;q=0.5, application/json"), None, Rendering::Json),
            (Some("text/html;level=1; Q=0.899,*/*,application/json;q=.9;x=y"), None, Rendering::Json),
            (Some("application/json;q=0.5, text/html"), None, Rendering::Page),
            (Some("application/json;q=0.5, text/html;q=0.51"), None, Rendering::Page),
            (Some("application/json;q=0.5, text/html;q=0.500"), None, Rendering::Json),
            (Some("text/html;q=0.001, application/problem+json;q=0"), None, Rendering::Page),
            (Some("text/html;q=0, */*"), None, Rendering::Json),
            (Some("text/html;q=0"), None, Rendering::Json),
            (Some("application/*"), None, Rendering::Json),
            (Some("application/*;q=0, image/png"), None, Rendering::Page),
            (Some("application/*, text/html;q=0.5"), None, Rendering::Page),
            (Some("application/*, application/json;q=0"), None, Rendering::Page),
            (Some("text/html;q=nan, application/json"), None, Rendering::Page),
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

    #[test]
    fn a_script_goes_nowhere_whatever_it_accepts() {
        for (name, value, expected) in [
            ("sec-fetch-mode", "cors", true),
            ("sec-fetch-mode", "same-origin", true),
            ("sec-fetch-mode", "navigate", false),
            ("x-requested-with", "XMLHttpRequest", true),
            ("x-requested-with", "com.example.app", false),
        ] {
            let mut html = headers(Some("text/html"), None);
            html.insert(name, HeaderValue::from_static(value));
            assert_eq!(is_script(&html), expected, "{name}: {value}");
            assert_eq!(is_navigation(&Method::GET, &html), !expected, "{name}: {value}");
        }
        let mut both = headers(Some("text/html"), None);
        both.insert("sec-fetch-mode", HeaderValue::from_static("navigate"));
        both.insert("x-requested-with", HeaderValue::from_static("XMLHttpRequest"));
        assert!(!is_script(&both), "Fetch Metadata, which scripts cannot set, is believed first");
    }
}
