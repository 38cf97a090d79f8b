//! Sessions by their name, and an index of each account's.

use std::ops::Bound;

use async_trait::async_trait;
use redb::{ReadTransaction, ReadableTable as _, Table, TableDefinition, WriteTransaction};

use super::{Embedded, Failure};
use crate::domain::{Identifiant, StoreError, Timestamp};
use crate::session::{Record, SessionId, SessionStore, Sitting};
use crate::store::json::{decode, encode};

/// Name to last action, end, the index's instant and rank, and record; instants in milliseconds since 1970.
const SESSIONS: TableDefinition<&str, (i64, i64, i64, u64, &[u8])> = TableDefinition::new("sessions");

/// Account, instant of signing in, and rank among those of the same instant, to the session's name.
const INDEX: TableDefinition<(&str, i64, u64), &str> = TableDefinition::new("sessions-of");

/// A sitting's public name to the name of the session it is at. Swept by time alone: names whose session is gone
/// lead nowhere.
const SITTINGS: TableDefinition<&str, &str> = TableDefinition::new("sittings");

type Index<'t> = Table<'t, (&'static str, i64, u64), &'static str>;
type Kept = (SessionId, Record, Timestamp);

/// How long a session is kept past its end: for a form that is still being filled in, which will be the dead
/// session's (`parking`), and lest a reader whose clock is behind miss it.
const GRACE_MS: i64 = 31 * 60_000;

pub(super) fn make_tables(transaction: &WriteTransaction) -> Result<(), Failure> {
    transaction.open_table(SESSIONS)?;
    transaction.open_table(INDEX)?;
    transaction.open_table(SITTINGS)?;
    Ok(())
}

#[async_trait]
impl SessionStore for Embedded {
    async fn create(&self, id: &SessionId, record: &Record, at: Timestamp) -> Result<(), StoreError> {
        let (id, record, json) = (id.to_text(), record.clone(), encode(record)?);
        self.write(move |transaction| {
            let account = record.stage.holder().account().as_str();
            let signed_in = record.signed_in_at.as_millisecond();
            let mut index = transaction.open_table(INDEX)?;
            let rank = next_rank(&index, account, signed_in)?;
            index.insert((account, signed_in, rank), id.as_str())?;
            let row =
                (at.as_millisecond(), record.ends_at.as_millisecond(), signed_in, rank, json.as_slice());
            transaction.open_table(SESSIONS)?.insert(id.as_str(), row)?;
            transaction.open_table(SITTINGS)?.insert(record.sitting.to_string().as_str(), id.as_str())?;
            Ok(())
        })
        .await
    }

    async fn find(&self, id: &SessionId) -> Result<Option<(Record, Timestamp)>, StoreError> {
        let id = *id;
        self.read(move |snapshot| Ok(kept(snapshot, id)?.map(|(_, record, last)| (record, last)))).await
    }

    async fn touch(&self, id: &SessionId, at: Timestamp) -> Result<bool, StoreError> {
        let (id, at) = (id.to_text(), at.as_millisecond());
        self.write(move |transaction| {
            let mut table = transaction.open_table(SESSIONS)?;
            let Some(stored) = table.get(id.as_str())? else { return Ok(false) };
            let (last, ends, signed_in, rank, json) = stored.value();
            if at > last {
                let json = json.to_vec();
                drop(stored);
                table.insert(id.as_str(), (at, ends, signed_in, rank, json.as_slice()))?;
            }
            Ok(true)
        })
        .await
    }

    async fn remove(&self, id: &SessionId, account: &Identifiant) -> Result<bool, StoreError> {
        let (id, account) = (id.to_text(), account.clone());
        self.write(move |transaction| remove(transaction, &id, account.as_str())).await
    }

    async fn ids_of_account(&self, account: &Identifiant) -> Result<Vec<SessionId>, StoreError> {
        let account = account.clone();
        self.read(move |snapshot| ids(snapshot, account.as_str())).await
    }

    async fn of_account(&self, account: &Identifiant) -> Result<Vec<Kept>, StoreError> {
        let account = account.clone();
        self.read(move |snapshot| {
            let mut sessions = Vec::new();
            for id in ids(snapshot, account.as_str())? {
                match kept(snapshot, id) {
                    Ok(kept) => sessions.extend(kept),
                    Err(Failure::Record(error)) => {
                        tracing::warn!(%error, session = ?id, "a session is left out of a list");
                    }
                    Err(error) => return Err(error),
                }
            }
            Ok(sessions)
        })
        .await
    }

    async fn sittings(
        &self,
        after: Option<Sitting>,
        limit: usize,
    ) -> Result<Vec<(Sitting, SessionId)>, StoreError> {
        let after = after.map(String::from);
        self.read(move |snapshot| {
            let start = after.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
            let table = snapshot.open_table(SITTINGS)?;
            let rows = table.range::<&str>((start, Bound::Unbounded))?.take(limit);
            let named = rows.map(|row| {
                let (sitting, id) = row?;
                Ok(sitting.value().parse().ok().zip(SessionId::parse(id.value())))
            });
            named.filter_map(Result::transpose).collect()
        })
        .await
    }

    async fn of_sitting(&self, sitting: Sitting) -> Result<Vec<SessionId>, StoreError> {
        self.read(move |snapshot| {
            let id = snapshot.open_table(SITTINGS)?.get(sitting.to_string().as_str())?;
            Ok(id.and_then(|id| SessionId::parse(id.value())).into_iter().collect())
        })
        .await
    }
}

impl Embedded {
    /// Removes the sessions that ended before `now`.
    pub(super) async fn sweep_sessions(&self, now: Timestamp) -> Result<usize, StoreError> {
        let limit = now.as_millisecond().saturating_sub(GRACE_MS);
        let cutoff = Timestamp::from_millisecond(limit).unwrap_or(Timestamp::MIN);
        let ended = self.read(move |snapshot| ended(snapshot, limit)).await?;
        if ended.is_empty() {
            return Ok(0);
        }
        self.write(move |transaction| {
            let mut removed = 0;
            let old = Sitting::first_of(cutoff).to_string();
            transaction.open_table(SITTINGS)?.retain_in(..old.as_str(), |_, _| false)?;
            for (account, id) in &ended {
                removed += usize::from(remove(transaction, id, account)?);
            }
            Ok(removed)
        })
        .await
    }
}

/// Sessions of the same instant keep the order in which they came.
fn next_rank(index: &Index<'_>, account: &str, signed_in: i64) -> Result<u64, Failure> {
    let same = (account, signed_in, 0)..=(account, signed_in, u64::MAX);
    let last = index.range(same)?.next_back().transpose()?;
    Ok(last.map_or(0, |(key, _)| key.value().2.saturating_add(1)))
}

fn remove(transaction: &WriteTransaction, id: &str, account: &str) -> Result<bool, Failure> {
    let mut table = transaction.open_table(SESSIONS)?;
    let Some(removed) = table.remove(id)? else { return Ok(false) };
    let (_, _, signed_in, rank, _) = removed.value();
    transaction.open_table(INDEX)?.remove((account, signed_in, rank))?;
    Ok(true)
}

fn kept(snapshot: &ReadTransaction, id: SessionId) -> Result<Option<Kept>, Failure> {
    let Some(stored) = snapshot.open_table(SESSIONS)?.get(id.to_text().as_str())? else { return Ok(None) };
    let (last, _, _, _, json) = stored.value();
    let last = Timestamp::from_millisecond(last)
        .map_err(|_| StoreError::Corrupt("a session's last action is no instant".to_owned()))?;
    Ok(Some((id, decode("a session", json)?, last)))
}

fn ids(snapshot: &ReadTransaction, account: &str) -> Result<Vec<SessionId>, Failure> {
    let index = snapshot.open_table(INDEX)?;
    let all = (account, i64::MIN, 0)..=(account, i64::MAX, u64::MAX);
    // What is no name leads to no session.
    index
        .range(all)?
        .filter_map(|row| row.map(|row| SessionId::parse(row.1.value())).transpose())
        .map(|id| Ok(id?))
        .collect()
}

/// Account and name of the sessions that ended at `limit` or before.
fn ended(snapshot: &ReadTransaction, limit: i64) -> Result<Vec<(String, String)>, Failure> {
    let sessions = snapshot.open_table(SESSIONS)?;
    let mut ended = Vec::new();
    for row in snapshot.open_table(INDEX)?.iter()? {
        let (key, id) = row?;
        if sessions.get(id.value())?.is_some_and(|stored| stored.value().1 <= limit) {
            ended.push((key.value().0.to_owned(), id.value().to_owned()));
        }
    }
    Ok(ended)
}
