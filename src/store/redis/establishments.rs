//! Establishments: one hash, each under every name that its Caf has for it.

use async_trait::async_trait;

use super::{Redis, SCRIPTS};
use crate::domain::{CafCode, IdentifiantCommunication, Siret, StoreError};
use crate::establishment::{Establishment, EstablishmentStore};
use crate::store::json::{decode, encode};
use crate::store::names;

#[async_trait]
impl EstablishmentStore for Redis {
    async fn by_siret(&self, caf: CafCode, siret: &Siret) -> Result<Option<Establishment>, StoreError> {
        self.establishment(&names::by_siret(caf, siret)).await
    }

    async fn by_communication(
        &self,
        caf: CafCode,
        identifiant: &IdentifiantCommunication,
    ) -> Result<Option<Establishment>, StoreError> {
        self.establishment(&names::by_communication(caf, identifiant)).await
    }

    async fn write(&self, new: &[Establishment], gone: &[Establishment]) -> Result<(), StoreError> {
        let mut rows = Vec::with_capacity((new.len() + gone.len()) * 3);
        let entries = |known| names::entries(known).map(|entry| entry.unwrap_or_default().into_bytes());
        for known in gone {
            rows.extend(entries(known));
            rows.push(Vec::new());
        }
        for known in new {
            rows.extend(entries(known));
            rows.push(encode(known)?);
        }
        self.run_staged(&SCRIPTS.put, &self.layout.establishments(), &rows).await
    }

    async fn list(&self) -> Result<Vec<Establishment>, StoreError> {
        let stored = self.all(&self.layout.establishments()).await?;
        let met = stored.values().map(|json| establishment(json)).collect::<Result<_, _>>()?;
        Ok(names::in_order(met))
    }
}

impl Redis {
    async fn establishment(&self, entry: &str) -> Result<Option<Establishment>, StoreError> {
        let mut command = ::redis::cmd("HGET");
        command.arg(self.layout.establishments()).arg(entry);
        let stored: Option<Vec<u8>> = self.query(&command).await?;
        stored.map(|json| establishment(&json)).transpose()
    }
}

fn establishment(json: &[u8]) -> Result<Establishment, StoreError> {
    decode("an establishment", json)
}
