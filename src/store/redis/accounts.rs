//! Accounts: one hash, a field a name, so that an import is one step.

use std::sync::LazyLock;

use async_trait::async_trait;
use redis::{Script, cmd};

use super::Redis;
use crate::account::{Account, AccountStore, Added};
use crate::domain::{Identifiant, StoreError};

const KEY: &str = "octroi:accounts";

/// The names that are taken, or none when all were added.
static ADD: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
        local taken = {}
        for i = 1, #ARGV, 2 do
            if redis.call('HEXISTS', KEYS[1], ARGV[i]) == 1 then taken[#taken + 1] = ARGV[i] end
        end
        if #taken == 0 then
            for i = 1, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
        end
        return taken
        ",
    )
});

/// Name, the revision that was read, the new record: 1 when it took the old one's place.
static REPLACE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
        local stored = redis.call('HGET', KEYS[1], ARGV[1])
        if not stored or cjson.decode(stored).revision ~= tonumber(ARGV[2]) then return 0 end
        redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
        return 1
        ",
    )
});

#[async_trait]
impl AccountStore for Redis {
    async fn find(&self, identifiant: &Identifiant) -> Result<Option<Account>, StoreError> {
        let stored: Option<Vec<u8>> = self.command(cmd("HGET").arg(KEY).arg(identifiant.as_str())).await?;
        Ok(stored.map(|json| serde_json::from_slice(&json)).transpose()?)
    }

    async fn list(&self) -> Result<Vec<Account>, StoreError> {
        let stored: Vec<Vec<u8>> = self.command(cmd("HVALS").arg(KEY)).await?;
        let read = stored.iter().map(|json| Ok(serde_json::from_slice(json)?));
        let mut accounts = read.collect::<Result<Vec<Account>, StoreError>>()?;
        accounts.sort_by(|a, b| a.identifiant.cmp(&b.identifiant));
        Ok(accounts)
    }

    async fn add(&self, accounts: &[Account]) -> Result<Added, StoreError> {
        let mut add = ADD.key(KEY);
        for account in accounts {
            add.arg(account.identifiant.as_str()).arg(serde_json::to_vec(account)?);
        }
        let taken: Vec<String> = self.script(&add).await?;
        if taken.is_empty() {
            return Ok(Added::All);
        }
        let corrupt = |_| StoreError::Corrupt("an account's name".to_owned());
        Ok(Added::Taken(
            taken.into_iter().map(|name| name.parse().map_err(corrupt)).collect::<Result<_, _>>()?,
        ))
    }

    async fn replace(&self, account: &Account) -> Result<bool, StoreError> {
        let next = Account { revision: account.revision + 1, ..account.clone() };
        let mut replace = REPLACE.key(KEY);
        replace.arg(account.identifiant.as_str()).arg(account.revision).arg(serde_json::to_vec(&next)?);
        self.script(&replace).await
    }

    async fn remove(&self, identifiant: &Identifiant) -> Result<bool, StoreError> {
        self.command(cmd("HDEL").arg(KEY).arg(identifiant.as_str())).await
    }
}
