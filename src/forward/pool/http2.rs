//! HTTP/2 (RFC 9113): requests share a connection, each on a stream of its own.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use bytes::Bytes;
use http::header::{CONNECTION, EXPECT, HOST};
use http::uri::{Authority, Parts, Scheme};
use http::{HeaderValue, Request, Uri, Version};
use http_body::Body;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::TokioTimer;
use tokio::sync::{Mutex, MutexGuard};
use tokio::task::JoinHandle;
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use super::{Instance, Sent, Unsent};
use crate::config;
use crate::forward::error::Reason;
use crate::forward::fleet::Socket;
use crate::forward::upload::{BoxError, Upload};
use crate::forward::wire::Wire;

/// Most requests at once on a connection; the instance may allow fewer.
const MAX_STREAMS: usize = 100;
/// What an instance may send of one answer, and of all, before the client has taken it: as much as clients may
/// of their uploads.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 4 << 20;
/// Largest head of an answer, in bytes.
const MAX_HEAD: u32 = 64 << 10;

/// The connections that requests share.
pub(super) struct Shared<B> {
    connections: RefCell<Vec<Rc<Connection<B>>>>,
    /// Whose turn it is to open one.
    turn: Mutex<()>,
    is_swept: Cell<bool>,
}

/// A connection, closed when dropped.
struct Connection<B> {
    sender: SendRequest<Upload<B>>,
    scheme: Scheme,
    /// Most requests at once that the instance takes, as it said last: it may change its mind, and nothing tells.
    allowed: Box<dyn Fn() -> usize>,
    streams: Cell<usize>,
    idle_since: Cell<Instant>,
    task: JoinHandle<()>,
}

/// A request's place on a connection.
pub(super) struct Stream<B> {
    connection: Rc<Connection<B>>,
    pub(super) timer: Pin<Box<Sleep>>,
}

impl<B> Shared<B> {
    /// A place on a connection that has one.
    pub(super) fn stream(&self) -> Option<Stream<B>> {
        let mut connections = self.connections.borrow_mut();
        if connections.is_empty() {
            return None;
        }
        connections.retain(|connection| !connection.sender.is_closed());
        connections.iter().find(|connection| connection.has_room()).map(Connection::stream)
    }

    /// Waits until no other request opens a connection.
    pub(super) async fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// Closes what was unused for too long; when the next may be.
    fn sweep(&self, rule: &config::Backend) -> Option<Instant> {
        let mut connections = self.connections.borrow_mut();
        let (now, end) = (Instant::now(), |since| super::end_of(since, rule.keep_alive));
        connections.retain(|one| {
            !one.sender.is_closed() && (one.streams.get() > 0 || end(one.idle_since.get()) > now)
        });
        let next = |one: &Rc<Connection<B>>| {
            if one.streams.get() > 0 { end(now) } else { end(one.idle_since.get()) }
        };
        connections.iter().map(next).min()
    }
}

impl<B> Shared<B>
where
    B: Body<Data = Bytes> + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    /// Shares a new connection; the first stream of it.
    pub(super) async fn open(&self, socket: Socket, rule: &config::Backend) -> Result<Stream<B>, Reason> {
        let scheme = socket.scheme();
        let handshake = Builder::new(Local)
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(MAX_HEAD)
            // An instance that is gone without a word is noticed, even where answers are streams without an end.
            .keep_alive_interval(rule.times.idle.min(rule.times.first_byte) / 2)
            .keep_alive_timeout(rule.times.connect)
            .handshake(Wire::new(socket));
        let (sender, connection) = handshake.await.map_err(Reason::Broken)?;
        let link = Rc::new(RefCell::new(Some(Box::pin(connection))));
        let task = tokio::task::spawn_local(drive(Rc::clone(&link)));
        let allowed =
            Box::new(move || link.borrow().as_ref().map_or(0, |link| link.current_max_send_streams()));
        let (streams, idle_since) = (Cell::new(0), Cell::new(Instant::now()));
        let connection = Rc::new(Connection { sender, scheme, allowed, streams, idle_since, task });
        let stream = connection.stream();
        self.connections.borrow_mut().push(connection);
        Ok(stream)
    }
}

/// Keeps a connection going, and drops it once it has ended: what fails is told to the requests.
async fn drive<B>(link: Rc<RefCell<Option<Link<B>>>>)
where
    B: Body<Data = Bytes> + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    std::future::poll_fn(|cx| match link.borrow_mut().as_mut() {
        Some(link) => link.as_mut().poll(cx).map(drop),
        None => Poll::Ready(()),
    })
    .await;
    let ended = link.borrow_mut().take();
    drop(ended);
}

type Link<B> = Pin<Box<hyper::client::conn::http2::Connection<Wire, Upload<B>, Local>>>;

impl<B> Default for Shared<B> {
    fn default() -> Self {
        Self { connections: RefCell::default(), turn: Mutex::new(()), is_swept: Cell::new(false) }
    }
}

/// Closes connections as they grow too old, so that a quiet gateway holds none of a backend's.
pub(super) fn sweep<B: 'static>(instance: &Rc<Instance<B>>) {
    if instance.shared.is_swept.replace(true) {
        return;
    }
    let instance = Rc::downgrade(instance);
    tokio::task::spawn_local(async move {
        while let Some(next) = instance.upgrade().and_then(|instance| {
            let next = instance.shared.sweep(&instance.team.rule);
            instance.shared.is_swept.set(next.is_some());
            next
        }) {
            sleep_until(next).await;
        }
    });
}

impl<B> Connection<B> {
    fn has_room(&self) -> bool {
        self.streams.get() < (self.allowed)().min(MAX_STREAMS)
    }

    fn stream(self: &Rc<Self>) -> Stream<B> {
        self.streams.set(self.streams.get() + 1);
        Stream { connection: Rc::clone(self), timer: Box::pin(sleep(std::time::Duration::ZERO)) }
    }
}

impl<B> Drop for Connection<B> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl<B> Drop for Stream<B> {
    fn drop(&mut self) {
        self.connection.streams.set(self.connection.streams.get().saturating_sub(1));
        self.connection.idle_since.set(Instant::now());
    }
}

impl<B> Stream<B>
where
    B: Body<Data = Bytes> + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    /// Sends a request; what comes back unsent is in HTTP/1.1's form again.
    pub(super) fn send(&self, mut request: Request<Upload<B>>) -> impl Future<Output = Sent<B>> + use<B> {
        let mut sender = self.connection.sender.clone();
        let host = to_http2(&mut request, self.connection.scheme.clone());
        request.body_mut().release();
        async move {
            sender.try_send_request(request).await.map_err(|unsent| {
                let (mut request, error) = Unsent::parts(unsent);
                if let Some(request) = &mut request {
                    to_http1(request, host);
                }
                Unsent { request, error }
            })
        }
    }
}

/// Says in HTTP/2's words what a head says in HTTP/1.1's (RFC 9113 section 8.3.1): the host becomes `:authority`.
/// What was taken out is given back.
fn to_http2<B>(request: &mut Request<Upload<B>>, scheme: Scheme) -> Option<HeaderValue> {
    let headers = request.headers_mut();
    headers.remove(CONNECTION);
    // Nobody is told of an interim answer here: the body is sent at once.
    headers.remove(EXPECT);
    let host = headers.remove(HOST)?;
    let mut parts = Parts::default();
    parts.scheme = Some(scheme);
    parts.authority = Authority::try_from(host.as_bytes()).ok();
    parts.path_and_query = request.uri().path_and_query().cloned();
    if let Ok(uri) = Uri::from_parts(parts) {
        *request.uri_mut() = uri;
    }
    *request.version_mut() = Version::HTTP_2;
    Some(host)
}

fn to_http1<B>(request: &mut Request<Upload<B>>, host: Option<HeaderValue>) {
    if let Some(host) = host {
        request.headers_mut().insert(HOST, host);
    }
    if let Some(path) = request.uri().path_and_query().cloned() {
        *request.uri_mut() = Uri::from(path);
    }
    *request.version_mut() = Version::HTTP_11;
}

/// Runs what a connection needs beside itself on this worker.
#[derive(Clone, Copy)]
struct Local;

impl<F: Future<Output = ()> + 'static> hyper::rt::Executor<F> for Local {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
    }
}
