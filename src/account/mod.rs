//! Habilitations: accounts, their passwords, and signing in.

mod administration;
mod breached;
mod common;
mod evidence;
mod hashing;
mod import;
mod lockout;
mod provisional;
mod recovery;
mod rotation;
mod service;
mod strength;

use std::fmt;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::domain::{CafCode, Identifiant, Siret, StoreError, Timestamp};

pub use administration::{EnrolError, Enrolled, NewAccount, UpdateError};
pub use breached::{Breached, BreachedError};
pub use evidence::{Before, GrantedCaf, PasswordChanged, SignedIn};
pub use hashing::{HashError, Hasher, InvalidHash};
pub use import::{AccountRow, Changed, FieldChange, Imported, Plan};
pub use lockout::Locks;
pub use recovery::{BeginError, PreparedRecovery, Recoveries, Recovery, RecoveryError, RecoveryStore};
pub use rotation::{Owed, Reminded};
pub use service::{Accounts, ChangeError, GrantError, Policy, PreparedChange, SignInError};
pub use strength::Strength;

/// A person's habilitation: who they are, which ESAT they act for, and the Cafs they may declare to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Its name.
    pub identifiant: Identifiant,
    /// The ESAT it acts for.
    pub siret: Siret,
    /// The ESAT's name.
    pub nom: String,
    /// The Cafs it may declare to, without doubles.
    pub cafs: Vec<CafCode>,
    /// The Caf that manages it.
    pub home_caf: Option<CafCode>,
    /// The password, hashed.
    pub password_hash: PasswordHash,
    /// When the password was last changed.
    pub password_changed_at: Timestamp,
    /// Whether the password is provisional, or its change was asked for.
    pub must_change: bool,
    /// Whether the password was made for its owner, who has not changed it yet.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub provisional: bool,
    /// Whether it may be used.
    pub status: Status,
    /// Hashes of former passwords, the latest first.
    #[serde(default)]
    pub former: Vec<PasswordHash>,
    /// When its owner last signed in.
    #[serde(default)]
    pub last_sign_in: Option<Timestamp>,
    /// The Caf it last turned to, which is proposed first the next time.
    #[serde(default)]
    pub last_caf: Option<CafCode>,
    /// The last reminder that its owner was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reminded: Option<Reminded>,
    /// Grows when the locks that wrong guesses brought are lifted: those counted under a former one are forgotten.
    #[serde(default)]
    pub lock_epoch: u64,
    /// How often it was suspended.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub suspensions: u64,
    /// Grows by one at each change; a change made from an older reading is refused by the store.
    #[serde(default)]
    pub revision: u64,
}

impl Account {
    /// Whether its password opens anything at all.
    pub fn may_sign_in(&self) -> bool {
        self.status == Status::Active
    }

    fn turn(&mut self, status: Status) {
        if self.status != status && status == Status::Suspended {
            self.suspensions += 1;
        }
        self.status = status;
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Whether an account may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It may.
    Active,
    /// A Caf suspended it.
    Suspended,
}

impl Status {
    /// The word for it in files and answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
        }
    }
}

/// An argon2 hash in PHC string format.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// The PHC string.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

/// Where accounts are kept.
#[async_trait]
pub trait AccountStore: Send + Sync {
    /// The account of that name.
    async fn find(&self, identifiant: &Identifiant) -> Result<Option<Account>, StoreError>;

    /// All accounts, by name.
    async fn list(&self) -> Result<Vec<Account>, StoreError>;

    /// Adds accounts, all or none: none when one of the names is taken, and says which.
    async fn add(&self, accounts: &[Account]) -> Result<Added, StoreError> {
        self.write(accounts, &[]).await
    }

    /// Adds `new` accounts as [`AccountStore::add`] does, and puts `changed` ones in the place of those they
    /// were read from as [`AccountStore::replace`] does; all of them or none.
    async fn write(&self, new: &[Account], changed: &[Account]) -> Result<Added, StoreError>;

    /// Puts `account` in the place of the one it was read from: `false`, and nothing is done, when the
    /// stored revision is no longer `account.revision`. The stored account's revision is one more.
    async fn replace(&self, account: &Account) -> Result<bool, StoreError>;

    /// Removes an account; `false` when there is none.
    async fn remove(&self, identifiant: &Identifiant) -> Result<bool, StoreError>;
}

/// What [`AccountStore::write`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Added {
    /// All are there.
    All,
    /// None is, since these names were taken.
    Taken(Vec<Identifiant>),
    /// None is, since these were changed or removed after they were read.
    Stale(Vec<Identifiant>),
}
