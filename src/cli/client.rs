//! One request to a running gateway's admin listener, over TCP or a unix socket.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::header::HOST;
use http::{HeaderValue, Request, StatusCode, Uri};
use http_body_util::BodyExt as _;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Where a gateway's admin listener is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Endpoint {
    /// `http://127.0.0.1:9901`, or with `https`.
    Tcp {
        https: bool,
        /// Without brackets.
        host: String,
        port: u16,
        /// As the `Host` header tells it.
        authority: String,
    },
    /// `unix:/run/octroi/admin.sock`.
    Unix(PathBuf),
}

/// The text is no address of an admin listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected http://HOST:PORT, https://HOST:PORT or unix:/PATH")]
pub(super) struct InvalidEndpoint;

/// A gateway did not answer. Whether it did what was asked is known only where nothing was sent.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    /// Nobody listens there, or takes too long to accept; nothing was sent.
    #[error("no gateway answers at {0} (is it running? see --admin)")]
    Unreachable(Endpoint),
    /// Who answers is not whom the certificates speak for, or wants another certificate; nothing was sent.
    #[error("no TLS with {0}: {1} (see --ca, --cert and --key)")]
    Tls(Endpoint, std::io::Error),
    /// The file belongs to another user; nothing was sent.
    #[error("{0} may not be opened by this user")]
    Forbidden(Endpoint),
    /// The connection broke, or what came back was not HTTP.
    #[error("the gateway at {0} broke off: {1}")]
    Broken(Endpoint, hyper::Error),
    /// The answer did not come in time.
    #[error("the gateway at {0} did not answer within {1:?}")]
    Late(Endpoint, Duration),
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// What a gateway that gives up has left to say so.
const GRACE: Duration = Duration::from_secs(5);

/// The answer to `request`, whose target is a path, from a gateway that gives up after `patience`. `hear` is
/// given each piece of it as it comes. For `https` the request has an `Arc<ClientConfig>` among its extensions.
pub(super) async fn call(
    endpoint: &Endpoint,
    mut request: Request<Body>,
    patience: Duration,
    hear: &mut dyn FnMut(&[u8]),
) -> Result<(StatusCode, Bytes), CallError> {
    let limit = patience + GRACE;
    match endpoint {
        Endpoint::Tcp { host, port, .. } => {
            let stream = connected(endpoint, TcpStream::connect((host.as_str(), *port))).await?;
            // Without it a body's last packet waits for the acknowledgement of the one before.
            let _ = stream.set_nodelay(true);
            match request.extensions_mut().remove::<Arc<ClientConfig>>() {
                None => timeout(limit, exchange(endpoint, stream, request, hear)).await,
                Some(tls) => {
                    let stream = secured(endpoint, host, tls, stream).await?;
                    timeout(limit, exchange(endpoint, stream, request, hear)).await
                }
            }
        }
        Endpoint::Unix(path) => {
            let stream = connected(endpoint, UnixStream::connect(path)).await?;
            timeout(limit, exchange(endpoint, stream, request, hear)).await
        }
    }
    .unwrap_or_else(|_| Err(CallError::Late(endpoint.clone(), limit)))
}

async fn connected<S>(
    endpoint: &Endpoint,
    connecting: impl Future<Output = std::io::Result<S>>,
) -> Result<S, CallError> {
    match timeout(CONNECT_TIMEOUT, connecting).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            Err(CallError::Forbidden(endpoint.clone()))
        }
        _ => Err(CallError::Unreachable(endpoint.clone())),
    }
}

async fn secured(
    endpoint: &Endpoint,
    host: &str,
    tls: Arc<ClientConfig>,
    stream: TcpStream,
) -> Result<TlsStream<TcpStream>, CallError> {
    let wrong = |error| CallError::Tls(endpoint.clone(), error);
    let name = ServerName::try_from(host.to_owned()).map_err(std::io::Error::other).map_err(wrong)?;
    let handshake = timeout(CONNECT_TIMEOUT, TlsConnector::from(tls).connect(name, stream));
    handshake.await.unwrap_or_else(|late| Err(late.into())).map_err(wrong)
}

async fn exchange<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    endpoint: &Endpoint,
    stream: S,
    mut request: Request<Body>,
    hear: &mut dyn FnMut(&[u8]),
) -> Result<(StatusCode, Bytes), CallError> {
    let broken = |error| CallError::Broken(endpoint.clone(), error);
    request.headers_mut().insert(HOST, endpoint.host());
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let driver = tokio::spawn(connection);
    let response = sender.send_request(request).await.map_err(broken)?;
    let status = response.status();
    let (mut body, mut whole) = (response.into_body(), BytesMut::new());
    while let Some(frame) = body.frame().await {
        if let Ok(piece) = frame.map_err(broken)?.into_data() {
            hear(&piece);
            whole.extend_from_slice(&piece);
        }
    }
    driver.abort();
    Ok((status, whole.freeze()))
}

impl Endpoint {
    pub(super) fn is_https(&self) -> bool {
        matches!(self, Self::Tcp { https: true, .. })
    }

    /// Whether what is sent there crosses a network unencrypted.
    pub(super) fn is_readable_on_the_way(&self) -> bool {
        let Self::Tcp { https: false, host, .. } = self else { return false };
        let loopback = host.parse().is_ok_and(|address: IpAddr| address.is_loopback());
        !loopback && host != "localhost"
    }

    fn host(&self) -> HeaderValue {
        let name = match self {
            Self::Tcp { authority, .. } => authority.parse().ok(),
            Self::Unix(_) => None,
        };
        name.unwrap_or(HeaderValue::from_static("localhost"))
    }
}

impl FromStr for Endpoint {
    type Err = InvalidEndpoint;

    fn from_str(text: &str) -> Result<Self, InvalidEndpoint> {
        if let Some(path) = text.strip_prefix("unix:") {
            let path = PathBuf::from(path);
            return if path.has_root() { Ok(Self::Unix(path)) } else { Err(InvalidEndpoint) };
        }
        let uri: Uri = text.parse().map_err(|_| InvalidEndpoint)?;
        let authority = uri.authority().ok_or(InvalidEndpoint)?;
        let bare = uri.path_and_query().is_none_or(|path| path == "/");
        let https = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(InvalidEndpoint),
        };
        if !bare || authority.as_str().contains('@') {
            return Err(InvalidEndpoint);
        }
        let host = authority.host();
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let port = authority.port_u16().unwrap_or(if https { 443 } else { 80 });
        Ok(Self::Tcp { https, host: host.to_owned(), port, authority: authority.to_string() })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { https, authority, .. } => {
                write!(f, "{}://{authority}", if *https { "https" } else { "http" })
            }
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}
