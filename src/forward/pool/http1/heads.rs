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
use crate::forward::word::write_field;

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
    for (name, value) in &request.head.headers {
        write_field(name, value, out);
    }
    request.word.write(out);
    out.extend_from_slice(b"\r\n");
}

/// An answer's head, and what it says of the message that it begins.
pub(super) struct Head {
    pub(super) answer: Response<()>,
    /// How its body would end; `None` where it is in doubt.
    length: Option<Length>,
    /// Whether the connection ends with it (RFC 9112 section 9.3).
    pub(super) is_last: bool,
}

/// Where the headers of one head stand, in a place that is used again for the next.
pub(super) type Places = Vec<(HeaderName, Range<usize>)>;

/// Takes an answer's head from what has come; `None` as long as it is not whole.
pub(super) fn read(incoming: &mut BytesMut, places: &mut Places) -> Result<Option<Head>, Break> {
    let mut room = [const { MaybeUninit::uninit() }; FIELDS];
    let mut head = httparse::Response::new(&mut []);
    let parsed = ParserConfig::default().parse_response_with_uninit_headers(&mut head, incoming, &mut room);
    let end = match parsed {
        Ok(Status::Complete(end)) if end <= HEAD => end,
        Ok(Status::Partial) if incoming.len() < HEAD => return Ok(None),
        Ok(_) | Err(httparse::Error::TooManyHeaders) => {
            return Err(Break::NoHttp("a head that is too long"));
        }
        Err(_) => return Err(Break::NoHttp("a head that cannot be read")),
    };
    let answer = start(&head)?;
    places.clear();
    let framing = survey(head.headers, incoming, places)?;
    let bytes = incoming.split_to(end).freeze();
    let mut headers = HeaderMap::with_capacity(places.len());
    for (name, place) in places.drain(..) {
        headers.append(name, HeaderValue::from_maybe_shared(bytes.slice(place)).map_err(|_| NO_FIELD)?);
    }
    let is_old = answer.version() < Version::HTTP_11;
    let (length, is_last) = (framing.length(is_old), is_old || framing.closes || framing.is_twofold());
    let (mut parts, ()) = answer.into_parts();
    parts.headers = headers;
    Ok(Some(Head { answer: Response::from_parts(parts, ()), length, is_last }))
}

/// Finds the headers of a head that begins with `incoming`, but for those that end here. Values stay where they have come;
/// only names are copied, if they are no common ones.
fn survey(fields: &[Header<'_>], incoming: &[u8], places: &mut Places) -> Result<Framing, Break> {
    let mut framing = Framing::default();
    let begin = incoming.as_ptr().addr();
    for field in fields {
        let name = name(field)?;
        if framing.note(&name, field.value) {
            let from = if field.value.is_empty() { 0 } else { field.value.as_ptr().addr() - begin };
            places.push((name, from..from + field.value.len()));
        }
    }
    Ok(framing)
}

/// The status line.
fn start(head: &httparse::Response<'_, '_>) -> Result<Response<()>, Break> {
    let mut answer = Response::new(());
    let status = head.code.and_then(|code| StatusCode::from_u16(code).ok());
    *answer.status_mut() = status.ok_or(Break::NoHttp("no status"))?;
    *answer.version_mut() = if head.version == Some(0) { Version::HTTP_10 } else { Version::HTTP_11 };
    if let Some(reason) = head.reason
        && Some(reason) != answer.status().canonical_reason()
        && let Ok(reason) = ReasonPhrase::try_from(reason.as_bytes())
    {
        answer.extensions_mut().insert(reason);
    }
    Ok(answer)
}

/// What the headers say of the message.
#[derive(Default)]
struct Framing {
    /// Whether a transfer coding was said, and whether the last one is `chunked`.
    coding: Option<bool>,
    length: Said,
    closes: bool,
}

/// The length that was said.
#[derive(Default, Clone, Copy)]
enum Said {
    #[default]
    Nothing,
    Length(u64),
    /// What is none, or not the only one.
    Doubt,
}

impl Framing {
    /// Reads a header; whether it says anything else than how long the connection is kept, which ends here.
    fn note(&mut self, name: &HeaderName, value: &[u8]) -> bool {
        match *name {
            CONNECTION => {
                let mut words = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
                self.closes |= words.any(|word| word.eq_ignore_ascii_case(b"close"));
                return !(value.eq_ignore_ascii_case(b"keep-alive") || value.eq_ignore_ascii_case(b"close"));
            }
            TRANSFER_ENCODING => {
                let last = value.rsplit(|byte| *byte == b',').next().unwrap_or_default();
                self.coding = Some(last.trim_ascii().eq_ignore_ascii_case(b"chunked"));
            }
            CONTENT_LENGTH => {
                self.length = match (self.length, parse_length(value)) {
                    (Said::Nothing, Some(length)) => Said::Length(length),
                    _ => Said::Doubt,
                };
            }
            _ => {}
        }
        true
    }

    /// Whether it says its length in two ways, of which another reader may take the other (RFC 9112 section 6.3).
    fn is_twofold(&self) -> bool {
        self.coding.is_some() && !matches!(self.length, Said::Nothing)
    }

    /// RFC 9112 section 6.3.
    fn length(&self, is_old: bool) -> Option<Length> {
        match (self.coding, self.length) {
            (Some(_), _) if is_old => None,
            (Some(true), _) => Some(Length::Chunks),
            (Some(false), _) | (None, Said::Nothing) => Some(Length::Open),
            (None, Said::Length(length)) => Some(Length::Known(length)),
            (None, Said::Doubt) => None,
        }
    }
}

impl Head {
    /// How the end of its body is known; `is_bare` is whether it has none whatever it says.
    pub(super) fn length(&self, is_bare: bool) -> Result<Length, Break> {
        let status = self.answer.status();
        if is_bare || [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&status) {
            return Ok(Length::Known(0));
        }
        self.length.ok_or(Break::NoHttp("its length is in doubt"))
    }
}

/// A trailer.
pub(super) fn field(field: &Header<'_>) -> Result<(HeaderName, HeaderValue), Break> {
    Ok((name(field)?, HeaderValue::from_bytes(field.value).map_err(|_| NO_FIELD)?))
}

fn name(field: &Header<'_>) -> Result<HeaderName, Break> {
    HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| NO_FIELD)
}
