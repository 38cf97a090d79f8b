//! Parked forms.

use async_trait::async_trait;
use redb::{TableDefinition, WriteTransaction};

use super::{Embedded, Failure};
use crate::domain::{StoreError, Timestamp, TokenHash};
use crate::parking::ParkingStore;

/// The instant until which it is kept, in milliseconds since 1970, and the sealed bytes.
const PARKED: TableDefinition<&str, (i64, &[u8])> = TableDefinition::new("parked");

pub(super) fn make_table(transaction: &WriteTransaction) -> Result<(), Failure> {
    transaction.open_table(PARKED)?;
    Ok(())
}

#[async_trait]
impl ParkingStore for Embedded {
    async fn park(
        &self,
        id: &TokenHash,
        sealed: &[u8],
        _: Timestamp,
        until: Timestamp,
    ) -> Result<(), StoreError> {
        let (id, sealed, until) = (id.to_text(), sealed.to_vec(), until.as_millisecond());
        self.write(move |transaction| {
            transaction.open_table(PARKED)?.insert(id.as_str(), (until, sealed.as_slice()))?;
            Ok(())
        })
        .await
    }

    async fn parked(&self, id: &TokenHash) -> Result<Option<Vec<u8>>, StoreError> {
        let id = id.to_text();
        self.read(move |snapshot| {
            let kept = snapshot.open_table(PARKED)?.get(id.as_str())?;
            Ok(kept.map(|row| row.value().1.to_vec()))
        })
        .await
    }

    async fn unpark(&self, id: &TokenHash) -> Result<Option<Vec<u8>>, StoreError> {
        let id = id.to_text();
        self.write(move |transaction| {
            let mut table = transaction.open_table(PARKED)?;
            let taken = table.remove(id.as_str())?;
            Ok(taken.map(|row| row.value().1.to_vec()))
        })
        .await
    }
}

impl Embedded {
    /// Removes the forms that nobody sent before `now`.
    pub(super) async fn sweep_parked(&self, now: Timestamp) -> Result<usize, StoreError> {
        let now = now.as_millisecond();
        self.write(move |transaction| {
            let mut table = transaction.open_table(PARKED)?;
            let mut swept = 0;
            table.retain(|_, (until, _)| {
                swept += usize::from(until <= now);
                now < until
            })?;
            Ok(swept)
        })
        .await
    }
}
