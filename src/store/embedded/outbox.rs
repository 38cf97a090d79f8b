//! Letters that wait: each errand's JSON, with the instant at which it is due.

use async_trait::async_trait;
use redb::{ReadableTable, ReadableTableMetadata as _, TableDefinition, WriteTransaction};

use super::{Embedded, Failure};
use crate::domain::{StoreError, Timestamp};
use crate::outbox::{Claim, Errand, MOST, Outbox, Posted};
use crate::store::json::{decode, encode};

/// Errand to milliseconds since 1970. A claim moves that instant to its own end, by which it is known again.
const OUTBOX: TableDefinition<&[u8], i64> = TableDefinition::new("outbox");

/// One process owns the file: whoever held an errand when it is opened is gone, and all are due.
pub(super) fn make_table(transaction: &WriteTransaction) -> Result<(), Failure> {
    let mut table = transaction.open_table(OUTBOX)?;
    let waiting: Vec<Vec<u8>> =
        table.iter()?.map(|row| row.map(|(json, _)| json.value().to_vec())).collect::<Result<_, _>>()?;
    for json in waiting {
        table.insert(json.as_slice(), 0)?;
    }
    Ok(())
}

#[async_trait]
impl Outbox for Embedded {
    async fn post(&self, errand: &Errand, due: Timestamp) -> Result<Posted, StoreError> {
        let (json, due) = (encode(errand)?, due.as_millisecond());
        self.write(move |transaction| {
            let mut table = transaction.open_table(OUTBOX)?;
            if table.get(json.as_slice())?.is_some() {
                return Ok(Posted::Waiting);
            }
            if table.len()? >= MOST as u64 {
                return Ok(Posted::Full);
            }
            table.insert(json.as_slice(), due)?;
            Ok(Posted::Waiting)
        })
        .await
    }

    async fn claim(&self, now: Timestamp, until: Timestamp) -> Result<Option<Claim>, StoreError> {
        let (now, until) = (now.as_millisecond(), until.as_millisecond());
        // Mostly nothing waits, and looking must not cost a write to the disk.
        let waits = self.read(move |snapshot| first_due(&snapshot.open_table(OUTBOX)?, now)).await?;
        if waits.is_none() {
            return Ok(None);
        }
        let claimed = self.write(move |transaction| {
            let mut table = transaction.open_table(OUTBOX)?;
            let due = first_due(&table, now)?;
            if let Some(json) = &due {
                table.insert(json.as_slice(), until)?;
            }
            Ok(due)
        });
        let Some(json) = claimed.await? else { return Ok(None) };
        let held_until = Timestamp::from_millisecond(until).unwrap_or(Timestamp::MAX);
        Ok(Some(Claim { errand: decode("an errand", &json)?, held_until }))
    }

    async fn put_off(&self, claim: &Claim, due: Timestamp) -> Result<bool, StoreError> {
        self.settle(claim, Some(due.as_millisecond())).await
    }

    async fn strike(&self, claim: &Claim) -> Result<bool, StoreError> {
        self.settle(claim, None).await
    }
}

impl Embedded {
    async fn settle(&self, claim: &Claim, due: Option<i64>) -> Result<bool, StoreError> {
        let (json, held) = (encode(&claim.errand)?, claim.held_until.as_millisecond());
        self.write(move |transaction| {
            let mut table = transaction.open_table(OUTBOX)?;
            if table.get(json.as_slice())?.is_none_or(|own| own.value() != held) {
                return Ok(false);
            }
            match due {
                Some(due) => table.insert(json.as_slice(), due)?,
                None => table.remove(json.as_slice())?,
            };
            Ok(true)
        })
        .await
    }
}

/// The errand that has been due the longest.
fn first_due(table: &impl ReadableTable<&'static [u8], i64>, now: i64) -> Result<Option<Vec<u8>>, Failure> {
    let mut first: Option<(i64, Vec<u8>)> = None;
    for row in table.iter()? {
        let (json, due) = row?;
        let due = due.value();
        if due <= now && first.as_ref().is_none_or(|(earliest, _)| due < *earliest) {
            first = Some((due, json.value().to_vec()));
        }
    }
    Ok(first.map(|(_, json)| json))
}
