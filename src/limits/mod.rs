//! How much one client may ask: local limits with governor, and counters that replicas share.

mod local;

use std::time::Duration;

use async_trait::async_trait;

use crate::domain::{StoreError, Timestamp};

pub use local::{ClientKey, RateLimiter, TooMany};

/// Counters in the store, by which replicas agree.
#[async_trait]
pub trait Counters: Send + Sync {
    /// Counts a try before it is made, in one atomic step, so that a hundred parallel guesses count a
    /// hundred.
    ///
    /// A key's count is forgotten `rule.memory` after its last counted try. The try that brings the count
    /// to `rule.max` is still allowed, and locks the key for `rule.lockout`; each allowed one after it locks
    /// for twice the time before, `rule.longest` at most, where `rule.grows`. A try on a locked key is
    /// refused and not counted. With `rule.grows` false the count starts anew when a lock has ended.
    async fn attempt(&self, key: &str, rule: &AttemptRule, now: Timestamp) -> Result<Attempt, StoreError>;

    /// Takes one allowed try back, since it was no wrong one: those counted beside it stay counted. A lock goes
    /// with it where fewer than `rule.max` are left.
    async fn take_back(&self, key: &str, rule: &AttemptRule) -> Result<(), StoreError>;

    /// Time left of a key's lock; `None` where it has none. Nothing is counted.
    async fn lock_left(&self, key: &str, now: Timestamp) -> Result<Option<Duration>, StoreError>;

    /// Forgets a key's count and its lock.
    async fn forgive(&self, key: &str) -> Result<(), StoreError>;
}

/// How many tries are borne, and what follows.
#[derive(Debug, Clone, Copy)]
pub struct AttemptRule {
    /// Tries before the lock.
    pub max: u32,
    /// The first lock's length.
    pub lockout: Duration,
    /// Whether each lock is twice as long as the last.
    pub grows: bool,
    /// The longest lock.
    pub longest: Duration,
    /// How long after its last try a key is remembered.
    pub memory: Duration,
}

/// What [`Counters::attempt`] says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempt {
    /// The try may be made; it is the `count`th.
    Allowed {
        /// Tries counted, this one included.
        count: u32,
    },
    /// It may not, for as long as told.
    Locked {
        /// Time to the lock's end.
        retry_after: Duration,
    },
}
