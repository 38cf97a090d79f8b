//! Wrong guesses: counted for an account and a place, with a backstop for the account as a whole.
//!
//! Names that no account has are counted like the others, so that a lock tells nothing.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::{Policy, SignInError};
use crate::domain::{StoreError, Timestamp};
use crate::limits::{Attempt, AttemptRule, Counters};

const DAY: Duration = Duration::from_hours(24);

pub(super) struct Lockout {
    counters: Arc<dyn Counters>,
    pending: Arc<Pending>,
    from_one_place: AttemptRule,
    from_anywhere: AttemptRule,
}

/// A guess that was counted, and under which keys.
pub(super) struct Guess {
    here: String,
    anywhere: String,
    failures: String,
    counted: u32,
    /// Whether its place is locked, unless it is right.
    locks: bool,
    /// As long as it is looked at.
    _pending: Looked,
}

/// The guesses of this process that are being looked at, by the key of their account and place.
#[derive(Default)]
struct Pending {
    guesses: Mutex<HashMap<String, usize>>,
    settled: Notify,
}

/// One of them.
struct Looked {
    pending: Arc<Pending>,
    key: String,
}

/// One that comes while those before it are being looked at waits so long to hear what became of them: all may be
/// right, and none of them a failure.
const PATIENCE: Duration = Duration::from_secs(3);

impl Pending {
    fn guesses(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.guesses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look(self: &Arc<Self>, key: &str) -> Looked {
        *self.guesses().entry(key.to_owned()).or_insert(0) += 1;
        Looked { pending: Arc::clone(self), key: key.to_owned() }
    }
}

impl Drop for Looked {
    fn drop(&mut self) {
        let mut guesses = self.pending.guesses();
        if let Some(count) = guesses.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                guesses.remove(&self.key);
            }
        }
        drop(guesses);
        self.pending.settled.notify_waiters();
    }
}

/// Time left of the locks that wrong guesses brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Locks {
    /// Of the account as a whole.
    pub everywhere: Option<Duration>,
    /// Of the place asked for; where none was, of the one that is locked the longest.
    pub one_place: Option<Duration>,
}

impl Guess {
    /// Guesses that were wrong, or locked out, since the last sign-in.
    pub(super) fn failures_before(&self) -> u32 {
        self.counted.saturating_sub(1)
    }
}

/// Failures are told to the owner at the next sign-in, which a password's life may pass before.
const FAILURES: AttemptRule = AttemptRule {
    max: u32::MAX,
    lockout: Duration::ZERO,
    grows: false,
    longest: Duration::ZERO,
    memory: SEASON,
};
const SEASON: Duration = Duration::from_hours(92 * 24);
/// Names of no account have nobody to be told: theirs only cost the same.
const NOBODYS: AttemptRule = AttemptRule { memory: DAY, ..FAILURES };

impl Lockout {
    pub(super) fn new(counters: Arc<dyn Counters>, policy: &Policy) -> Self {
        let rule =
            |max, grows| AttemptRule { max, lockout: policy.lockout, grows, longest: DAY, memory: DAY };
        let from_one_place = rule(policy.max_failures, true);
        let from_anywhere = rule(policy.max_failures_per_account, false);
        Self { counters, pending: Arc::default(), from_one_place, from_anywhere }
    }

    /// Counts a guess as wrong before it is looked at; a right one is forgiven afterwards. `epoch` is the
    /// account's; a name that no account has has none.
    pub(super) async fn count(
        &self,
        typed: &str,
        epoch: Option<u64>,
        place: &str,
        now: Timestamp,
    ) -> Result<Guess, SignInError> {
        let (known, epoch) = (epoch.is_some(), epoch.unwrap_or_default());
        let anywhere = account_key(typed, epoch);
        let here = format!("{anywhere}@{place}");
        let failures = format!("failures:{}", hashed(typed));
        let rule = if known { &FAILURES } else { &NOBODYS };
        let locked = |retry_after| Err(SignInError::Locked { retry_after });
        let (noted, tried) = futures_util::future::join(
            self.counters.attempt(&failures, rule, now),
            self.attempt_here(&here, now),
        )
        .await;
        let counted = if let Attempt::Allowed { count } = noted? { count } else { 0 };
        let (count, pending) = match tried? {
            Ok(allowed) => allowed,
            Err(retry_after) => return locked(retry_after),
        };
        let locks = count >= self.from_one_place.max;
        if let Attempt::Locked { retry_after } =
            self.counters.attempt(&anywhere, &self.from_anywhere, now).await?
        {
            // A guess that is not looked at must not lock the owner's own place for longer still.
            self.counters.take_back(&here, &self.from_one_place).await?;
            return locked(retry_after);
        }
        Ok(Guess { here, anywhere, failures, counted, locks, _pending: pending })
    }

    /// Counts a guess at its place; or the time to the end of a lock. Where it is locked by guesses that are still being
    /// looked at, what becomes of these is awaited: a right one takes its lock along.
    async fn attempt_here(
        &self,
        here: &str,
        now: Timestamp,
    ) -> Result<Result<(u32, Looked), Duration>, StoreError> {
        let until = Instant::now() + PATIENCE;
        loop {
            let mut settled = pin!(self.pending.settled.notified());
            settled.as_mut().enable();
            let retry_after = match self.counters.attempt(here, &self.from_one_place, now).await? {
                Attempt::Allowed { count } => return Ok(Ok((count, self.pending.look(here)))),
                Attempt::Locked { retry_after } => retry_after,
            };
            // Those that were allowed a moment before are heard of first.
            tokio::task::yield_now().await;
            let is_pending = self.pending.guesses().contains_key(here);
            if !is_pending || timeout_at(until, settled).await.is_err() {
                return Ok(Err(retry_after));
            }
        }
    }

    /// A guess was wrong. That its place is locked is noted: of all places together only the account is known later.
    pub(super) async fn fail(&self, guess: &Guess, now: Timestamp) -> Result<(), StoreError> {
        if !guess.locks {
            return Ok(());
        }
        let somewhere = somewhere_key(&guess.anywhere);
        let lock = self.counters.lock_left(&guess.here, now).await?;
        let Some(lock) = lock.max(self.counters.lock_left(&somewhere, now).await?) else { return Ok(()) };
        let rule = AttemptRule { max: 1, lockout: lock, grows: false, longest: lock, memory: lock };
        self.counters.forgive(&somewhere).await?;
        self.counters.attempt(&somewhere, &rule, now).await.map(drop)
    }

    /// A guess that nobody had time to look at locks nobody out. It stays among the failures that are told.
    pub(super) async fn take_back(&self, guess: &Guess) -> Result<(), StoreError> {
        self.counters.take_back(&guess.here, &self.from_one_place).await?;
        self.counters.take_back(&guess.anywhere, &self.from_anywhere).await
    }

    /// The locks that stand, of which the one of `place`, or of whichever is locked the longest.
    pub(super) async fn standing(
        &self,
        typed: &str,
        epoch: u64,
        place: Option<&str>,
        now: Timestamp,
    ) -> Result<Locks, StoreError> {
        let anywhere = account_key(typed, epoch);
        let here = match place {
            Some(place) => format!("{anywhere}@{place}"),
            None => somewhere_key(&anywhere),
        };
        let (everywhere, one_place) = futures_util::future::join(
            self.counters.lock_left(&anywhere, now),
            self.counters.lock_left(&here, now),
        )
        .await;
        Ok(Locks { everywhere: everywhere?, one_place: one_place? })
    }

    pub(super) async fn forgive(&self, guess: &Guess) -> Result<(), StoreError> {
        self.counters.forgive(&guess.here).await?;
        self.counters.forgive(&guess.anywhere).await
    }

    /// The owner signed in, and is told of the failures.
    pub(super) async fn forget_failures(&self, guess: Guess) -> Result<(), StoreError> {
        self.counters.forgive(&guess.failures).await
    }

    /// The guess was right, and its owner is not told yet.
    pub(super) async fn take_back_failure(&self, guess: Guess) -> Result<(), StoreError> {
        self.counters.take_back(&guess.failures, &FAILURES).await
    }
}

/// What was typed may be anything, of any length: only its hash becomes a key.
fn account_key(typed: &str, epoch: u64) -> String {
    format!("sign-in:{}.{epoch}", hashed(typed))
}

/// No place has this name.
fn somewhere_key(anywhere: &str) -> String {
    format!("{anywhere}@")
}

/// What was typed for a name, as part of a key.
pub(super) fn hashed(typed: &str) -> String {
    let normal = typed.trim().to_ascii_lowercase();
    let hash = digest::digest(&digest::SHA256, normal.as_bytes());
    URL_SAFE_NO_PAD.encode(&hash.as_ref()[..16])
}
