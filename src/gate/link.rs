//! What a connection's guard and the service on it tell each other.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU8, Ordering};

use super::Malformed;

/// The method of the request that stands for a refused one; the guard refuses it from clients.
pub const STAND_IN_METHOD: &str = "x-octroi-refused";

/// Shared by a connection's guard, which hyper wants to be `Send`, and the service on it.
#[derive(Debug, Default)]
pub struct Link {
    refusal: Mutex<Option<Malformed>>,
    switch: AtomicU8,
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
        let refusal = *self.refusal.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        refusal.unwrap_or(Malformed::Head("refused"))
    }

    /// The next stand-in is for a request that is refused so.
    pub fn refuse(&self, why: Malformed) {
        *self.refusal.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(why);
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
