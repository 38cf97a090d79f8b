//! Sessions: a hash each, with the record and the last action apart; and an index for each account.
//!
//! The keys expire by themselves an hour after the session's end, for cleaning alone.

use std::sync::LazyLock;

use async_trait::async_trait;
use redis::{Script, cmd, pipe};

use super::Redis;
use crate::domain::{Identifiant, StoreError, Timestamp};
use crate::session::{Record, SessionId, SessionStore};

/// What sessions' keys begin with; changes under it are told to every replica.
pub(super) const PREFIX: &str = "octroi:session:";
const HOUR_MS: i64 = 3_600_000;

/// The instant of an action: 0 when the session is gone, which it stays; time never goes back.
static TOUCH: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
        local last = redis.call('HGET', KEYS[1], 'last')
        if not last then return 0 end
        if tonumber(last) < tonumber(ARGV[1]) then redis.call('HSET', KEYS[1], 'last', ARGV[1]) end
        return 1
        ",
    )
});

#[async_trait]
impl SessionStore for Redis {
    async fn create(&self, id: &SessionId, record: &Record, at: Timestamp) -> Result<(), StoreError> {
        let signed_in = record.signed_in_at.as_millisecond();
        let ends = record.ends_at.as_millisecond();
        let (index, at) = (index(record.stage.holder().account()), at.as_millisecond());
        let dead_before = at - (ends - signed_in) - HOUR_MS;
        // The index first: a session that nobody could find would outlive its account's suspension.
        let mut indexed = pipe();
        indexed.cmd("ZREMRANGEBYSCORE").arg(&index).arg("-inf").arg(dead_before).ignore();
        indexed.cmd("ZADD").arg(&index).arg(signed_in).arg(id.to_text()).ignore();
        indexed.cmd("PEXPIRE").arg(&index).arg(ends - signed_in + HOUR_MS).ignore();
        self.pipeline::<()>(indexed.atomic()).await?;
        let mut kept = pipe();
        let key = key(id);
        kept.cmd("HSET")
            .arg(&key)
            .arg("record")
            .arg(serde_json::to_vec(record)?)
            .arg("last")
            .arg(at)
            .ignore();
        kept.cmd("PEXPIRE").arg(&key).arg((ends - at).max(0) + HOUR_MS).ignore();
        self.pipeline(kept.atomic()).await
    }

    async fn find(&self, id: &SessionId) -> Result<Option<(Record, Timestamp)>, StoreError> {
        let stored: Stored = self.command(cmd("HMGET").arg(key(id)).arg("record").arg("last")).await?;
        read(&stored)
    }

    async fn touch(&self, id: &SessionId, at: Timestamp) -> Result<bool, StoreError> {
        self.script(TOUCH.key(key(id)).arg(at.as_millisecond())).await
    }

    async fn remove(&self, id: &SessionId, account: &Identifiant) -> Result<bool, StoreError> {
        let removed = self.command(cmd("DEL").arg(key(id))).await?;
        self.command::<i64>(cmd("ZREM").arg(index(account)).arg(id.to_text())).await?;
        Ok(removed)
    }

    async fn of_account(
        &self,
        account: &Identifiant,
    ) -> Result<Vec<(SessionId, Record, Timestamp)>, StoreError> {
        let names: Vec<String> = self.command(cmd("ZRANGE").arg(index(account)).arg(0).arg(-1)).await?;
        let ids: Vec<SessionId> = names.iter().filter_map(|name| SessionId::parse(name)).collect();
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut reads = pipe();
        for id in &ids {
            reads.cmd("HMGET").arg(key(id)).arg("record").arg("last");
        }
        let stored: Vec<Stored> = self.pipeline(&reads).await?;
        let mut found = Vec::new();
        for (id, stored) in ids.into_iter().zip(&stored) {
            if let Some((record, last)) = read(stored)? {
                found.push((id, record, last));
            }
        }
        Ok(found)
    }
}

type Stored = (Option<Vec<u8>>, Option<i64>);

fn read((record, last): &Stored) -> Result<Option<(Record, Timestamp)>, StoreError> {
    let (Some(record), Some(last)) = (record, last) else { return Ok(None) };
    let instant =
        Timestamp::from_millisecond(*last).map_err(|error| StoreError::Corrupt(error.to_string()))?;
    Ok(Some((serde_json::from_slice(record)?, instant)))
}

fn key(id: &SessionId) -> String {
    format!("{PREFIX}{}", id.to_text())
}

fn index(account: &Identifiant) -> String {
    format!("octroi:sessions-of:{account}")
}
