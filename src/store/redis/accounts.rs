//! Accounts: one hash, by name.

use std::collections::HashSet;

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
        let stored = self.all(&self.layout.accounts()).await?;
        let mut accounts = stored.values().map(|json| account(json)).collect::<Result<Vec<_>, _>>()?;
        accounts.sort_by(|one, other| one.identifiant.cmp(&other.identifiant));
        Ok(accounts)
    }

    async fn write(&self, new: &[Account], changed: &[Account]) -> Result<Added, StoreError> {
        let doubles = doubles(new.iter().chain(changed));
        if !doubles.is_empty() {
            return Ok(Added::Taken(doubles));
        }
        let mut rows = Vec::with_capacity((new.len() + changed.len()) * 3);
        for account in new {
            rows.extend([name(account), Vec::new(), encode(account)?]);
        }
        for account in changed {
            let next = Account { revision: account.revision.saturating_add(1), ..account.clone() };
            rows.extend([name(account), account.revision.to_string().into_bytes(), encode(&next)?]);
        }
        let (taken, stale): (HashSet<String>, HashSet<String>) =
            self.run_staged(&SCRIPTS.write, &self.layout.accounts(), &rows).await?;
        let among = |accounts: &[Account], names: &HashSet<String>| {
            let names = accounts.iter().filter(|account| names.contains(account.identifiant.as_str()));
            names.map(|account| account.identifiant.clone()).collect()
        };
        Ok(match (taken.is_empty(), stale.is_empty()) {
            (true, true) => Added::All,
            (false, _) => Added::Taken(among(new, &taken)),
            (true, false) => Added::Stale(among(changed, &stale)),
        })
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

fn name(account: &Account) -> Vec<u8> {
    account.identifiant.as_str().as_bytes().to_vec()
}

fn account(json: &[u8]) -> Result<Account, StoreError> {
    decode("an account", json)
}
