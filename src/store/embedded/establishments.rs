//! Establishments, each under every name that its Caf has for it.

use async_trait::async_trait;
use redb::{ReadableTable as _, Table, TableDefinition, WriteTransaction};

use super::{Embedded, Failure};
use crate::domain::{CafCode, IdentifiantCommunication, Siret, StoreError};
use crate::establishment::{Establishment, EstablishmentStore};
use crate::store::json::{decode, encode};
use crate::store::names;

const ESTABLISHMENTS: TableDefinition<&str, &[u8]> = TableDefinition::new("establishments");

pub(super) fn make_table(transaction: &WriteTransaction) -> Result<(), Failure> {
    transaction.open_table(ESTABLISHMENTS)?;
    Ok(())
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

    async fn write(&self, new: &[Establishment], gone: &[Establishment]) -> Result<(), StoreError> {
        let gone: Vec<_> = gone.iter().map(names::entries).collect();
        let new: Vec<_> = new
            .iter()
            .map(|known| Ok((names::entries(known), encode(known)?)))
            .collect::<Result<_, StoreError>>()?;
        self.write(move |transaction| {
            let mut table = transaction.open_table(ESTABLISHMENTS)?;
            gone.iter().try_for_each(|entries| remove(&mut table, entries))?;
            new.iter().try_for_each(|(entries, json)| put(&mut table, entries, json))
        })
        .await
    }

    async fn list(&self) -> Result<Vec<Establishment>, StoreError> {
        let met = self
            .read(|snapshot| {
                let table = snapshot.open_table(ESTABLISHMENTS)?;
                table.iter()?.map(|row| Ok(establishment(row?.1.value())?)).collect()
            })
            .await?;
        Ok(names::in_order(met))
    }
}

impl Embedded {
    async fn establishment(&self, entry: String) -> Result<Option<Establishment>, StoreError> {
        self.read(move |snapshot| {
            let stored = snapshot.open_table(ESTABLISHMENTS)?.get(entry.as_str())?;
            Ok(stored.map(|json| establishment(json.value())).transpose()?)
        })
        .await
    }
}

fn establishment(json: &[u8]) -> Result<Establishment, StoreError> {
    decode("an establishment", json)
}

fn remove(table: &mut Table<'_, &str, &[u8]>, entries: &[Option<String>; 2]) -> Result<(), Failure> {
    for entry in entries.iter().flatten() {
        // What cannot be read gives way as well, to be healed by an import.
        let former = table.remove(entry.as_str())?.and_then(|json| establishment(json.value()).ok());
        for other in former.iter().flat_map(names::entries).flatten() {
            table.remove(other.as_str())?;
        }
    }
    Ok(())
}

fn put(
    table: &mut Table<'_, &str, &[u8]>,
    entries: &[Option<String>; 2],
    json: &[u8],
) -> Result<(), Failure> {
    remove(table, entries)?;
    for entry in entries.iter().flatten() {
        table.insert(entry.as_str(), json)?;
    }
    Ok(())
}
