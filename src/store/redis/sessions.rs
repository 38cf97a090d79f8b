//! Sessions: a record and a last action each, and a sorted set of each account's.
//!
//! The record is written once and removed once, by plain commands: those are what the server tells other
//! replicas of. The last action lies apart, where its changes disturb no cache; and it is moved by a
//! script, whose changes the server would tell even to the one who asked for them (`NOLOOP` or not).
//!
//! A session is there when both are. It is written before its account's index, so that a name in the index
//! without a session is that of a dead one and can go. A session that never reached the index was never
//! acknowledged: nobody holds its token.

use ::redis::Pipeline;
use async_trait::async_trait;

use super::{Redis, SCRIPTS};
use crate::domain::{Identifiant, StoreError, Timestamp};
use crate::session::{Record, SessionId, SessionStore, Sitting};
use crate::store::json::{decode, encode};

type Kept = (SessionId, Record, Timestamp);

/// Record and last action, as Redis answers them.
type Halves = (Option<Vec<u8>>, Option<Vec<u8>>);

/// How long a session is kept past its end: for a form that is still being filled in, which will be the dead
/// session's (`parking`), and lest a reader whose clock is behind miss it.
const GRACE_MS: i64 = 31 * 60_000;

#[async_trait]
impl SessionStore for Redis {
    async fn create(&self, id: &SessionId, record: &Record, at: Timestamp) -> Result<(), StoreError> {
        let left = record.ends_at.as_millisecond().saturating_sub(at.as_millisecond()).max(0);
        let keep = left.saturating_add(GRACE_MS);
        let (action, kept) = (self.layout.action(id), self.layout.session(id));
        let mut pipeline = ::redis::pipe();
        pipeline.cmd("SET").arg(action).arg(at.as_millisecond()).arg("PX").arg(keep).ignore();
        pipeline.cmd("SET").arg(kept).arg(encode(record)?).arg("PX").arg(keep).ignore();
        let () = self.change_all(&pipeline).await?;
        let index = self.layout.sessions_of(record.stage.holder().account());
        let signed_in = record.signed_in_at.as_millisecond().to_string();
        let arguments = [id.to_text(), signed_in, keep.to_string()];
        let () = self.run(&SCRIPTS.index, &index, &arguments.each_ref().map(String::as_bytes)).await?;
        let name = format!("{}:{}", record.sitting, id.to_text());
        self.change(&::redis::Cmd::zadd(self.layout.sittings(), name, 0)).await
    }

    async fn find(&self, id: &SessionId) -> Result<Option<(Record, Timestamp)>, StoreError> {
        let mut pipeline = ::redis::pipe();
        self.ask_for(id, &mut pipeline);
        session(self.query_all(&pipeline).await?)
    }

    async fn touch(&self, id: &SessionId, at: Timestamp) -> Result<bool, StoreError> {
        let at = at.as_millisecond().to_string();
        self.run(&SCRIPTS.touch, &self.layout.action(id), &[at.as_bytes()]).await
    }

    async fn remove(&self, id: &SessionId, account: &Identifiant) -> Result<bool, StoreError> {
        let mut pipeline = ::redis::pipe();
        pipeline.del(self.layout.session(id));
        pipeline.del(self.layout.action(id)).ignore();
        pipeline.zrem(self.layout.sessions_of(account), id.to_text()).ignore();
        let (removed,): (bool,) = self.change_all(&pipeline).await?;
        Ok(removed)
    }

    async fn ids_of_account(&self, account: &Identifiant) -> Result<Vec<SessionId>, StoreError> {
        let index = self.layout.sessions_of(account);
        let names: Vec<String> = self.query(&::redis::Cmd::zrange(&index, 0, -1)).await?;
        Ok(names.iter().filter_map(|name| SessionId::parse(name)).collect())
    }

    async fn of_account(&self, account: &Identifiant) -> Result<Vec<Kept>, StoreError> {
        let index = self.layout.sessions_of(account);
        let names: Vec<String> = self.query(&::redis::Cmd::zrange(&index, 0, -1)).await?;
        let (ids, mut dead): (Vec<_>, Vec<_>) =
            names.into_iter().map(|name| SessionId::parse(&name).ok_or(name)).partition(Result::is_ok);
        let ids: Vec<_> = ids.into_iter().flatten().collect();
        let mut sessions = Vec::with_capacity(ids.len());
        for (id, halves) in ids.iter().zip(self.all_halves(&ids).await?) {
            match session(halves) {
                Ok(Some((record, last))) => sessions.push((*id, record, last)),
                Ok(None) => dead.push(Err(id.to_text())),
                Err(error) => tracing::warn!(%error, session = ?id, "a session is left out of a list"),
            }
        }
        let dead: Vec<_> = dead.into_iter().filter_map(Result::err).collect();
        if !dead.is_empty() {
            // Housekeeping: what was asked is known, and the next reader tries again.
            let _ = self.change::<()>(&::redis::Cmd::zrem(&index, &dead)).await;
        }
        Ok(sessions)
    }

    async fn sittings(
        &self,
        after: Option<Sitting>,
        limit: usize,
    ) -> Result<Vec<(Sitting, SessionId)>, StoreError> {
        let start = after.map_or_else(|| "-".to_owned(), |after| format!("({after};"));
        self.named_between(&start, "+", limit).await
    }

    async fn of_sitting(&self, sitting: Sitting) -> Result<Vec<SessionId>, StoreError> {
        let (start, end) = (format!("[{sitting}:"), format!("({sitting};"));
        let named = self.named_between(&start, &end, MOST_OF_SITTING).await?;
        // The latest token's may be any of them.
        Ok(named.into_iter().map(|(_, id)| id).collect())
    }
}

/// Sessions that one sitting is asked for: each change of its stage makes one more.
const MOST_OF_SITTING: usize = 1_000;

impl Redis {
    /// Names of the register in its order, which is that of bytes: `SITTING:SESSION`; `;` comes right after `:`.
    async fn named_between(
        &self,
        start: &str,
        end: &str,
        limit: usize,
    ) -> Result<Vec<(Sitting, SessionId)>, StoreError> {
        let mut command = ::redis::cmd("ZRANGE");
        command.arg(self.layout.sittings()).arg(start).arg(end).arg("BYLEX");
        command.arg("LIMIT").arg(0).arg(limit);
        let names: Vec<String> = self.query(&command).await?;
        let parsed = names.iter().filter_map(|name| {
            let (sitting, id) = name.split_once(':')?;
            Some((sitting.parse().ok()?, SessionId::parse(id)?))
        });
        Ok(parsed.collect())
    }

    /// Strikes the sittings off the register that ended before `now`.
    pub(super) async fn sweep_sittings(&self, now: Timestamp) -> Result<usize, StoreError> {
        let limit = now.as_millisecond().saturating_sub(GRACE_MS);
        let old = Sitting::first_of(Timestamp::from_millisecond(limit).unwrap_or(Timestamp::MIN));
        let mut command = ::redis::cmd("ZREMRANGEBYLEX");
        command.arg(self.layout.sittings()).arg("-").arg(format!("({old}"));
        self.change(&command).await
    }

    async fn all_halves(&self, ids: &[SessionId]) -> Result<Vec<Halves>, StoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipeline = ::redis::pipe();
        for id in ids {
            self.ask_for(id, &mut pipeline);
        }
        let flat: Vec<Option<Vec<u8>>> = self.query_all(&pipeline).await?;
        let (pairs, _) = flat.as_chunks();
        Ok(pairs.iter().map(|[record, last]| (record.clone(), last.clone())).collect())
    }

    fn ask_for(&self, id: &SessionId, pipeline: &mut Pipeline) {
        pipeline.get(self.layout.session(id)).get(self.layout.action(id));
    }
}

fn session((record, last): Halves) -> Result<Option<(Record, Timestamp)>, StoreError> {
    // One half alone is a session that is being removed.
    let (Some(record), Some(last)) = (record, last) else { return Ok(None) };
    let last = std::str::from_utf8(&last)
        .ok()
        .and_then(|last| last.parse().ok())
        .and_then(|last| Timestamp::from_millisecond(last).ok())
        .ok_or_else(|| StoreError::Corrupt("a session's last action is no instant".to_owned()))?;
    Ok(Some((decode("a session", &record)?, last)))
}
