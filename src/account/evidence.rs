//! What this module has proven of a person; nothing else can make these.

use serde::{Deserialize, Serialize};

use super::Account;
use crate::domain::{CafCode, Timestamp};

/// Proof that the account's owner gave its password while the account was active.
#[derive(Debug)]
pub struct SignedIn {
    account: Account,
    must_change_password: bool,
    before: Before,
}

/// What happened to an account before its owner signed in: who reads of a sign-in or of failures that were not
/// theirs knows that somebody else tries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Before {
    /// When someone last signed in.
    pub at: Option<Timestamp>,
    /// Tries that failed since.
    pub failures: u32,
}

impl SignedIn {
    pub(super) fn new(account: Account, must_change_password: bool, before: Before) -> Self {
        Self { account, must_change_password, before }
    }

    /// Whether the password only opens its own change (rule 2).
    pub fn must_change_password(&self) -> bool {
        self.must_change_password
    }

    /// What happened before.
    pub fn before(&self) -> Before {
        self.before
    }

    /// The account, as it was when the password was checked.
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// The account, as it was when the password was checked.
    pub fn into_account(self) -> Account {
        self.account
    }
}

/// Proof that the account's password was changed by one who knew the former.
#[derive(Debug)]
pub struct PasswordChanged {
    at: Timestamp,
}

impl PasswordChanged {
    pub(super) fn new(at: Timestamp) -> Self {
        Self { at }
    }

    /// When.
    pub fn at(&self) -> Timestamp {
        self.at
    }
}

/// Proof that an active account, whose password is not due, may declare to a Caf.
#[derive(Debug)]
pub struct GrantedCaf {
    code: CafCode,
    cafs: Vec<CafCode>,
}

impl GrantedCaf {
    pub(super) fn new(code: CafCode, cafs: Vec<CafCode>) -> Self {
        Self { code, cafs }
    }

    /// The Caf.
    pub fn code(&self) -> CafCode {
        self.code
    }

    /// All the Cafs of the account, at the time of the proof.
    pub fn cafs(&self) -> &[CafCode] {
        &self.cafs
    }
}
