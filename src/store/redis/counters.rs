//! Counted tries: a hash each, changed by one script.

use std::time::Duration;

use async_trait::async_trait;

use super::{Redis, SCRIPTS};
use crate::domain::{StoreError, Timestamp};
use crate::limits::{Attempt, AttemptRule, Counters};
use crate::store::tally::Rule;

#[async_trait]
impl Counters for Redis {
    async fn attempt(&self, key: &str, rule: &AttemptRule, now: Timestamp) -> Result<Attempt, StoreError> {
        let rule = Rule::from(rule);
        let arguments = [
            now.as_millisecond(),
            rule.max.into(),
            rule.lockout,
            rule.grows.into(),
            rule.longest,
            rule.memory,
        ]
        .map(|number| number.to_string());
        let arguments = arguments.each_ref().map(String::as_bytes);
        let (allowed, number): (bool, u64) =
            self.run(&SCRIPTS.attempt, &self.layout.attempts(key), &arguments).await?;
        Ok(if allowed {
            Attempt::Allowed { count: u32::try_from(number).unwrap_or(u32::MAX) }
        } else {
            Attempt::Locked { retry_after: Duration::from_millis(number) }
        })
    }

    async fn take_back(&self, key: &str, rule: &AttemptRule) -> Result<(), StoreError> {
        let max = Rule::from(rule).max.to_string();
        let key = self.layout.attempts(key);
        self.run::<i64>(&SCRIPTS.take_back, &key, &[max.as_bytes()]).await.map(drop)
    }

    async fn lock_left(&self, key: &str, now: Timestamp) -> Result<Option<Duration>, StoreError> {
        let mut command = ::redis::cmd("HGET");
        command.arg(self.layout.attempts(key)).arg("locked_until");
        let until: Option<i64> = self.query(&command).await?;
        let left = until.and_then(|until| u64::try_from(until - now.as_millisecond()).ok());
        Ok(left.filter(|left| *left > 0).map(Duration::from_millis))
    }

    async fn forgive(&self, key: &str) -> Result<(), StoreError> {
        let mut command = ::redis::cmd("DEL");
        command.arg(self.layout.attempts(key));
        self.change(&command).await
    }
}
