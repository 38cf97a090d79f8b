//! Connections to the operator's listener: so many at once, each with a time to say what it wants.

use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;

use super::certificate;
use super::guard::Transport;
use super::listen::{Listener, Socket, Stream};
use super::peer::Peer;

/// How a connection is taken.
#[derive(Clone)]
pub struct Reception {
    /// What each new connection's TLS is; none for plain HTTP.
    pub tls: Option<Arc<dyn Fn() -> Arc<ServerConfig> + Send + Sync>>,
    /// Most connections at once; the others wait.
    pub max_connections: usize,
}

/// Longest that a handshake may take, or a request's head, or the silence between two requests.
const PATIENCE: Duration = Duration::from_secs(10);
/// Pause after the system refuses a connection: those in use must end first.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves `router` until `shutdown` ends, then lets requests under way end.
pub async fn serve(
    listener: Listener,
    router: Router,
    reception: Reception,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let tls = reception.tls.is_some();
    tracing::info!(listener = "admin", address = %listener.address(), tls, "listening");
    let room = Arc::new(Semaphore::new(reception.max_connections));
    let graceful = GracefulShutdown::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = async {
            let place = Arc::clone(&room).acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            () = &mut shutdown => break,
            accepted = accepted => accepted,
        };
        match accepted {
            Ok((stream, address)) => {
                let (router, reception, watcher) = (router.clone(), reception.clone(), graceful.watcher());
                let transport = listener.transport();
                tokio::spawn(async move {
                    let _place = place;
                    let connection = Connection { router, address, transport, watcher };
                    connection.welcome(stream, reception).await;
                });
            }
            Err(error) => {
                tracing::warn!(listener = "admin", %error, "a connection could not be accepted");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    drop(listener);
    graceful.shutdown().await;
    Ok(())
}

struct Connection {
    router: Router,
    address: Option<IpAddr>,
    transport: Transport,
    watcher: Watcher,
}

impl Connection {
    async fn welcome(self, stream: Stream, reception: Reception) {
        match (stream, reception.tls) {
            (Stream::Tcp(stream), Some(tls)) => {
                let handshake = timeout(PATIENCE, TlsAcceptor::from(tls()).accept(stream)).await;
                let from = self.address.map(|address| address.to_string());
                match handshake {
                    Ok(Ok(stream)) => {
                        let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
                        let names = shown.map(|certificate| certificate::names(certificate));
                        self.converse(stream, names.unwrap_or_default()).await;
                    }
                    Ok(Err(error)) => tracing::info!(listener = "admin", from, %error, "no TLS"),
                    Err(_) => tracing::debug!(listener = "admin", from, "no TLS in time"),
                }
            }
            (Stream::Tcp(stream), None) => self.converse(stream, Vec::new()).await,
            (Stream::Unix(stream), _) => self.converse(stream, Vec::new()).await,
        }
    }

    async fn converse(
        self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        names: Vec<String>,
    ) {
        let (peer, transport) = (Peer { address: self.address, names: names.into() }, self.transport);
        let router = self.router;
        let service = service_fn(move |request: Request<Incoming>| {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(peer.clone());
            request.extensions_mut().insert(transport);
            router.clone().oneshot(request)
        });
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(PATIENCE);
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        if let Err(error) = self.watcher.watch(connection).await {
            tracing::debug!(listener = "admin", %error, "a connection ended early");
        }
    }
}

impl Listener {
    async fn accept(&self) -> io::Result<(Stream, Option<IpAddr>)> {
        match self.socket() {
            Socket::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                let _ = stream.set_nodelay(true);
                Ok((Stream::Tcp(stream), Some(address.ip().to_canonical())))
            }
            Socket::Unix(listener, _) => {
                let (stream, _) = poll_fn(|context| listener.poll_accept(context)).await?;
                Ok((Stream::Unix(stream), None))
            }
        }
    }
}
