//! Passwords that fall due soon: their owners are written to, 14 days, 7 days and a day before.
//!
//! Every replica watches. That one letter leaves and not several is the account's doing, which says what its
//! owner was told: of all errands for one mark, the first to be done is noted there, and the others find it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::PostOffice;
use crate::account::Accounts;
use crate::domain::{Clock, StoreError, Timestamp};
use crate::outbox::{Errand, Outbox, Posted};

/// Who watches over passwords that fall due.
pub struct Reminders {
    accounts: Arc<Accounts>,
    outbox: Arc<dyn Outbox>,
    office: Arc<PostOffice>,
    clock: Clock,
}

/// How often the clock is looked at.
const GLANCE: Duration = Duration::from_secs(1);
/// How often all accounts are looked at, though no mark is known to have been passed: others may have come.
const ROUND: Duration = Duration::from_mins(5);

/// What the last look at the accounts was, and what it found.
struct Look {
    at: Timestamp,
    when: Instant,
    next: Option<Timestamp>,
}

impl Reminders {
    /// A watch over `accounts`, whose letters `office` sends.
    pub fn new(
        accounts: Arc<Accounts>,
        outbox: Arc<dyn Outbox>,
        office: Arc<PostOffice>,
        clock: Clock,
    ) -> Self {
        Self { accounts, outbox, office, clock }
    }

    /// Watches until the program ends.
    pub async fn watch(self) {
        let mut last: Option<Look> = None;
        loop {
            let now = self.clock.now();
            if last.as_ref().is_none_or(|last| last.is_old(now)) {
                last = match self.look(now).await {
                    Ok(look) => Some(look),
                    Err(error) => {
                        tracing::debug!(%error, "passwords that fall due are looked at later");
                        None
                    }
                };
            }
            if timeout(GLANCE, self.accounts.enrolled()).await.is_ok() {
                last = None;
            }
        }
    }

    async fn look(&self, now: Timestamp) -> Result<Look, StoreError> {
        let owed = self.accounts.reminders(now).await?;
        for (to, changed_at, mark) in owed.reminders {
            let errand = Errand::reminder(to, mark.days, changed_at, mark.passed_at);
            if self.outbox.post(&errand, self.clock.running()).await? == Posted::Full {
                // The next round hands in the rest.
                tracing::warn!("too many letters wait: some reminders are late");
                break;
            }
            self.office.wake();
        }
        Ok(Look { at: now, when: Instant::now(), next: owed.next })
    }
}

impl Look {
    fn is_old(&self, now: Timestamp) -> bool {
        // A rehearsal's clock goes further in a moment than others do in a round.
        let past = self.when.elapsed().max(now.duration_since(self.at).unsigned_abs());
        now < self.at || self.next.is_some_and(|next| next <= now) || past >= ROUND
    }
}
