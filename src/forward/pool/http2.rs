//! HTTP/2 (RFC 9113): requests share a connection, each on a stream of its own.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use h2::client::{Builder, ResponseFuture, SendRequest};
use http::header::{CONTENT_LENGTH, HOST};
use http::uri::{Authority, Parts, Scheme};
use http::{HeaderValue, Method, Request, Response, Uri, Version};
use http_body::Body;
use hyper_util::rt::TokioIo;
use tokio::sync::{Mutex, MutexGuard};
use tokio::task::JoinHandle;
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use super::{Answer, Instance, Sent, Unsent};
use crate::config;
use crate::forward::error::Reason;
use crate::forward::fleet::Socket;
use crate::forward::interim::Listener;
use crate::forward::upload::{BoxError, Upload};
use crate::forward::wire::Wire;
use crate::http2::{self, Heard, Received};

/// Most requests at once on a connection; the instance may allow fewer.
const MAX_STREAMS: usize = 100;
/// What an instance may send of one answer before its client has taken it, in bytes; and of all at once, so that answers
/// which nobody takes leave the others their room.
const STREAM_WINDOW: u32 = 256 << 10;
const CONNECTION_WINDOW: u32 = 100 * STREAM_WINDOW;
/// Largest head of an answer, in bytes.
const MAX_HEAD: u32 = 64 << 10;

/// The connections that requests share.
#[derive(Default)]
pub(super) struct Shared {
    connections: RefCell<Vec<Rc<Connection>>>,
    /// Whose turn it is to open one.
    turn: Mutex<()>,
    is_swept: Cell<bool>,
}

/// A connection, closed when dropped.
struct Connection {
    sender: SendRequest<Bytes>,
    scheme: Scheme,
    streams: Rc<Cell<usize>>,
    idle_since: Cell<Instant>,
    /// How long the instance may grant no room to an upload.
    patience: Duration,
    task: JoinHandle<()>,
}

/// A request's place on a connection. Dropped while its upload goes on, it resets the stream.
pub(super) struct Stream {
    connection: Rc<Connection>,
    pub(super) timer: Pin<Box<Sleep>>,
    upload: Rc<RefCell<Option<JoinHandle<()>>>>,
}

impl Shared {
    /// A place on a connection that has one.
    pub(super) fn stream(&self) -> Option<Stream> {
        let mut connections = self.connections.borrow_mut();
        if connections.is_empty() {
            return None;
        }
        connections.retain(|connection| connection.is_usable());
        connections.iter().find(|connection| connection.has_room()).map(Connection::stream)
    }

    /// Waits until no other request opens a connection.
    pub(super) async fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// Shares a new connection; the first stream of it.
    pub(super) async fn open(&self, socket: Socket, rule: &config::Backend) -> Result<Stream, Reason> {
        let scheme = socket.scheme();
        let (wire, lifeline) = Heard::new(TokioIo::new(Wire::new(socket)));
        let handshake = Builder::new()
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(MAX_HEAD)
            .initial_max_send_streams(0)
            .enable_push(false)
            .handshake(wire);
        let (sender, mut driver) = handshake.await.map_err(Reason::broken)?;
        // Until it says how many requests it takes at once: those beyond would be refused.
        poll_fn(|cx| match Pin::new(&mut driver).poll(cx) {
            Poll::Ready(Ok(())) => Poll::Ready(Err(h2::Error::from(h2::Reason::NO_ERROR))),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending if sender.current_max_send_streams() > 0 => Poll::Ready(Ok(())),
            Poll::Pending => Poll::Pending,
        })
        .await
        .map_err(Reason::broken)?;
        // An instance that is gone without a word is noticed, even where answers are streams without an end.
        let interval = rule.times.idle.min(rule.times.first_byte) / 2;
        let streams = Rc::new(Cell::new(0));
        let (busy, pings) = (Rc::clone(&streams), driver.ping_pong());
        let cut = lifeline.cut(pings, interval, rule.times.connect, move || busy.get() > 0);
        let task = tokio::task::spawn_local(async move {
            // What fails is told to the requests under way.
            tokio::select! {
                _ = driver => {}
                () = cut => {}
            }
        });
        let (patience, idle_since) = (rule.times.request, Cell::new(Instant::now()));
        let connection = Rc::new(Connection { sender, scheme, streams, idle_since, patience, task });
        let stream = connection.stream();
        self.connections.borrow_mut().push(connection);
        Ok(stream)
    }

    /// Closes what was unused for too long; when the next may be.
    fn sweep(&self, rule: &config::Backend) -> Option<Instant> {
        let mut connections = self.connections.borrow_mut();
        let (now, end) = (Instant::now(), |since| super::end_of(since, rule.keep_alive));
        connections
            .retain(|one| one.is_usable() && (one.streams.get() > 0 || end(one.idle_since.get()) > now));
        let next = |one: &Rc<Connection>| {
            if one.streams.get() > 0 { end(now) } else { end(one.idle_since.get()) }
        };
        connections.iter().map(next).min()
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

impl Connection {
    /// Whether requests can still begin on it: it is open, and the instance has not said that it will close it.
    fn is_usable(&self) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        matches!(self.sender.clone().poll_ready(&mut context), Poll::Ready(Ok(())))
    }

    /// Whether the instance takes one more request at once, by what it said last.
    fn has_room(&self) -> bool {
        self.streams.get() < self.sender.current_max_send_streams().min(MAX_STREAMS)
    }

    fn stream(self: &Rc<Self>) -> Stream {
        self.streams.set(self.streams.get() + 1);
        let timer = Box::pin(sleep(Duration::ZERO));
        Stream { connection: Rc::clone(self), timer, upload: Rc::default() }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if let Some(upload) = self.upload.take() {
            upload.abort();
        }
        self.connection.streams.set(self.connection.streams.get().saturating_sub(1));
        self.connection.idle_since.set(Instant::now());
    }
}

impl Stream {
    /// Whether a part of the request's body is not handed over yet.
    pub(super) fn is_uploading(&self) -> bool {
        self.upload.borrow().as_ref().is_some_and(|upload| !upload.is_finished())
    }

    /// Waits until the request's body is handed over, or given up.
    pub(super) async fn uploaded(&self) {
        poll_fn(|cx| match self.upload.borrow_mut().as_mut() {
            Some(upload) => Pin::new(upload).poll(cx).map(drop),
            None => Poll::Ready(()),
        })
        .await;
    }

    /// Sends a request; what comes back unsent is in HTTP/1.1's form again.
    pub(super) fn send<B>(&self, mut request: Request<Upload<B>>) -> impl Future<Output = Sent<B>> + use<B>
    where
        B: Body<Data = Bytes> + Unpin + 'static,
        B::Error: Into<BoxError>,
    {
        let (sender, patience) = (self.connection.sender.clone(), self.connection.patience);
        let host = to_http2(&mut request, self.connection.scheme.clone());
        let uploading = Rc::clone(&self.upload);
        async move {
            let mut sender = match sender.ready().await {
                Ok(sender) => sender,
                Err(error) => {
                    to_http1(&mut request, host);
                    return Err(Unsent { request: Some(Box::new(request)), error: error.into() });
                }
            };
            let (head, body) = request.into_parts();
            let listener = body.listener();
            let mut spare =
                body.is_end_stream().then(|| Request::from_parts(head.clone(), body.without_body()));
            let sent = sender.send_request(Request::from_parts(head, ()), body.is_end_stream());
            let broken = |error: h2::Error| {
                let mut request = spare.take().filter(|_| is_untouched(&error));
                if let Some(request) = &mut request {
                    to_http1(request, host.clone());
                }
                Unsent { request: request.map(Box::new), error: error.into() }
            };
            let (answer, mut outgoing) = match sent {
                Ok(sent) => sent,
                Err(error) => return Err(Unsent { request: None, error: error.into() }),
            };
            if !body.is_end_stream() {
                let upload = async move {
                    if let Err(error) = http2::send(body, &mut outgoing, patience).await {
                        tracing::debug!(%error, "an upload to a backend ended early");
                    }
                };
                uploading.replace(Some(tokio::task::spawn_local(upload)));
            }
            answered(answer, listener).await.map_err(broken)
        }
    }
}

/// Whether the instance says that it has done nothing about a request: it refused its stream, or closes the connection
/// and names an earlier one as the last that it looks at (RFC 9113 sections 6.8 and 8.7).
fn is_untouched(error: &h2::Error) -> bool {
    error.is_remote() && (error.is_go_away() || error.reason() == Some(h2::Reason::REFUSED_STREAM))
}

/// The answer, after what came before it.
async fn answered(
    mut answer: ResponseFuture,
    listener: Option<Listener>,
) -> Result<Response<Answer>, h2::Error> {
    while let Some(interim) = poll_fn(|cx| answer.poll_informational(cx)).await {
        let mut interim = interim?;
        http2::trim_values(interim.headers_mut());
        if let Some(listener) = &listener {
            listener.hear(interim.status(), interim.headers());
        }
    }
    let (mut head, stream) = answer.await?.into_parts();
    http2::trim_values(&mut head.headers);
    let body = Received::new(stream, &head.headers);
    Ok(Response::from_parts(head, Answer::Http2(Box::new(body))))
}

/// Says in HTTP/2's words what a head says in HTTP/1.1's (RFC 9113 section 8.3.1): the host becomes `:authority`.
/// What was taken out is given back.
fn to_http2<B>(request: &mut Request<Upload<B>>, scheme: Scheme) -> Option<HeaderValue>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    let length = request.body().size_hint().exact();
    let is_empty_by_nature = request.method().is_safe() || *request.method() == Method::DELETE;
    let headers = request.headers_mut();
    http2::strip_connection_headers(headers);
    if let Some(length) = length.filter(|length| *length > 0 || !is_empty_by_nature) {
        headers.entry(CONTENT_LENGTH).or_insert_with(|| length.into());
    }
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

fn to_http1<B>(request: &mut Request<B>, host: Option<HeaderValue>) {
    if let Some(host) = host {
        request.headers_mut().insert(HOST, host);
    }
    if let Some(path) = request.uri().path_and_query().cloned() {
        *request.uri_mut() = Uri::from(path);
    }
    *request.version_mut() = Version::HTTP_11;
}
