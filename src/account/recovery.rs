//! Forgotten passwords: a token that opens a change of password, once, for a quarter of an hour.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::lockout::hashed;
use super::{Account, Accounts, ChangeError, PasswordHash, SignInError, Status};
use crate::domain::{Identifiant, NoEntropy, StoreError, Timestamp, Token, TokenHash};
use crate::limits::{Attempt, AttemptRule, Counters};

/// What a recovery token opens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recovery {
    /// Whose password.
    pub account: Identifiant,
    /// How the account stood then, as a hash: any other change meanwhile makes the token worthless.
    #[serde(default)]
    pub standing: String,
    /// The first instant at which it opens nothing any more.
    pub expires_at: Timestamp,
}

/// Where recoveries are kept, under the hash of their token.
#[async_trait]
pub trait RecoveryStore: Send + Sync {
    /// Keeps a recovery, at least from `at` until it expires.
    async fn keep(&self, id: &TokenHash, recovery: &Recovery, at: Timestamp) -> Result<(), StoreError>;

    /// A recovery, as long as nobody has taken it.
    async fn look_at(&self, id: &TokenHash) -> Result<Option<Recovery>, StoreError>;

    /// Takes a recovery away; it is given to exactly one of several callers.
    async fn take(&self, id: &TokenHash) -> Result<Option<Recovery>, StoreError>;
}

/// All recoveries under way.
pub struct Recoveries {
    accounts: Arc<Accounts>,
    store: Arc<dyn RecoveryStore>,
    counters: Arc<dyn Counters>,
}

/// The replacement of a forgotten password that only has to be made.
#[derive(Debug)]
pub struct PreparedRecovery {
    id: TokenHash,
    account: Identifiant,
    hash: PasswordHash,
}

impl PreparedRecovery {
    /// Whose password.
    pub fn account(&self) -> &Identifiant {
        &self.account
    }
}

/// A forgotten password was not replaced.
#[derive(Debug, thiserror::Error)]
pub enum RecoveryError {
    /// The token is none, was used, has expired, or the password was changed since. Whose fault: the client's.
    #[error("the token opens nothing")]
    Dead,
    /// The new password was refused, or hashing or the store failed; the token is still good, unless it
    /// was the very last step that failed.
    #[error(transparent)]
    Change(#[from] ChangeError),
}

impl From<StoreError> for RecoveryError {
    fn from(error: StoreError) -> Self {
        Self::Change(error.into())
    }
}

/// No token was made, for want of the store or of random bytes.
#[derive(Debug, thiserror::Error)]
pub enum BeginError {
    /// Whose fault: the store's.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Whose fault: this machine's.
    #[error(transparent)]
    Entropy(#[from] NoEntropy),
}

/// How long a token is good.
const LIFE: Duration = Duration::from_mins(15);
/// How often the replacement is tried again on what another has just written.
const ROUNDS: usize = 5;
/// Letters that one account is sent in an hour when they are asked for from one place, and from anywhere: one who asks
/// in another's name needs several places to leave them without.
const LETTERS: AttemptRule = AttemptRule { max: 3, lockout: HOUR, grows: false, longest: HOUR, memory: HOUR };
const LETTERS_FROM_ANYWHERE: AttemptRule = AttemptRule { max: 12, ..LETTERS };
const HOUR: Duration = Duration::from_hours(1);

impl Recoveries {
    /// Recoveries of `accounts`' passwords.
    pub fn new(accounts: Arc<Accounts>, store: Arc<dyn RecoveryStore>, counters: Arc<dyn Counters>) -> Self {
        Self { accounts, store, counters }
    }

    /// Counts a letter that is asked for from `place`, whether the name is an account's or not; `false` when it is
    /// one too many.
    pub async fn may_ask(&self, typed: &str, place: &str) -> Result<bool, StoreError> {
        let (anywhere, now) = (format!("recovery:{}", hashed(typed)), self.accounts.clock.now());
        for (key, rule) in [(format!("{anywhere}@{place}"), LETTERS), (anywhere, LETTERS_FROM_ANYWHERE)] {
            if let Attempt::Locked { .. } = self.counters.attempt(&key, &rule, now).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The first instant at which what was asked for at `asked_at` opens nothing any more.
    pub fn good_until(&self, asked_at: Timestamp) -> Timestamp {
        asked_at.saturating_add(LIFE).unwrap_or(asked_at)
    }

    /// A token for the owner of an active account, good until then, to be sent to their address; none for any
    /// other name.
    pub async fn begin(
        &self,
        identifiant: &Identifiant,
        until: Timestamp,
    ) -> Result<Option<(Account, Token)>, BeginError> {
        let now = self.accounts.clock.now();
        let found = self.accounts.store.find(identifiant).await?;
        let Some(account) = found.filter(|account| account.status == Status::Active) else { return Ok(None) };
        let token = Token::random()?;
        let recovery =
            Recovery { account: identifiant.clone(), standing: standing(&account), expires_at: until };
        self.store.keep(&token.id(), &recovery, now).await?;
        Ok(Some((account, token)))
    }

    /// The account that a token is for, whether it still opens anything or not.
    pub async fn whose(&self, token: &Token) -> Result<Option<Identifiant>, StoreError> {
        Ok(self.store.look_at(&token.id()).await?.map(|recovery| recovery.account))
    }

    /// Whether a token opens anything now. It is as good afterwards.
    pub async fn is_good(&self, token: &Token) -> Result<bool, StoreError> {
        let Some(seen) = self.store.look_at(&token.id()).await? else { return Ok(false) };
        match self.opened(&seen).await {
            Ok(_) => Ok(true),
            Err(RecoveryError::Change(ChangeError::Current(SignInError::Store(error)))) => Err(error),
            Err(_) => Ok(false),
        }
    }

    /// All of replacing a forgotten password but the replacement: the token is looked at, and the new password.
    pub async fn prepare(&self, token: &Token, new: SecretString) -> Result<PreparedRecovery, RecoveryError> {
        let id = token.id();
        let seen = self.store.look_at(&id).await?.ok_or(RecoveryError::Dead)?;
        let account = self.opened(&seen).await?;
        self.accounts.check_new(&account, &new).await?;
        let hash = self.accounts.hasher.hash(new).await.map_err(ChangeError::from)?;
        Ok(PreparedRecovery { id, account: account.identifiant, hash })
    }

    /// Replaces a forgotten password, and lifts the locks that guesses at it brought. The account's sessions
    /// are the caller's to end.
    pub async fn finish(&self, prepared: PreparedRecovery) -> Result<(), RecoveryError> {
        // From here on the token is gone: of two who bring it, one goes on.
        let won = self.store.take(&prepared.id).await?.ok_or(RecoveryError::Dead)?;
        // What another changed meanwhile may leave the token worth something: a sign-in that was noted does.
        for _ in 0..ROUNDS {
            let (account, hash) = (self.opened(&won).await?, prepared.hash.clone());
            let account = self.accounts.with_password(account, hash, self.accounts.clock.now(), false);
            if self.accounts.store.replace(&account).await? {
                return Ok(());
            }
        }
        Err(RecoveryError::Dead)
    }

    async fn opened(&self, recovery: &Recovery) -> Result<Account, RecoveryError> {
        let account = self.accounts.store.find(&recovery.account).await?.ok_or(RecoveryError::Dead)?;
        let good = account.status == Status::Active
            && standing(&account) == recovery.standing
            && self.accounts.clock.now() < recovery.expires_at;
        if good { Ok(account) } else { Err(RecoveryError::Dead) }
    }
}

/// What a token hangs on: the password, since when, whether its change is asked for, and that nobody suspended the
/// account. Not the locks, which may be lifted for one who waits for the letter.
fn standing(account: &Account) -> String {
    let Account { password_hash, password_changed_at, must_change, suspensions, .. } = account;
    let told = format!("{} {password_changed_at} {must_change} {suspensions}", password_hash.as_str());
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, told.as_bytes()))
}
