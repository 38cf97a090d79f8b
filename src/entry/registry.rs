//! Habilitations from their managers' side: what they do to an account reaches its sessions at once.
//!
//! Sessions end before the account changes, so that a crash in between leaves none alive, and after, for those
//! opened meanwhile.

use std::sync::Arc;

use secrecy::SecretString;

use crate::account::{Account, Accounts, EnrolError, Enrolled, Plan, UpdateError};
use crate::domain::Identifiant;
use crate::establishment::EstablishmentStore;
use crate::session::{End, Sessions};

/// All habilitations, with the sessions they opened.
pub struct Registry {
    /// Accounts.
    pub accounts: Arc<Accounts>,
    /// Their sessions.
    pub sessions: Arc<Sessions>,
    /// What Cafs know.
    pub establishments: Arc<dyn EstablishmentStore>,
}

impl Registry {
    /// Closes an account and ends its sessions.
    pub async fn suspend(&self, identifiant: &Identifiant) -> Result<Account, UpdateError> {
        self.sessions.end_all(identifiant, None, End::Suspended).await?;
        let account = self.accounts.suspend(identifiant).await?;
        self.sessions.end_all(identifiant, None, End::Suspended).await?;
        Ok(account)
    }

    /// Carries out what importing a file would do, all or nothing, and ends the sessions of accounts that
    /// changed under them. `go_on` is told how many provisional passwords are hashed and says whether
    /// to go on, `ended` is told how many accounts' sessions have ended, of how many.
    pub async fn import(
        &self,
        plan: Plan,
        go_on: &(dyn Fn(usize) -> bool + Send + Sync),
        ended: &(dyn Fn(usize, usize) + Send + Sync),
    ) -> Result<Vec<Enrolled>, EnrolError> {
        let imported = self.accounts.carry_out(plan, go_on).await?;
        let of = imported.unsettled.len();
        for (done, identifiant) in imported.unsettled.iter().enumerate() {
            ended(done, of);
            self.sessions.end_all(identifiant, None, End::Imported).await?;
        }
        Ok(imported.enrolled)
    }

    /// Gives an account a provisional password and ends its sessions.
    pub async fn reset_password(
        &self,
        identifiant: &Identifiant,
    ) -> Result<(Account, SecretString), UpdateError> {
        self.sessions.end_all(identifiant, None, End::PasswordReset).await?;
        let reset = self.accounts.reset_password(identifiant).await?;
        self.sessions.end_all(identifiant, None, End::PasswordReset).await?;
        Ok(reset)
    }

    /// Removes an account and ends its sessions.
    pub async fn delete(&self, identifiant: &Identifiant) -> Result<(), UpdateError> {
        self.sessions.end_all(identifiant, None, End::Deleted).await?;
        self.accounts.delete(identifiant).await?;
        self.sessions.end_all(identifiant, None, End::Deleted).await?;
        Ok(())
    }
}
