//! What those who manage habilitations do: enrol, suspend, reset.

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::provisional::provisional_password;
use super::{Account, AccountRow, Accounts, Added, HashError, Status};
use crate::domain::{CafCode, Identifiant, Siret, StoreError, Timestamp};

/// An account to be made, as import files and the admin API give it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewAccount {
    /// E-mail address.
    pub identifiant: Identifiant,
    /// The ESAT's SIRET, 14 digits.
    pub siret: Siret,
    /// The ESAT's name.
    #[serde(default)]
    pub nom: String,
    /// Codes of the Cafs it may declare to.
    pub cafs: Vec<CafCode>,
    /// The Caf that manages it.
    #[serde(default)]
    pub home_caf: Option<CafCode>,
    /// argon2id PHC string; without one a provisional password is made and shown once.
    #[serde(default)]
    pub password_hash: Option<String>,
    /// When that password was last changed; now, where it is not told.
    #[serde(default)]
    pub password_changed_at: Option<Timestamp>,
    /// Whether it must be changed at the next sign-in; a provisional password always must.
    #[serde(default)]
    pub must_change: bool,
    /// `active` where it is not told.
    #[serde(default)]
    pub status: Option<Status>,
}

/// An account that was just made.
#[derive(Debug)]
pub struct Enrolled {
    /// The account.
    pub account: Account,
    /// Its provisional password, shown this once.
    pub provisional: Option<SecretString>,
}

/// Accounts were not made; none of them.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// These names are taken. Whose fault: the client's.
    #[error("these accounts exist already")]
    Taken(Vec<Identifiant>),
    /// These were changed by others meanwhile. May be tried again.
    #[error("these accounts were changed by others at the same time")]
    Stale(Vec<Identifiant>),
    /// A hash given is none that this program takes. Whose fault: the client's.
    #[error("{identifiant}: {why}")]
    Hash {
        /// Whose hash.
        identifiant: Identifiant,
        /// What is wrong with it.
        why: super::InvalidHash,
    },
    /// Whoever asked for it left before it was done. Whose fault: the client's.
    #[error("it was given up: nobody waits for the passwords any more")]
    GivenUp,
    /// Hashing a provisional password failed.
    #[error(transparent)]
    Hashing(#[from] HashError),
    /// Whose fault: the store's.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// An account was not changed.
#[derive(Debug, thiserror::Error)]
pub enum UpdateError {
    /// There is none of that name. Whose fault: the client's.
    #[error("there is no such account")]
    Unknown,
    /// Others kept changing it. May be tried again.
    #[error("the account was changed by others at the same time")]
    Conflict,
    /// Hashing a provisional password failed.
    #[error(transparent)]
    Hashing(#[from] HashError),
    /// Whose fault: the store's.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How often a change is tried again on what another has just written.
const ROUNDS: usize = 5;

impl Accounts {
    /// The account of that name.
    pub async fn find(&self, identifiant: &Identifiant) -> Result<Option<Account>, StoreError> {
        self.store.find(identifiant).await
    }

    /// All accounts, by name.
    pub async fn list(&self) -> Result<Vec<Account>, StoreError> {
        self.store.list().await
    }

    /// Makes accounts, all or none.
    pub async fn enrol(&self, accounts: Vec<NewAccount>) -> Result<Vec<Enrolled>, EnrolError> {
        let rows = accounts.into_iter().map(AccountRow::try_from).collect::<Result<Vec<_>, _>>()?;
        let enrolled = self.prepare(rows, &|_| true).await?;
        let accounts: Vec<Account> = enrolled.iter().map(|one| one.account.clone()).collect();
        match self.store.add(&accounts).await? {
            Added::All => {
                self.enrolled.notify_one();
                Ok(enrolled)
            }
            Added::Taken(names) | Added::Stale(names) => Err(EnrolError::Taken(names)),
        }
    }

    /// Waits until accounts were made by this process; remembers one call.
    pub async fn enrolled(&self) {
        self.enrolled.notified().await;
    }

    /// Closes an account until it is reactivated; its sessions are the caller's to end.
    pub async fn suspend(&self, identifiant: &Identifiant) -> Result<Account, UpdateError> {
        self.update(identifiant, |account| account.turn(Status::Suspended)).await
    }

    /// Opens a suspended account again.
    pub async fn reactivate(&self, identifiant: &Identifiant) -> Result<Account, UpdateError> {
        self.update(identifiant, |account| account.turn(Status::Active)).await
    }

    /// Asks for a change of password at the next sign-in or entry to a Caf.
    pub async fn force_change(&self, identifiant: &Identifiant) -> Result<Account, UpdateError> {
        self.update(identifiant, |account| account.must_change = true).await
    }

    /// Puts a provisional password in the place of the present one, and lifts the locks.
    pub async fn reset_password(
        &self,
        identifiant: &Identifiant,
    ) -> Result<(Account, SecretString), UpdateError> {
        let provisional = provisional_password()?;
        let hash = self.hasher.hash(provisional.clone()).await?;
        let now = self.clock.now();
        let renew =
            |account: &mut Account| *account = self.with_password(account.clone(), hash.clone(), now, true);
        let account = self.update(identifiant, renew).await?;
        Ok((account, provisional))
    }

    /// Lifts the locks that wrong passwords brought, wherever they came from.
    pub async fn unlock(&self, identifiant: &Identifiant) -> Result<Account, UpdateError> {
        self.update(identifiant, |account| account.lock_epoch += 1).await
    }

    /// Removes an account; its sessions are the caller's to end.
    pub async fn delete(&self, identifiant: &Identifiant) -> Result<(), UpdateError> {
        if self.store.remove(identifiant).await? { Ok(()) } else { Err(UpdateError::Unknown) }
    }

    pub(super) async fn update(
        &self,
        identifiant: &Identifiant,
        change: impl Fn(&mut Account) + Send,
    ) -> Result<Account, UpdateError> {
        for _ in 0..ROUNDS {
            let mut account = self.store.find(identifiant).await?.ok_or(UpdateError::Unknown)?;
            change(&mut account);
            if self.store.replace(&account).await? {
                account.revision += 1;
                return Ok(account);
            }
        }
        Err(UpdateError::Conflict)
    }
}
