//! A stream that carries another protocol (RFC 8441).

use std::convert::Infallible;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use h2::{Reason, RecvStream, SendStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;

/// Most that is written at once.
const PIECE: usize = 16 * 1024;

/// Bytes both ways. Dropped before its end, it resets the stream.
#[derive(Debug)]
pub struct Duplex {
    incoming: RecvStream,
    outgoing: SendStream<Bytes>,
    /// What came and was not read yet.
    unread: Bytes,
    is_shut: bool,
    /// Dropped with it.
    life: Option<oneshot::Sender<Infallible>>,
}

impl Duplex {
    /// The two halves of a stream.
    pub fn new(incoming: RecvStream, outgoing: SendStream<Bytes>) -> Self {
        Self { incoming, outgoing, unread: Bytes::new(), is_shut: false, life: None }
    }

    /// Waits until it is dropped, wherever it was given.
    pub fn over(&mut self) -> impl Future<Output = ()> + use<> {
        let (life, over) = oneshot::channel::<Infallible>();
        self.life = Some(life);
        async move { drop(over.await) }
    }
}

impl AsyncRead for Duplex {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.unread.is_empty() {
            match ready!(self.incoming.poll_data(cx)) {
                Some(Ok(data)) => self.unread = data,
                Some(Err(error)) => return Poll::Ready(ended(error)),
                None => return Poll::Ready(Ok(())),
            }
        }
        let size = self.unread.len().min(buffer.remaining());
        buffer.put_slice(self.unread.get(..size).unwrap_or_default());
        self.unread.advance(size);
        // It fails where the stream is over, and nothing more will come.
        let _ = self.incoming.flow_control().release_capacity(size);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Duplex {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        // As much as is at hand, since it is sent as soon as there is room.
        self.outgoing.reserve_capacity(bytes.len().min(PIECE));
        if self.outgoing.capacity() == 0 {
            match ready!(self.outgoing.poll_capacity(cx)) {
                Some(granted) => granted.map(drop).map_err(io::Error::other)?,
                None => return Poll::Ready(Err(ErrorKind::BrokenPipe.into())),
            }
        }
        let size = self.outgoing.capacity().min(bytes.len());
        let data = Bytes::copy_from_slice(bytes.get(..size).unwrap_or_default());
        self.outgoing.send_data(data, false).map_err(io::Error::other)?;
        Poll::Ready(Ok(size))
    }

    /// The connection's task sends what it has by itself.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.is_shut {
            self.is_shut = true;
            // It fails where the peer has reset the stream: it is shut then too.
            let _ = self.outgoing.send_data(Bytes::new(), true);
        }
        Poll::Ready(Ok(()))
    }
}

/// A peer that cancels ends what it says, as one that closes a connection does.
fn ended(error: h2::Error) -> io::Result<()> {
    match error.reason() {
        Some(Reason::NO_ERROR | Reason::CANCEL) => Ok(()),
        _ => Err(io::Error::other(error)),
    }
}
