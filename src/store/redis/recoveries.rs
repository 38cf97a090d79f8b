//! Recoveries of forgotten passwords: a string each, which goes when it expires.

use async_trait::async_trait;

use super::Redis;
use crate::account::{Recovery, RecoveryStore};
use crate::domain::{StoreError, Timestamp, TokenHash};
use crate::store::json::{decode, encode};

#[async_trait]
impl RecoveryStore for Redis {
    async fn keep(&self, id: &TokenHash, recovery: &Recovery, at: Timestamp) -> Result<(), StoreError> {
        let left = recovery.expires_at.as_millisecond().saturating_sub(at.as_millisecond()).max(1);
        let mut command = ::redis::cmd("SET");
        command.arg(self.layout.recovery(id)).arg(encode(recovery)?).arg("PX").arg(left);
        self.change(&command).await
    }

    async fn look_at(&self, id: &TokenHash) -> Result<Option<Recovery>, StoreError> {
        read(self.query(&::redis::Cmd::get(self.layout.recovery(id))).await?)
    }

    async fn take(&self, id: &TokenHash) -> Result<Option<Recovery>, StoreError> {
        read(self.change(&::redis::Cmd::get_del(self.layout.recovery(id))).await?)
    }
}

fn read(stored: Option<Vec<u8>>) -> Result<Option<Recovery>, StoreError> {
    stored.map(|json| decode("a recovery", &json)).transpose()
}
