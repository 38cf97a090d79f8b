//! An answer, as far as it has come.

use std::pin::pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http_body::{Frame, SizeHint};
use memchr::memchr;
use tokio::io::AsyncReadExt as _;

use super::chunks::{Chunks, Piece};
use super::heads::{self, Head, Length, Places};
use crate::forward::error::Break;
use crate::forward::interim::Listener;
use crate::forward::wire::Wire;

/// What was read, and where in the answer it stands.
pub(super) struct Inward {
    bytes: BytesMut,
    /// How many of the bytes are known to hold no whole head.
    seen: usize,
    /// How many are read at once.
    room: usize,
    at: At,
    /// Whether the answer has no body, whatever its head says.
    is_bare: bool,
    /// Whether the connection ends with the answer.
    is_last: bool,
    /// Who hears what comes before the answer.
    listener: Option<Listener>,
    places: Places,
}

enum At {
    Head,
    Known(u64),
    Chunks(Chunks),
    /// In a body that ends with the connection.
    Open,
    /// After an answer.
    Over,
    /// Another protocol.
    Switched,
}

/// What is read at once: at first, and at most.
const ROOM: usize = 8 * 1024;
const MOST_ROOM: usize = 256 * 1024;

impl Inward {
    pub(super) fn new() -> Self {
        Self {
            bytes: BytesMut::new(),
            seen: 0,
            room: ROOM,
            at: At::Over,
            is_bare: false,
            is_last: false,
            listener: None,
            places: Places::new(),
        }
    }

    /// Begins with an answer, which has no body if it `is_bare`; what comes before it is told to `listener`.
    pub(super) fn begin(&mut self, is_bare: bool, listener: Option<Listener>) {
        (self.at, self.seen, self.room) = (At::Head, 0, ROOM);
        (self.is_bare, self.listener) = (is_bare, listener);
    }

    /// Whether all of the answer was taken.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.at, At::Over | At::Switched)
    }

    /// Whether another answer can follow, by what this one has said.
    pub(super) fn is_free(&self) -> bool {
        matches!(self.at, At::Over) && self.bytes.is_empty() && !self.is_last
    }

    /// How much of the body is to come.
    pub(super) fn size_hint(&self) -> SizeHint {
        match self.at {
            At::Known(left) => SizeHint::with_exact(left),
            At::Over | At::Switched => SizeHint::with_exact(0),
            At::Head | At::Chunks(_) | At::Open => SizeHint::default(),
        }
    }

    /// What has come after the head of an answer that another protocol follows.
    pub(super) fn early(&mut self) -> Bytes {
        std::mem::take(&mut self.bytes).freeze()
    }

    /// Gives back what a large answer took, before a time of rest.
    pub(super) fn rest(&mut self) {
        if self.room > ROOM {
            self.bytes = BytesMut::new();
        }
    }

    /// Reads once; how much.
    pub(super) fn poll_fill(&mut self, wire: &mut Wire, cx: &mut Context<'_>) -> Poll<Result<usize, Break>> {
        if self.bytes.capacity() - self.bytes.len() < self.room / 2 {
            self.bytes.reserve(self.room);
        }
        let spare = self.bytes.capacity() - self.bytes.len();
        let size = ready!(pin!(wire.read_buf(&mut self.bytes)).poll(cx))?;
        if size == spare && !matches!(self.at, At::Head) {
            // There is more, and it may be much.
            self.room = (self.room * 4).min(MOST_ROOM);
        }
        Poll::Ready(Ok(size))
    }

    /// The next head, an interim one or the answer's, if there is a whole one. Each line that ends is a reason to look
    /// again.
    pub(super) fn head(&mut self) -> Result<Option<Head>, Break> {
        let new = self.bytes.get(self.seen..).unwrap_or_default();
        if memchr(b'\n', new).is_none() && self.bytes.len() < heads::HEAD {
            self.seen = self.bytes.len();
            return Ok(None);
        }
        let head = heads::read(&mut self.bytes, &mut self.places)?;
        self.seen = if head.is_none() { self.bytes.len() } else { 0 };
        Ok(head)
    }

    /// Tells whoever listens of an interim answer.
    pub(super) fn tell(&self, interim: &Head) {
        if let Some(listener) = &self.listener {
            listener.hear(interim.answer.status(), interim.answer.headers());
        }
    }

    /// Begins with the body after the answer's head.
    pub(super) fn begin_body(&mut self, head: &Head) -> Result<(), Break> {
        (self.is_last, self.listener) = (head.is_last, None);
        self.at = if head.answer.status() == StatusCode::SWITCHING_PROTOCOLS {
            At::Switched
        } else {
            match head.length(self.is_bare)? {
                Length::Known(0) => At::Over,
                Length::Known(length) => At::Known(length),
                Length::Chunks => At::Chunks(Chunks::Size),
                Length::Open => At::Open,
            }
        };
        Ok(())
    }

    /// The next piece of the body, of what has come.
    pub(super) fn piece(&mut self) -> Result<Piece, Break> {
        match &mut self.at {
            At::Over | At::Switched | At::Head => Ok(Piece::End),
            At::Known(_) | At::Open if self.bytes.is_empty() => Ok(Piece::Wait),
            At::Open => Ok(Piece::Frame(Frame::data(self.bytes.split().freeze()))),
            At::Known(left) => {
                let size = usize::try_from(*left).unwrap_or(usize::MAX).min(self.bytes.len());
                *left -= size as u64;
                if *left == 0 {
                    self.at = At::Over;
                }
                Ok(Piece::Frame(Frame::data(self.bytes.split_to(size).freeze())))
            }
            At::Chunks(chunks) => {
                let piece = chunks.next(&mut self.bytes)?;
                // Trailers are the last that comes, and may be the last that is asked for.
                if *chunks == Chunks::End {
                    self.at = At::Over;
                }
                Ok(piece)
            }
        }
    }

    /// The connection has ended; whether the answer was to end with it.
    pub(super) fn is_whole_at_the_end(&mut self) -> bool {
        let is_whole = matches!(self.at, At::Open);
        (self.at, self.is_last) = (At::Over, true);
        is_whole
    }
}
