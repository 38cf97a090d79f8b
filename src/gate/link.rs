//! What the gate and whoever serves a connection tell each other while a request is under way: over HTTP/1.1 the
//! connection's guard, over HTTP/2 the task of the request's stream.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use http::StatusCode;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use super::Malformed;
use crate::forward::{Interim, Teller};
use crate::http2::Duplex;

/// The method of the request that stands for a refused one; the guard refuses it from clients.
pub const STAND_IN_METHOD: &str = "x-octroi-refused";

/// Most interim answers that wait for a client to take them, and most bytes of them. On a stream nobody knows when it
/// takes them: it is told of no more in all.
const MOST_UNTOLD: usize = 64;
const MOST_UNTOLD_SIZE: usize = 64 * 1024;

/// Shared by a connection's guard, which hyper wants to be `Send`, and the service on it; over HTTP/2 by the task of a
/// stream and the service on that.
#[derive(Debug, Default)]
pub struct Link {
    /// Whether it is of a stream of HTTP/2, which has no guard.
    is_stream: bool,
    refusal: Mutex<Option<Malformed>>,
    switch: AtomicU8,
    tunnel_over: Notify,
    /// What the client is to be told before its answer, and whether there is any of it.
    interim: Mutex<Untold>,
    has_interim: AtomicBool,
    /// Whether the client took all that was sent so far.
    is_flushed: AtomicBool,
    /// Whether nothing more may be sent.
    is_cut: AtomicBool,
    /// Whether the connection ends with the answer, whatever its client still sends.
    closes: AtomicBool,
    /// When the client must have taken the last answer.
    deadline: Mutex<Option<Instant>>,
    task: Mutex<Option<Waker>>,
    /// Who waits for the stream to carry another protocol.
    taker: Mutex<Option<oneshot::Sender<Duplex>>>,
}

/// Interim answers that the client has not taken, as far as is known.
#[derive(Debug, Default)]
struct Untold {
    /// Those that are not sent yet.
    waiting: Vec<Interim>,
    count: usize,
    size: usize,
}

/// What became of a request that asked for another protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Switch {
    /// It is not answered yet.
    Undecided = 0,
    /// The same protocol goes on.
    Refused = 1,
    /// Another protocol follows.
    Done = 2,
}

impl Link {
    /// That of a stream of HTTP/2: each answer has its own place there, so it can always be told something.
    pub fn of_stream() -> Self {
        Self { is_stream: true, is_flushed: AtomicBool::new(true), ..Self::default() }
    }

    /// Whether the guard may have put the stand-in in a request's place.
    pub(super) fn has_guard(&self) -> bool {
        !self.is_stream
    }

    /// Why the request that a stand-in stands for is refused.
    pub fn refusal(&self) -> Malformed {
        locked(&self.refusal).unwrap_or(Malformed::Head("refused"))
    }

    /// The next stand-in is for a request that is refused so.
    pub fn refuse(&self, why: Malformed) {
        *locked(&self.refusal) = Some(why);
    }

    /// Waits for the end of the tunnel that the connection became, if it became one.
    pub async fn over(&self) {
        if self.switch() == Switch::Done {
            self.tunnel_over.notified().await;
        }
    }

    /// The tunnel is over.
    pub(super) fn end_tunnel(&self) {
        self.tunnel_over.notify_one();
    }

    /// Whether something is to be sent before anything else that comes.
    pub fn has_interim(&self) -> bool {
        self.has_interim.load(Ordering::Acquire)
    }

    /// What is to be sent before anything else that comes.
    pub fn interim(&self) -> Vec<Interim> {
        // Almost always there is nothing: the lock is not worth it then.
        if !self.has_interim() {
            return Vec::new();
        }
        self.has_interim.store(false, Ordering::Release);
        let mut untold = locked(&self.interim);
        if !self.is_stream {
            (untold.count, untold.size) = (0, 0);
        }
        std::mem::take(&mut untold.waiting)
    }

    /// The bytes of the stream, once its answer is sent and another protocol follows.
    pub(super) fn duplex(&self) -> oneshot::Receiver<Duplex> {
        let (taker, duplex) = oneshot::channel();
        *locked(&self.taker) = Some(taker);
        duplex
    }

    /// Hands the stream to whoever waits for it; dropped, and thereby reset, where nobody does any more.
    pub fn hand_over(&self, duplex: Duplex) {
        if let Some(taker) = locked(&self.taker).take() {
            let _ = taker.send(duplex);
        }
    }

    /// Ends the connection, whatever its client has not taken.
    pub(super) fn cut(&self) {
        self.is_cut.store(true, Ordering::Release);
        self.wake();
    }

    /// Whether the connection must end at once.
    pub fn is_cut(&self) -> bool {
        self.is_cut.load(Ordering::Acquire)
    }

    /// When the client must have taken the answer that is about to be given out, if ever.
    pub(super) fn until(&self, deadline: Option<Instant>) {
        *locked(&self.deadline) = deadline;
    }

    /// The connection ends with the answer that is about to be given out.
    pub(super) fn close(&self) {
        self.closes.store(true, Ordering::Release);
    }

    /// Whether the client was told that the connection ends.
    pub fn closes(&self) -> bool {
        self.closes.load(Ordering::Acquire)
    }

    /// When the client must have taken the last answer, if ever.
    pub fn deadline(&self) -> Option<Instant> {
        *locked(&self.deadline)
    }

    fn wake(&self) {
        if let Some(task) = &*locked(&self.task) {
            task.wake_by_ref();
        }
    }

    /// The connection has sent all it had, or has not.
    pub fn flushed(&self, is_flushed: bool) {
        self.is_flushed.store(is_flushed, Ordering::Release);
    }

    /// Who is woken by an interim answer, or where the connection is cut.
    pub fn wakes(&self, task: &Waker) {
        *locked(&self.task) = Some(task.clone());
    }

    /// Whether the answer that is about to be given out changes the protocol.
    pub fn answered(&self, switches: bool) {
        let switch = if switches { Switch::Done } else { Switch::Refused };
        self.switch.store(switch as u8, Ordering::Release);
    }

    /// A request may change the protocol: what comes after it waits for the answer.
    pub fn ask(&self) {
        self.switch.store(Switch::Undecided as u8, Ordering::Release);
    }

    /// What became of the last request that asked for another protocol.
    pub fn switch(&self) -> Switch {
        match self.switch.load(Ordering::Acquire) {
            0 => Switch::Undecided,
            1 => Switch::Refused,
            _ => Switch::Done,
        }
    }
}

impl Teller for Link {
    /// Only where all was sent: an interim answer must not come in the middle of the answer before it. It is
    /// a hint, and can be done without, as are more of them than a slow client takes.
    ///
    /// A backend's are heard by the request's own task, which looks at them when it has been polled: it is not woken, or a
    /// backend that says them without end would have it run without end.
    fn tell(&self, interim: Interim) {
        if !self.is_flushed.load(Ordering::Acquire) {
            return;
        }
        let mut untold = locked(&self.interim);
        let is_full = untold.count >= MOST_UNTOLD || untold.size + interim.size() > MOST_UNTOLD_SIZE;
        // The one that a client waits for; whoever reads its body says it, in whatever task.
        let is_awaited = interim.status() == StatusCode::CONTINUE;
        if is_full && !is_awaited {
            return;
        }
        untold.count += 1;
        untold.size += interim.size();
        untold.waiting.push(interim);
        drop(untold);
        self.has_interim.store(true, Ordering::Release);
        if is_awaited {
            self.wake();
        }
    }
}

fn locked<T>(held: &Mutex<T>) -> MutexGuard<'_, T> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;

    /// How many of twice as many as may wait are sent, where the client's connection sends at every `pace`th.
    fn sent(link: &Link, pace: usize) -> usize {
        let mut sent = 0;
        for round in 1..=2 * MOST_UNTOLD {
            link.tell(Interim::of(StatusCode::EARLY_HINTS, &HeaderMap::new()));
            if round % pace == 0 {
                sent += link.interim().len();
            }
        }
        sent + link.interim().len()
    }

    #[test]
    fn a_client_is_told_of_as_many_as_it_takes_and_on_a_stream_of_so_many_in_all() {
        let connection = Link::default();
        assert_eq!(sent(&connection, 1), 0, "not in the middle of an answer");
        connection.flushed(true);
        assert_eq!((sent(&connection, 1), sent(&connection, usize::MAX)), (2 * MOST_UNTOLD, MOST_UNTOLD));
        for pace in [1, usize::MAX] {
            assert_eq!(sent(&Link::of_stream(), pace), MOST_UNTOLD);
        }
    }
}
