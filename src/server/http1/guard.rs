//! Stands between the socket and hyper, and lets through what can be read in one way.

use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep_until};

use super::course::{At, Judged};
use super::head::Reader;
use super::stand_in;
use crate::forward::Interim;
use crate::gate::{Link, Switch};

/// A client's connection, as hyper sees it.
///
/// What comes whole and right is judged where hyper will read it, and not copied; only what comes in pieces, or
/// before its time, is held back.
pub(in crate::server) struct Guard<S> {
    stream: S,
    link: Arc<Link>,
    at: At,
    /// What hyper has not got yet, of which the first `cleared` bytes are judged.
    held: Vec<u8>,
    cleared: usize,
    /// What is left of what comes before anything that hyper writes.
    first: Vec<u8>,
    /// The connection's task, as the link knows it.
    task: Option<Waker>,
    farewell: Option<Pin<Box<Sleep>>>,
    /// Until the client must have taken an answer; only ever made for one that keeps one waiting.
    late: Option<Pin<Box<Sleep>>>,
}

/// A refused client has that long to take its answer before what it still sends is answered by a reset,
/// which could take the answer away from it.
const FAREWELL: Duration = Duration::from_secs(1);
/// An answer up to this size goes out in one piece.
const SMALL: usize = 4 * 1024;
/// Most that is held back while a request may change the protocol.
const EARLY: usize = 64 * 1024;

impl<S> Guard<S> {
    pub(in crate::server) fn new(stream: S, link: Arc<Link>) -> Self {
        let at = At::Head(Reader::default());
        let (held, first) = (Vec::new(), Vec::new());
        Self { stream, link, at, held, cleared: 0, first, task: None, farewell: None, late: None }
    }

    /// Judges what was held back together with `new`, or `new` where it lies; returns how many bytes
    /// of it may stay there.
    fn judge(&mut self, new: &[u8]) -> usize {
        if self.held.is_empty() {
            let judged = self.at.judge(new, &self.link);
            self.held.extend_from_slice(new.get(judged.cleared..).unwrap_or_default());
            self.settle(&judged, 0);
            return judged.cleared;
        }
        self.held.extend_from_slice(new);
        self.judge_held();
        0
    }

    fn judge_held(&mut self) {
        let judged = self.at.judge(&self.held, &self.link);
        self.settle(&judged, judged.cleared);
    }

    /// Puts the stand-in in the place of a refused head.
    fn settle(&mut self, judged: &Judged, cleared: usize) {
        self.cleared = cleared;
        if let Some(why) = judged.refused {
            self.link.refuse(why);
            let stand_in = stand_in(self.held.get(cleared..).unwrap_or_default());
            self.held.truncate(cleared);
            self.held.extend_from_slice(&stand_in);
            self.cleared = self.held.len();
        }
    }

    /// Hands out what is cleared, as far as it fits.
    fn give(&mut self, buffer: &mut ReadBuf<'_>) {
        let size = self.cleared.min(buffer.remaining());
        buffer.put_slice(self.held.get(..size).unwrap_or_default());
        self.held.drain(..size);
        self.cleared -= size;
        if self.held.is_empty() {
            // Heads seldom come in pieces: nothing is kept for the next one.
            self.held = Vec::new();
        }
    }

    /// Leaves the crossroads once the way is known.
    fn choose(&mut self) {
        if matches!(self.at, At::Crossroads) {
            match self.link.switch() {
                Switch::Undecided => {}
                Switch::Refused => {
                    self.at = At::Head(Reader::default());
                    self.judge_held();
                }
                Switch::Done => self.at = At::Tunnel,
            }
        }
        if matches!(self.at, At::Tunnel) {
            self.cleared = self.held.len();
        }
    }
}

impl<S: AsyncRead + Unpin> Guard<S> {
    /// Reads before the answer that decides of the protocol: only to notice that the client has gone.
    fn poll_early(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut room = [0; 2_048];
        while self.held.len() < EARLY {
            let mut early = ReadBuf::new(&mut room);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut early))?;
            if early.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            self.held.extend_from_slice(early.filled());
        }
        Poll::Pending
    }

    /// Reads what nobody will: a connection that is closed with something unread is reset, and the reset may
    /// overtake the answer.
    fn poll_farewell(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let timer = self.farewell.get_or_insert_with(|| Box::pin(tokio::time::sleep(FAREWELL)));
        let mut room = [0; 8_192];
        while timer.as_mut().poll(cx).is_pending() {
            let mut unread = ReadBuf::new(&mut room);
            match ready!(Pin::new(&mut self.stream).poll_read(cx, &mut unread)) {
                Ok(()) if !unread.filled().is_empty() => {}
                _ => break,
            }
        }
        Poll::Ready(())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guard<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buffer.filled().len();
        loop {
            this.choose();
            if this.cleared > 0 {
                this.give(buffer);
                return Poll::Ready(Ok(()));
            }
            match this.at {
                At::Tunnel => return Pin::new(&mut this.stream).poll_read(cx, buffer),
                At::Crossroads => return this.poll_early(cx),
                At::Broken => return Poll::Ready(Err(ErrorKind::InvalidData.into())),
                // The answer is all that is left to come; the connection's task waits for it.
                At::Refused => return Poll::Pending,
                At::Head(_) | At::Known(_) | At::Chunks(_) => {}
            }
            ready!(Pin::new(&mut this.stream).poll_read(cx, buffer))?;
            let new = buffer.filled().get(before..).unwrap_or_default();
            if new.is_empty() {
                return Poll::Ready(Ok(()));
            }
            let stay = this.judge(new);
            buffer.set_filled(before + stay);
            if stay > 0 {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> Guard<S> {
    /// The connection's task is woken where the link has something to say.
    fn listens(&mut self, cx: &Context<'_>) {
        if !self.task.as_ref().is_some_and(|task| task.will_wake(cx.waker())) {
            self.task = Some(cx.waker().clone());
            self.link.wakes(cx.waker());
        }
    }

    /// What came of an attempt to write; one that waits ends with the answer's time, however steadily it goes on.
    fn written<T>(&mut self, written: Poll<io::Result<T>>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            return written;
        }
        self.listens(cx);
        let Some(deadline) = self.link.deadline() else { return Poll::Pending };
        let late = self.late.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if late.deadline() != deadline {
            late.as_mut().reset(deadline);
        }
        late.as_mut().poll(cx).map(|()| Err(ErrorKind::TimedOut.into()))
    }

    /// Writes interim answers, which came where an answer may begin.
    fn poll_first(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.link.is_cut() {
            return Poll::Ready(Err(ErrorKind::ConnectionAborted.into()));
        }
        if self.first.is_empty() && !self.link.has_interim() {
            return Poll::Ready(Ok(()));
        }
        loop {
            if self.first.is_empty() {
                self.first = self.link.interim().iter().flat_map(written).collect();
                if self.first.is_empty() {
                    return Poll::Ready(Ok(()));
                }
            }
            let size = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.first))?;
            if size == 0 {
                return Poll::Ready(Err(ErrorKind::WriteZero.into()));
            }
            self.first.drain(..size);
        }
    }
}

/// An interim answer, as HTTP/1.1 has it.
fn written(interim: &Interim) -> Vec<u8> {
    let reason = interim.status().canonical_reason().unwrap_or("Interim");
    let mut bytes = format!("HTTP/1.1 {} {reason}\r\n", interim.status().as_str()).into_bytes();
    for (name, value) in interim.headers() {
        for piece in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            bytes.extend_from_slice(piece);
        }
    }
    bytes.extend_from_slice(b"\r\n");
    bytes
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Guard<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.link.flushed(false);
        ready!(self.poll_first(cx))?;
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.written(written, cx)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // hyper flushes once it has written all: whatever comes next begins an answer, or goes on with a body.
        self.listens(cx);
        ready!(self.poll_first(cx))?;
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        ready!(self.written(flushed, cx))?;
        self.link.flushed(true);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.farewell.is_none() {
            ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
        }
        if matches!(self.at, At::Refused | At::Broken) || self.link.closes() {
            ready!(self.poll_farewell(cx));
        }
        Poll::Ready(Ok(()))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.link.flushed(false);
        ready!(self.poll_first(cx))?;
        let size = slices.iter().map(|slice| slice.len()).sum();
        let written = if slices.len() > 1 && size <= SMALL {
            // A copy costs less than what the kernel takes for several pieces.
            let mut whole = Vec::with_capacity(size);
            for slice in slices {
                whole.extend_from_slice(slice);
            }
            Pin::new(&mut self.stream).poll_write(cx, &whole)
        } else {
            Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
        };
        self.written(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
