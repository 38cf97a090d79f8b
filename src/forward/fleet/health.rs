//! Whether an instance gets requests: left alone after failures in a row, for longer each time, and back with a share
//! that grows.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::config;

/// A whole share, in thousandths.
pub(in crate::forward) const WHOLE: u64 = 1_000;
/// The least share of an instance that is back.
const LEAST: u64 = WHOLE / 10;

/// What is known of one instance. Times are milliseconds since it was first known; 0 is never.
#[derive(Debug)]
pub(in crate::forward) struct Health {
    began: Instant,
    /// In a row.
    failures: AtomicU32,
    /// How often it was left alone, less what was forgiven.
    ejections: AtomicU32,
    ejected_until: AtomicU64,
    /// Since when its checks are passed again.
    passes_since: AtomicU64,
    fails_checks: AtomicBool,
}

impl Health {
    pub(super) fn new() -> Self {
        Self {
            began: Instant::now(),
            failures: AtomicU32::new(0),
            ejections: AtomicU32::new(0),
            ejected_until: AtomicU64::new(0),
            passes_since: AtomicU64::new(0),
            fails_checks: AtomicBool::new(false),
        }
    }

    /// Whether it gets requests while others could.
    pub(in crate::forward) fn is_up(&self) -> bool {
        !self.fails_checks() && self.ejected_for().is_none()
    }

    /// How much longer it is left alone.
    pub(in crate::forward) fn ejected_for(&self) -> Option<Duration> {
        let until = self.ejected_until.load(Ordering::Relaxed);
        // Most never failed, and cost no look at the time.
        let left = until.checked_sub(if until == 0 { 0 } else { self.now() })?;
        (left > 0).then(|| Duration::from_millis(left))
    }

    pub(super) fn fails_checks(&self) -> bool {
        self.fails_checks.load(Ordering::Relaxed)
    }

    /// Failures in a row.
    pub(super) fn failures(&self) -> u32 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Its share, in thousandths: whole, unless it is back for less than `slow_start`.
    pub(in crate::forward) fn share(&self, slow_start: Duration) -> u64 {
        let until = self.ejected_until.load(Ordering::Relaxed);
        let back = until.max(self.passes_since.load(Ordering::Relaxed));
        if back == 0 {
            return WHOLE;
        }
        let length = u64::try_from(slow_start.as_millis()).unwrap_or(u64::MAX);
        let past = self.now().saturating_sub(back);
        if past >= length { WHOLE } else { (past.saturating_mul(WHOLE) / length).max(LEAST) }
    }

    pub(in crate::forward) fn succeeded(&self) {
        if self.failures.load(Ordering::Relaxed) != 0 {
            self.failures.store(0, Ordering::Relaxed);
        }
    }

    /// One more failure; for how long it is left alone from now on, if that is the consequence.
    pub(super) fn failed(
        &self,
        rule: &config::Backend,
        others_up: impl FnOnce() -> bool,
    ) -> Option<Duration> {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        if failures < rule.eject_after || self.ejected_for().is_some() || !others_up() {
            return None;
        }
        let (now, last) = (self.now(), self.ejected_until.load(Ordering::Relaxed));
        let was_well_for = Duration::from_millis(now.saturating_sub(last));
        let forgiven = last == 0 || was_well_for > rule.max_eject_time;
        let before = if forgiven { 0 } else { self.ejections.load(Ordering::Relaxed) };
        let time = rule.eject_time.saturating_mul(1 << before.min(20)).min(rule.max_eject_time);
        let until = now.saturating_add(u64::try_from(time.as_millis()).unwrap_or(u64::MAX)).max(1);
        // Another worker that sees the same failures does it once.
        self.ejected_until.compare_exchange(last, until, Ordering::Relaxed, Ordering::Relaxed).ok()?;
        self.ejections.store(before.saturating_add(1), Ordering::Relaxed);
        // Once it is back, one more failure is enough, and one answer makes it all forgotten.
        self.failures.store(rule.eject_after.saturating_sub(1), Ordering::Relaxed);
        Some(time)
    }

    /// What its checks say; whether that is new.
    pub(super) fn checked(&self, passes: bool) -> bool {
        let changed = self.fails_checks.swap(!passes, Ordering::Relaxed) == passes;
        if changed && passes {
            self.passes_since.store(self.now().max(1), Ordering::Relaxed);
        }
        changed
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forward::testing::timeouts;

    fn later(health: &mut Health, by: Duration) {
        health.began -= by;
    }

    fn rule() -> config::Backend {
        config::Backend {
            eject_after: 3,
            eject_time: Duration::from_secs(5),
            max_eject_time: Duration::from_mins(1),
            ..timeouts()
        }
    }

    #[test]
    fn it_is_left_alone_for_longer_each_time() {
        let (mut health, rule) = (Health::new(), rule());
        later(&mut health, Duration::from_secs(1));
        assert_eq!(health.failed(&rule, || true), None);
        assert_eq!(health.failed(&rule, || true), None);
        for seconds in [5, 10, 20, 40, 60, 60] {
            assert_eq!(health.failed(&rule, || true), Some(Duration::from_secs(seconds)));
            assert_eq!(health.failed(&rule, || true), None, "what was under way does not lengthen it");
            assert!(!health.is_up());
            later(&mut health, Duration::from_secs(seconds));
            assert!(health.is_up(), "{seconds}");
        }
        later(&mut health, Duration::from_secs(61));
        assert_eq!(
            health.failed(&rule, || true),
            Some(Duration::from_secs(5)),
            "a long good time is counted"
        );
    }

    #[test]
    fn an_answer_in_between_and_the_last_one_standing_are_spared() {
        let (health, rule) = (Health::new(), rule());
        for _ in 0..10 {
            assert_eq!(health.failed(&rule, || true), None);
            assert_eq!(health.failed(&rule, || true), None);
            health.succeeded();
        }
        for _ in 0..10 {
            assert_eq!(health.failed(&rule, || false), None);
        }
        assert!(health.is_up());
        assert!(health.failed(&rule, || true).is_some(), "as soon as another is well");
    }

    #[test]
    fn its_share_grows_once_it_is_back() {
        let (mut health, rule) = (Health::new(), rule());
        let slow_start = Duration::from_secs(10);
        later(&mut health, Duration::from_secs(1));
        assert_eq!(health.share(slow_start), WHOLE);
        for _ in 0..3 {
            health.failed(&rule, || true);
        }
        later(&mut health, Duration::from_secs(5));
        assert_eq!(health.share(slow_start), LEAST);
        later(&mut health, Duration::from_secs(5));
        assert_eq!(health.share(slow_start), WHOLE / 2);
        later(&mut health, Duration::from_secs(5));
        assert_eq!((health.share(slow_start), health.share(Duration::ZERO)), (WHOLE, WHOLE));
        assert!(health.checked(false) && !health.checked(false) && !health.is_up());
        assert!(health.checked(true) && health.is_up());
        assert_eq!(health.share(slow_start), LEAST);
    }
}
