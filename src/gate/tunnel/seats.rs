//! How many tunnels there are: of a session in this process, and of a worker.

use std::cell::Cell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use crate::gate::Link;
use crate::session::SessionId;

/// The tunnels of each session, in all workers.
#[derive(Debug)]
pub(crate) struct Seats {
    taken: Mutex<HashMap<SessionId, usize>>,
    most: usize,
}

/// Counts one tunnel of a session until it is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    seats: Arc<Seats>,
    session: SessionId,
}

impl Seats {
    /// Up to `most` tunnels for a session.
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { taken: Mutex::default(), most })
    }

    /// A place for one more tunnel, if the session has one left.
    pub(super) fn take(self: &Arc<Self>, session: SessionId) -> Option<Seat> {
        let mut taken = self.taken();
        let count = taken.entry(session).or_insert(0);
        if *count >= self.most {
            return None;
        }
        *count += 1;
        Some(Seat { seats: Arc::clone(self), session })
    }

    fn taken(&self) -> std::sync::MutexGuard<'_, HashMap<SessionId, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.taken();
        if let Some(count) = taken.get_mut(&self.session) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.session);
            }
        }
    }
}

/// A worker's tunnels, which outlive the connections that they began on.
#[derive(Debug)]
pub struct Tunnels {
    closing: watch::Sender<bool>,
    count: Rc<Cell<usize>>,
}

/// One open tunnel.
#[derive(Debug)]
pub(super) struct Open {
    closing: watch::Receiver<bool>,
    count: Rc<Cell<usize>>,
    /// Of the connection that it took over, over HTTP/1.1.
    link: Option<Arc<Link>>,
}

impl Tunnels {
    pub(crate) fn new() -> Self {
        Self { closing: watch::channel(false).0, count: Rc::default() }
    }

    /// Counts one that took the connection of `link` over, or a stream.
    pub(super) fn open(&self, link: Option<Arc<Link>>) -> Open {
        self.count.set(self.count.get() + 1);
        Open { closing: self.closing.subscribe(), count: Rc::clone(&self.count), link }
    }

    /// How many are open.
    pub fn count(&self) -> usize {
        self.count.get()
    }

    /// Waits until none is open.
    pub async fn ended(&self) {
        self.closing.closed().await;
    }

    /// Tells all to close.
    pub fn close(&self) {
        self.closing.send_replace(true);
    }
}

impl Open {
    /// Waits for the order to close.
    pub(super) async fn is_closing(&mut self) {
        let _ = self.closing.wait_for(|closing| *closing).await;
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.count.set(self.count.get().saturating_sub(1));
        if let Some(link) = &self.link {
            link.end_tunnel();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::Token;

    #[test]
    fn a_session_has_so_many_and_gets_them_back() {
        let seats = Seats::new(2);
        let [one, other] = [(); 2].map(|()| Token::random().expect("entropy").id());
        let first = seats.take(one).expect("a place");
        let _second = seats.take(one).expect("a place");
        assert!(seats.take(one).is_none() && seats.take(other).is_some());
        drop(first);
        assert!(seats.take(one).is_some());
        assert_eq!(seats.taken().len(), 1);
    }
}
