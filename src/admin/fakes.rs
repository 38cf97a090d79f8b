//! Stores in memory, and a gateway's operator's side over them.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use super::State;
use crate::account::{self, Account, AccountStore, Accounts, Added, Hasher};
use crate::domain::{
    CafCode, Calendar, Clock, Identifiant, IdentifiantCommunication, PasswordRules, Siret, StoreError,
    Timestamp,
};
use crate::entry::{Explainer, Registry};
use crate::establishment::{Establishment, EstablishmentStore};
use crate::limits::{Attempt, AttemptRule, Counters};
use crate::session::{self, Record, SessionCache, SessionId, SessionStore, Sessions, Sitting};

/// Whatever the stores hold; `broken` puts it out of reach.
#[derive(Default)]
pub(crate) struct Memory {
    accounts: Mutex<BTreeMap<Identifiant, Account>>,
    establishments: Mutex<Vec<Establishment>>,
    sessions: Mutex<Vec<(SessionId, Record, Timestamp)>>,
    pub(crate) broken: std::sync::atomic::AtomicBool,
}

impl Memory {
    fn reach(&self) -> Result<(), StoreError> {
        let broken = self.broken.load(std::sync::atomic::Ordering::Relaxed);
        if broken { Err(StoreError::Unreachable("secret.host".to_owned())) } else { Ok(()) }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[async_trait]
impl AccountStore for Memory {
    async fn find(&self, identifiant: &Identifiant) -> Result<Option<Account>, StoreError> {
        self.reach()?;
        Ok(lock(&self.accounts).get(identifiant).cloned())
    }

    async fn list(&self) -> Result<Vec<Account>, StoreError> {
        self.reach()?;
        Ok(lock(&self.accounts).values().cloned().collect())
    }

    async fn write(&self, new: &[Account], changed: &[Account]) -> Result<Added, StoreError> {
        self.reach()?;
        let mut kept = lock(&self.accounts);
        let names = new.iter().map(|account| account.identifiant.clone());
        let taken: Vec<_> = names.filter(|name| kept.contains_key(name)).collect();
        if !taken.is_empty() {
            return Ok(Added::Taken(taken));
        }
        let read = |account: &&Account| {
            kept.get(&account.identifiant).is_some_and(|kept| kept.revision == account.revision)
        };
        let stale: Vec<_> = changed.iter().filter(|account| !read(account)).collect();
        if !stale.is_empty() {
            return Ok(Added::Stale(stale.into_iter().map(|account| account.identifiant.clone()).collect()));
        }
        let next =
            changed.iter().map(|account| Account { revision: account.revision + 1, ..account.clone() });
        let next: Vec<Account> = new.iter().cloned().chain(next).collect();
        kept.extend(next.into_iter().map(|account| (account.identifiant.clone(), account)));
        Ok(Added::All)
    }

    async fn replace(&self, account: &Account) -> Result<bool, StoreError> {
        self.reach()?;
        let mut kept = lock(&self.accounts);
        let Some(found) = kept.get_mut(&account.identifiant) else { return Ok(false) };
        if found.revision != account.revision {
            return Ok(false);
        }
        *found = Account { revision: account.revision + 1, ..account.clone() };
        Ok(true)
    }

    async fn remove(&self, identifiant: &Identifiant) -> Result<bool, StoreError> {
        self.reach()?;
        Ok(lock(&self.accounts).remove(identifiant).is_some())
    }
}

#[async_trait]
impl EstablishmentStore for Memory {
    async fn by_siret(&self, caf: CafCode, siret: &Siret) -> Result<Option<Establishment>, StoreError> {
        let kept = lock(&self.establishments);
        Ok(kept.iter().find(|one| one.caf == caf && one.siret.as_ref() == Some(siret)).cloned())
    }

    async fn by_communication(
        &self,
        caf: CafCode,
        name: &IdentifiantCommunication,
    ) -> Result<Option<Establishment>, StoreError> {
        let kept = lock(&self.establishments);
        let same =
            |one: &&Establishment| one.caf == caf && one.identifiant_communication.as_ref() == Some(name);
        Ok(kept.iter().find(same).cloned())
    }

    async fn write(&self, new: &[Establishment], gone: &[Establishment]) -> Result<(), StoreError> {
        self.reach()?;
        let mut kept = lock(&self.establishments);
        for one in gone.iter().chain(new) {
            kept.retain(|old| {
                let siret = old.siret.is_some() && old.siret == one.siret;
                let name = old.identifiant_communication.is_some()
                    && old.identifiant_communication == one.identifiant_communication;
                old.caf != one.caf || !(siret || name)
            });
        }
        kept.extend_from_slice(new);
        kept.sort_by_key(|known| (known.caf, known.siret, known.identifiant_communication));
        Ok(())
    }

    async fn list(&self) -> Result<Vec<Establishment>, StoreError> {
        self.reach()?;
        Ok(lock(&self.establishments).clone())
    }
}

#[async_trait]
impl SessionStore for Memory {
    async fn create(&self, id: &SessionId, record: &Record, at: Timestamp) -> Result<(), StoreError> {
        lock(&self.sessions).push((*id, record.clone(), at));
        Ok(())
    }

    async fn find(&self, id: &SessionId) -> Result<Option<(Record, Timestamp)>, StoreError> {
        let kept = lock(&self.sessions);
        Ok(kept.iter().find(|(one, ..)| one == id).map(|(_, record, at)| (record.clone(), *at)))
    }

    async fn touch(&self, _: &SessionId, _: Timestamp) -> Result<bool, StoreError> {
        Ok(true)
    }

    async fn remove(&self, id: &SessionId, _: &Identifiant) -> Result<bool, StoreError> {
        let mut kept = lock(&self.sessions);
        let before = kept.len();
        kept.retain(|(one, ..)| one != id);
        Ok(kept.len() < before)
    }

    async fn ids_of_account(&self, account: &Identifiant) -> Result<Vec<SessionId>, StoreError> {
        Ok(self.of_account(account).await?.into_iter().map(|(id, ..)| id).collect())
    }

    async fn of_account(
        &self,
        account: &Identifiant,
    ) -> Result<Vec<(SessionId, Record, Timestamp)>, StoreError> {
        let kept = lock(&self.sessions);
        Ok(kept.iter().filter(|(_, record, _)| record.stage.holder().account() == account).cloned().collect())
    }

    async fn sittings(
        &self,
        after: Option<Sitting>,
        limit: usize,
    ) -> Result<Vec<(Sitting, SessionId)>, StoreError> {
        let mut named: Vec<_> =
            lock(&self.sessions).iter().map(|(id, record, _)| (record.sitting, *id)).collect();
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
impl Counters for Memory {
    async fn attempt(&self, _: &str, _: &AttemptRule, _: Timestamp) -> Result<Attempt, StoreError> {
        Ok(Attempt::Allowed { count: 1 })
    }

    async fn take_back(&self, _: &str, _: &AttemptRule) -> Result<(), StoreError> {
        Ok(())
    }

    async fn lock_left(&self, _: &str, _: Timestamp) -> Result<Option<Duration>, StoreError> {
        Ok(None)
    }

    async fn forgive(&self, _: &str) -> Result<(), StoreError> {
        Ok(())
    }
}

/// An operator's side at 1 September 2026, 08:00 UTC, with the Cafs 921 and 751.
pub(crate) fn state() -> (State, Arc<Memory>) {
    let memory = Arc::new(Memory::default());
    let clock = Clock::frozen_at("2026-09-01T08:00:00Z".parse().expect("an instant"));
    let hasher = Arc::new(Hasher::new(2, 64).expect("a hasher"));
    let accounts = Accounts::new(memory.clone(), memory.clone(), hasher, clock.clone(), account_policy());
    let cache = Arc::new(SessionCache::new(16));
    let sessions =
        Sessions::new(memory.clone(), memory.clone(), memory.clone(), cache, clock.clone(), session_policy());
    let accounts = Arc::new(accounts);
    let explainer = Explainer {
        accounts: Arc::clone(&accounts),
        establishments: memory.clone(),
        counters: memory.clone(),
        calendar: Arc::new(Calendar::new(Vec::new())),
        portal_prefix: "/portail".to_owned(),
        longest_target: 16_384,
        clock: clock.clone(),
    };
    let registry = Registry { accounts, sessions: Arc::new(sessions), establishments: memory.clone() };
    let cafs: HashMap<&str, &str> =
        HashMap::from([("921", "Caf des Hauts-de-Seine"), ("751", "Caf de Paris")]);
    let known = cafs.into_iter().map(|(code, name)| (code.parse().expect("a code"), name.to_owned()));
    let state = State {
        registry: Arc::new(registry),
        explainer: Arc::new(explainer),
        clock,
        rehearsal: true,
        ready: Arc::new(crate::admin::Health::default),
        known_cafs: known.collect(),
        reload: Arc::new(|| Ok(super::Reloaded::default())),
        fleet: crate::forward::Fleet::empty(),
        drains: crate::store::embedded::Embedded::in_memory().expect("a store"),
        authority: Arc::new(super::Authority::new(None, None)),
        author: super::Author::local(None),
    };
    (state, memory)
}

fn account_policy() -> account::Policy {
    account::Policy {
        max_age: Duration::from_hours(92 * 24),
        provisional_max_age: Duration::from_hours(30 * 24),
        rules: PasswordRules { min_length: 8 },
        strength: Arc::default(),
        history: 5,
        max_failures: 5,
        lockout: Duration::from_mins(15),
        max_failures_per_account: 50,
    }
}

fn session_policy() -> session::Policy {
    session::Policy {
        idle_timeout: Duration::from_mins(30),
        warning: Duration::from_mins(5),
        absolute_timeout: Duration::from_hours(12),
        max_per_account: 5,
    }
}
