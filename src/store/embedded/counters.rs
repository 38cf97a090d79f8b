//! Counts of tries, and the locks they bring.

use std::time::Duration;

use async_trait::async_trait;
use redb::{Durability, ReadableTable as _, TableDefinition, WriteTransaction};

use super::{Embedded, broken};
use crate::domain::{StoreError, Timestamp};
use crate::limits::{Attempt, AttemptRule, Counters};

/// Count, end of the lock, instant after which both are forgotten; in milliseconds since 1970.
const ATTEMPTS: TableDefinition<&str, (u32, i64, i64)> = TableDefinition::new("attempts");

pub(super) fn create(transaction: &WriteTransaction) -> Result<(), StoreError> {
    transaction.open_table(ATTEMPTS).map(drop).map_err(broken)
}

pub(super) fn sweep(transaction: &WriteTransaction, now: Timestamp) -> Result<(), StoreError> {
    let mut attempts = transaction.open_table(ATTEMPTS).map_err(broken)?;
    let now = now.as_millisecond();
    attempts
        .retain(|_, (_, locked_until, forgotten_at)| now < locked_until || now < forgotten_at)
        .map_err(broken)
}

#[async_trait]
impl Counters for Embedded {
    async fn attempt(&self, key: &str, rule: &AttemptRule, now: Timestamp) -> Result<Attempt, StoreError> {
        let (key, rule, now) = (key.to_owned(), *rule, now.as_millisecond());
        self.write(Durability::None, move |transaction| {
            let mut attempts = transaction.open_table(ATTEMPTS).map_err(broken)?;
            let stored = attempts.get(key.as_str()).map_err(broken)?.map(|stored| stored.value());
            let (mut count, locked_until, forgotten_at) = stored.unwrap_or_default();
            if now < locked_until {
                return Ok(Attempt::Locked { retry_after: millis(locked_until - now) });
            }
            let lock_ended = locked_until > 0 && !rule.grows;
            if now >= forgotten_at || lock_ended {
                count = 0;
            }
            count += 1;
            let lock = lock_after(count, &rule).map_or(0, |lock| now.saturating_add(to_millis(lock)));
            let forgotten_at = now.saturating_add(to_millis(rule.memory)).max(lock);
            attempts.insert(key.as_str(), (count, lock, forgotten_at)).map_err(broken)?;
            Ok(Attempt::Allowed { count })
        })
        .await
    }

    async fn forgive(&self, key: &str) -> Result<(), StoreError> {
        let key = key.to_owned();
        self.write(Durability::None, move |transaction| {
            let mut attempts = transaction.open_table(ATTEMPTS).map_err(broken)?;
            attempts.remove(key.as_str()).map_err(broken)?;
            Ok(())
        })
        .await
    }
}

/// The lock that the `count`th try brings.
fn lock_after(count: u32, rule: &AttemptRule) -> Option<Duration> {
    let beyond = count.checked_sub(rule.max)?;
    let doublings = if rule.grows { beyond.min(30) } else { 0 };
    Some(rule.lockout.saturating_mul(1 << doublings).min(rule.longest))
}

fn to_millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn millis(ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}
