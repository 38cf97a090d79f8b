//! What is said on one connection: a request, then its answer, then perhaps the next (RFC 9112).
//!
//! It has no task of its own: whoever waits for the answer drives both directions, since an answer may come before
//! the request's body is sent.

use std::io::IoSlice;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes, BytesMut};
use http::header::TRAILER;
use http::{HeaderName, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use memchr::memchr;
use tokio::io::{AsyncReadExt as _, AsyncWrite as _};

use super::chunks::{Chunks, Piece};
use super::heads::{self, Head, Length};
use crate::forward::error::Break;
use crate::forward::headers::{names_in, write_field};
use crate::forward::interim::Listener;
use crate::forward::outgoing::Outgoing;
use crate::forward::upload::{Upload, UploadBody};
use crate::forward::wire::Wire;

/// One connection's end at the gateway.
pub(super) struct Dialogue<B> {
    /// `None` once it is closed.
    wire: Option<Wire>,
    outward: Outward<B>,
    inward: Inward,
}

/// A request, as far as it is not sent.
struct Outward<B> {
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
    /// Whether the wire has taken anything of the request, or of its body.
    has_begun: bool,
    /// Whether the wire may hold some of it back.
    is_unflushed: bool,
}

/// An answer, as far as it has come.
struct Inward {
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
    listener: Option<Listener>,
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

/// Data up to this size is sent along with what stands before it, in one piece.
const SMALL: usize = 4 * 1024;
/// What is read at once: at first, and at most.
const ROOM: usize = 8 * 1024;
const MOST_ROOM: usize = 256 * 1024;

impl<B> Dialogue<B> {
    pub(super) fn new(wire: Wire) -> Self {
        let outward = Outward {
            text: Vec::new(),
            sent: 0,
            data: Bytes::new(),
            tail: b"",
            upload: None,
            left: None,
            trailers: Vec::new(),
            has_begun: false,
            is_unflushed: false,
        };
        let inward = Inward {
            bytes: BytesMut::new(),
            seen: 0,
            room: ROOM,
            at: At::Over,
            is_bare: false,
            is_last: false,
            listener: None,
        };
        Self { wire: Some(wire), outward, inward }
    }

    /// Gives the request back, if the instance has nothing of it; whether it is so.
    pub(super) fn take_back(&mut self, request: &mut Outgoing<B>) -> bool {
        let is_unsent = !self.outward.has_begun;
        if is_unsent {
            request.upload = self.outward.upload.take();
        }
        is_unsent
    }

    /// Whether a request can begin, and the instance has closed nothing as far as the runtime has heard.
    pub(super) fn is_usable(&mut self) -> bool {
        self.is_free() && self.wire.as_mut().is_some_and(Wire::is_quiet)
    }

    /// Whether the last exchange is over on both sides, and another may follow.
    pub(super) fn is_free(&self) -> bool {
        let is_heard = matches!(self.inward.at, At::Over) && self.inward.bytes.is_empty() && !self.is_last();
        is_heard && self.is_sent()
    }

    /// Whether no request can follow.
    pub(super) fn is_last(&self) -> bool {
        self.inward.is_last || self.wire.as_ref().is_none_or(Wire::is_deaf)
    }

    /// Whether all of the last request is sent.
    pub(super) fn is_sent(&self) -> bool {
        self.outward.is_over()
    }

    /// Gives back what large messages took, before a time of rest.
    pub(super) fn rest(&mut self) {
        if self.inward.room > ROOM {
            self.inward.bytes = BytesMut::new();
        }
        if self.outward.text.capacity() > ROOM {
            self.outward.text = Vec::new();
        }
    }

    /// Whether all of an answer has been taken.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.inward.at, At::Over | At::Switched)
    }

    /// How much of an answer's body is to come.
    pub(super) fn size_hint(&self) -> SizeHint {
        match self.inward.at {
            At::Known(left) => SizeHint::with_exact(left),
            At::Over | At::Switched => SizeHint::with_exact(0),
            At::Head | At::Chunks(_) | At::Open => SizeHint::default(),
        }
    }

    /// The wire and what has come on it already, once another protocol follows.
    pub(super) fn switch(&mut self) -> Option<(Wire, Bytes)> {
        let early = std::mem::take(&mut self.inward.bytes).freeze();
        self.wire.take().map(|wire| (wire, early))
    }

    /// Closes the connection, whatever is under way on it.
    pub(super) fn close(&mut self) {
        self.wire = None;
        self.outward.upload = None;
    }
}

impl<B: UploadBody> Dialogue<B> {
    /// Begins with a request; the answer before it is over.
    pub(super) fn begin(&mut self, request: &mut Outgoing<B>) {
        let outward = &mut self.outward;
        outward.text.clear();
        heads::write(request, &mut outward.text);
        (outward.sent, outward.has_begun) = (0, false);
        // The head says the same of it (RFC 9112 section 6).
        outward.left = request.upload.as_ref().map_or(Some(0), |upload| upload.size_hint().exact());
        outward.upload = request.upload.take();
        outward.trailers = request.head.headers.get_all(TRAILER).iter().flat_map(names_in).collect();
        let inward = &mut self.inward;
        (inward.at, inward.seen, inward.room) = (At::Head, 0, ROOM);
        inward.is_bare = request.is_for_head_alone();
        inward.listener.clone_from(&request.listener);
    }

    /// The answer's head; what comes before it is told to the listener.
    pub(super) fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Result<Response<()>, Break>> {
        self.go_on(cx)?;
        loop {
            let Some(head) = self.inward.head()? else {
                if ready!(self.poll_fill(cx))? == 0 {
                    return Poll::Ready(Err(Break::Early));
                }
                continue;
            };
            let answer = &head.answer;
            if answer.status().is_informational() && answer.status() != StatusCode::SWITCHING_PROTOCOLS {
                if let Some(listener) = &self.inward.listener {
                    listener.hear(answer.status(), answer.headers());
                }
                // It may have been what the body waited for.
                self.go_on(cx)?;
                continue;
            }
            self.inward.begin_body(&head)?;
            return Poll::Ready(Ok(head.answer));
        }
    }

    /// What comes next of the answer's body.
    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Break>>> {
        self.go_on(cx)?;
        loop {
            match self.inward.next()? {
                Piece::Frame(frame) => return Poll::Ready(Some(Ok(frame))),
                Piece::End => return Poll::Ready(None),
                Piece::Wait => {}
            }
            if ready!(self.poll_fill(cx))? == 0 {
                let is_whole = matches!(self.inward.at, At::Open);
                self.inward.at = At::Over;
                self.inward.is_last = true;
                return Poll::Ready((!is_whole).then_some(Err(Break::Early)));
            }
        }
    }

    /// Ready once all of the request is sent.
    pub(super) fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Break>> {
        loop {
            let wire = self.wire.as_mut().ok_or(Break::Early)?;
            // The first piece of a body goes along with its head.
            let fed = self.outward.poll_feed(cx)?;
            while self.outward.is_waiting() {
                ready!(self.outward.poll_write(wire, cx))?;
            }
            if self.outward.upload.is_none() || fed.is_pending() {
                ready!(Pin::new(wire).poll_flush(cx))?;
                self.outward.is_unflushed = false;
                return fed.map(Ok);
            }
        }
    }

    /// Sends what can be sent.
    fn go_on(&mut self, cx: &mut Context<'_>) -> Result<(), Break> {
        if self.outward.is_over() {
            return Ok(());
        }
        match self.poll_sent(cx) {
            Poll::Ready(sent) => sent,
            Poll::Pending => Ok(()),
        }
    }

    /// Reads once; how much.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, Break>> {
        let wire = self.wire.as_mut().ok_or(Break::Early)?;
        let inward = &mut self.inward;
        if inward.bytes.capacity() - inward.bytes.len() < inward.room / 2 {
            inward.bytes.reserve(inward.room);
        }
        let spare = inward.bytes.capacity() - inward.bytes.len();
        let size = ready!(pin!(wire.read_buf(&mut inward.bytes)).poll(cx))?;
        if size == spare {
            // There is more, and it may be much.
            inward.room = (inward.room * 4).min(MOST_ROOM);
        }
        Poll::Ready(Ok(size))
    }
}

impl<B> Outward<B> {
    fn is_waiting(&self) -> bool {
        self.sent < self.text.len() || !self.data.is_empty() || !self.tail.is_empty()
    }

    fn is_over(&self) -> bool {
        self.upload.is_none() && !self.is_waiting() && !self.is_unflushed
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
        if written == 0 || (wire.is_deaf() && !self.has_begun) {
            return Poll::Ready(Err(Break::Early));
        }
        (self.has_begun, self.is_unflushed) = (true, true);
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
    /// Takes the next piece of the body, if there is room for one; pending while the client gives none.
    fn poll_feed(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Break>> {
        if !self.data.is_empty() || !self.tail.is_empty() {
            return Poll::Ready(Ok(()));
        }
        let Some(upload) = &mut self.upload else { return Poll::Ready(Ok(())) };
        let Some(frame) = ready!(Pin::new(&mut *upload).poll_frame(cx)) else {
            return Poll::Ready(self.end());
        };
        self.has_begun = true;
        let frame = frame.map_err(Break::Body)?;
        match frame.into_data() {
            Ok(data) => self.load(data)?,
            Err(frame) => {
                self.upload = None;
                if let (Ok(trailers), None) = (frame.into_trailers(), self.left) {
                    self.text.extend_from_slice(b"0\r\n");
                    for (name, value) in trailers.iter().filter(|(name, _)| self.trailers.contains(name)) {
                        write_field(name, value, &mut self.text);
                    }
                    self.text.extend_from_slice(b"\r\n");
                }
            }
        }
        let is_whole = self.upload.as_ref().is_some_and(Body::is_end_stream);
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
                self.text.extend_from_slice(format!("{:x}\r\n", data.len()).as_bytes());
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

impl Inward {
    /// A head, if there is a whole one. Each line that ends is a reason to look again.
    fn head(&mut self) -> Result<Option<Head>, Break> {
        let new = self.bytes.get(self.seen..).unwrap_or_default();
        if memchr(b'\n', new).is_none() && self.bytes.len() < heads::HEAD {
            self.seen = self.bytes.len();
            return Ok(None);
        }
        let head = heads::read(&mut self.bytes)?;
        self.seen = if head.is_none() { self.bytes.len() } else { 0 };
        Ok(head)
    }

    fn begin_body(&mut self, head: &Head) -> Result<(), Break> {
        self.is_last = head.is_last;
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
    fn next(&mut self) -> Result<Piece, Break> {
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
                if matches!(piece, Piece::End) {
                    self.at = At::Over;
                }
                Ok(piece)
            }
        }
    }
}
