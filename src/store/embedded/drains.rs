//! What is out of service, by its text.

use async_trait::async_trait;
use redb::{ReadableTable as _, TableDefinition, WriteTransaction};

use super::{Embedded, Failure};
use crate::domain::StoreError;
use crate::drains::{DrainStore, Drained};

const DRAINED: TableDefinition<&str, ()> = TableDefinition::new("drained");

pub(super) fn make_table(transaction: &WriteTransaction) -> Result<(), Failure> {
    transaction.open_table(DRAINED)?;
    Ok(())
}

#[async_trait]
impl DrainStore for Embedded {
    async fn drained(&self) -> Result<Vec<Drained>, StoreError> {
        self.read(|snapshot| {
            let table = snapshot.open_table(DRAINED)?;
            table.iter()?.map(|row| Ok(row?.0.value().parse()?)).collect()
        })
        .await
    }

    async fn set_drained(&self, what: &Drained, drains: bool) -> Result<(), StoreError> {
        let text = what.to_string();
        self.write(move |transaction| {
            let mut table = transaction.open_table(DRAINED)?;
            if drains {
                table.insert(text.as_str(), ())?;
            } else {
                table.remove(text.as_str())?;
            }
            Ok(())
        })
        .await
    }
}
