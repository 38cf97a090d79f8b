//! A backend's socket, on which an answer can still be read when writing no longer works, and whose flood leaves time
//! for others.

use std::io::{self, ErrorKind, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;

use super::fleet::Socket;

/// A backend that answers before the upload ends, and closes, makes the next write fail; hyper then
/// gives the connection up, with the answer unread. So once the peer takes no more, what is written is
/// thrown away, and reading tells the end: the answer if there is one, the failure if not.
///
/// Interim answers without end are read and thrown away at once: as long as there are some, nothing would make the
/// connection wait, and the worker's other requests would. So it waits by itself now and then.
pub(super) struct Wire {
    stream: TokioIo<Socket>,
    is_deaf: bool,
    /// How often in a row there was something to read.
    reads: u8,
}

/// Reads in a row before others have their turn.
const TURN: u8 = 4;

impl Wire {
    pub(super) fn new(stream: Socket) -> Self {
        Self { stream: TokioIo::new(stream), is_deaf: false, reads: 0 }
    }

    fn heard(&mut self, written: Poll<io::Result<usize>>, offered: usize) -> Poll<io::Result<usize>> {
        match written {
            Poll::Ready(Err(error))
                if matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) =>
            {
                self.is_deaf = true;
                Poll::Ready(Ok(offered))
            }
            other => other,
        }
    }
}

impl Read for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if self.reads == TURN {
            self.reads = 0;
            // Not merely behind others that are ready: the runtime looks for what has come meanwhile.
            return pin!(tokio::task::yield_now()).poll(cx).map(Ok);
        }
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        self.reads = if read.is_ready() { self.reads + 1 } else { 0 };
        read
    }
}

impl Write for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.is_deaf {
            return Poll::Ready(Ok(bytes.len()));
        }
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.heard(written, bytes.len())
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
        let offered = slices.iter().map(|slice| slice.len()).sum();
        if self.is_deaf {
            return Poll::Ready(Ok(offered));
        }
        // Most heads go alone: the plain call costs the kernel less.
        let written = match slices {
            [one] => Pin::new(&mut self.stream).poll_write(cx, one),
            several => Pin::new(&mut self.stream).poll_write_vectored(cx, several),
        };
        self.heard(written, offered)
    }
}
