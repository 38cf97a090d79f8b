//! One connection, from its first byte to its last.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1::{Builder, UpgradeableConnection};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::graceful::Watcher;
use super::http1::Guard;
use super::http2::Http2;
use super::patience::Patient;
use super::proxy;
use crate::config::Server;
use crate::gate::{Gate, HEAD_SIZE, Link, Peer, Sent};

/// How connections are spoken on; one for each worker.
pub(super) struct Speaker {
    gate: Rc<Gate>,
    server: Server,
    tls: Option<TlsAcceptor>,
    http1: Builder,
    http2: Rc<Http2>,
}

/// A trusted proxy has that long to say who connects.
const ANNOUNCING: Duration = Duration::from_secs(3);
/// A client has that long for its TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// A client has that long for the head of its next request; an idle connection is closed after it, over HTTP/2 one on
/// which no stream is open.
pub(super) const HEAD: Duration = Duration::from_secs(75);
/// A client that takes nothing of its answer for so long is given up.
pub(super) const TAKING: Duration = Duration::from_mins(1);

impl Speaker {
    pub(super) fn new(gate: Rc<Gate>, server: Server, tls: Option<Arc<rustls::ServerConfig>>) -> Self {
        let mut http1 = Builder::new();
        http1.timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(HEAD_SIZE + 8 * 1024);
        let http2 = Rc::new(Http2::new(Rc::clone(&gate)));
        Self { gate, server, tls: tls.map(TlsAcceptor::from), http1, http2 }
    }

    /// Serves a connection until either side ends it, or `watcher` asks for its end.
    pub(super) async fn serve(&self, mut stream: TcpStream, address: SocketAddr, watcher: Watcher) {
        let Some(address) = self.client(&mut stream, address).await else { return };
        let stream = Patient::new(stream, TAKING);
        match &self.tls {
            None => self.speak_http1(stream, Peer { address, tls: false }, watcher).await,
            // Boxed, so that a plain connection has no place for it.
            Some(tls) => Box::pin(self.serve_tls(tls, stream, address, watcher)).await,
        }
    }

    async fn serve_tls(
        &self,
        tls: &TlsAcceptor,
        stream: Patient<TcpStream>,
        address: SocketAddr,
        watcher: Watcher,
    ) {
        let peer = Peer { address, tls: true };
        match tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await {
            Ok(Ok(stream)) if stream.get_ref().1.alpn_protocol() == Some(b"h2") => {
                if let Err(error) = self.http2.serve(stream, peer, watcher).await {
                    tracing::debug!(%error, "connection broken");
                }
            }
            Ok(Ok(stream)) => self.speak_http1(stream, peer, watcher).await,
            Ok(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
            Err(_) => tracing::debug!("TLS handshake took too long"),
        }
    }

    /// Who connects: the peer, or whom it speaks for where it is a trusted proxy that says so in a PROXY
    /// header. `None` where it must say so and does not.
    async fn client(&self, stream: &mut TcpStream, peer: SocketAddr) -> Option<SocketAddr> {
        if !self.server.proxy_protocol || !self.server.trusts(peer.ip().to_canonical()) {
            return Some(peer);
        }
        match proxy::announced(stream, ANNOUNCING).await {
            Ok(client) => Some(client.unwrap_or(peer)),
            Err(error) => {
                tracing::warn!(%peer, %error, "a connection of a trusted proxy was closed");
                None
            }
        }
    }

    async fn speak_http1<S>(&self, stream: S, peer: Peer, watcher: Watcher)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let link = Arc::new(Link::default());
        let stream = TokioIo::new(Guard::new(stream, Arc::clone(&link)));
        let service = service_fn(|request| self.gate.pass(request.map(Sent::Http1), peer, &link));
        let connection = self.http1.serve_connection(stream, service).with_upgrades();
        if let Err(error) = watcher.watch(connection, UpgradeableConnection::graceful_shutdown).await {
            tracing::debug!(%error, "connection broken");
        }
        // A tunnel has the place of its connection.
        link.over().await;
    }
}
