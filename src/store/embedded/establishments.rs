//! Establishments: a record under each of the names that a Caf has for it.

use async_trait::async_trait;
use redb::{Durability, ReadableTable as _, Table, TableDefinition, WriteTransaction};

use super::{Embedded, broken};
use crate::domain::{CafCode, IdentifiantCommunication, Siret, StoreError};
use crate::establishment::{Establishment, EstablishmentStore};
use crate::store::names;

const ESTABLISHMENTS: TableDefinition<&str, &[u8]> = TableDefinition::new("establishments");

pub(super) fn create(transaction: &WriteTransaction) -> Result<(), StoreError> {
    transaction.open_table(ESTABLISHMENTS).map(drop).map_err(broken)
}

#[async_trait]
impl EstablishmentStore for Embedded {
    async fn by_siret(&self, caf: CafCode, siret: &Siret) -> Result<Option<Establishment>, StoreError> {
        self.establishment(names::by_siret(caf, siret)).await
    }

    async fn by_communication(
        &self,
        caf: CafCode,
        identifiant: &IdentifiantCommunication,
    ) -> Result<Option<Establishment>, StoreError> {
        self.establishment(names::by_communication(caf, identifiant)).await
    }

    async fn put(&self, new: &[Establishment]) -> Result<(), StoreError> {
        let new = new.to_vec();
        self.write(Durability::Immediate, move |transaction| {
            let mut known = transaction.open_table(ESTABLISHMENTS).map_err(broken)?;
            for establishment in &new {
                put_one(&mut known, establishment)?;
            }
            Ok(())
        })
        .await
    }

    async fn list(&self) -> Result<Vec<Establishment>, StoreError> {
        self.read(|transaction| {
            let known = transaction.open_table(ESTABLISHMENTS).map_err(broken)?;
            let mut all = Vec::new();
            for stored in known.iter().map_err(broken)? {
                let (name, json) = stored.map_err(broken)?;
                let establishment: Establishment = serde_json::from_slice(json.value())?;
                if names::first(&establishment).is_some_and(|first| first == name.value()) {
                    all.push(establishment);
                }
            }
            Ok(all)
        })
        .await
    }
}

impl Embedded {
    async fn establishment(&self, name: String) -> Result<Option<Establishment>, StoreError> {
        self.read(move |transaction| {
            let known = transaction.open_table(ESTABLISHMENTS).map_err(broken)?;
            let stored = known.get(name.as_str()).map_err(broken)?;
            Ok(stored.map(|json| serde_json::from_slice(json.value())).transpose()?)
        })
        .await
    }
}

/// Whatever stood under one of its names goes, under all the names that it had.
fn put_one(known: &mut Table<'_, &str, &[u8]>, establishment: &Establishment) -> Result<(), StoreError> {
    let json = serde_json::to_vec(establishment)?;
    for name in names::of(establishment) {
        let before = known.remove(name.as_str()).map_err(broken)?.map(|json| json.value().to_vec());
        let Some(before) = before else { continue };
        for former in names::of(&serde_json::from_slice(&before)?) {
            known.remove(former.as_str()).map_err(broken)?;
        }
    }
    for name in names::of(establishment) {
        known.insert(name.as_str(), json.as_slice()).map_err(broken)?;
    }
    Ok(())
}
