//! Heads, as HTTP/1.1 has them (RFC 9112): a request's is written, an answer's read.

use std::mem::MaybeUninit;
use std::ops::Range;

use bytes::BytesMut;
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Version};
use httparse::{Header, ParserConfig, Status};
use hyper::ext::ReasonPhrase;

use crate::forward::error::Break;
use crate::forward::headers::parse_length;
use crate::forward::outgoing::Outgoing;

/// Largest head of an answer, in bytes, and most fields of it.
pub(super) const HEAD: usize = 64 * 1024;
const FIELDS: usize = 100;
const NO_FIELD: Break = Break::NoHttp("a header that cannot be read");

/// How the end of an answer's body is known (RFC 9112 section 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Length {
    Known(u64),
    Chunks,
    /// By the end of the connection.
    Open,
}

/// Writes a request's head.
pub(super) fn write<B>(request: &Outgoing<B>, out: &mut Vec<u8>) {
    for piece in [request.head.method.as_str(), " ", request.target(), " HTTP/1.1\r\n"] {
        out.extend_from_slice(piece.as_bytes());
    }
    request.each(|name, value| write_field(name, value, out));
    out.extend_from_slice(b"\r\n");
}

/// Writes a header or a trailer.
pub(super) fn write_field(name: &HeaderName, value: &HeaderValue, out: &mut Vec<u8>) {
    for piece in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
        out.extend_from_slice(piece);
    }
}

/// Takes an answer's head from what has come; `None` as long as it is not whole.
pub(super) fn read(incoming: &mut BytesMut) -> Result<Option<Response<()>>, Break> {
    let mut room = [const { MaybeUninit::uninit() }; FIELDS];
    let mut head = httparse::Response::new(&mut []);
    let parsed = ParserConfig::default().parse_response_with_uninit_headers(&mut head, incoming, &mut room);
    let end = match parsed {
        Ok(Status::Complete(end)) => end,
        Ok(Status::Partial) if incoming.len() < HEAD => return Ok(None),
        Ok(Status::Partial) | Err(httparse::Error::TooManyHeaders) => {
            return Err(Break::NoHttp("a head that is too long"));
        }
        Err(_) => return Err(Break::NoHttp("a head that cannot be read")),
    };
    let mut answer = Response::new(());
    *answer.status_mut() =
        head.code.and_then(|code| StatusCode::from_u16(code).ok()).ok_or(Break::NoHttp("no status"))?;
    *answer.version_mut() = if head.version == Some(0) { Version::HTTP_10 } else { Version::HTTP_11 };
    if let Some(reason) = head.reason
        && Some(reason) != answer.status().canonical_reason()
        && let Ok(reason) = ReasonPhrase::try_from(reason.as_bytes())
    {
        answer.extensions_mut().insert(reason);
    }
    // Values stay where they have come: only names are copied, if they are no common ones.
    let start = incoming.as_ptr().addr();
    let place = |value: &[u8]| match value.len() {
        0 => 0..0,
        length => {
            let from = value.as_ptr().addr() - start;
            from..from + length
        }
    };
    let fields: Vec<(HeaderName, Range<usize>)> = head
        .headers
        .iter()
        .map(|field| Ok((name(field)?, place(field.value))))
        .collect::<Result<_, Break>>()?;
    let bytes = incoming.split_to(end).freeze();
    let headers = answer.headers_mut();
    headers.reserve(fields.len());
    for (name, range) in fields {
        headers.append(name, HeaderValue::from_maybe_shared(bytes.slice(range)).map_err(|_| NO_FIELD)?);
    }
    Ok(Some(answer))
}

/// A trailer.
pub(super) fn field(field: &Header<'_>) -> Result<(HeaderName, HeaderValue), Break> {
    Ok((name(field)?, HeaderValue::from_bytes(field.value).map_err(|_| NO_FIELD)?))
}

fn name(field: &Header<'_>) -> Result<HeaderName, Break> {
    HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| NO_FIELD)
}

/// How the end of the body after a head is known; `is_bare` is whether none follows it whatever it says.
pub(super) fn length(head: &Response<()>, is_bare: bool) -> Result<Length, Break> {
    let (status, headers) = (head.status(), head.headers());
    if is_bare || [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&status) {
        return Ok(Length::Known(0));
    }
    if let Some(coding) = headers.get_all(TRANSFER_ENCODING).iter().next_back() {
        let last = coding.as_bytes().rsplit(|byte| *byte == b',').next().unwrap_or_default();
        if head.version() < Version::HTTP_11 {
            return Err(Break::NoHttp("a transfer coding in HTTP/1.0"));
        }
        let is_chunked = last.trim_ascii().eq_ignore_ascii_case(b"chunked");
        return Ok(if is_chunked { Length::Chunks } else { Length::Open });
    }
    let mut said = headers.get_all(CONTENT_LENGTH).iter();
    match (said.next(), said.next()) {
        (None, _) => Ok(Length::Open),
        (Some(length), None) => {
            parse_length(length).map(Length::Known).ok_or(Break::NoHttp("a length that is none"))
        }
        _ => Err(Break::NoHttp("two lengths")),
    }
}

/// Whether the connection ends with the answer of this head (RFC 9112 section 9.3).
pub(super) fn is_last(head: &Response<()>) -> bool {
    head.version() < Version::HTTP_11 || names_close(head.headers())
}

fn names_close(headers: &HeaderMap) -> bool {
    let words =
        headers.get_all(CONNECTION).iter().flat_map(|list| list.as_bytes().split(|byte| *byte == b','));
    words.map(<[u8]>::trim_ascii).any(|word| word.eq_ignore_ascii_case(b"close"))
}
