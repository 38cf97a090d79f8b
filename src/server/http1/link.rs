//! What a connection's guard and the service on it tell each other.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::gate::Malformed;

/// Shared by a connection's guard, which hyper wants to be `Send`, and the service on it.
#[derive(Debug, Default)]
pub(in crate::server) struct Link {
    refusal: Mutex<Option<Malformed>>,
    switch: AtomicU8,
}

/// What became of a request that asked for another protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Switch {
    Undecided = 0,
    Refused = 1,
    Done = 2,
}

impl Link {
    /// Why the request that a stand-in stands for is refused.
    pub(in crate::server) fn refusal(&self) -> Malformed {
        let refusal = *self.refusal.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        refusal.unwrap_or(Malformed::Head("refused"))
    }

    pub(super) fn refuse(&self, why: Malformed) {
        *self.refusal.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(why);
    }

    /// Whether the answer that is about to be given out changes the protocol.
    pub(in crate::server) fn answered(&self, switches: bool) {
        let switch = if switches { Switch::Done } else { Switch::Refused };
        self.switch.store(switch as u8, Ordering::Release);
    }

    /// A request may change the protocol: what comes after it waits for the answer.
    pub(super) fn ask(&self) {
        self.switch.store(Switch::Undecided as u8, Ordering::Release);
    }

    pub(super) fn switch(&self) -> Switch {
        match self.switch.load(Ordering::Acquire) {
            0 => Switch::Undecided,
            1 => Switch::Refused,
            _ => Switch::Done,
        }
    }
}
