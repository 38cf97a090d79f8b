//! An answer's body in chunks (RFC 9112 section 7.1), taken apart as it comes.

use bytes::{Buf as _, Bytes, BytesMut};
use http::HeaderMap;
use http_body::Frame;
use httparse::Status;
use memchr::memchr;

use super::heads;
use crate::forward::error::Break;

/// Where in the body the next byte stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chunks {
    Size,
    Data(u64),
    /// After a chunk's data.
    DataEnd,
    Trailers,
    End,
}

/// What comes next of a body.
pub(super) enum Piece {
    Frame(Frame<Bytes>),
    /// More must come first.
    Wait,
    End,
}

/// Longest line of a chunk's size, with its extensions, and largest trailer section, in bytes.
const LINE: usize = 8 * 1024;
const TRAILERS: usize = 16 * 1024;
/// Most trailers.
const FIELDS: usize = 64;

impl Chunks {
    /// Takes the next piece from what has come.
    pub(super) fn next(&mut self, incoming: &mut BytesMut) -> Result<Piece, Break> {
        loop {
            match *self {
                Self::Size => {
                    let Some(size) = size(incoming)? else { return Ok(Piece::Wait) };
                    *self = if size == 0 { Self::Trailers } else { Self::Data(size) };
                }
                Self::Data(_) if incoming.is_empty() => return Ok(Piece::Wait),
                Self::Data(left) => {
                    let size = usize::try_from(left).unwrap_or(usize::MAX).min(incoming.len());
                    let left = left - size as u64;
                    *self = if left == 0 { Self::DataEnd } else { Self::Data(left) };
                    return Ok(Piece::Frame(Frame::data(incoming.split_to(size).freeze())));
                }
                Self::DataEnd => match incoming.get(..2) {
                    Some(b"\r\n") => {
                        incoming.advance(2);
                        *self = Self::Size;
                    }
                    None if b"\r\n".starts_with(incoming) => return Ok(Piece::Wait),
                    _ => return Err(Break::NoHttp("a chunk of another size than it says")),
                },
                Self::Trailers => {
                    let Some(trailers) = trailers(incoming)? else { return Ok(Piece::Wait) };
                    *self = Self::End;
                    if !trailers.is_empty() {
                        return Ok(Piece::Frame(Frame::trailers(trailers)));
                    }
                }
                Self::End => return Ok(Piece::End),
            }
        }
    }
}

/// A chunk's size, and its line's end; `None` as long as it is not whole. More strictly than its reader, which takes
/// no digit for 0 and any line end within an extension.
fn size(incoming: &mut BytesMut) -> Result<Option<u64>, Break> {
    const NO_SIZE: Break = Break::NoHttp("a chunk without a size");
    if incoming.first().is_some_and(|digit| !digit.is_ascii_hexdigit()) {
        return Err(NO_SIZE);
    }
    match httparse::parse_chunk_size(incoming) {
        Ok(Status::Complete((end, size))) if memchr(b'\n', incoming) == Some(end - 1) => {
            incoming.advance(end);
            Ok(Some(size))
        }
        Ok(Status::Partial) if incoming.len() < LINE => Ok(None),
        _ => Err(NO_SIZE),
    }
}

/// The trailer section, which most bodies have nothing in; `None` as long as it is not whole.
fn trailers(incoming: &mut BytesMut) -> Result<Option<HeaderMap>, Break> {
    if incoming.starts_with(b"\r\n") {
        incoming.advance(2);
        return Ok(Some(HeaderMap::new()));
    }
    let mut room = [httparse::EMPTY_HEADER; FIELDS];
    let (end, trailers) = match httparse::parse_headers(incoming, &mut room) {
        Ok(Status::Complete((end, fields))) if end <= TRAILERS => {
            (end, fields.iter().map(heads::field).collect::<Result<_, _>>()?)
        }
        Ok(Status::Partial) if incoming.len() < TRAILERS => return Ok(None),
        _ => return Err(Break::NoHttp("trailers that cannot be read")),
    };
    incoming.advance(end);
    Ok(Some(trailers))
}
