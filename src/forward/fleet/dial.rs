//! A new connection to an instance: TCP, and TLS where the instance speaks it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::uri::Scheme;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

use super::tls::Offer;
use super::{Member, Team};
use crate::config::Protocol;
use crate::forward::error::Reason;

/// The bytes of a connection to an instance.
pub(in crate::forward) enum Socket {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// The version of HTTP that both ends agreed upon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::forward) enum Version {
    Http1,
    Http2,
}

impl Socket {
    /// The scheme of what is asked over it.
    pub(in crate::forward) fn scheme(&self) -> Scheme {
        match self {
            Self::Plain(_) => Scheme::HTTP,
            Self::Tls(_) => Scheme::HTTPS,
        }
    }
}

impl Team {
    /// Opens a connection to a member, within `connect_timeout`.
    pub(in crate::forward) async fn dial(
        &self,
        member: &Member,
        offer: Offer,
    ) -> Result<(Socket, Version), Reason> {
        let dialling = timeout(self.rule.times.connect, self.connect(member, offer)).await;
        dialling.map_err(|_| Reason::ConnectTimeout)?.map_err(Reason::Connect)
    }

    async fn connect(&self, member: &Member, offer: Offer) -> io::Result<(Socket, Version)> {
        let address = &member.address;
        let addresses = member.addresses.of(&address.host, address.port).await?;
        let stream = TcpStream::connect(addresses.as_slice()).await?;
        stream.set_nodelay(true)?;
        if !address.https {
            let http2 = self.protocol == Protocol::Http2 && offer == Offer::All;
            return Ok((Socket::Plain(stream), if http2 { Version::Http2 } else { Version::Http1 }));
        }
        let tls = self.tls.as_ref().ok_or_else(|| io::Error::other("no certificate authority is known"))?;
        let stream = tls.connect(stream, &address.host, offer).await?;
        let chosen = stream.get_ref().1.alpn_protocol();
        let version = if chosen == Some(b"h2") { Version::Http2 } else { Version::Http1 };
        if version == Version::Http1 && self.protocol == Protocol::Http2 && offer == Offer::All {
            return Err(io::Error::other("it does not offer HTTP/2 (ALPN h2)"));
        }
        Ok((Socket::Tls(Box::new(stream)), version))
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }
}
