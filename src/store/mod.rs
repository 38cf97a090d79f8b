//! Where what must outlive the process is kept: one file for one process ([`embedded`]), or a Redis
//! server for many replicas ([`redis`]).
//!
//! Both implement the traits of the floor below and pass the same contract suite, so that nothing above
//! knows which one it talks to.

pub mod embedded;
mod json;
mod names;
pub mod redis;
mod tally;

#[cfg(test)]
mod contract;

use async_trait::async_trait;

use crate::account::{AccountStore, RecoveryStore};
use crate::domain::{StoreError, Timestamp};
use crate::drains::DrainStore;
use crate::entry::SigningKeyStore;
use crate::establishment::EstablishmentStore;
use crate::limits::Counters;
use crate::outbox::Outbox;
use crate::parking::ParkingStore;
use crate::session::SessionStore;

/// All that the program asks of a store; each part coerces to its own trait object.
pub trait Store:
    AccountStore
    + RecoveryStore
    + EstablishmentStore
    + SessionStore
    + Counters
    + Outbox
    + ParkingStore
    + DrainStore
    + SigningKeyStore
    + Upkeep
{
}

impl<S> Store for S where
    S: AccountStore
        + RecoveryStore
        + EstablishmentStore
        + SessionStore
        + Counters
        + Outbox
        + ParkingStore
        + DrainStore
        + SigningKeyStore
        + Upkeep
{
}

/// A store's health, and its housekeeping.
#[async_trait]
pub trait Upkeep: Send + Sync {
    /// Whether it would answer now, as far as is known without asking it.
    fn is_reachable(&self) -> bool;

    /// Removes what ended before `now` (sessions, counters) and says how many; called every minute or so.
    async fn sweep(&self, now: Timestamp) -> Result<usize, StoreError>;
}
