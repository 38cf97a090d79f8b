//! What a connection's guard and the service on it tell each other.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Mutex, PoisonError};
use std::task::Waker;

use tokio::sync::Notify;

use super::Malformed;
use crate::forward::Teller;

/// The method of the request that stands for a refused one; the guard refuses it from clients.
pub const STAND_IN_METHOD: &str = "x-octroi-refused";

/// Most bytes of interim answers that wait for a client to take them.
const MOST_UNTOLD: usize = 64 * 1024;

/// Shared by a connection's guard, which hyper wants to be `Send`, and the service on it.
#[derive(Debug, Default)]
pub struct Link {
    refusal: Mutex<Option<Malformed>>,
    switch: AtomicU8,
    tunnel_over: Notify,
    /// What the client is to be told before its answer, and whether there is any of it.
    interim: Mutex<Vec<u8>>,
    has_interim: AtomicBool,
    /// Whether the client took all that was sent so far.
    is_flushed: AtomicBool,
    connection: Mutex<Option<Waker>>,
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
    /// Why the request that a stand-in stands for is refused.
    pub fn refusal(&self) -> Malformed {
        let refusal = *self.refusal.lock().unwrap_or_else(PoisonError::into_inner);
        refusal.unwrap_or(Malformed::Head("refused"))
    }

    /// The next stand-in is for a request that is refused so.
    pub fn refuse(&self, why: Malformed) {
        *self.refusal.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
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

    /// What is to be sent before anything else that comes.
    pub fn interim(&self) -> Option<Vec<u8>> {
        // Almost always there is nothing: the lock is not worth it then.
        self.has_interim.load(Ordering::Acquire).then(|| {
            self.has_interim.store(false, Ordering::Release);
            std::mem::take(&mut *self.interim.lock().unwrap_or_else(PoisonError::into_inner))
        })
    }

    /// The connection has sent all it had, or has not; its task is woken by the next interim answer.
    pub fn flushed(&self, is_flushed: bool) {
        self.is_flushed.store(is_flushed, Ordering::Release);
    }

    /// Who is woken by an interim answer.
    pub fn wakes(&self, task: &Waker) {
        *self.connection.lock().unwrap_or_else(PoisonError::into_inner) = Some(task.clone());
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
    fn tell(&self, interim: Vec<u8>) {
        if self.is_flushed.load(Ordering::Acquire) {
            let mut untold = self.interim.lock().unwrap_or_else(PoisonError::into_inner);
            if untold.len() + interim.len() > MOST_UNTOLD {
                return;
            }
            untold.extend(interim);
            drop(untold);
            self.has_interim.store(true, Ordering::Release);
            if let Some(task) = &*self.connection.lock().unwrap_or_else(PoisonError::into_inner) {
                task.wake_by_ref();
            }
        }
    }
}
