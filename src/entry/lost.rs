//! A forgotten password: a letter with a token, then a new password. The same answer to every name, since the
//! work is done after the answer.

use std::sync::Arc;

use async_trait::async_trait;
use secrecy::SecretString;
use tokio::runtime::Handle;

use crate::account::{Account, Recoveries, RecoveryError};
use crate::domain::{Identifiant, Token};
use crate::session::{Session, Sessions};

/// A letter to one person, as text and as HTML.
#[derive(Debug, Clone)]
pub struct Letter {
    /// Whom it is for.
    pub to: Identifiant,
    /// Its subject.
    pub subject: String,
    /// Its text.
    pub text: String,
    /// The same as HTML.
    pub html: String,
}

/// A letter did not leave. Whose fault: the carrier's or the network's; may be tried again.
#[derive(Debug, thiserror::Error)]
#[error("a letter did not leave: {0}")]
pub struct PostError(pub String);

/// Who carries letters.
#[async_trait]
pub trait Post: Send + Sync {
    /// Hands a letter over to the carrier.
    async fn send(&self, letter: Letter) -> Result<(), PostError>;
}

/// The desk for those who forgot their password.
pub struct LostPassword {
    /// Recoveries under way.
    pub recoveries: Arc<Recoveries>,
    /// Sessions, which end with the password that opened them.
    pub sessions: Arc<Sessions>,
    /// Who carries letters; nobody where no mail is configured.
    pub post: Option<Arc<dyn Post>>,
    /// Where letters are written, off the workers.
    pub background: Handle,
}

impl LostPassword {
    /// Whether letters can be sent at all.
    pub fn can_write(&self) -> bool {
        self.post.is_some()
    }

    /// Sends a letter to the owner of the account named, if there is one: later, and without a word here.
    pub fn begin(&self, typed: String, compose: impl FnOnce(&Account, &Token) -> Letter + Send + 'static) {
        let Some(post) = self.post.clone() else {
            tracing::warn!("a password was said to be forgotten, but no [mail] is configured");
            return;
        };
        let recoveries = Arc::clone(&self.recoveries);
        self.background.spawn(async move {
            let letter = match recoveries.begin(&typed).await {
                Ok(Some((account, token))) => compose(&account, &token),
                Ok(None) => return,
                Err(error) => return tracing::error!(%error, "a forgotten password cannot be recovered"),
            };
            if let Err(error) = post.send(letter).await {
                tracing::error!(%error, "a forgotten password cannot be recovered");
            }
        });
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
        self.sessions.end_all(&account, None).await?;
        self.recoveries.finish(prepared).await?;
        self.sessions.end_all(&account, None).await?;
        if let Some(shown) = shown {
            self.sessions.end(shown).await?;
        }
        Ok(())
    }
}
