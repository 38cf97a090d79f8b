//! Sessions: the record, and apart from it the last action, which changes often.

use async_trait::async_trait;
use redb::{Durability, ReadableTable as _, TableDefinition, WriteTransaction};

use super::{Embedded, broken};
use crate::domain::{Identifiant, StoreError, Timestamp};
use crate::session::{Record, SessionId, SessionStore};

type Id = [u8; 32];

const SESSIONS: TableDefinition<&Id, &[u8]> = TableDefinition::new("sessions");
const LAST_ACTIONS: TableDefinition<&Id, i64> = TableDefinition::new("last-actions");
/// Account, instant of signing in, id: in this order, an account's sessions are found the oldest first.
const OF_ACCOUNT: TableDefinition<(&str, i64, &Id), ()> = TableDefinition::new("sessions-of");

pub(super) fn create(transaction: &WriteTransaction) -> Result<(), StoreError> {
    transaction.open_table(SESSIONS).map_err(broken)?;
    transaction.open_table(LAST_ACTIONS).map_err(broken)?;
    transaction.open_table(OF_ACCOUNT).map(drop).map_err(broken)
}

#[async_trait]
impl SessionStore for Embedded {
    async fn create(&self, id: &SessionId, record: &Record, at: Timestamp) -> Result<(), StoreError> {
        let (id, record) = (*id, record.clone());
        self.write(Durability::Immediate, move |transaction| {
            let id = id.as_bytes();
            let json = serde_json::to_vec(&record)?;
            let account = record.stage.holder().account().as_str();
            let place = (account, record.signed_in_at.as_millisecond(), id);
            transaction.open_table(SESSIONS).map_err(broken)?.insert(id, json.as_slice()).map_err(broken)?;
            transaction
                .open_table(LAST_ACTIONS)
                .map_err(broken)?
                .insert(id, at.as_millisecond())
                .map_err(broken)?;
            transaction.open_table(OF_ACCOUNT).map_err(broken)?.insert(place, ()).map_err(broken)?;
            Ok(())
        })
        .await
    }

    async fn find(&self, id: &SessionId) -> Result<Option<(Record, Timestamp)>, StoreError> {
        let id = *id;
        self.read(move |transaction| {
            let sessions = transaction.open_table(SESSIONS).map_err(broken)?;
            let last_actions = transaction.open_table(LAST_ACTIONS).map_err(broken)?;
            let Some(json) = sessions.get(id.as_bytes()).map_err(broken)? else { return Ok(None) };
            let record = serde_json::from_slice(json.value())?;
            let last = last_actions.get(id.as_bytes()).map_err(broken)?.map_or(0, |last| last.value());
            Ok(Some((record, instant(last)?)))
        })
        .await
    }

    async fn touch(&self, id: &SessionId, at: Timestamp) -> Result<bool, StoreError> {
        let id = *id;
        self.write(Durability::None, move |transaction| {
            let mut last_actions = transaction.open_table(LAST_ACTIONS).map_err(broken)?;
            let last = last_actions.get(id.as_bytes()).map_err(broken)?.map(|last| last.value());
            let Some(last) = last else { return Ok(false) };
            if last < at.as_millisecond() {
                last_actions.insert(id.as_bytes(), at.as_millisecond()).map_err(broken)?;
            }
            Ok(true)
        })
        .await
    }

    async fn remove(&self, id: &SessionId, _: &Identifiant) -> Result<bool, StoreError> {
        let id = *id;
        self.write(Durability::Immediate, move |transaction| remove(transaction, id.as_bytes())).await
    }

    async fn of_account(
        &self,
        account: &Identifiant,
    ) -> Result<Vec<(SessionId, Record, Timestamp)>, StoreError> {
        let account = account.clone();
        self.read(move |transaction| {
            let index = transaction.open_table(OF_ACCOUNT).map_err(broken)?;
            let sessions = transaction.open_table(SESSIONS).map_err(broken)?;
            let last_actions = transaction.open_table(LAST_ACTIONS).map_err(broken)?;
            let name = account.as_str();
            let own = (name, i64::MIN, &[0; 32])..=(name, i64::MAX, &[u8::MAX; 32]);
            let mut found = Vec::new();
            for place in index.range(own).map_err(broken)? {
                let (place, ()) = place.map(|(place, unit)| (place, unit.value())).map_err(broken)?;
                let id = place.value().2;
                let Some(json) = sessions.get(id).map_err(broken)? else { continue };
                let last = last_actions.get(id).map_err(broken)?.map_or(0, |last| last.value());
                let record = serde_json::from_slice(json.value())?;
                found.push((SessionId::from_bytes(*id), record, instant(last)?));
            }
            Ok(found)
        })
        .await
    }
}

impl Embedded {
    /// Removes the sessions that ended before `now`, and counts that are forgotten.
    pub async fn sweep(&self, now: Timestamp) -> Result<(), StoreError> {
        self.write(Durability::Immediate, move |transaction| {
            let mut over = Vec::new();
            for stored in transaction.open_table(SESSIONS).map_err(broken)?.iter().map_err(broken)? {
                let (id, json) = stored.map_err(broken)?;
                let record: Record = serde_json::from_slice(json.value())?;
                if record.ends_at <= now {
                    over.push(*id.value());
                }
            }
            for id in over {
                remove(transaction, &id)?;
            }
            super::counters::sweep(transaction, now)
        })
        .await
    }
}

fn remove(transaction: &WriteTransaction, id: &Id) -> Result<bool, StoreError> {
    let mut sessions = transaction.open_table(SESSIONS).map_err(broken)?;
    let removed = sessions.remove(id).map_err(broken)?.map(|json| json.value().to_vec());
    let Some(json) = removed else { return Ok(false) };
    let record: Record = serde_json::from_slice(&json)?;
    let place = (record.stage.holder().account().as_str(), record.signed_in_at.as_millisecond(), id);
    transaction.open_table(LAST_ACTIONS).map_err(broken)?.remove(id).map_err(broken)?;
    transaction.open_table(OF_ACCOUNT).map_err(broken)?.remove(place).map_err(broken)?;
    Ok(true)
}

fn instant(ms: i64) -> Result<Timestamp, StoreError> {
    Timestamp::from_millisecond(ms).map_err(|error| StoreError::Corrupt(error.to_string()))
}
