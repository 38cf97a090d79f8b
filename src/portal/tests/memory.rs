//! The stores of one small test world, in memory.

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;

use std::time::Duration;

use async_trait::async_trait;

use super::world::SIRET;
use crate::account::{Account, AccountStore, Added, Recovery, RecoveryStore};
use crate::domain::{
    CafCode, Identifiant, IdentifiantCommunication, Siret, StoreError, Timestamp, TokenHash,
};
use crate::entry::{SigningKeyStore, StoredKey};
use crate::establishment::{Establishment, EstablishmentStore};
use crate::limits::{Attempt, AttemptRule, Counters};
use crate::parking::ParkingStore;
use crate::session::{Record, SessionId, SessionStore, Sitting};

#[derive(Default)]
pub(super) struct Memory {
    accounts: Mutex<BTreeMap<Identifiant, Account>>,
    establishments: Mutex<Vec<Establishment>>,
    counters: Mutex<HashMap<String, (u32, Option<Timestamp>)>>,
    sessions: Mutex<HashMap<SessionId, (Record, Timestamp)>>,
    keys: Mutex<Vec<StoredKey>>,
    recoveries: Mutex<HashMap<TokenHash, Recovery>>,
}

#[async_trait]
impl AccountStore for Memory {
    async fn find(&self, identifiant: &Identifiant) -> Result<Option<Account>, StoreError> {
        Ok(self.accounts.lock().expect("a lock").get(identifiant).cloned())
    }

    async fn list(&self) -> Result<Vec<Account>, StoreError> {
        Ok(self.accounts.lock().expect("a lock").values().cloned().collect())
    }

    async fn write(&self, new: &[Account], changed: &[Account]) -> Result<Added, StoreError> {
        let named = new.iter().chain(changed).map(|account| (account.identifiant.clone(), account.clone()));
        self.accounts.lock().expect("a lock").extend(named);
        Ok(Added::All)
    }

    async fn replace(&self, account: &Account) -> Result<bool, StoreError> {
        let next = Account { revision: account.revision + 1, ..account.clone() };
        self.accounts.lock().expect("a lock").insert(account.identifiant.clone(), next);
        Ok(true)
    }

    async fn remove(&self, identifiant: &Identifiant) -> Result<bool, StoreError> {
        Ok(self.accounts.lock().expect("a lock").remove(identifiant).is_some())
    }
}

#[async_trait]
impl RecoveryStore for Memory {
    async fn keep(&self, id: &TokenHash, recovery: &Recovery, _: Timestamp) -> Result<(), StoreError> {
        self.recoveries.lock().expect("a lock").insert(*id, recovery.clone());
        Ok(())
    }

    async fn look_at(&self, id: &TokenHash) -> Result<Option<Recovery>, StoreError> {
        Ok(self.recoveries.lock().expect("a lock").get(id).cloned())
    }

    async fn take(&self, id: &TokenHash) -> Result<Option<Recovery>, StoreError> {
        Ok(self.recoveries.lock().expect("a lock").remove(id))
    }
}

#[async_trait]
impl EstablishmentStore for Memory {
    async fn by_siret(&self, caf: CafCode, siret: &Siret) -> Result<Option<Establishment>, StoreError> {
        let known = self.establishments.lock().expect("a lock");
        Ok(known.iter().find(|known| known.caf == caf && known.siret.as_ref() == Some(siret)).cloned())
    }

    async fn by_communication(
        &self,
        caf: CafCode,
        identifiant: &IdentifiantCommunication,
    ) -> Result<Option<Establishment>, StoreError> {
        let expected: IdentifiantCommunication = "12345678".parse().expect("an identifiant");
        Ok((caf.as_str() == "751" && *identifiant == expected).then(|| known("751")))
    }

    async fn write(&self, new: &[Establishment], _gone: &[Establishment]) -> Result<(), StoreError> {
        self.establishments.lock().expect("a lock").extend_from_slice(new);
        Ok(())
    }

    async fn list(&self) -> Result<Vec<Establishment>, StoreError> {
        Ok(self.establishments.lock().expect("a lock").clone())
    }
}

#[async_trait]
impl Counters for Memory {
    async fn attempt(&self, key: &str, rule: &AttemptRule, now: Timestamp) -> Result<Attempt, StoreError> {
        let mut counters = self.counters.lock().expect("a lock");
        let (count, locked_until) = counters.entry(key.to_owned()).or_default();
        if let Some(until) = locked_until.filter(|until| now < *until) {
            return Ok(Attempt::Locked { retry_after: until.duration_since(now).unsigned_abs() });
        }
        *count += 1;
        if *count >= rule.max {
            *locked_until = Some(now + rule.lockout);
        }
        Ok(Attempt::Allowed { count: *count })
    }

    async fn take_back(&self, key: &str, rule: &AttemptRule) -> Result<(), StoreError> {
        let mut counters = self.counters.lock().expect("a lock");
        let (count, locked_until) = counters.entry(key.to_owned()).or_default();
        *count = count.saturating_sub(1);
        if *count < rule.max {
            *locked_until = None;
        }
        Ok(())
    }

    async fn lock_left(&self, _: &str, _: Timestamp) -> Result<Option<Duration>, StoreError> {
        Ok(None)
    }

    async fn forgive(&self, key: &str) -> Result<(), StoreError> {
        self.counters.lock().expect("a lock").remove(key);
        Ok(())
    }
}

#[async_trait]
impl SessionStore for Memory {
    async fn create(&self, id: &SessionId, record: &Record, at: Timestamp) -> Result<(), StoreError> {
        self.sessions.lock().expect("a lock").insert(*id, (record.clone(), at));
        Ok(())
    }

    async fn find(&self, id: &SessionId) -> Result<Option<(Record, Timestamp)>, StoreError> {
        Ok(self.sessions.lock().expect("a lock").get(id).cloned())
    }

    async fn touch(&self, _: &SessionId, _: Timestamp) -> Result<bool, StoreError> {
        Ok(true)
    }

    async fn remove(&self, id: &SessionId, _: &Identifiant) -> Result<bool, StoreError> {
        Ok(self.sessions.lock().expect("a lock").remove(id).is_some())
    }

    async fn ids_of_account(&self, account: &Identifiant) -> Result<Vec<SessionId>, StoreError> {
        Ok(self.of_account(account).await?.into_iter().map(|(id, ..)| id).collect())
    }

    async fn of_account(
        &self,
        account: &Identifiant,
    ) -> Result<Vec<(SessionId, Record, Timestamp)>, StoreError> {
        let sessions = self.sessions.lock().expect("a lock");
        let own = sessions.iter().filter(|(_, (record, _))| record.stage.holder().account() == account);
        Ok(own.map(|(id, (record, at))| (*id, record.clone(), *at)).collect())
    }

    async fn sittings(
        &self,
        after: Option<Sitting>,
        limit: usize,
    ) -> Result<Vec<(Sitting, SessionId)>, StoreError> {
        let sessions = self.sessions.lock().expect("a lock");
        let mut named: Vec<_> = sessions.iter().map(|(id, (record, _))| (record.sitting, *id)).collect();
        named.sort_unstable();
        named.retain(|(sitting, _)| after.is_none_or(|after| *sitting > after));
        named.truncate(limit);
        Ok(named)
    }

    async fn of_sitting(&self, sitting: Sitting) -> Result<Vec<SessionId>, StoreError> {
        let all = self.sittings(None, usize::MAX).await?;
        Ok(all.into_iter().filter(|(one, _)| *one == sitting).map(|(_, id)| id).collect())
    }
}

#[async_trait]
impl ParkingStore for Memory {
    async fn park(&self, _: &TokenHash, _: &[u8], _: Timestamp, _: Timestamp) -> Result<(), StoreError> {
        Ok(())
    }

    async fn parked(&self, _: &TokenHash) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(None)
    }

    async fn unpark(&self, _: &TokenHash) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(None)
    }
}

#[async_trait]
impl SigningKeyStore for Memory {
    async fn keys(&self) -> Result<Vec<StoredKey>, StoreError> {
        Ok(self.keys.lock().expect("a lock").clone())
    }

    async fn add_key(&self, key: &StoredKey, _: usize, _: usize) -> Result<Vec<StoredKey>, StoreError> {
        let mut keys = self.keys.lock().expect("a lock");
        keys.push(key.clone());
        Ok(keys.clone())
    }
}

/// The establishment of all tests, as a Caf knows it by its SIRET.
pub(super) fn known(caf: &str) -> Establishment {
    Establishment {
        caf: caf.parse().expect("a code"),
        siret: Some(SIRET.parse().expect("a SIRET")),
        identifiant_communication: None,
        nom: "ESAT Les Tilleuls".to_owned(),
    }
}
