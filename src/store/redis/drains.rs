//! What is out of service: one set.

use async_trait::async_trait;

use super::Redis;
use crate::domain::StoreError;
use crate::drains::{DrainStore, Drained};

#[async_trait]
impl DrainStore for Redis {
    async fn drained(&self) -> Result<Vec<Drained>, StoreError> {
        let members: Vec<String> = self.query(::redis::cmd("SMEMBERS").arg(self.layout.drained())).await?;
        members.iter().map(|member| member.parse()).collect()
    }

    async fn set_drained(&self, what: &Drained, drains: bool) -> Result<(), StoreError> {
        let mut command = ::redis::cmd(if drains { "SADD" } else { "SREM" });
        let _changed: usize = self.query(command.arg(self.layout.drained()).arg(what.to_string())).await?;
        Ok(())
    }
}
