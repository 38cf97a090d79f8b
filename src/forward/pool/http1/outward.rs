//! A request, as far as it is not sent.

use std::io::{IoSlice, Write as _};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use http::HeaderName;
use http::header::TRAILER;
use http_body::Body as _;
use tokio::io::AsyncWrite as _;

use super::heads;
use crate::forward::error::Break;
use crate::forward::headers::names_in;
use crate::forward::outgoing::Outgoing;
use crate::forward::upload::{Upload, UploadBody};
use crate::forward::wire::Wire;
use crate::forward::word::write_field;

/// What is to be written next, and where more of it comes from.
pub(super) struct Outward<B> {
    /// Heads, and what stands around chunks.
    text: Vec<u8>,
    /// How much of `text` is sent.
    sent: usize,
    /// Data that comes after `text`, and what comes after the data.
    data: Bytes,
    tail: &'static [u8],
    upload: Option<Upload<B>>,
    /// What is left of the length that was said; `None` where the body goes in chunks.
    left: Option<u64>,
    /// The trailers that the head has told of (RFC 9110 section 6.6.2): many a backend would not expect others.
    trailers: Vec<HeaderName>,
    /// Whether the wire has taken anything of the request.
    is_taken: bool,
    /// Whether a piece of the body was taken from the client.
    has_fed: bool,
    /// Whether the wire may hold some of it back.
    is_unflushed: bool,
}

/// Data up to this size is sent along with what stands before it, in one piece.
const SMALL: usize = 4 * 1024;

impl<B> Outward<B> {
    pub(super) fn new() -> Self {
        Self {
            text: Vec::new(),
            sent: 0,
            data: Bytes::new(),
            tail: b"",
            upload: None,
            left: None,
            trailers: Vec::new(),
            is_taken: false,
            has_fed: false,
            is_unflushed: false,
        }
    }

    /// Begins with a request.
    pub(super) fn begin(&mut self, request: &mut Outgoing<B>) {
        self.text.clear();
        heads::write(request, &mut self.text);
        (self.sent, self.is_taken, self.has_fed) = (0, false, false);
        (self.left, self.upload) = (request.length, request.upload.take());
        if self.upload.is_some() {
            self.trailers = request.head.headers.get_all(TRAILER).iter().flat_map(names_in).collect();
        }
    }

    /// Gives the request back, if the instance has nothing of it; whether it is so.
    pub(super) fn take_back(&mut self, request: &mut Outgoing<B>) -> bool {
        let is_unsent = !self.is_taken && !self.has_fed;
        if is_unsent {
            request.upload = self.upload.take();
        }
        is_unsent
    }

    /// Whether all of the request is sent.
    pub(super) fn is_sent(&self) -> bool {
        self.upload.is_none() && !self.is_waiting() && !self.is_unflushed
    }

    /// Gives back what a large request took, before a time of rest.
    pub(super) fn rest(&mut self) {
        if self.text.capacity() > 2 * SMALL {
            self.text = Vec::new();
        }
    }

    /// Forgets what is not sent.
    pub(super) fn close(&mut self) {
        self.upload = None;
    }

    fn is_waiting(&self) -> bool {
        self.sent < self.text.len() || !self.data.is_empty() || !self.tail.is_empty()
    }

    /// Hands the wire what it takes.
    fn poll_write(&mut self, wire: &mut Wire, cx: &mut Context<'_>) -> Poll<Result<(), Break>> {
        let text = self.text.get(self.sent..).unwrap_or_default();
        let written = if self.data.is_empty() && self.tail.is_empty() {
            Pin::new(&mut *wire).poll_write(cx, text)
        } else {
            let slices = [IoSlice::new(text), IoSlice::new(&self.data), IoSlice::new(self.tail)];
            let first = usize::from(text.is_empty());
            Pin::new(&mut *wire).poll_write_vectored(cx, slices.get(first..).unwrap_or_default())
        };
        let written = ready!(written)?;
        if written == 0 || (wire.is_deaf() && !self.is_taken && !self.has_fed) {
            return Poll::Ready(Err(Break::Early));
        }
        (self.is_taken, self.is_unflushed) = (true, true);
        self.advance(written);
        Poll::Ready(Ok(()))
    }

    fn advance(&mut self, written: usize) {
        let text = written.min(self.text.len() - self.sent);
        self.sent += text;
        let data = (written - text).min(self.data.len());
        self.data.advance(data);
        let tail = written - text - data;
        self.tail = self.tail.get(tail..).unwrap_or_default();
        if !self.is_waiting() {
            self.text.clear();
            self.sent = 0;
        }
    }
}

impl<B: UploadBody> Outward<B> {
    /// Ready once all of the request is sent.
    pub(super) fn poll_sent(&mut self, wire: &mut Wire, cx: &mut Context<'_>) -> Poll<Result<(), Break>> {
        loop {
            let fed = self.poll_feed(cx)?;
            while self.is_waiting() {
                ready!(self.poll_write(wire, cx))?;
            }
            if self.upload.is_none() || fed.is_pending() {
                ready!(Pin::new(&mut *wire).poll_flush(cx))?;
                self.is_unflushed = false;
                return fed.map(Ok);
            }
        }
    }

    /// Takes the next piece of the body once the one before is sent; the first goes along with the head. Pending while
    /// the client gives none.
    fn poll_feed(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Break>> {
        if self.is_waiting() && (self.has_fed || self.is_taken) {
            return Poll::Ready(Ok(()));
        }
        let Some(upload) = &mut self.upload else { return Poll::Ready(Ok(())) };
        let frame = ready!(Pin::new(&mut *upload).poll_frame(cx));
        self.has_fed = true;
        let Some(frame) = frame else { return Poll::Ready(self.end()) };
        let frame = frame.map_err(Break::Body)?;
        match frame.into_data() {
            Ok(data) => self.load(data)?,
            Err(frame) if self.left.is_none() => {
                self.upload = None;
                self.text.extend_from_slice(b"0\r\n");
                let trailers = frame.into_trailers().unwrap_or_default();
                for (name, value) in trailers.iter().filter(|(name, _)| self.trailers.contains(name)) {
                    write_field(name, value, &mut self.text);
                }
                self.text.extend_from_slice(b"\r\n");
            }
            // There is no place for trailers after a body of a length.
            Err(_) => return Poll::Ready(self.end()),
        }
        let is_whole = self.upload.as_ref().is_some_and(Upload::is_end_stream);
        Poll::Ready(if is_whole && self.left.is_some() { self.end() } else { Ok(()) })
    }

    fn load(&mut self, data: Bytes) -> Result<(), Break> {
        match &mut self.left {
            Some(left) => {
                let rest = left.checked_sub(data.len() as u64);
                *left = rest.ok_or_else(|| Break::Body("it is longer than was said".into()))?;
            }
            // Of that size, it would be the end.
            None if data.is_empty() => return Ok(()),
            None => {
                // Writing to a vector cannot fail.
                let _ = write!(self.text, "{:x}\r\n", data.len());
                self.tail = b"\r\n";
            }
        }
        if data.len() <= SMALL {
            self.text.extend_from_slice(&data);
            self.text.extend_from_slice(std::mem::take(&mut self.tail));
        } else {
            self.data = data;
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), Break> {
        self.upload = None;
        match self.left {
            Some(0) => Ok(()),
            Some(_) => Err(Break::Body("it is shorter than was said".into())),
            None => {
                self.text.extend_from_slice(b"0\r\n\r\n");
                Ok(())
            }
        }
    }
}
