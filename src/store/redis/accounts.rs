//! Accounts: one hash, by name.

use std::collections::HashMap;

use async_trait::async_trait;

use super::{Redis, SCRIPTS};
use crate::account::{Account, AccountStore, Added};
use crate::domain::{Identifiant, StoreError};
use crate::store::json::{decode, encode};
use crate::store::names::doubles;

#[async_trait]
impl AccountStore for Redis {
    async fn find(&self, identifiant: &Identifiant) -> Result<Option<Account>, StoreError> {
        let mut command = ::redis::cmd("HGET");
        command.arg(self.layout.accounts()).arg(identifiant.as_str());
        let stored: Option<Vec<u8>> = self.query(&command).await?;
        stored.map(|json| account(&json)).transpose()
    }

    async fn list(&self) -> Result<Vec<Account>, StoreError> {
        let mut command = ::redis::cmd("HGETALL");
        command.arg(self.layout.accounts());
        let stored: HashMap<Vec<u8>, Vec<u8>> = self.query(&command).await?;
        let mut accounts = stored.values().map(|json| account(json)).collect::<Result<Vec<_>, _>>()?;
        accounts.sort_by(|one, other| one.identifiant.cmp(&other.identifiant));
        Ok(accounts)
    }

    async fn add(&self, accounts: &[Account]) -> Result<Added, StoreError> {
        let doubles = doubles(accounts);
        if !doubles.is_empty() {
            return Ok(Added::Taken(doubles));
        }
        let records = accounts.iter().map(encode).collect::<Result<Vec<_>, _>>()?;
        let named = accounts.iter().zip(&records);
        let arguments: Vec<&[u8]> = named
            .flat_map(|(account, record)| [account.identifiant.as_str().as_bytes(), record.as_slice()])
            .collect();
        let taken: Vec<String> = self.run(&SCRIPTS.add, &self.layout.accounts(), &arguments).await?;
        if taken.is_empty() {
            return Ok(Added::All);
        }
        let taken = accounts
            .iter()
            .map(|account| &account.identifiant)
            .filter(|name| taken.iter().any(|taken| taken == name.as_str()));
        Ok(Added::Taken(taken.cloned().collect()))
    }

    async fn replace(&self, account: &Account) -> Result<bool, StoreError> {
        let next = Account { revision: account.revision.saturating_add(1), ..account.clone() };
        let name = account.identifiant.as_str().as_bytes();
        let (read, record) = (account.revision.to_string(), encode(&next)?);
        self.run(&SCRIPTS.replace, &self.layout.accounts(), &[name, read.as_bytes(), &record]).await
    }

    async fn remove(&self, identifiant: &Identifiant) -> Result<bool, StoreError> {
        let mut command = ::redis::cmd("HDEL");
        command.arg(self.layout.accounts()).arg(identifiant.as_str());
        self.change(&command).await
    }
}

fn account(json: &[u8]) -> Result<Account, StoreError> {
    decode("an account", json)
}
