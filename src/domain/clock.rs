//! The one place where the program asks what time it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::Notify;

use super::Timestamp;

/// The time, to the millisecond: the system's, moved by an offset, or standing still where it was put.
///
/// Clones share the same time. The offset carries the difference to the store's clock, by which
/// replicas agree; a clock that was put somewhere serves rehearsals and tests, and ignores the offset.
#[derive(Clone, Debug)]
pub struct Clock(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    offset_ms: AtomicI64,
    frozen_ms: AtomicI64,
    moved: Notify,
}

const RUNNING: i64 = i64::MIN;

impl Clock {
    /// The system's clock.
    pub fn system() -> Self {
        let (offset_ms, frozen_ms) = (AtomicI64::new(0), AtomicI64::new(RUNNING));
        Self(Arc::new(Inner { offset_ms, frozen_ms, moved: Notify::new() }))
    }

    /// A clock that stands at `instant` until [`Clock::set`] or [`Clock::advance`] moves it.
    pub fn frozen_at(instant: Timestamp) -> Self {
        let clock = Self::system();
        clock.set(instant);
        clock
    }

    /// The present instant.
    pub fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(self.now_ms()).unwrap_or(Timestamp::MAX)
    }

    /// The present instant in milliseconds since 1970-01-01T00:00:00Z.
    pub fn now_ms(&self) -> i64 {
        match self.0.frozen_ms.load(Ordering::Relaxed) {
            RUNNING => system_ms() + self.0.offset_ms.load(Ordering::Relaxed),
            frozen => frozen,
        }
    }

    /// The present instant by the clock that never stops, not even in a rehearsal: what waits for the network
    /// rather than for the calendar (a lease, another try) is measured by it.
    pub fn running(&self) -> Timestamp {
        let running = system_ms() + self.0.offset_ms.load(Ordering::Relaxed);
        Timestamp::from_millisecond(running).unwrap_or(Timestamp::MAX)
    }

    /// Puts the clock at `instant` and stops it there.
    pub fn set(&self, instant: Timestamp) {
        self.0.frozen_ms.store(instant.as_millisecond(), Ordering::Relaxed);
        self.0.moved.notify_waiters();
    }

    /// Moves a stopped clock forward; a running one is left alone.
    pub fn advance(&self, by: std::time::Duration) {
        let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        let _ = self.0.frozen_ms.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |at| {
            (at != RUNNING).then(|| at.saturating_add(by))
        });
        self.0.moved.notify_waiters();
    }

    /// Ends once the clock is put somewhere else: who looks at it now and then looks again.
    pub async fn moved(&self) {
        self.0.moved.notified().await;
    }

    /// Follows another clock, told by its present time in milliseconds since 1970.
    pub fn follow(&self, reference_ms: i64) {
        self.0.offset_ms.store(reference_ms - system_ms(), Ordering::Relaxed);
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the clock that the others are told to use")]
fn system_ms() -> i64 {
    // Without a date made of it: several times a request.
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_stopped_clock_moves_when_told() {
        let clock = Clock::frozen_at(Timestamp::UNIX_EPOCH);
        let twin = clock.clone();
        clock.advance(Duration::from_secs(90));
        assert_eq!(twin.now().as_second(), 90);
        clock.follow(0);
        assert_eq!(clock.now().as_second(), 90);
    }

    #[test]
    fn a_running_clock_follows_another() {
        let clock = Clock::system();
        clock.follow(1_000_000);
        assert!((1_000_000..1_060_000).contains(&clock.now_ms()));
    }
}
