//! HTTP/1.1: a connection has one request at a time, and is kept for the next.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::time::Duration;

use bytes::Bytes;
use http_body::Body;
use hyper::client::conn::http1::{SendRequest, handshake};
use tokio::task::JoinHandle;
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use super::Instance;
use crate::forward::error::Reason;
use crate::forward::fleet::Socket;
use crate::forward::upload::{BoxError, Upload};
use crate::forward::wire::Wire;

/// Most unused connections that are kept.
const MAX_IDLE: usize = 256;

/// A connection, closed when dropped, whatever is under way on it.
pub(super) struct Connection<B> {
    pub(super) sender: SendRequest<Upload<B>>,
    pub(super) timer: Pin<Box<Sleep>>,
    task: JoinHandle<()>,
    idle_since: Instant,
    is_rested: bool,
}

/// Unused for so long, a connection may be closed by the instance at the very moment at which it is used.
const REST: Duration = Duration::from_millis(500);

/// Unused connections, the one used last at the back: that one is taken first, and the others age.
pub(super) struct Idle<B> {
    connections: RefCell<VecDeque<Connection<B>>>,
    is_swept: Cell<bool>,
}

impl<B> Connection<B>
where
    B: Body<Data = Bytes> + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    pub(super) async fn new(socket: Socket, limit: Duration) -> Result<Self, Reason> {
        let (sender, connection) = handshake(Wire::new(socket)).await.map_err(Reason::broken)?;
        // What fails is told to the request under way; on an unused connection it concerns nobody.
        let task = tokio::task::spawn_local(async move { drop(connection.with_upgrades().await) });
        let (timer, idle_since) = (Box::pin(sleep(limit)), Instant::now());
        Ok(Self { sender, timer, task, idle_since, is_rested: false })
    }
}

impl<B> Connection<B> {
    /// Whether it was unused for a while before it was taken.
    pub(super) fn is_rested(&self) -> bool {
        self.is_rested
    }

    /// Whether a request can be sent now; one that cannot, unused as it is, is being closed.
    fn is_usable(&self) -> bool {
        self.sender.is_ready()
    }
}

impl<B> Drop for Connection<B> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl<B> Idle<B> {
    pub(super) fn is_any(&self) -> bool {
        !self.connections.borrow().is_empty()
    }

    /// The one that was used last, if within `keep_alive`.
    pub(super) fn take(&self, keep_alive: Duration) -> Option<Connection<B>> {
        let mut connections = self.connections.borrow_mut();
        let now = Instant::now();
        while let Some(mut connection) = connections.pop_back() {
            connection.is_rested = connection.idle_since + REST <= now;
            if super::end_of(connection.idle_since, keep_alive) <= now {
                connections.clear();
            } else if connection.is_usable() {
                return Some(connection);
            }
        }
        None
    }

    /// Closes what was unused for too long; when the next would be.
    fn sweep(&self, keep_alive: Duration) -> Option<Instant> {
        let mut connections = self.connections.borrow_mut();
        let now = Instant::now();
        let end = |connection: &Connection<B>| super::end_of(connection.idle_since, keep_alive);
        while connections.front().is_some_and(|oldest| !oldest.is_usable() || end(oldest) <= now) {
            connections.pop_front();
        }
        connections.front().map(end)
    }
}

impl<B> Default for Idle<B> {
    fn default() -> Self {
        Self { connections: RefCell::default(), is_swept: Cell::new(false) }
    }
}

/// Keeps a connection for the next request.
pub(super) fn keep<B: 'static>(instance: &Rc<Instance<B>>, mut connection: Connection<B>) {
    if connection.sender.is_closed() {
        return;
    }
    connection.idle_since = Instant::now();
    let mut connections = instance.own.connections.borrow_mut();
    if connections.len() < MAX_IDLE {
        connections.push_back(connection);
    }
    drop(connections);
    if !instance.own.is_swept.replace(true) {
        tokio::task::spawn_local(sweep_while_any(Rc::downgrade(instance)));
    }
}

/// Closes connections as they grow too old, so that a quiet gateway holds none of a backend's.
async fn sweep_while_any<B>(instance: Weak<Instance<B>>) {
    while let Some(next) = instance.upgrade().and_then(|instance| {
        let next = instance.own.sweep(instance.team.rule.keep_alive);
        instance.own.is_swept.set(next.is_some());
        next
    }) {
        sleep_until(next).await;
    }
}
