//! What the forwarder's tests share: permits, bodies, and backends that are plain sockets.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, stream};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};

use super::inject::Injector;
use super::{AnswerBody, BoxError, Error, Fleet, Forwarder};
use crate::config;
use crate::domain::Clock;
use crate::entry::{Admitted, AdmittedRequest, Papers, Provenance};

pub(super) type TestBody = UnsyncBoxBody<Bytes, BoxError>;
pub(super) type Answer = Response<AnswerBody<TestBody>>;

/// Runs a test where the forwarder's tasks can be spawned, and not for ever.
pub(super) fn run(test: impl Future<Output = ()>) {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().build_local(tokio::runtime::LocalOptions::default()).unwrap();
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(20), test).await.unwrap() });
}

pub(super) fn permit(caf: &str) -> Admitted {
    let facts = [caf, "direction@esat.example", "73282932000074", "changement-activite", "signed"];
    let papers = Papers::new(caf.parse().unwrap(), facts.map(|fact| fact.parse().unwrap()), None);
    Admitted::for_tests(Arc::new(papers))
}

pub(super) fn provenance() -> Provenance {
    Provenance {
        client: [192, 0, 2, 7].into(),
        https: true,
        by_trusted_proxy: false,
        request_id: HeaderValue::from_static("id-1"),
        traceparent: HeaderValue::from_static("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    }
}

pub(super) fn get(path: &str) -> Request<TestBody> {
    let body = Empty::new().map_err(|never| match never {}).boxed_unsync();
    Request::get(path).header("host", "esat.example").body(body).unwrap()
}

pub(super) fn post(body: &'static str) -> Request<TestBody> {
    let body = Full::new(Bytes::from_static(body.as_bytes())).map_err(|never| match never {});
    Request::post("/form").header("host", "esat.example").body(body.boxed_unsync()).unwrap()
}

pub(super) type Upstream = mpsc::Sender<Result<Frame<Bytes>, BoxError>>;

/// A request whose body is sent as the test goes.
pub(super) fn upload() -> (Upstream, Request<TestBody>) {
    let (sender, receiver) = mpsc::channel(1);
    let frames = stream::unfold(receiver, |mut receiver: mpsc::Receiver<_>| async move {
        receiver.recv().await.map(|frame| (frame, receiver))
    });
    let body = StreamBody::new(frames).boxed_unsync();
    (sender, Request::post("/upload").header("host", "esat.example").body(body).unwrap())
}

/// A request whose body is one frame, then, once told, many more at once.
pub(super) fn burst(first: &'static str, told: oneshot::Receiver<()>, many: usize) -> Request<TestBody> {
    let later = told.into_stream().flat_map(move |_| stream::iter((0..many).map(|_| data("x"))));
    let body = StreamBody::new(stream::iter([data(first)]).chain(later)).boxed_unsync();
    Request::post("/upload").header("host", "esat.example").body(body).unwrap()
}

#[expect(clippy::unnecessary_wraps, reason = "streams of frames are of results")]
pub(super) fn data(text: &'static str) -> Result<Frame<Bytes>, BoxError> {
    Ok(Frame::data(Bytes::from_static(text.as_bytes())))
}

pub(super) fn timeouts() -> config::Backend {
    config::Backend::patient()
}

/// A forwarder to these Cafs' instances.
pub(super) fn forwarder(cafs: &[(&str, &[SocketAddr])], timeouts: &config::Backend) -> Forwarder<TestBody> {
    over(cafs, timeouts)
}

/// The same, for any body.
pub(super) fn over<B>(cafs: &[(&str, &[SocketAddr])], timeouts: &config::Backend) -> Forwarder<B> {
    let caf = |(code, instances): &(&str, &[SocketAddr])| {
        let hosts: Vec<_> = instances.iter().map(|one| (one.ip().to_string(), one.port())).collect();
        let hosts: Vec<_> = hosts.iter().map(|(host, port)| (host.as_str(), *port)).collect();
        config::Caf::least(code, "", &hosts)
    };
    to(&cafs.iter().map(caf).collect::<Vec<_>>(), timeouts)
}

/// The same, for bodies of any size.
pub(super) fn roomy<B>(cafs: &[(&str, &[SocketAddr])], timeouts: &config::Backend) -> Forwarder<B> {
    let Forwarder(inner) = over(cafs, timeouts);
    let mut inner = Rc::into_inner(inner).unwrap();
    inner.max_body = u64::MAX;
    Forwarder(Rc::new(inner))
}

/// The same, for Cafs that say more.
pub(super) fn to<B>(cafs: &[config::Caf], timeouts: &config::Backend) -> Forwarder<B> {
    let fleet = Fleet::of(cafs, timeouts, &Clock::system()).unwrap();
    Forwarder::with(&fleet, 1_000, Injector::default())
}

impl Forwarder<TestBody> {
    /// Forwards for a session at Caf 921.
    pub(super) async fn ask(&self, request: Request<TestBody>) -> Result<Answer, Error> {
        self.forward(admit("921", request)).await
    }
}

pub(super) fn admit(caf: &str, request: Request<TestBody>) -> AdmittedRequest<TestBody> {
    permit(caf).escort(request, provenance())
}

/// The whole body, and its trailers.
pub(super) async fn read(answer: Answer) -> Result<(String, Option<HeaderMap>), BoxError> {
    let body = answer.into_body().collect().await?;
    let trailers = body.trailers().cloned();
    Ok((String::from_utf8(body.to_bytes().to_vec())?, trailers))
}

/// A listening socket that a test answers for by hand.
pub(super) struct Peer {
    listener: TcpListener,
    pub(super) address: SocketAddr,
}

/// A connection at a backend's end.
pub(super) struct Conversation {
    stream: TcpStream,
    unread: Vec<u8>,
}

impl Peer {
    pub(super) async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        Self { listener, address }
    }

    pub(super) async fn accept(&self) -> Conversation {
        Conversation { stream: self.listener.accept().await.unwrap().0, unread: Vec::new() }
    }

    /// The client's end of a connection to this.
    pub(super) async fn connect(&self) -> Conversation {
        Conversation { stream: TcpStream::connect(self.address).await.unwrap(), unread: Vec::new() }
    }
}

impl Conversation {
    pub(super) fn into_stream(self) -> TcpStream {
        self.stream
    }

    /// All that comes until `end`, with it.
    pub(super) async fn until(&mut self, end: &str) -> String {
        loop {
            let found = self.unread.windows(end.len()).position(|window| window == end.as_bytes());
            if let Some(start) = found {
                let rest = self.unread.split_off(start + end.len());
                let taken = std::mem::replace(&mut self.unread, rest);
                return String::from_utf8(taken).unwrap();
            }
            let read = self.stream.read_buf(&mut self.unread).await.unwrap();
            assert!(read > 0, "closed after {:?}", String::from_utf8_lossy(&self.unread));
        }
    }

    pub(super) async fn head(&mut self) -> String {
        self.until("\r\n\r\n").await
    }

    pub(super) async fn say(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
    }

    /// Waits until the other end has closed; what came before.
    pub(super) async fn closed(&mut self) -> String {
        while self.stream.read_buf(&mut self.unread).await.is_ok_and(|read| read > 0) {}
        String::from_utf8(std::mem::take(&mut self.unread)).unwrap()
    }
}

/// A backend that answers each head with the same text, and counts.
pub(super) struct Constant {
    pub(super) address: SocketAddr,
    pub(super) connections: Rc<Cell<usize>>,
    pub(super) heads: Rc<RefCell<Vec<String>>>,
}

impl Constant {
    /// `closes` is whether it closes after each answer.
    pub(super) async fn new(answer: &'static str, closes: bool) -> Self {
        let peer = Peer::new().await;
        let this = Self { address: peer.address, connections: Rc::default(), heads: Rc::default() };
        let (connections, heads) = (Rc::clone(&this.connections), Rc::clone(&this.heads));
        tokio::task::spawn_local(async move {
            loop {
                let mut conversation = peer.accept().await;
                connections.set(connections.get() + 1);
                let heads = Rc::clone(&heads);
                tokio::task::spawn_local(async move {
                    loop {
                        let head = conversation.head().await;
                        let length = head
                            .split("content-length: ")
                            .nth(1)
                            .map_or(0, |rest| rest.split("\r\n").next().unwrap().parse().unwrap());
                        heads.borrow_mut().push(head);
                        while conversation.unread.len() < length {
                            conversation.stream.read_buf(&mut conversation.unread).await.unwrap();
                        }
                        conversation.unread.drain(..length);
                        conversation.say(answer).await;
                        if closes {
                            return;
                        }
                    }
                });
            }
        });
        this
    }
}
