//! Counted tries, by key.

use std::time::Duration;

use async_trait::async_trait;
use redb::{ReadableTable, TableDefinition, WriteTransaction};

use super::{Embedded, Failure};
use crate::domain::{StoreError, Timestamp};
use crate::limits::{Attempt, AttemptRule, Counters};
use crate::store::tally::{Rule, Tally};

/// Key to count, end of the lock, and instant of forgetting, in milliseconds since 1970.
const ATTEMPTS: TableDefinition<&str, (u32, i64, i64)> = TableDefinition::new("attempts");

pub(super) fn make_table(transaction: &WriteTransaction) -> Result<(), Failure> {
    transaction.open_table(ATTEMPTS)?;
    Ok(())
}

#[async_trait]
impl Counters for Embedded {
    async fn attempt(&self, key: &str, rule: &AttemptRule, now: Timestamp) -> Result<Attempt, StoreError> {
        let (rule, now) = (Rule::from(rule), now.as_millisecond());
        // A flood of tries on a locked key must not become a flood of writes.
        let asked = key.to_owned();
        let seen = self.read(move |snapshot| tally(&snapshot.open_table(ATTEMPTS)?, &asked)).await?;
        if let Some(locked) = seen.lock(now) {
            return Ok(locked);
        }
        let key = key.to_owned();
        self.write(move |transaction| {
            let mut table = transaction.open_table(ATTEMPTS)?;
            let before = tally(&table, &key)?;
            let (after, attempt) = before.attempt(&rule, now);
            if after != before {
                table.insert(key.as_str(), (after.count, after.locked_until, after.forget_at))?;
            }
            Ok(attempt)
        })
        .await
    }

    async fn take_back(&self, key: &str, rule: &AttemptRule) -> Result<(), StoreError> {
        let (key, rule) = (key.to_owned(), Rule::from(rule));
        self.write(move |transaction| {
            let mut table = transaction.open_table(ATTEMPTS)?;
            let before = tally(&table, &key)?;
            let after = before.take_back(&rule);
            if after != before {
                table.insert(key.as_str(), (after.count, after.locked_until, after.forget_at))?;
            }
            Ok(())
        })
        .await
    }

    async fn lock_left(&self, key: &str, now: Timestamp) -> Result<Option<Duration>, StoreError> {
        let key = key.to_owned();
        let tally = self.read(move |snapshot| tally(&snapshot.open_table(ATTEMPTS)?, &key)).await?;
        Ok(match tally.lock(now.as_millisecond()) {
            Some(Attempt::Locked { retry_after }) => Some(retry_after),
            _ => None,
        })
    }

    async fn forgive(&self, key: &str) -> Result<(), StoreError> {
        let key = key.to_owned();
        self.write(move |transaction| {
            transaction.open_table(ATTEMPTS)?.remove(key.as_str())?;
            Ok(())
        })
        .await
    }
}

impl Embedded {
    /// Removes the counters of which nothing matters any more.
    pub(super) async fn sweep_counters(&self, now: Timestamp) -> Result<usize, StoreError> {
        let now = now.as_millisecond();
        let any = self.read(move |snapshot| {
            let table = snapshot.open_table(ATTEMPTS)?;
            for row in table.iter()? {
                if spent(row?.1.value(), now) {
                    return Ok(true);
                }
            }
            Ok(false)
        });
        if !any.await? {
            return Ok(0);
        }
        self.write(move |transaction| {
            let mut table = transaction.open_table(ATTEMPTS)?;
            let mut swept = 0;
            table.retain(|_, row| {
                swept += usize::from(spent(row, now));
                !spent(row, now)
            })?;
            Ok(swept)
        })
        .await
    }
}

fn tally(table: &impl ReadableTable<&'static str, (u32, i64, i64)>, key: &str) -> Result<Tally, Failure> {
    Ok(table.get(key)?.map_or_else(Tally::default, |row| from_row(row.value())))
}

fn from_row((count, locked_until, forget_at): (u32, i64, i64)) -> Tally {
    Tally { count, locked_until, forget_at }
}

fn spent(row: (u32, i64, i64), now: i64) -> bool {
    from_row(row).is_spent(now)
}
