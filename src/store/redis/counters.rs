//! Counts of tries, and the locks they bring.

use std::sync::LazyLock;
use std::time::Duration;

use async_trait::async_trait;
use redis::{Script, cmd};

use super::Redis;
use crate::domain::{StoreError, Timestamp};
use crate::limits::{Attempt, AttemptRule, Counters};

/// Now, tries before the lock, the lock, whether it grows, the longest, how long a key is remembered; all
/// times in milliseconds. The count, and the time to the lock's end when the try is refused.
static ATTEMPT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
        local now, max, lock = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
        local grows, longest, memory = ARGV[4] == '1', tonumber(ARGV[5]), tonumber(ARGV[6])
        local stored = redis.call('HMGET', KEYS[1], 'count', 'locked', 'forgotten')
        local count, locked = tonumber(stored[1] or 0), tonumber(stored[2] or 0)
        if now < locked then return {count, locked - now} end
        if now >= tonumber(stored[3] or 0) or (locked > 0 and not grows) then count = 0 end
        count = count + 1
        locked = 0
        if count >= max then
            if grows then lock = lock * 2 ^ math.min(count - max, 30) end
            locked = now + math.min(lock, longest)
        end
        local forgotten = math.max(now + memory, locked)
        redis.call('HSET', KEYS[1], 'count', count,
            'locked', string.format('%.0f', locked), 'forgotten', string.format('%.0f', forgotten))
        redis.call('PEXPIRE', KEYS[1], string.format('%.0f', forgotten - now))
        return {count, 0}
        ",
    )
});

#[async_trait]
impl Counters for Redis {
    async fn attempt(&self, key: &str, rule: &AttemptRule, now: Timestamp) -> Result<Attempt, StoreError> {
        let mut attempt = ATTEMPT.key(name(key));
        attempt.arg(now.as_millisecond()).arg(rule.max).arg(millis(rule.lockout));
        attempt.arg(i32::from(rule.grows)).arg(millis(rule.longest)).arg(millis(rule.memory));
        let (count, wait): (u32, u64) = self.script(&attempt).await?;
        Ok(match wait {
            0 => Attempt::Allowed { count },
            wait => Attempt::Locked { retry_after: Duration::from_millis(wait) },
        })
    }

    async fn forgive(&self, key: &str) -> Result<(), StoreError> {
        self.command::<i64>(cmd("DEL").arg(name(key))).await.map(drop)
    }
}

fn name(key: &str) -> String {
    format!("octroi:attempts:{key}")
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
