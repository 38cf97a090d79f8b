//! Accounts: one JSON record a name.

use async_trait::async_trait;
use redb::{Durability, ReadableTable as _, TableDefinition, WriteTransaction};

use super::{Embedded, broken};
use crate::account::{Account, AccountStore, Added};
use crate::domain::{Identifiant, StoreError};

const ACCOUNTS: TableDefinition<&str, &[u8]> = TableDefinition::new("accounts");

pub(super) fn create(transaction: &WriteTransaction) -> Result<(), StoreError> {
    transaction.open_table(ACCOUNTS).map(drop).map_err(broken)
}

#[async_trait]
impl AccountStore for Embedded {
    async fn find(&self, identifiant: &Identifiant) -> Result<Option<Account>, StoreError> {
        let name = identifiant.clone();
        self.read(move |transaction| {
            let accounts = transaction.open_table(ACCOUNTS).map_err(broken)?;
            let stored = accounts.get(name.as_str()).map_err(broken)?;
            Ok(stored.map(|json| serde_json::from_slice(json.value())).transpose()?)
        })
        .await
    }

    async fn list(&self) -> Result<Vec<Account>, StoreError> {
        self.read(|transaction| {
            let accounts = transaction.open_table(ACCOUNTS).map_err(broken)?;
            let all = accounts.iter().map_err(broken)?;
            all.map(|stored| Ok(serde_json::from_slice(stored.map_err(broken)?.1.value())?)).collect()
        })
        .await
    }

    async fn add(&self, new: &[Account]) -> Result<Added, StoreError> {
        let new = new.to_vec();
        self.write(Durability::Immediate, move |transaction| {
            let mut accounts = transaction.open_table(ACCOUNTS).map_err(broken)?;
            let mut taken = Vec::new();
            for account in &new {
                if accounts.get(account.identifiant.as_str()).map_err(broken)?.is_some() {
                    taken.push(account.identifiant.clone());
                }
            }
            if !taken.is_empty() {
                return Ok(Added::Taken(taken));
            }
            for account in &new {
                let json = serde_json::to_vec(account)?;
                accounts.insert(account.identifiant.as_str(), json.as_slice()).map_err(broken)?;
            }
            Ok(Added::All)
        })
        .await
    }

    async fn replace(&self, account: &Account) -> Result<bool, StoreError> {
        let account = account.clone();
        self.write(Durability::Immediate, move |transaction| {
            let mut accounts = transaction.open_table(ACCOUNTS).map_err(broken)?;
            let name = account.identifiant.as_str();
            let stored: Option<Account> = accounts
                .get(name)
                .map_err(broken)?
                .map(|json| serde_json::from_slice(json.value()))
                .transpose()?;
            if stored.is_none_or(|stored| stored.revision != account.revision) {
                return Ok(false);
            }
            let next = Account { revision: account.revision + 1, ..account.clone() };
            accounts.insert(name, serde_json::to_vec(&next)?.as_slice()).map_err(broken)?;
            Ok(true)
        })
        .await
    }

    async fn remove(&self, identifiant: &Identifiant) -> Result<bool, StoreError> {
        let name = identifiant.clone();
        self.write(Durability::Immediate, move |transaction| {
            let mut accounts = transaction.open_table(ACCOUNTS).map_err(broken)?;
            let removed = accounts.remove(name.as_str()).map_err(broken)?;
            Ok(removed.is_some())
        })
        .await
    }
}
