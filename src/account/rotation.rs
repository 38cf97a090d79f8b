//! Passwords that fall due: which reminder is owed to whom, and that it was given (rule 2).

use serde::{Deserialize, Serialize};

use super::{Account, Accounts, Status, UpdateError};
use crate::domain::{Identifiant, Mark, StoreError, Timestamp};

/// The last reminder that an account's owner was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reminded {
    /// When the password was chosen that the reminder was about.
    pub changed_at: Timestamp,
    /// The mark that had been passed: so many days before it fell due.
    pub days: u32,
}

/// What is owed now, and when the next may be.
#[derive(Debug, Default)]
pub struct Owed {
    /// Whom a reminder is owed to, of which password, and the mark that was passed.
    pub reminders: Vec<(Identifiant, Timestamp, Mark)>,
    /// The next instant at which an account passes a mark.
    pub next: Option<Timestamp>,
}

impl Accounts {
    /// All reminders that are owed at `now`.
    pub async fn reminders(&self, now: Timestamp) -> Result<Owed, StoreError> {
        let mut owed = Owed::default();
        for account in self.store.list().await? {
            let changed_at = account.password_changed_at;
            if let Some(mark) = self.reminder(&account, now) {
                owed.reminders.push((account.identifiant.clone(), changed_at, mark));
            }
            let next = self.password_age(changed_at).next_mark(now);
            owed.next = [owed.next, next].into_iter().flatten().min();
        }
        Ok(owed)
    }

    /// The reminder that an account's owner is owed at `now`: the latest mark that was passed, once. None is owed
    /// for what must be changed anyway, nor to the suspended.
    pub fn reminder(&self, account: &Account, now: Timestamp) -> Option<Mark> {
        if account.status != Status::Active || account.must_change {
            return None;
        }
        let changed_at = account.password_changed_at;
        let mark = self.password_age(changed_at).mark(now)?;
        // A clock that goes back passes the same marks again.
        let given = account.reminded.filter(|given| given.changed_at == changed_at);
        given.is_none_or(|given| mark.days < given.days).then_some(mark)
    }

    /// Notes that a reminder was given.
    pub async fn note_reminder(
        &self,
        identifiant: &Identifiant,
        changed_at: Timestamp,
        days: u32,
    ) -> Result<(), UpdateError> {
        let note = |account: &mut Account| account.reminded = Some(Reminded { changed_at, days });
        self.update(identifiant, note).await.map(drop)
    }
}
