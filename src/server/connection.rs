//! One connection, from its first byte to its last.

use std::cell::Cell;
use std::future::Future;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1::UpgradeableConnection;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::graceful::Watcher;
use super::http1::{Guard, HEAD_SIZE};
use super::patience::Patient;
use super::proxy;
use crate::config::Server;
use crate::gate::{Gate, Link, Peer};

/// How connections are spoken on; one for each worker.
pub(super) struct Speaker {
    gate: Rc<Gate>,
    server: Server,
    tls: Option<TlsAcceptor>,
    http1: http1::Builder,
    http2: http2::Builder<LocalExecutor>,
}

/// A trusted proxy has that long to say who connects.
const ANNOUNCING: Duration = Duration::from_secs(3);
/// A client has that long for its TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// A client has that long for the head of its next request; an idle connection is closed after it. Of an
/// HTTP/2 client only the first request is awaited so: later its pings say that it is there.
const HEAD: Duration = Duration::from_secs(75);
/// A client that takes nothing of its answer for so long is given up.
const TAKING: Duration = Duration::from_mins(1);
/// Most requests at once on one HTTP/2 connection.
const STREAMS: u32 = 100;

impl Speaker {
    pub(super) fn new(gate: Rc<Gate>, server: Server, tls: Option<Arc<rustls::ServerConfig>>) -> Self {
        let mut http1 = http1::Builder::new();
        http1.timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(HEAD_SIZE + 8 * 1024);
        let mut http2 = http2::Builder::new(LocalExecutor);
        http2
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS)
            .max_header_list_size(32 * 1024)
            .header_table_size(4 * 1024)
            .max_frame_size(16 * 1024)
            .initial_stream_window_size(512 * 1024)
            .initial_connection_window_size(1024 * 1024)
            .max_send_buf_size(256 * 1024)
            .max_pending_accept_reset_streams(20)
            .max_local_error_reset_streams(100)
            .keep_alive_interval(Duration::from_secs(30))
            .keep_alive_timeout(Duration::from_secs(20))
            .enable_connect_protocol();
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
                self.speak_http2(stream, peer, watcher).await;
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
        let service = service_fn(|request| self.gate.pass(request, peer, Some(&link)));
        let connection = self.http1.serve_connection(stream, service).with_upgrades();
        if let Err(error) = watcher.watch(connection, UpgradeableConnection::graceful_shutdown).await {
            tracing::debug!(%error, "connection broken");
        }
        // A tunnel has the place of its connection.
        link.over().await;
    }

    async fn speak_http2<S>(&self, stream: S, peer: Peer, watcher: Watcher)
    where
        S: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        let (gate, asked) = (Rc::clone(&self.gate), Rc::new(Cell::new(false)));
        let began = Rc::clone(&asked);
        let service = service_fn(move |request| {
            began.set(true);
            let gate = Rc::clone(&gate);
            async move { gate.pass(request, peer, None).await }
        });
        let connection = self.http2.serve_connection(TokioIo::new(stream), service);
        let connection = watcher.watch(connection, http2::Connection::graceful_shutdown);
        tokio::select! {
            ended = connection => if let Err(error) = ended {
                tracing::debug!(%error, "connection broken");
            },
            () = silence(&asked) => tracing::debug!("no request came in time"),
        }
    }
}

/// Ends if nothing was asked for [`HEAD`]: hyper waits for an HTTP/2 client's first bytes for ever.
async fn silence(asked: &Cell<bool>) {
    tokio::time::sleep(HEAD).await;
    if asked.get() {
        std::future::pending::<()>().await;
    }
}

/// Runs the tasks of HTTP/2 connections on the worker's own thread.
#[derive(Clone, Copy)]
pub(super) struct LocalExecutor;

impl<F> hyper::rt::Executor<F> for LocalExecutor
where
    F: Future<Output = ()> + 'static,
{
    fn execute(&self, task: F) {
        tokio::task::spawn_local(task);
    }
}
