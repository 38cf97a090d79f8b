//! Signing keys, in the order in which they came.

use async_trait::async_trait;
use redb::{ReadableTable, ReadableTableMetadata as _, TableDefinition, WriteTransaction};

use super::{Embedded, Failure};
use crate::domain::StoreError;
use crate::entry::{SigningKeyStore, StoredKey};
use crate::store::json::{decode, encode};

const KEYS: TableDefinition<u64, &[u8]> = TableDefinition::new("signing-keys");

pub(super) fn make_table(transaction: &WriteTransaction) -> Result<(), Failure> {
    transaction.open_table(KEYS)?;
    Ok(())
}

#[async_trait]
impl SigningKeyStore for Embedded {
    async fn keys(&self) -> Result<Vec<StoredKey>, StoreError> {
        self.read(|snapshot| all(&snapshot.open_table(KEYS)?)).await
    }

    async fn add_key(
        &self,
        key: &StoredKey,
        expected: usize,
        keep: usize,
    ) -> Result<Vec<StoredKey>, StoreError> {
        let json = encode(key)?;
        self.write(move |transaction| {
            let mut table = transaction.open_table(KEYS)?;
            let kept = all(&table)?;
            if kept.len() == expected {
                let rank = table.last()?.map_or(0, |(rank, _)| rank.value().saturating_add(1));
                table.insert(rank, json.as_slice())?;
                while table.len()? > keep.max(1) as u64 {
                    table.pop_first()?;
                }
            }
            all(&table)
        })
        .await
    }
}

fn all(table: &impl ReadableTable<u64, &'static [u8]>) -> Result<Vec<StoredKey>, Failure> {
    table.iter()?.map(|row| Ok(decode("a signing key", row?.1.value())?)).collect()
}
