//! How many requests may be sent twice: so many of a hundred, so that a backend in distress is not asked twice as much.

use std::sync::atomic::{AtomicI64, Ordering};

/// What a second sending costs.
const PRICE: i64 = 100;
/// Second sendings that a Caf may have before its first request was answered.
const RESERVE: i64 = 10 * PRICE;
/// Most that is saved up.
const MOST: i64 = 100 * PRICE;

/// One Caf's, shared by all workers.
#[derive(Debug)]
pub(in crate::forward) struct Budget {
    percent: i64,
    saved: AtomicI64,
}

impl Budget {
    pub(super) fn new(percent: u32) -> Self {
        let saved = if percent == 0 { 0 } else { RESERVE };
        Self { percent: i64::from(percent), saved: AtomicI64::new(saved) }
    }

    /// Whether anything is ever sent twice.
    pub(in crate::forward) fn is_some(&self) -> bool {
        self.percent > 0
    }

    /// A request pays in. Two that come at once may bring it a little over the most.
    pub(in crate::forward) fn pay(&self) {
        if self.percent > 0 && self.saved.load(Ordering::Relaxed) < MOST {
            self.saved.fetch_add(self.percent, Ordering::Relaxed);
        }
    }

    /// Whether one may be sent again, which is then paid.
    pub(in crate::forward) fn take(&self) -> bool {
        let spend = |saved: i64| (saved >= PRICE).then_some(saved - PRICE);
        self.saved.fetch_update(Ordering::Relaxed, Ordering::Relaxed, spend).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fifth_is_sent_again_beyond_the_reserve() {
        let budget = Budget::new(20);
        let reserve = (0..1_000).filter(|_| budget.take()).count();
        assert_eq!(reserve, 10);
        let again = (0..1_000).filter(|_| {
            budget.pay();
            budget.take()
        });
        assert_eq!(again.count(), 200);
        for _ in 0..100_000 {
            budget.pay();
        }
        assert_eq!((0..1_000).filter(|_| budget.take()).count(), 100, "a quiet year saves up no storm");
        let none = Budget::new(0);
        none.pay();
        assert!(!none.take() && !none.is_some());
    }
}
