//! Letters that wait: one sorted set, each errand's JSON under the instant at which it is due.
//!
//! A claim moves that instant to its own end, by which it is known again: a later claim ends later.

use async_trait::async_trait;

use super::{Redis, SCRIPTS};
use crate::domain::{StoreError, Timestamp};
use crate::outbox::{Claim, Errand, MOST, Outbox, Posted};
use crate::store::json::{decode, encode};

#[async_trait]
impl Outbox for Redis {
    async fn post(&self, errand: &Errand, due: Timestamp) -> Result<Posted, StoreError> {
        let arguments = [encode(errand)?, millis(due), MOST.to_string().into_bytes()];
        let arguments = arguments.each_ref().map(Vec::as_slice);
        let taken: bool = self.run(&SCRIPTS.post, &self.layout.outbox(), &arguments).await?;
        Ok(if taken { Posted::Waiting } else { Posted::Full })
    }

    async fn claim(&self, now: Timestamp, until: Timestamp) -> Result<Option<Claim>, StoreError> {
        let arguments = [&*millis(now), &*millis(until)];
        let due: Option<Vec<u8>> = self.run(&SCRIPTS.claim, &self.layout.outbox(), &arguments).await?;
        let Some(json) = due else { return Ok(None) };
        let held_until = Timestamp::from_millisecond(until.as_millisecond()).unwrap_or(until);
        Ok(Some(Claim { errand: decode("an errand", &json)?, held_until }))
    }

    async fn put_off(&self, claim: &Claim, due: Timestamp) -> Result<bool, StoreError> {
        self.settle(claim, &millis(due)).await
    }

    async fn strike(&self, claim: &Claim) -> Result<bool, StoreError> {
        self.settle(claim, b"").await
    }
}

impl Redis {
    async fn settle(&self, claim: &Claim, due: &[u8]) -> Result<bool, StoreError> {
        let arguments = [&*encode(&claim.errand)?, &*millis(claim.held_until), due];
        self.run(&SCRIPTS.settle, &self.layout.outbox(), &arguments).await
    }
}

fn millis(at: Timestamp) -> Vec<u8> {
    at.as_millisecond().to_string().into_bytes()
}
