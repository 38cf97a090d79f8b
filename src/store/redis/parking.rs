//! Parked forms: a string each, which goes when it expires.

use async_trait::async_trait;

use super::Redis;
use crate::domain::{StoreError, Timestamp, TokenHash};
use crate::parking::ParkingStore;

#[async_trait]
impl ParkingStore for Redis {
    async fn park(
        &self,
        id: &TokenHash,
        sealed: &[u8],
        at: Timestamp,
        until: Timestamp,
    ) -> Result<(), StoreError> {
        let left = until.as_millisecond().saturating_sub(at.as_millisecond()).max(1);
        let mut command = ::redis::cmd("SET");
        command.arg(self.layout.parked(id)).arg(sealed).arg("PX").arg(left);
        self.change(&command).await
    }

    async fn parked(&self, id: &TokenHash) -> Result<Option<Vec<u8>>, StoreError> {
        self.query(&::redis::Cmd::get(self.layout.parked(id))).await
    }

    async fn unpark(&self, id: &TokenHash) -> Result<Option<Vec<u8>>, StoreError> {
        self.change(&::redis::Cmd::get_del(self.layout.parked(id))).await
    }
}
