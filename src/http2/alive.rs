//! Whether the peer is still there: one that says nothing for a while is asked (RFC 9113 section 6.7).

use std::cell::Cell;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use h2::{Ping, PingPong};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, sleep_until};

/// A socket that remembers when it last gave something.
#[derive(Debug)]
pub struct Heard<S> {
    stream: S,
    last: Rc<Cell<Instant>>,
}

/// Watches over a connection.
#[derive(Debug)]
pub struct Lifeline {
    last: Rc<Cell<Instant>>,
}

impl<S> Heard<S> {
    /// Listens to `stream`.
    pub fn new(stream: S) -> (Self, Lifeline) {
        let last = Rc::new(Cell::new(Instant::now()));
        (Self { stream, last: Rc::clone(&last) }, Lifeline { last })
    }
}

impl Lifeline {
    /// Ends once the peer was asked after a silence of `interval` and was silent for `patience` more. Whatever comes is
    /// an answer: what it sent before ours may be much. It is only asked where `matters` says so then.
    pub async fn cut(
        self,
        pings: Option<PingPong>,
        interval: Duration,
        patience: Duration,
        matters: impl Fn() -> bool,
    ) {
        // There is one for each connection, and this is it.
        let Some(mut pings) = pings else { return std::future::pending().await };
        loop {
            let quiet = self.last.get();
            sleep_until((quiet + interval).max(Instant::now() + interval / 2)).await;
            if self.last.get() != quiet || !matters() {
                continue;
            }
            // The answer to the last one is taken first; while there is none, no other can be sent, nor is needed.
            let _ = poll_fn(|cx| Poll::Ready(pings.poll_pong(cx).is_ready())).await;
            let _ = pings.send_ping(Ping::opaque());
            sleep_until(Instant::now() + patience).await;
            if self.last.get() == quiet {
                return;
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Heard<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if read.is_ready() {
            self.last.set(Instant::now());
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Heard<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }
}
