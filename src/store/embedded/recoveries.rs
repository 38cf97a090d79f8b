//! Recoveries of forgotten passwords.

use async_trait::async_trait;
use redb::{TableDefinition, WriteTransaction};

use super::{Embedded, Failure};
use crate::account::{Recovery, RecoveryStore};
use crate::domain::{StoreError, Timestamp, TokenHash};
use crate::store::json::{decode, encode};

/// The instant at which it expires, in milliseconds since 1970, and the record.
const RECOVERIES: TableDefinition<&str, (i64, &[u8])> = TableDefinition::new("recoveries");

pub(super) fn make_table(transaction: &WriteTransaction) -> Result<(), Failure> {
    transaction.open_table(RECOVERIES)?;
    Ok(())
}

#[async_trait]
impl RecoveryStore for Embedded {
    async fn keep(&self, id: &TokenHash, recovery: &Recovery, _: Timestamp) -> Result<(), StoreError> {
        let (id, json) = (id.to_text(), encode(recovery)?);
        let expires = recovery.expires_at.as_millisecond();
        self.write(move |transaction| {
            transaction.open_table(RECOVERIES)?.insert(id.as_str(), (expires, json.as_slice()))?;
            Ok(())
        })
        .await
    }

    async fn look_at(&self, id: &TokenHash) -> Result<Option<Recovery>, StoreError> {
        let id = id.to_text();
        self.read(move |snapshot| {
            let stored = snapshot.open_table(RECOVERIES)?.get(id.as_str())?;
            Ok(stored.map(|row| decode("a recovery", row.value().1)).transpose()?)
        })
        .await
    }

    async fn take(&self, id: &TokenHash) -> Result<Option<Recovery>, StoreError> {
        let id = id.to_text();
        self.write(move |transaction| {
            let mut table = transaction.open_table(RECOVERIES)?;
            let taken = table.remove(id.as_str())?;
            Ok(taken.map(|row| decode("a recovery", row.value().1)).transpose()?)
        })
        .await
    }
}

impl Embedded {
    /// Removes the recoveries that expired before `now`.
    pub(super) async fn sweep_recoveries(&self, now: Timestamp) -> Result<usize, StoreError> {
        let now = now.as_millisecond();
        self.write(move |transaction| {
            let mut table = transaction.open_table(RECOVERIES)?;
            let mut swept = 0;
            table.retain(|_, (expires, _)| {
                swept += usize::from(expires <= now);
                now < expires
            })?;
            Ok(swept)
        })
        .await
    }
}
