//! What is done with accounts: signing in, changing a password, being granted a Caf.

use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Notify;

use super::lockout::{Guess, Lockout, Locks};
use super::{
    Account, AccountStore, Before, GrantedCaf, HashError, Hasher, PasswordChanged, PasswordHash, SignedIn,
    Status, Strength,
};
use crate::domain::{
    CafCode, Clock, Identifiant, PasswordAge, PasswordRule, PasswordRules, StoreError, Timestamp,
};
use crate::limits::Counters;

/// The rules on passwords and wrong guesses.
#[derive(Debug, Clone)]
pub struct Policy {
    /// How long a password lives (rule 2).
    pub max_age: Duration,
    /// How long a provisional password may wait to be changed.
    pub provisional_max_age: Duration,
    /// What a new password must be.
    pub rules: PasswordRules,
    /// What is too easy to guess.
    pub strength: Arc<Strength>,
    /// How many former passwords may not be taken again.
    pub history: usize,
    /// Wrong passwords of one account from one place before it is locked there.
    pub max_failures: u32,
    /// The first lock's length.
    pub lockout: Duration,
    /// Wrong passwords of one account from anywhere within a day before it is locked everywhere.
    pub max_failures_per_account: u32,
}

/// All accounts, and what may be done with them.
pub struct Accounts {
    pub(super) store: Arc<dyn AccountStore>,
    pub(super) hasher: Arc<Hasher>,
    pub(super) clock: Clock,
    pub(super) policy: Policy,
    pub(super) lockout: Lockout,
    pub(super) enrolled: Notify,
}

/// A change of password that only has to be made.
#[derive(Debug)]
pub struct PreparedChange {
    account: Account,
    new: SecretString,
    hash: PasswordHash,
    before: Before,
}

/// A change of password that others make of the same account at the same time is tried so often.
const ROUNDS: usize = 5;

impl PreparedChange {
    /// Whose password.
    pub fn identifiant(&self) -> &Identifiant {
        &self.account.identifiant
    }
}

/// Signing in, or proving that one knows the password, failed.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// Unknown, wrong password, suspended, or a provisional password that waited too long: one answer, at
    /// one cost. Whose fault: the client's.
    #[error("unknown account, wrong password or suspended")]
    Refused,
    /// Too many wrong guesses. Whose fault: the client's; may be tried again after the time told.
    #[error("locked after too many wrong passwords")]
    Locked {
        /// Time to the lock's end.
        retry_after: Duration,
    },
    /// Too many sign in at once. May be tried again in a few seconds.
    #[error(transparent)]
    Hash(#[from] HashError),
    /// Whose fault: the store's.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A password was not changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// The current password was not proven.
    #[error(transparent)]
    Current(#[from] SignInError),
    /// The new one breaks these rules. Whose fault: the client's.
    #[error("the new password breaks a rule")]
    Rules(Vec<PasswordRule>),
    /// The password was changed, or the account taken away, by another at the same time.
    #[error("the account was changed meanwhile")]
    Conflict,
    /// The second of two clicks: another request made the very same change at the same time.
    #[error("the same change was made meanwhile")]
    Twin(Box<SignedIn>),
}

impl From<StoreError> for ChangeError {
    fn from(error: StoreError) -> Self {
        Self::Current(error.into())
    }
}

impl From<HashError> for ChangeError {
    fn from(error: HashError) -> Self {
        Self::Current(error.into())
    }
}

/// An account may not enter a Caf now.
#[derive(Debug, thiserror::Error)]
pub enum GrantError {
    /// The account is suspended or gone.
    #[error("the account may no longer be used")]
    Inactive,
    /// The password fell due, or must be changed (rule 2).
    #[error("the password must be changed first")]
    PasswordDue,
    /// The Caf is not one of the account's.
    #[error("the account has no habilitation at this Caf")]
    NotGranted,
    /// Whose fault: the store's.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Accounts {
    /// Accounts kept in `store`, whose wrong guesses are counted in `counters`.
    pub fn new(
        store: Arc<dyn AccountStore>,
        counters: Arc<dyn Counters>,
        hasher: Arc<Hasher>,
        clock: Clock,
        policy: Policy,
    ) -> Self {
        let lockout = Lockout::new(counters, &policy);
        Self { store, hasher, clock, policy, lockout, enrolled: Notify::new() }
    }

    /// How old a password that was changed then is.
    pub fn password_age(&self, changed_at: Timestamp) -> PasswordAge {
        PasswordAge::new(changed_at, self.policy.max_age)
    }

    /// Fewest characters of a new password.
    pub fn min_password_length(&self) -> usize {
        self.policy.rules.min_length
    }

    /// Signs in with what was typed. `place` is the client's address, as limits see it.
    pub async fn sign_in(
        &self,
        typed: &str,
        password: SecretString,
        place: &str,
    ) -> Result<SignedIn, SignInError> {
        let (account, guess) = self.prove(typed, password, place).await?;
        let before = Before { at: account.last_sign_in, failures: guess.failures_before() };
        let account = self.stamp_sign_in(account).await?;
        self.lockout.forget_failures(guess).await?;
        let must_change = self.must_change(&account, self.clock.now());
        Ok(SignedIn::new(account, must_change, before))
    }

    /// All of a change of password but the change: the current one is proven, the new one looked at.
    pub async fn prepare_change(
        &self,
        typed: &str,
        current: SecretString,
        new: SecretString,
        place: &str,
    ) -> Result<PreparedChange, ChangeError> {
        let (account, guess) = self.prove(typed, current, place).await?;
        let before = Before { at: account.last_sign_in, failures: guess.failures_before() };
        // Its owner did not fail, and reads of the others who did at the next sign-in.
        self.lockout.take_back_failure(guess).await?;
        self.check_new(&account, &new).await?;
        let hash = self.hasher.hash(new.clone()).await?;
        let change = PreparedChange { account, new, hash, before };
        Ok(PreparedChange { account: self.still(&change).await?, ..change })
    }

    /// Changes the password of one who knows the current one, and signs them in.
    pub async fn change_password(
        &self,
        mut change: PreparedChange,
    ) -> Result<(SignedIn, PasswordChanged), ChangeError> {
        let now = self.clock.now();
        for _ in 0..ROUNDS {
            let account = self.with_password(change.account.clone(), change.hash.clone(), now, false);
            if self.store.replace(&account).await? {
                let account = Account { revision: account.revision + 1, ..account };
                return Ok((SignedIn::new(account, false, change.before), PasswordChanged::new(now)));
            }
            change.account = self.still(&change).await?;
        }
        Err(ChangeError::Conflict)
    }

    /// The account as it is now, if its password is still the one that was proven. A sign-in or a choice of Caf that
    /// was noted meanwhile is in nobody's way.
    async fn still(&self, change: &PreparedChange) -> Result<Account, ChangeError> {
        let found = self.store.find(&change.account.identifiant).await?;
        let account = found.filter(Account::may_sign_in).ok_or(ChangeError::Conflict)?;
        if account.password_hash == change.account.password_hash {
            return Ok(account);
        }
        if self.hasher.verify(change.new.clone(), Some(account.password_hash.clone())).await? {
            return Err(ChangeError::Twin(Box::new(SignedIn::new(account, false, change.before))));
        }
        Err(ChangeError::Conflict)
    }

    /// Whether an account may enter a Caf now; its password is looked at again (rule 2).
    pub async fn grant(&self, identifiant: &Identifiant, caf: CafCode) -> Result<GrantedCaf, GrantError> {
        let account = self.store.find(identifiant).await?.ok_or(GrantError::Inactive)?;
        self.may_enter(&account, caf, self.clock.now())?;
        let cafs = account.cafs.clone();
        if cafs.len() > 1 && account.last_caf != Some(caf) {
            self.note_caf(account, caf).await;
        }
        Ok(GrantedCaf::new(caf, cafs))
    }

    /// What [`Accounts::grant`] decides by: whether `account` may enter `caf` at an instant.
    pub fn may_enter(&self, account: &Account, caf: CafCode, at: Timestamp) -> Result<(), GrantError> {
        if !account.may_sign_in() {
            return Err(GrantError::Inactive);
        }
        if self.must_change(account, at) {
            return Err(GrantError::PasswordDue);
        }
        Self::may_choose(account, caf)
    }

    /// Whether a Caf is one of the account's (rule 3), whatever else may keep it out.
    pub fn may_choose(account: &Account, caf: CafCode) -> Result<(), GrantError> {
        if account.cafs.contains(&caf) { Ok(()) } else { Err(GrantError::NotGranted) }
    }

    /// Whether at an instant the password only opens its own change (rule 2).
    pub fn must_change(&self, account: &Account, at: Timestamp) -> bool {
        account.must_change || self.password_age(account.password_changed_at).is_due(at)
    }

    /// The first instant at which a provisional password opens nothing any more; none for any other.
    pub fn provisional_until(&self, account: &Account) -> Option<Timestamp> {
        let age = PasswordAge::new(account.password_changed_at, self.policy.provisional_max_age);
        account.provisional.then(|| age.due())
    }

    /// Whether the account's password opens anything at all at an instant: it is active, and its
    /// password is no provisional one that waited too long.
    pub fn opens(&self, account: &Account, at: Timestamp) -> bool {
        account.may_sign_in() && self.provisional_until(account).is_none_or(|until| at < until)
    }

    /// The locks that wrong passwords brought, everywhere and at `place`, or at whichever place is locked the
    /// longest; nothing is counted.
    pub async fn locks(
        &self,
        account: &Account,
        place: Option<&str>,
        now: Timestamp,
    ) -> Result<Locks, StoreError> {
        self.lockout.standing(account.identifiant.as_str(), account.lock_epoch, place, now).await
    }

    /// Whether an account is still active, with the password it had at `password_changed_at`.
    pub async fn is_current(
        &self,
        identifiant: &Identifiant,
        password_changed_at: Timestamp,
    ) -> Result<bool, StoreError> {
        let account = self.store.find(identifiant).await?;
        Ok(account.is_some_and(|account| {
            account.status == Status::Active && account.password_changed_at == password_changed_at
        }))
    }

    pub(super) fn with_password(
        &self,
        mut account: Account,
        hash: PasswordHash,
        now: Timestamp,
        provisional: bool,
    ) -> Account {
        let former = std::mem::replace(&mut account.password_hash, hash);
        account.lock_epoch += 1;
        account.former.insert(0, former);
        account.former.truncate(self.policy.history);
        account.password_changed_at = now;
        account.must_change = provisional;
        account.provisional = provisional;
        account
    }

    /// The account, once its password is proven. The guess is counted before it is looked at.
    async fn prove(
        &self,
        typed: &str,
        password: SecretString,
        place: &str,
    ) -> Result<(Account, Guess), SignInError> {
        let account = match typed.parse::<Identifiant>() {
            Ok(identifiant) => self.store.find(&identifiant).await?,
            Err(_) => None,
        };
        let epoch = account.as_ref().map(|account| account.lock_epoch);
        let guess = self.lockout.count(typed, epoch, place, self.clock.now()).await?;
        let expected = account.as_ref().map(|account| account.password_hash.clone());
        let right = match self.hasher.verify(password, expected).await {
            Ok(right) => right,
            Err(error) => {
                self.lockout.take_back(&guess).await?;
                return Err(error.into());
            }
        };
        match account {
            Some(account) if right && self.opens(&account, self.clock.now()) => {
                self.lockout.forgive(&guess).await?;
                Ok((account, guess))
            }
            _ => {
                self.lockout.fail(&guess, self.clock.now()).await?;
                Err(SignInError::Refused)
            }
        }
    }

    /// Notes the Caf for the next choice; nobody is kept out for a note.
    async fn note_caf(&self, mut account: Account, caf: CafCode) {
        account.last_caf = Some(caf);
        if let Err(error) = self.store.replace(&account).await {
            tracing::debug!(%error, "the last Caf is not noted");
        }
    }

    /// Notes when the owner signed in. An account that another changed meanwhile is read again; signing in
    /// does not fail for a note.
    async fn stamp_sign_in(&self, mut account: Account) -> Result<Account, SignInError> {
        account.last_sign_in = Some(self.clock.now());
        if self.store.replace(&account).await? {
            account.revision += 1;
            return Ok(account);
        }
        let read = self.store.find(&account.identifiant).await?.ok_or(SignInError::Refused)?;
        let same = read.status == Status::Active && read.password_hash == account.password_hash;
        if same { Ok(read) } else { Err(SignInError::Refused) }
    }

    pub(super) async fn check_new(&self, account: &Account, new: &SecretString) -> Result<(), ChangeError> {
        let broken = self.policy.rules.broken_by(new.expose_secret(), account.identifiant.as_str());
        if !broken.is_empty() {
            return Err(ChangeError::Rules(broken));
        }
        let (strength, candidate, owner) = (Arc::clone(&self.policy.strength), new.clone(), account.clone());
        if let Some(broken) = self.hasher.work(move || strength.broken_by(&candidate, &owner)).await? {
            return Err(ChangeError::Rules(vec![broken]));
        }
        for used in std::iter::once(&account.password_hash).chain(&account.former) {
            if self.hasher.verify(new.clone(), Some(used.clone())).await? {
                return Err(ChangeError::Rules(vec![PasswordRule::Reused]));
            }
        }
        Ok(())
    }
}
