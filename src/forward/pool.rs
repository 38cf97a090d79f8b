//! The connections to one instance of a backend, as one worker has them.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;
use http_body::Body;
use hyper::client::conn::http1::{SendRequest, handshake};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{Instant, Sleep, sleep, sleep_until, timeout};

use super::error::Reason;
use super::upload::{BoxError, Upload};
use super::wire::Wire;
use crate::config::BackendAddress;

/// Most unused connections that are kept.
const MAX_IDLE: usize = 256;

/// One instance, and its connections.
pub(super) struct Instance<B> {
    address: BackendAddress,
    authority: HeaderValue,
    /// Unused connections, the one used last at the back: that one is taken first, and the others age.
    idle: RefCell<VecDeque<Connection<B>>>,
    keep_alive: Duration,
    busy: Cell<usize>,
    is_swept: Cell<bool>,
}

/// A connection, closed when dropped, whatever is under way on it.
pub(super) struct Connection<B> {
    pub(super) sender: SendRequest<Upload<B>>,
    /// For whoever uses the connection: putting a timer off costs less than making one.
    pub(super) timer: Pin<Box<Sleep>>,
    task: JoinHandle<()>,
    idle_since: Instant,
}

/// A connection while a request has it: given back, or dropped and thereby closed.
pub(super) struct Lease<B> {
    seat: Seat<B>,
    pub(super) connection: Connection<B>,
}

/// Counts a request at an instance, from before it has a connection.
pub(super) struct Seat<B>(Rc<Instance<B>>);

impl<B> Instance<B> {
    pub(super) fn new(address: BackendAddress, keep_alive: Duration) -> Rc<Self> {
        let bracketed = if address.host.contains(':') {
            format!("[{}]:{}", address.host, address.port)
        } else {
            format!("{}:{}", address.host, address.port)
        };
        let authority = HeaderValue::from_str(&bracketed).unwrap_or(HeaderValue::from_static(""));
        Rc::new(Self {
            address,
            authority,
            idle: RefCell::default(),
            keep_alive,
            busy: Cell::new(0),
            is_swept: Cell::new(false),
        })
    }

    /// Host and port, as a `Host` header.
    pub(super) fn authority(&self) -> &HeaderValue {
        &self.authority
    }

    /// Requests under way.
    pub(super) fn busy(&self) -> usize {
        self.busy.get()
    }

    /// Takes a place for a request.
    pub(super) fn seat(self: &Rc<Self>) -> Seat<B> {
        self.busy.set(self.busy.get() + 1);
        Seat(Rc::clone(self))
    }

    fn is_expired(&self, connection: &Connection<B>, now: Instant) -> bool {
        now.duration_since(connection.idle_since) >= self.keep_alive
    }

    /// Closes what was unused for too long; when the next would be.
    fn sweep(&self, now: Instant) -> Option<Instant> {
        let mut idle = self.idle.borrow_mut();
        while idle.front().is_some_and(|oldest| !oldest.is_usable() || self.is_expired(oldest, now)) {
            idle.pop_front();
        }
        idle.front().map(|oldest| oldest.idle_since + self.keep_alive)
    }
}

impl<B: 'static> Instance<B> {
    fn keep(self: &Rc<Self>, connection: Connection<B>) {
        let mut idle = self.idle.borrow_mut();
        if idle.len() < MAX_IDLE {
            idle.push_back(connection);
        }
        drop(idle);
        if !self.is_swept.replace(true) {
            tokio::task::spawn_local(sweep_while_any(Rc::downgrade(self)));
        }
    }
}

/// Closes connections as they grow too old, so that a quiet gateway holds none of a backend's.
async fn sweep_while_any<B>(instance: Weak<Instance<B>>) {
    while let Some(next) = instance.upgrade().and_then(|instance| {
        let next = instance.sweep(Instant::now());
        instance.is_swept.set(next.is_some());
        next
    }) {
        sleep_until(next).await;
    }
}

impl<B> Seat<B> {
    /// Whether an unused connection is at hand.
    pub(super) fn has_idle(&self) -> bool {
        !self.0.idle.borrow().is_empty()
    }

    /// The unused connection that was used last.
    pub(super) fn reuse(self) -> Result<Lease<B>, Self> {
        let mut idle = self.0.idle.borrow_mut();
        let now = Instant::now();
        while let Some(connection) = idle.pop_back() {
            if self.0.is_expired(&connection, now) {
                idle.clear();
            } else if connection.is_usable() {
                drop(idle);
                return Ok(Lease { seat: self, connection });
            }
        }
        drop(idle);
        Err(self)
    }
}

impl<B> Seat<B>
where
    B: Body<Data = Bytes> + 'static,
    B::Error: Into<BoxError>,
{
    /// A new connection.
    pub(super) async fn connect(self, limit: Duration) -> Result<Lease<B>, Reason> {
        let address = &self.0.address;
        let stream = timeout(limit, TcpStream::connect((address.host.as_str(), address.port))).await;
        let stream = stream.map_err(|_| Reason::ConnectTimeout)?.map_err(Reason::Connect)?;
        stream.set_nodelay(true).map_err(Reason::Connect)?;
        let (sender, connection) = handshake(Wire::new(stream)).await.map_err(Reason::Broken)?;
        // What fails is told to the request under way; on an unused connection it concerns nobody.
        let task = tokio::task::spawn_local(async move { drop(connection.with_upgrades().await) });
        let timer = Box::pin(sleep(limit));
        Ok(Lease { seat: self, connection: Connection { sender, timer, task, idle_since: Instant::now() } })
    }
}

impl<B> Drop for Seat<B> {
    fn drop(&mut self) {
        self.0.busy.set(self.0.busy.get().saturating_sub(1));
    }
}

impl<B: 'static> Lease<B> {
    /// Gives the connection back for the next request.
    pub(super) fn give_back(self) {
        let Self { seat, mut connection } = self;
        if !connection.sender.is_closed() {
            connection.idle_since = Instant::now();
            seat.0.keep(connection);
        }
    }

    /// Gives the connection back once the request's upload ends too, if that is within `patience`.
    pub(super) fn give_back_later(mut self, patience: Duration) {
        tokio::task::spawn_local(async move {
            if let Ok(Ok(())) = timeout(patience, self.connection.sender.ready()).await {
                self.give_back();
            }
        });
    }
}

impl<B> Connection<B> {
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
