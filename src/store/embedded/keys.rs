//! Signing keys, in the order they were made.

use async_trait::async_trait;
use redb::{Durability, ReadableTable, TableDefinition, WriteTransaction};

use super::{Embedded, broken};
use crate::domain::StoreError;
use crate::entry::{SigningKeyStore, StoredKey};

const KEYS: TableDefinition<u64, &[u8]> = TableDefinition::new("signing-keys");

pub(super) fn create(transaction: &WriteTransaction) -> Result<(), StoreError> {
    transaction.open_table(KEYS).map(drop).map_err(broken)
}

#[async_trait]
impl SigningKeyStore for Embedded {
    async fn keys(&self) -> Result<Vec<StoredKey>, StoreError> {
        self.read(|transaction| all(&transaction.open_table(KEYS).map_err(broken)?)).await
    }

    async fn add_key(
        &self,
        key: &StoredKey,
        expected: usize,
        keep: usize,
    ) -> Result<Vec<StoredKey>, StoreError> {
        let key = key.clone();
        self.write(Durability::Immediate, move |transaction| {
            let mut keys = transaction.open_table(KEYS).map_err(broken)?;
            let mut stored = all(&keys)?;
            if stored.len() != expected {
                return Ok(stored);
            }
            stored.push(key.clone());
            stored.drain(..stored.len().saturating_sub(keep));
            keys.retain(|_, _| false).map_err(broken)?;
            for (place, key) in (0_u64..).zip(&stored) {
                keys.insert(place, serde_json::to_vec(key)?.as_slice()).map_err(broken)?;
            }
            Ok(stored)
        })
        .await
    }
}

fn all(keys: &impl ReadableTable<u64, &'static [u8]>) -> Result<Vec<StoredKey>, StoreError> {
    let stored = keys.iter().map_err(broken)?;
    stored.map(|stored| Ok(serde_json::from_slice(stored.map_err(broken)?.1.value())?)).collect()
}
