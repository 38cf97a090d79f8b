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
use http::{HeaderMap, Method, Request, Response, Uri, Version};
use tokio::sync::{Mutex, MutexGuard};
use tokio::task::JoinHandle;
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use super::{Answer, Instance, Sent, Unanswered};
use crate::config;
use crate::forward::error::Reason;
use crate::forward::fleet::Socket;
use crate::forward::interim::Listener;
use crate::forward::outgoing::Outgoing;
use crate::forward::upload::UploadBody;
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
/// Headers that the gateway adds, at most.
const ADDED: usize = 16;

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
        let (wire, lifeline) = Heard::new(Wire::new(socket));
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

    /// Sends a request; the answer's head is waited for.
    pub(super) fn send<'a, B: UploadBody>(
        &self,
        request: &'a mut Outgoing<B>,
    ) -> impl Future<Output = Sent<B>> + use<'a, B> {
        let (sender, scheme) = (self.connection.sender.clone(), self.connection.scheme.clone());
        let (patience, uploading) = (self.connection.patience, Rc::clone(&self.upload));
        async move {
            let ready = sender.ready().await;
            let mut sender = ready.map_err(|error| Unanswered { is_unsent: true, error: error.into() })?;
            let head = said(request, scheme);
            let upload = request.upload.take();
            let is_alone = upload.is_none();
            let (answer, mut outgoing) = sender
                .send_request(head, is_alone)
                .map_err(|error| Unanswered { is_unsent: false, error: error.into() })?;
            if let Some(upload) = upload {
                let upload = async move {
                    if let Err(error) = http2::send(upload, &mut outgoing, patience).await {
                        tracing::debug!(%error, "an upload to a backend ended early");
                    }
                };
                uploading.replace(Some(tokio::task::spawn_local(upload)));
            }
            answered(answer, request.listener.clone()).await.map_err(|error| Unanswered {
                is_unsent: is_alone && is_untouched(&error),
                error: error.into(),
            })
        }
    }
}

/// Whether the instance says that it has done nothing about a request: it refused its stream, or closes the connection
/// and names an earlier one as the last that it looks at (RFC 9113 sections 6.8 and 8.7).
fn is_untouched(error: &h2::Error) -> bool {
    error.is_remote() && (error.is_go_away() || error.reason() == Some(h2::Reason::REFUSED_STREAM))
}

/// The answer, after what came before it.
async fn answered<B>(
    mut answer: ResponseFuture,
    listener: Option<Listener>,
) -> Result<Response<Answer<B>>, h2::Error> {
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

/// A request's head in HTTP/2's words (RFC 9113 section 8.3.1): the host becomes `:authority`.
fn said<B: UploadBody>(request: &Outgoing<B>, scheme: Scheme) -> Request<()> {
    let method = &request.head.method;
    let is_empty_by_nature = method.is_safe() || *method == Method::DELETE;
    let mut headers = HeaderMap::with_capacity(request.head.headers.len() + ADDED);
    request.for_each(|name, value| {
        headers.append(name, value.clone());
    });
    http2::strip_connection_headers(&mut headers);
    if let Some(length) = request.length.filter(|length| *length > 0 || !is_empty_by_nature) {
        headers.entry(CONTENT_LENGTH).or_insert_with(|| length.into());
    }
    let mut parts = Parts::default();
    parts.scheme = Some(scheme);
    parts.authority = headers.remove(HOST).and_then(|host| Authority::try_from(host.as_bytes()).ok());
    parts.path_and_query = request.head.uri.path_and_query().cloned();
    let mut said = Request::new(());
    *said.method_mut() = method.clone();
    *said.version_mut() = Version::HTTP_2;
    if let Ok(uri) = Uri::from_parts(parts) {
        *said.uri_mut() = uri;
    }
    *said.headers_mut() = headers;
    said
}
