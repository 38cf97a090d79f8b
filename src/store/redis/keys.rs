//! Signing keys: one list, the oldest first.

use async_trait::async_trait;

use super::{Redis, SCRIPTS};
use crate::domain::StoreError;
use crate::entry::{SigningKeyStore, StoredKey};
use crate::store::json::{decode, encode};

#[async_trait]
impl SigningKeyStore for Redis {
    async fn keys(&self) -> Result<Vec<StoredKey>, StoreError> {
        let mut command = ::redis::cmd("LRANGE");
        command.arg(self.layout.signing_keys()).arg(0).arg(-1);
        let stored: Vec<Vec<u8>> = self.query(&command).await?;
        read(&stored)
    }

    async fn add_key(
        &self,
        key: &StoredKey,
        expected: usize,
        keep: usize,
    ) -> Result<Vec<StoredKey>, StoreError> {
        let (expected, keep) = (expected.to_string(), keep.max(1).to_string());
        let arguments = [&encode(key)?, expected.as_bytes(), keep.as_bytes()];
        let stored: Vec<Vec<u8>> =
            self.run(&SCRIPTS.add_key, &self.layout.signing_keys(), &arguments).await?;
        read(&stored)
    }
}

fn read(stored: &[Vec<u8>]) -> Result<Vec<StoredKey>, StoreError> {
    stored.iter().map(|json| decode("a signing key", json)).collect()
}
