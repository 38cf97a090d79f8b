//! A forgotten password: a letter with a token, then a new password.
//!
//! Every name gets the same answer after the same work: an errand is kept in the store, whether the name is an
//! account's or not. Once that is answered the letter is not lost; what comes of it is [`PostOffice`]'s.

use std::sync::Arc;

use secrecy::SecretString;

use super::PostOffice;
use crate::account::{Recoveries, RecoveryError};
use crate::domain::{Clock, Identifiant, NoEntropy, StoreError, Token};
use crate::outbox::{Errand, Outbox, Posted};
use crate::session::{End, Session, Sessions};

/// The desk for those who forgot their password.
pub struct LostPassword {
    /// Recoveries under way.
    pub recoveries: Arc<Recoveries>,
    /// Sessions, which end with the password that opened them.
    pub sessions: Arc<Sessions>,
    /// Where errands wait.
    pub outbox: Arc<dyn Outbox>,
    /// Who does them; nobody where no mail is configured.
    pub office: Option<Arc<PostOffice>>,
    /// The time.
    pub clock: Clock,
}

/// A letter could not be asked for.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Too many letters wait. Nobody's fault; may be tried again.
    #[error("too many letters wait")]
    Full,
    /// Whose fault: the store's.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Whose fault: this machine's.
    #[error(transparent)]
    Entropy(#[from] NoEntropy),
}

impl LostPassword {
    /// Whether letters can be sent at all.
    pub fn can_write(&self) -> bool {
        self.office.is_some()
    }

    /// Asks for a letter to the owner of the account named, if there is one; kept when this returns.
    pub async fn ask(&self, typed: &str) -> Result<(), AskError> {
        let Some(office) = &self.office else {
            tracing::warn!("a password was said to be forgotten, but no [mail] is configured");
            return Ok(());
        };
        if !self.recoveries.may_ask(typed).await? {
            return Ok(());
        }
        let errand = Errand::forgotten(typed.parse().ok(), self.clock.now())?;
        if self.outbox.post(&errand, self.clock.running()).await? == Posted::Full {
            tracing::error!("a letter was asked for, and too many wait already");
            return Err(AskError::Full);
        }
        office.wake();
        Ok(())
    }

    /// Whose password a letter's token opens; nobody's where it opens nothing.
    pub async fn whose(&self, token: &Token) -> Option<Identifiant> {
        self.recoveries.whose(token).await.ok().flatten()
    }

    /// Whether a letter's token opens anything now.
    pub async fn is_good(&self, token: &Token) -> Result<bool, StoreError> {
        self.recoveries.is_good(token).await
    }

    /// Takes the new password of one who shows the letter's token. The account's sessions end: before, so that
    /// a crash in between leaves none alive, and after, for those opened meanwhile. So does `shown`, the live
    /// session of the browser, which is about to forget it.
    pub async fn finish(
        &self,
        shown: Option<&Session>,
        token: &Token,
        new: SecretString,
    ) -> Result<(), RecoveryError> {
        let prepared = self.recoveries.prepare(token, new).await?;
        let account = prepared.account().clone();
        self.sessions.end_all(&account, None, End::PasswordReset).await?;
        self.recoveries.finish(prepared).await?;
        self.sessions.end_all(&account, None, End::PasswordReset).await?;
        if let Some(shown) = shown {
            self.sessions.end(shown, End::Replaced).await?;
        }
        Ok(())
    }
}
