//! Which answers are pages, and what a page's head says once it is written into.

use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG,
    VARY,
};
use http::response::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use http_body::Body;
use lol_html::AsciiCompatibleEncoding;

use super::Wish;
use super::coding::Coding;
use super::policy::{self, Site};

/// How a page is written into.
pub(super) struct Plan {
    pub(super) encoding: AsciiCompatibleEncoding,
    pub(super) coding: Option<Coding>,
    /// What the tag shows to a policy that asks for it.
    pub(super) nonce: Option<String>,
}

/// What is not worth compressing, in bytes.
const SMALL: u64 = 1_024;

/// Digests of the bytes that the backend sent (RFC 9530, and those before it).
const DIGESTS: [HeaderName; 4] = [
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("content-md5"),
];

/// Makes the head ready where the answer is a page that can have the script, or would be one if more than its head
/// had been asked for; leaves it untouched otherwise.
pub(super) fn edit<B: Body>(head: &mut Parts, body: &B, wish: &Wish, site: &Site<'_>) -> Option<Plan> {
    let headers = &mut head.headers;
    if head.status == StatusCode::NOT_MODIFIED {
        confirm(headers, wish.kept.as_ref(), site);
        return None;
    }
    let size = if wish.is_head { said_size(headers) } else { body.size_hint().exact() };
    if !is_whole(head.status) || size == Some(0) || !is_open(headers) {
        return None;
    }
    let encoding = encoding(headers)?;
    let permission = policy::permission(headers, site)?;
    let nonce = permission.nonce.clone();
    permission.grant(headers);
    let coding = wish.coding.filter(|_| size.is_none_or(|size| SMALL <= size));
    rename(headers);
    headers.remove(CONTENT_ENCODING);
    if let Some(coding) = coding {
        headers.insert(CONTENT_ENCODING, coding.value());
    }
    (!wish.is_head).then_some(Plan { encoding, coding, nonce })
}

/// Successes that come with the whole of a page.
fn is_whole(status: StatusCode) -> bool {
    let others =
        [StatusCode::NO_CONTENT, StatusCode::RESET_CONTENT, StatusCode::PARTIAL_CONTENT, StatusCode::IM_USED];
    status.is_success() && !others.contains(&status)
}

/// The page that the browser kept has the script: its policy and its name must stay as they were told. What it kept
/// under a strong name is none that was written into.
fn confirm(headers: &mut HeaderMap, kept: Option<&HeaderValue>, site: &Site<'_>) {
    let own = headers.get(ETAG).filter(|tag| !tag.as_bytes().starts_with(b"W/"));
    let is_kept_strong = kept.zip(own).is_some_and(|(kept, own)| {
        kept.as_bytes().split(|b| *b == b',').any(|tag| tag.trim_ascii() == own.as_bytes())
    });
    if is_kept_strong {
        return;
    }
    if let Some(permission) = policy::permission(headers, site) {
        permission.grant(headers);
        rename(headers);
    }
}

/// What is said of bytes that are no longer these, and of how they were chosen (RFC 9110 sections 8.6, 12.5.5, 14.3).
fn rename(headers: &mut HeaderMap) {
    for name in [CONTENT_LENGTH, ACCEPT_RANGES].iter().chain(&DIGESTS) {
        headers.remove(name);
    }
    weaken(headers);
    headers.append(VARY, HeaderValue::from_static("Accept-Encoding, Sec-Fetch-Dest"));
}

fn said_size(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Whether the bytes are the page's own, and may be changed on the way.
fn is_open(headers: &HeaderMap) -> bool {
    let all = |name| headers.get_all(name).iter().map(HeaderValue::as_bytes);
    all(CONTENT_ENCODING).all(|coding| coding.eq_ignore_ascii_case(b"identity"))
        && all(CONTENT_DISPOSITION).all(|said| first(said, b';').eq_ignore_ascii_case(b"inline"))
        // RFC 9111 section 5.2.2.6.
        && !all(CACHE_CONTROL).any(|said| {
            said.split(|b| *b == b',').any(|part| part.trim_ascii().eq_ignore_ascii_case(b"no-transform"))
        })
        && !headers.contains_key("integrity-policy")
}

/// The page's encoding; none where it is no HTML, or in an encoding whose `<` is not ASCII's.
fn encoding(headers: &HeaderMap) -> Option<AsciiCompatibleEncoding> {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let media = types.next()?.as_bytes();
    if types.next().is_some() || !first(media, b';').eq_ignore_ascii_case(b"text/html") {
        return None;
    }
    match charset(media).and_then(encoding_rs::Encoding::for_label) {
        Some(encoding) => AsciiCompatibleEncoding::new(encoding),
        None => Some(AsciiCompatibleEncoding::utf_8()),
    }
}

fn charset(media: &[u8]) -> Option<&[u8]> {
    media.split(|b| *b == b';').skip(1).find_map(|parameter| {
        let parameter = parameter.trim_ascii();
        let equals = parameter.iter().position(|b| *b == b'=')?;
        let (name, value) = (parameter[..equals].trim_ascii(), parameter[equals + 1..].trim_ascii());
        let quoted = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\""));
        name.eq_ignore_ascii_case(b"charset").then_some(quoted.unwrap_or(value))
    })
}

fn first(value: &[u8], separator: u8) -> &[u8] {
    value.split(|b| *b == separator).next().unwrap_or_default().trim_ascii()
}

/// The same page, but no longer the same bytes (RFC 9110 section 8.8.1).
fn weaken(headers: &mut HeaderMap) {
    let Some(tag) = headers.get(ETAG) else { return };
    if tag.as_bytes().starts_with(b"W/") {
        return;
    }
    match HeaderValue::from_bytes(&[b"W/", tag.as_bytes()].concat()) {
        Ok(weak) => headers.insert(ETAG, weak),
        Err(_) => headers.remove(ETAG),
    };
}
