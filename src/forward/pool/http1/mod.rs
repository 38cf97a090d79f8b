//! HTTP/1.1: a connection has one request at a time, and is kept for the next.
//!
//! What is said on it is a [`Dialogue`], written here rather than left to a client's library: an admitted request is
//! this program's whole purpose, and a library would cost it a task, a channel and a second map of headers. Heads are read by `httparse`, as hyper reads
//! them; what a client says, which is anybody, is hyper's to read.

mod chunks;
mod dialogue;
mod heads;
mod inward;
mod outward;
#[cfg(test)]
mod tests;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use self::dialogue::Dialogue;
use super::{Answer, Instance, Sent, Unanswered};
use crate::forward::error::Break;
use crate::forward::fleet::Socket;
use crate::forward::outgoing::Outgoing;
use crate::forward::upload::UploadBody;
use crate::forward::wire::Wire;

/// Most unused connections that are kept.
const MAX_IDLE: usize = 256;
/// How often unused connections are looked at: those that the instance has closed are closed here too.
const LOOK: Duration = Duration::from_secs(1);

/// A connection, closed when dropped, whatever is under way on it.
pub(super) struct Connection<B> {
    /// Shared with who reads the answer; nobody holds it across an await.
    dialogue: Rc<RefCell<Dialogue<B>>>,
    pub(super) timer: Pin<Box<Sleep>>,
    idle_since: Instant,
    is_rested: bool,
}

/// An answer's body, as it comes.
pub(in crate::forward) struct Hearing<B>(Rc<RefCell<Dialogue<B>>>);

/// Unused for so long, a connection may be closed by the instance at the very moment at which it is used.
const REST: Duration = Duration::from_millis(500);

/// Unused connections, the one used last at the back: that one is taken first, and the others age.
pub(super) struct Idle<B> {
    connections: RefCell<VecDeque<Connection<B>>>,
    is_swept: Cell<bool>,
}

impl<B> Connection<B> {
    pub(super) fn new(socket: Socket) -> Self {
        let dialogue = Rc::new(RefCell::new(Dialogue::new(Wire::new(socket))));
        // It is put off when it is waited for.
        let (timer, idle_since) = (Box::pin(sleep(Duration::ZERO)), Instant::now());
        Self { dialogue, timer, idle_since, is_rested: false }
    }

    /// Whether it was unused for a while before it was taken.
    pub(super) fn is_rested(&self) -> bool {
        self.is_rested
    }

    /// Whether all of the request is sent.
    pub(super) fn is_sent(&self) -> bool {
        self.dialogue.borrow().is_sent()
    }

    /// Whether the instance takes no more of the request.
    pub(super) fn is_lost(&self) -> bool {
        self.dialogue.borrow().is_lost()
    }

    /// The bytes of another protocol, once the answer says that it follows, and those that have come already.
    pub(super) fn switch(&self) -> Option<(Wire, Bytes)> {
        self.dialogue.borrow_mut().switch()
    }

    fn is_usable(&self) -> bool {
        self.dialogue.borrow_mut().is_usable()
    }
}

impl<B: UploadBody> Connection<B> {
    /// Sends a request; the answer's head is waited for.
    pub(super) fn send<'a>(
        &self,
        request: &'a mut Outgoing<B>,
    ) -> impl Future<Output = Sent<B>> + use<'a, B> {
        let dialogue = Rc::clone(&self.dialogue);
        dialogue.borrow_mut().begin(request);
        async move {
            let answer = poll_fn(|cx| dialogue.borrow_mut().poll_answer(cx)).await;
            match answer {
                Ok(head) => {
                    Dialogue::send_on(&dialogue);
                    Ok(head.map(|()| Answer::Http1(Hearing(dialogue))))
                }
                Err(error) => {
                    let is_unsent = dialogue.borrow_mut().take_back(request);
                    Err(Unanswered { is_unsent, error })
                }
            }
        }
    }

    /// Waits until all of the request is sent, or cannot be.
    pub(super) async fn sent(&self) {
        poll_fn(|cx| self.dialogue.borrow_mut().poll_sent(cx)).await;
    }
}

impl<B> Drop for Connection<B> {
    fn drop(&mut self) {
        self.dialogue.borrow_mut().close();
    }
}

impl<B> Hearing<B> {
    pub(super) fn is_over(&self) -> bool {
        self.0.borrow().is_over()
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        self.0.borrow().size_hint()
    }
}

impl<B: UploadBody> Hearing<B> {
    pub(super) fn poll_frame(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Break>>> {
        self.0.borrow_mut().poll_frame(cx)
    }
}

impl<B> Idle<B> {
    pub(super) fn is_any(&self) -> bool {
        !self.connections.borrow().is_empty()
    }

    /// The one that was used last, if within `keep_alive`.
    pub(super) fn take(&self, keep_alive: Duration, now: Instant) -> Option<Connection<B>> {
        let mut connections = self.connections.borrow_mut();
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

    /// Closes what was unused for too long, or was closed by the instance; when to look again.
    fn sweep(&self, keep_alive: Duration) -> Option<Instant> {
        let mut connections = self.connections.borrow_mut();
        let now = Instant::now();
        let end = |connection: &Connection<B>| super::end_of(connection.idle_since, keep_alive);
        connections.retain(|connection| connection.is_usable() && end(connection) > now);
        connections.front().map(|oldest| end(oldest).min(now + LOOK))
    }
}

impl<B> Default for Idle<B> {
    fn default() -> Self {
        Self { connections: RefCell::default(), is_swept: Cell::new(false) }
    }
}

/// Keeps a connection for the next request.
pub(super) fn keep<B: 'static>(instance: &Rc<Instance<B>>, mut connection: Connection<B>) {
    if !connection.dialogue.borrow().is_free() {
        return;
    }
    connection.dialogue.borrow_mut().rest();
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
