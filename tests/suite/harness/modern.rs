//! A backend that speaks HTTP/1.1 or HTTP/2, in clear or over TLS, and notes who connected and how.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{HeaderMap, Method, Request, Response, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

pub type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;
type Answering = Pin<Box<dyn Future<Output = Answer> + Send>>;
pub type Script = Arc<dyn Fn(Request<Incoming>) -> Answering + Send + Sync>;

/// A request's head as it came.
#[derive(Debug, Clone)]
pub struct Got {
    pub version: Version,
    pub method: Method,
    pub scheme: Option<String>,
    pub authority: Option<String>,
    pub path: String,
    pub headers: HeaderMap,
    /// How many certificates the client showed.
    pub certificates: usize,
}

pub struct Modern {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    /// Ends what it runs.
    _runtime: tokio::runtime::Runtime,
}

#[derive(Default)]
struct Shared {
    got: Mutex<Vec<Got>>,
    connections: AtomicUsize,
    script: Mutex<Option<Script>>,
    tls: Mutex<Option<Arc<ServerConfig>>>,
}

impl Modern {
    /// Answers everything with `200` and a text.
    pub fn start(tls: Option<ServerConfig>) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        *shared.tls.lock().unwrap() = tls.map(Arc::new);
        let served = Arc::clone(&shared);
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let shared = Arc::clone(&served);
                shared.connections.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(async move { shared.serve(stream).await });
            }
        });
        Self { address, shared, _runtime: runtime }
    }

    pub fn script<F: Future<Output = Answer> + Send + 'static>(
        &self,
        script: impl Fn(Request<Incoming>) -> F + Send + Sync + 'static,
    ) {
        *self.shared.script.lock().unwrap() = Some(Arc::new(move |request| Box::pin(script(request))));
    }

    /// New connections are spoken to with this from now on.
    pub fn renew(&self, tls: ServerConfig) {
        *self.shared.tls.lock().unwrap() = Some(Arc::new(tls));
    }

    pub fn got(&self) -> Vec<Got> {
        self.shared.got.lock().unwrap().clone()
    }

    pub fn last(&self) -> Got {
        self.got().pop().expect("the backend got a request")
    }

    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Relaxed)
    }
}

/// `200` with a text.
pub fn text(text: &str) -> Answer {
    Response::new(Full::new(Bytes::copy_from_slice(text.as_bytes())).boxed_unsync())
}

impl Shared {
    async fn serve(self: Arc<Self>, stream: TcpStream) {
        let tls = self.tls.lock().unwrap().clone();
        match tls {
            None => self.answer(stream, 0).await,
            Some(tls) => {
                let Ok(stream) = TlsAcceptor::from(tls).accept(stream).await else { return };
                let certificates = stream.get_ref().1.peer_certificates().map_or(0, <[_]>::len);
                self.answer(stream, certificates).await;
            }
        }
    }

    async fn answer(
        self: Arc<Self>,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        certificates: usize,
    ) {
        let service = service_fn(move |request: Request<Incoming>| {
            let shared = Arc::clone(&self);
            async move {
                shared.got.lock().unwrap().push(Got {
                    version: request.version(),
                    method: request.method().clone(),
                    scheme: request.uri().scheme_str().map(str::to_owned),
                    authority: request.uri().authority().map(ToString::to_string),
                    path: request.uri().path_and_query().map(ToString::to_string).unwrap_or_default(),
                    headers: request.headers().clone(),
                    certificates,
                });
                let script = shared.script.lock().unwrap().clone();
                Ok::<_, Infallible>(match script {
                    Some(script) => script(request).await,
                    None => text("bien"),
                })
            }
        });
        let _ = auto::Builder::new(TokioExecutor::new())
            .serve_connection_with_upgrades(TokioIo::new(stream), service)
            .await;
    }
}
