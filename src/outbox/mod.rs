//! Letters that wait to be sent, kept in the store: none is lost with a process, and any replica sends them.
//!
//! What waits is an errand, not a letter: whom to write to, why, and since when. The letter itself, and the
//! secret in it, are made when it really leaves, so that whoever reads the store finds no link that opens
//! anything. A replica claims an errand for a time; if it is killed, another claims it when that time is over.

use async_trait::async_trait;
use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::domain::{Identifiant, NoEntropy, StoreError, Timestamp, Token};

/// A letter to be written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Errand {
    /// Whom to; nobody, where what was typed is no address: such an errand costs what any other does.
    pub to: Option<Identifiant>,
    /// Why.
    pub reason: Reason,
    /// Since when.
    pub asked_at: Timestamp,
    /// What tells two errands of one instant apart, where both are meant.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub nonce: String,
}

/// Why a letter is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Reason {
    /// A forgotten password.
    ForgottenPassword,
    /// A password that falls due.
    PasswordExpires {
        /// The mark that was passed: so many days before.
        days: u32,
        /// When that password was chosen.
        changed_at: Timestamp,
    },
}

/// An errand that is one's own to do, until then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// What is to be done.
    pub errand: Errand,
    /// When another may claim it, by [`Clock::running`](crate::domain::Clock::running).
    pub held_until: Timestamp,
}

/// What became of an errand that was handed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Posted {
    /// It waits; or one that is the same in everything waited already.
    Waiting,
    /// [`MOST`] wait already.
    Full,
}

/// Errands that may wait at once.
pub const MOST: usize = 10_000;

/// Where errands wait. Instants are those of [`Clock::running`](crate::domain::Clock::running), but for what the
/// errands themselves hold.
#[async_trait]
pub trait Outbox: Send + Sync {
    /// Hands in an errand, not to be done before `due`; one that waits already stays as it is.
    async fn post(&self, errand: &Errand, due: Timestamp) -> Result<Posted, StoreError>;

    /// Claims the errand that has been due the longest at `now`: nobody else is given it before `until`. One that
    /// cannot be read is an error, and comes back no sooner either.
    async fn claim(&self, now: Timestamp, until: Timestamp) -> Result<Option<Claim>, StoreError>;

    /// Puts a claimed errand off until `due`; `false`, and nothing is done, once another claimed it.
    async fn put_off(&self, claim: &Claim, due: Timestamp) -> Result<bool, StoreError>;

    /// Strikes a claimed errand out; `false`, and nothing is done, once another claimed it.
    async fn strike(&self, claim: &Claim) -> Result<bool, StoreError>;
}

impl Errand {
    /// A letter to one who forgot the password.
    pub fn forgotten(to: Option<Identifiant>, asked_at: Timestamp) -> Result<Self, NoEntropy> {
        let nonce = Token::random()?.id().to_text();
        Ok(Self { to, reason: Reason::ForgottenPassword, asked_at, nonce })
    }

    /// A letter to one whose password, chosen at `changed_at`, passed the mark of so many `days` at `passed_at`.
    /// Whoever sees the mark pass hands in the same.
    pub fn reminder(to: Identifiant, days: u32, changed_at: Timestamp, passed_at: Timestamp) -> Self {
        let reason = Reason::PasswordExpires { days, changed_at };
        Self { to: Some(to), reason, asked_at: passed_at, nonce: String::new() }
    }

    /// A name for the letter that is the same each time it is tried, and tells nothing.
    pub fn name(&self) -> String {
        // Writing to memory does not fail.
        let json = serde_json::to_vec(self).unwrap_or_default();
        URL_SAFE_NO_PAD.encode(&digest::digest(&digest::SHA256, &json).as_ref()[..18])
    }
}

impl Reason {
    /// The reason as logs say it.
    pub fn name(self) -> &'static str {
        match self {
            Self::ForgottenPassword => "forgotten password",
            Self::PasswordExpires { .. } => "password expires",
        }
    }
}
