//! The arithmetic of [`Counters`](crate::limits::Counters), on plain milliseconds. The scripts
//! `redis/lua/attempt.lua` and `take_back.lua` do the same in Redis, and the contract suite holds both to it.

use std::time::Duration;

use crate::limits::{Attempt, AttemptRule};

/// A rule's times in whole milliseconds, and never a `max` of nothing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rule {
    pub(super) max: u32,
    pub(super) lockout: i64,
    pub(super) grows: bool,
    pub(super) longest: i64,
    pub(super) memory: i64,
}

/// What is remembered of a key; instants are in milliseconds since 1970.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) count: u32,
    pub(super) locked_until: i64,
    /// When the count is forgotten, unless another try comes before.
    pub(super) forget_at: i64,
}

impl From<&AttemptRule> for Rule {
    fn from(rule: &AttemptRule) -> Self {
        Self {
            max: rule.max.max(1),
            lockout: millis(rule.lockout),
            grows: rule.grows,
            longest: millis(rule.longest),
            memory: millis(rule.memory),
        }
    }
}

fn millis(time: Duration) -> i64 {
    // A century is for ever here, and sums of it with an instant stay exact in Lua's numbers.
    const CENTURY: i64 = 100 * 366 * 86_400_000;
    i64::try_from(time.as_millis()).unwrap_or(CENTURY).min(CENTURY)
}

impl Tally {
    /// The lock's remaining time, if there is one.
    pub(super) fn lock(&self, now: i64) -> Option<Attempt> {
        let left = u64::try_from(self.locked_until - now).ok().filter(|left| *left > 0)?;
        Some(Attempt::Locked { retry_after: Duration::from_millis(left) })
    }

    /// Counts one try at `now`.
    pub(super) fn attempt(self, rule: &Rule, now: i64) -> (Self, Attempt) {
        if let Some(locked) = self.lock(now) {
            return (self, locked);
        }
        let served = self.locked_until > 0 && !rule.grows;
        let before = if now >= self.forget_at || served { 0 } else { self.count };
        let count = before.saturating_add(1);
        let locked_until = if count < rule.max { 0 } else { now + rule.lock_of(count) };
        (Self { count, locked_until, forget_at: now + rule.memory }, Attempt::Allowed { count })
    }

    /// Takes one allowed try back.
    pub(super) fn take_back(self, rule: &Rule) -> Self {
        let count = self.count.saturating_sub(1);
        let locked_until = if count < rule.max { 0 } else { self.locked_until };
        Self { count, locked_until, ..self }
    }

    /// Whether nothing of it matters any more.
    pub(super) fn is_spent(&self, now: i64) -> bool {
        now >= self.forget_at && now >= self.locked_until
    }
}

impl Rule {
    /// The lock that follows the `count`th try: twice as long for each try past `max`.
    fn lock_of(&self, count: u32) -> i64 {
        let doublings = if self.grows { count.saturating_sub(self.max).min(62) } else { 0 };
        self.lockout.saturating_mul(1 << doublings).min(self.longest)
    }
}
