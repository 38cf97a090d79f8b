//! What a backend may say in an answer's head, and what becomes of it on the way to a client.

use http::header::{CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, SET_COOKIE, TRANSFER_ENCODING};
use http::response::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version};

use super::cookies::Tag;
use super::error::Reason;
use super::headers::{drop_connection, drop_named, is_for_heads_alone, parse_length};
use super::names;
use super::sticky::Mark;
use crate::domain::CafCode;

/// Makes a backend's head into what the client gets, if any of it may be given out; whether it is of a stream, that goes on
/// for as long as both ends want.
pub(super) fn accept(
    head: &mut Parts,
    caf: CafCode,
    tag: &Tag,
    mark: Mark,
    scratch: &mut Vec<u8>,
) -> Result<bool, Reason> {
    let headers = &mut head.headers;
    let survey = Survey::of(headers, caf);
    if survey.names_another {
        return Err(Reason::WrongCaf);
    }
    frame(headers, &survey, head.status)?;
    if survey.connection {
        drop_connection(headers);
    }
    for name in &survey.unwanted {
        headers.remove(name);
    }
    if survey.set_cookie {
        tag.outward(headers, mark, scratch);
    }
    if survey.is_document && !survey.is_public {
        headers.append(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    head.version = Version::HTTP_11;
    Ok(survey.is_stream)
}

/// What a head has of what must be looked at, found in one pass: most have next to nothing of it.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, not states")]
struct Survey {
    /// Whether it names another Caf.
    names_another: bool,
    transfer_encoding: bool,
    /// Whether a transfer coding is not `chunked`.
    other_coding: bool,
    lengths: u8,
    /// Whether one of them is no number.
    no_length: bool,
    connection: bool,
    set_cookie: bool,
    is_document: bool,
    is_public: bool,
    is_stream: bool,
    unwanted: Vec<HeaderName>,
}

impl Survey {
    fn of(headers: &HeaderMap, caf: CafCode) -> Self {
        let mut survey = Self::default();
        for (name, value) in headers {
            match *name {
                TRANSFER_ENCODING => {
                    survey.transfer_encoding = true;
                    survey.other_coding |= !value.as_bytes().eq_ignore_ascii_case(b"chunked");
                }
                CONTENT_LENGTH => {
                    survey.lengths = survey.lengths.saturating_add(1);
                    survey.no_length |= parse_length(value.as_bytes()).is_none();
                }
                CONNECTION => survey.connection = true,
                SET_COOKIE => survey.set_cookie = true,
                CONTENT_TYPE => {
                    survey.is_document |= is_html(value);
                    survey.is_stream |= is_stream(value);
                }
                CACHE_CONTROL => survey.is_public |= is_public(value),
                _ if *name == names::CAF_CODE => {
                    survey.names_another |= value.as_bytes() != caf.as_str().as_bytes();
                }
                _ if names::is_hop_by_hop(name.as_str().as_bytes()) || names::is_of_the_whole_site(name) => {
                    survey.unwanted.push(name.clone());
                }
                _ => {}
            }
        }
        survey
    }
}

/// Whether it is a page, which a browser would show again from its memory, once its user has left, to whoever
/// presses *back*. What a page loads stays as its backend said: alone it is not shown.
fn is_html(content_type: &HeaderValue) -> bool {
    let media = content_type.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    media.eq_ignore_ascii_case(b"text/html") || media.eq_ignore_ascii_case(b"application/xhtml+xml")
}

/// Whether an answer goes on for as long as both ends want: events, or messages of gRPC.
fn is_stream(content_type: &HeaderValue) -> bool {
    let kind = content_type.as_bytes();
    let starts = |with: &[u8]| kind.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with));
    starts(b"text/event-stream") || starts(b"application/grpc")
}

/// Whether a backend says that an answer has nothing of anybody's (RFC 9111 section 5.2.2.9).
fn is_public(cache_control: &HeaderValue) -> bool {
    let mut words = cache_control.as_bytes().split(|byte| *byte == b',');
    words.any(|word| word.trim_ascii().eq_ignore_ascii_case(b"public"))
}

/// Takes out of a backend's trailer section what only a head may say.
pub(super) fn strip_trailers(trailers: &mut HeaderMap) {
    drop_named(trailers, is_for_heads_alone);
}

/// Leaves one length or none (RFC 9112 section 6.3): what the client is told is what was read.
fn frame(headers: &mut HeaderMap, survey: &Survey, status: StatusCode) -> Result<(), Reason> {
    if survey.other_coding {
        return Err(Reason::BadAnswer("a transfer coding other than chunked"));
    }
    if survey.transfer_encoding {
        headers.remove(TRANSFER_ENCODING);
    }
    if survey.lengths > 0 && (survey.transfer_encoding || status == StatusCode::NO_CONTENT) {
        headers.remove(CONTENT_LENGTH);
    } else if survey.lengths > 1 || survey.no_length {
        return Err(Reason::BadAnswer("the length of its body is in doubt"));
    }
    Ok(())
}
