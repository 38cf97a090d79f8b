//! Signing keys: a list, the oldest first.

use std::sync::LazyLock;

use async_trait::async_trait;
use redis::{Script, cmd};

use super::Redis;
use crate::domain::StoreError;
use crate::entry::{SigningKeyStore, StoredKey};

const KEY: &str = "octroi:signing-keys";

/// The key, how many are expected, how many are kept: all that are there afterwards.
static ADD: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
        if redis.call('LLEN', KEYS[1]) == tonumber(ARGV[2]) then
            redis.call('RPUSH', KEYS[1], ARGV[1])
            redis.call('LTRIM', KEYS[1], -tonumber(ARGV[3]), -1)
        end
        return redis.call('LRANGE', KEYS[1], 0, -1)
        ",
    )
});

#[async_trait]
impl SigningKeyStore for Redis {
    async fn keys(&self) -> Result<Vec<StoredKey>, StoreError> {
        read(&self.command::<Vec<Vec<u8>>>(cmd("LRANGE").arg(KEY).arg(0).arg(-1)).await?)
    }

    async fn add_key(
        &self,
        key: &StoredKey,
        expected: usize,
        keep: usize,
    ) -> Result<Vec<StoredKey>, StoreError> {
        let mut add = ADD.key(KEY);
        add.arg(serde_json::to_vec(key)?).arg(expected).arg(keep);
        read(&self.script::<Vec<Vec<u8>>>(&add).await?)
    }
}

fn read(stored: &[Vec<u8>]) -> Result<Vec<StoredKey>, StoreError> {
    stored.iter().map(|json| Ok(serde_json::from_slice(json)?)).collect()
}
