//! Accounts, by name.

use async_trait::async_trait;
use redb::{ReadableTable as _, TableDefinition, WriteTransaction};

use super::{Embedded, Failure};
use crate::account::{Account, AccountStore, Added};
use crate::domain::{Identifiant, StoreError};
use crate::store::json::{decode, encode};
use crate::store::names::doubles;

const ACCOUNTS: TableDefinition<&str, &[u8]> = TableDefinition::new("accounts");

pub(super) fn make_table(transaction: &WriteTransaction) -> Result<(), Failure> {
    transaction.open_table(ACCOUNTS)?;
    Ok(())
}

#[async_trait]
impl AccountStore for Embedded {
    async fn find(&self, identifiant: &Identifiant) -> Result<Option<Account>, StoreError> {
        let name = identifiant.clone();
        self.read(move |snapshot| {
            let stored = snapshot.open_table(ACCOUNTS)?.get(name.as_str())?;
            Ok(stored.map(|json| account(json.value())).transpose()?)
        })
        .await
    }

    async fn list(&self) -> Result<Vec<Account>, StoreError> {
        self.read(|snapshot| {
            let table = snapshot.open_table(ACCOUNTS)?;
            table.iter()?.map(|row| Ok(account(row?.1.value())?)).collect()
        })
        .await
    }

    async fn write(&self, new: &[Account], changed: &[Account]) -> Result<Added, StoreError> {
        let doubles = doubles(new.iter().chain(changed));
        if !doubles.is_empty() {
            return Ok(Added::Taken(doubles));
        }
        let mut rows = Vec::with_capacity(new.len() + changed.len());
        for account in new {
            rows.push(Row { name: account.identifiant.clone(), read: None, json: encode(account)? });
        }
        for account in changed {
            let next = Account { revision: account.revision.saturating_add(1), ..account.clone() };
            let read = Some(account.revision);
            rows.push(Row { name: next.identifiant.clone(), read, json: encode(&next)? });
        }
        self.write(move |transaction| write(transaction, &rows)).await
    }

    async fn replace(&self, account: &Account) -> Result<bool, StoreError> {
        let read = account.revision;
        let next = Account { revision: read.saturating_add(1), ..account.clone() };
        let json = encode(&next)?;
        self.write(move |transaction| replace(transaction, next.identifiant.as_str(), read, &json)).await
    }

    async fn remove(&self, identifiant: &Identifiant) -> Result<bool, StoreError> {
        let name = identifiant.clone();
        self.write(move |transaction| {
            let mut table = transaction.open_table(ACCOUNTS)?;
            Ok(table.remove(name.as_str())?.is_some())
        })
        .await
    }
}

fn account(json: &[u8]) -> Result<Account, StoreError> {
    decode("an account", json)
}

/// An account to be written; `read` is the revision of the one whose place it takes.
struct Row {
    name: Identifiant,
    read: Option<u64>,
    json: Vec<u8>,
}

fn write(transaction: &WriteTransaction, rows: &[Row]) -> Result<Added, Failure> {
    let mut table = transaction.open_table(ACCOUNTS)?;
    let (mut taken, mut stale) = (Vec::new(), Vec::new());
    for Row { name, read, .. } in rows {
        let stored = table.get(name.as_str())?;
        match read {
            None if stored.is_some() => taken.push(name.clone()),
            None => {}
            Some(read) => {
                let stored = stored.map(|json| account(json.value())).transpose()?;
                if stored.is_none_or(|stored| stored.revision != *read) {
                    stale.push(name.clone());
                }
            }
        }
    }
    if !taken.is_empty() {
        return Ok(Added::Taken(taken));
    }
    if !stale.is_empty() {
        return Ok(Added::Stale(stale));
    }
    // In the table's own order, each place is found beside the one before.
    let mut rows: Vec<&Row> = rows.iter().collect();
    rows.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    for Row { name, json, .. } in rows {
        table.insert(name.as_str(), json.as_slice())?;
    }
    Ok(Added::All)
}

fn replace(transaction: &WriteTransaction, name: &str, read: u64, json: &[u8]) -> Result<bool, Failure> {
    let mut table = transaction.open_table(ACCOUNTS)?;
    let stored = table.get(name)?.map(|json| account(json.value())).transpose()?;
    if stored.is_none_or(|stored| stored.revision != read) {
        return Ok(false);
    }
    table.insert(name, json)?;
    Ok(true)
}
