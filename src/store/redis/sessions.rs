//! Sessions: a hash each, and a sorted set of each account's.
//!
//! The session is written before its account's index, so that a name in the index without a session is
//! that of a dead one and can go. A session that never reached the index was never acknowledged: nobody
//! holds its token.

use async_trait::async_trait;

use super::{Redis, SCRIPTS};
use crate::domain::{Identifiant, StoreError, Timestamp};
use crate::session::{Record, SessionId, SessionStore};
use crate::store::json::{decode, encode};

type Kept = (SessionId, Record, Timestamp);

/// The two fields of a session, as Redis answers them.
type Fields = (Option<Vec<u8>>, Option<Vec<u8>>);

/// How long a session is kept past its end, lest a reader whose clock is behind miss it.
const GRACE_MS: i64 = 60_000;

#[async_trait]
impl SessionStore for Redis {
    async fn create(&self, id: &SessionId, record: &Record, at: Timestamp) -> Result<(), StoreError> {
        let left = record.ends_at.as_millisecond().saturating_sub(at.as_millisecond()).max(0);
        let keep = left.saturating_add(GRACE_MS).to_string();
        let (json, last) = (encode(record)?, at.as_millisecond().to_string());
        let () = self
            .run(&SCRIPTS.open, &self.layout.session(id), &[&json, last.as_bytes(), keep.as_bytes()])
            .await?;
        let index = self.layout.sessions_of(record.stage.holder().account());
        let (name, signed_in) = (id.to_text(), record.signed_in_at.as_millisecond().to_string());
        self.run(&SCRIPTS.index, &index, &[name.as_bytes(), signed_in.as_bytes(), keep.as_bytes()]).await
    }

    async fn find(&self, id: &SessionId) -> Result<Option<(Record, Timestamp)>, StoreError> {
        let mut command = ::redis::cmd("HMGET");
        command.arg(self.layout.session(id)).arg(&["record", "last"]);
        let fields: Fields = self.query(&command).await?;
        session(fields)
    }

    async fn touch(&self, id: &SessionId, at: Timestamp) -> Result<bool, StoreError> {
        let at = at.as_millisecond().to_string();
        self.run(&SCRIPTS.touch, &self.layout.session(id), &[at.as_bytes()]).await
    }

    async fn remove(&self, id: &SessionId, account: &Identifiant) -> Result<bool, StoreError> {
        let mut command = ::redis::cmd("DEL");
        command.arg(self.layout.session(id));
        let removed: bool = self.change(&command).await?;
        // The session is gone, which is what was asked; a name left in the index goes when it is read.
        let _ = self.drop_from_index(account, &[id.to_text()]).await;
        Ok(removed)
    }

    async fn of_account(&self, account: &Identifiant) -> Result<Vec<Kept>, StoreError> {
        let mut command = ::redis::cmd("ZRANGE");
        command.arg(self.layout.sessions_of(account)).arg(0).arg(-1);
        let names: Vec<String> = self.query(&command).await?;
        let (mut sessions, mut dead) = (Vec::new(), Vec::new());
        for (name, fields) in names.iter().zip(self.all_fields(&names).await?) {
            match (SessionId::parse(name), session(fields)?) {
                (Some(id), Some((record, last))) => sessions.push((id, record, last)),
                _ => dead.push(name.clone()),
            }
        }
        // Housekeeping: what was asked is known, and the next reader tries again.
        let _ = self.drop_from_index(account, &dead).await;
        Ok(sessions)
    }
}

impl Redis {
    async fn all_fields(&self, names: &[String]) -> Result<Vec<Fields>, StoreError> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipeline = ::redis::pipe();
        for name in names {
            pipeline.cmd("HMGET").arg(self.layout.sessions() + name).arg(&["record", "last"]);
        }
        let pipeline = &pipeline;
        self.link.twice(|mut line| async move { pipeline.query_async(&mut line).await }).await
    }

    async fn drop_from_index(&self, account: &Identifiant, names: &[String]) -> Result<(), StoreError> {
        if names.is_empty() {
            return Ok(());
        }
        let mut command = ::redis::cmd("ZREM");
        command.arg(self.layout.sessions_of(account)).arg(names);
        self.change(&command).await
    }
}

fn session(fields: Fields) -> Result<Option<(Record, Timestamp)>, StoreError> {
    let (record, last) = match fields {
        (None, None) => return Ok(None),
        (Some(record), Some(last)) => (record, last),
        _ => return Err(StoreError::Corrupt("a session lacks a field".to_owned())),
    };
    let last = std::str::from_utf8(&last).ok().and_then(|last| last.parse().ok());
    let last = last
        .and_then(|last| Timestamp::from_millisecond(last).ok())
        .ok_or_else(|| StoreError::Corrupt("a session's last action is no instant".to_owned()))?;
    Ok(Some((decode("a session", &record)?, last)))
}
