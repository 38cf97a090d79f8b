//! A backend's socket, on which an answer can still be read when writing no longer works, and whose flood leaves time
//! for others.

use std::io::{self, ErrorKind, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::fleet::Socket;

/// A backend that answers before the upload ends, and closes, makes the next write fail; whoever speaks would then
/// give the connection up, with the answer unread. So once the peer takes no more, what is written is
/// thrown away, and reading tells the end: the answer if there is one, the failure if not.
///
/// Interim answers without end are read and thrown away at once: as long as there are some, nothing would make the
/// connection wait, and the worker's other requests would. So it waits by itself now and then.
pub(super) struct Wire {
    socket: Socket,
    is_deaf: bool,
    /// How often in a row there was something to read.
    reads: u8,
}

/// Reads in a row before others have their turn.
const TURN: u8 = 4;

impl Wire {
    pub(super) fn new(socket: Socket) -> Self {
        Self { socket, is_deaf: false, reads: 0 }
    }

    /// Whether the peer takes no more.
    pub(super) fn is_deaf(&self) -> bool {
        self.is_deaf
    }

    /// Whether it is open and has said nothing that nobody asked for, as far as the runtime has heard.
    pub(super) fn is_quiet(&mut self) -> bool {
        let mut room = [0; 1];
        let mut context = Context::from_waker(Waker::noop());
        Pin::new(&mut self.socket).poll_read(&mut context, &mut ReadBuf::new(&mut room)).is_pending()
    }

    /// What came of an attempt to write; `instead` once the peer takes no more.
    fn heard<T>(&mut self, written: Poll<io::Result<T>>, instead: T) -> Poll<io::Result<T>> {
        match written {
            Poll::Ready(Err(error))
                if matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) =>
            {
                self.is_deaf = true;
                Poll::Ready(Ok(instead))
            }
            other => other,
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.reads == TURN {
            self.reads = 0;
            // Not merely behind others that are ready: the runtime looks for what has come meanwhile.
            return pin!(tokio::task::yield_now()).poll(cx).map(Ok);
        }
        let read = Pin::new(&mut self.socket).poll_read(cx, buffer);
        self.reads = if read.is_ready() { self.reads + 1 } else { 0 };
        read
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.is_deaf {
            return Poll::Ready(Ok(bytes.len()));
        }
        let written = Pin::new(&mut self.socket).poll_write(cx, bytes);
        self.heard(written, bytes.len())
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_deaf {
            return Poll::Ready(Ok(()));
        }
        let flushed = Pin::new(&mut self.socket).poll_flush(cx);
        self.heard(flushed, ())
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
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
            [one] => Pin::new(&mut self.socket).poll_write(cx, one),
            several => Pin::new(&mut self.socket).poll_write_vectored(cx, several),
        };
        self.heard(written, offered)
    }
}
