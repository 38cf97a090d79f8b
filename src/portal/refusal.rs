//! Why an action was refused, with all that its response will have to say; the wording is `gate::problem`'s.

use std::time::Duration;

use super::{BodyError, Page, Portal, Visit};
use crate::account::{ChangeError, HashError, SignInError};
use crate::config;
use crate::domain::{CafCode, PasswordRule, StoreError};
use crate::entry::DeskError;
use crate::session::Stage;
use crate::telemetry::audit::Unaudited;

/// An action was refused.
#[derive(Debug)]
pub struct Refusal {
    /// Why.
    pub cause: Cause,
    /// The page whose form is shown again to a browser, its fields kept but for passwords.
    pub form: Option<Box<Page>>,
    /// Where a browser would go next.
    pub suite: Option<String>,
}

/// Why an action was refused.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// The body cannot be read. Whose fault: the client's.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// The action is not asked for in that way. Whose fault: the client's.
    #[error("the method is not one of {allowed}")]
    Method {
        /// The ways to ask for it.
        allowed: &'static str,
    },
    /// Nobody is signed in.
    #[error("no session")]
    NoSession,
    /// The session no longer lives.
    #[error("the session is no longer alive")]
    Gone,
    /// The password must be changed first.
    #[error("the password must be changed first")]
    PasswordDue,
    /// A Caf must be chosen first.
    #[error("a Caf must be chosen first")]
    NoCaf,
    /// The establishment must be identified first.
    #[error("the establishment must be identified first")]
    NoEstablishment,
    /// Unknown, wrong password or suspended. Whose fault: the client's.
    #[error("unknown account, wrong password or suspended")]
    Credentials,
    /// Too many wrong passwords. Whose fault: the client's; may be tried again after the time told.
    #[error("locked after too many wrong passwords")]
    Locked {
        /// Time to the lock's end.
        retry_after: Duration,
    },
    /// The new password breaks these rules. Whose fault: the client's.
    #[error("the new password breaks a rule")]
    Rules {
        /// The rules.
        broken: Vec<PasswordRule>,
        /// Fewest characters.
        min_length: usize,
    },
    /// The letter's token opens nothing: none, used, expired, or the password was changed since. Whose fault:
    /// the client's.
    #[error("the token opens nothing")]
    DeadToken,
    /// The Caf is none of the account's. Whose fault: the client's.
    #[error("no habilitation at Caf {0}")]
    NotGranted(CafCode),
    /// The Caf knows no such establishment. Whose fault: the client's.
    #[error("Caf {} knows no such establishment", caf.code)]
    Unknown {
        /// The Caf.
        caf: Box<CafContact>,
        /// Tries left before the way is barred for a while.
        tries_left: u32,
    },
    /// Too many wrong identifiants de communication. Whose fault: the client's.
    #[error("barred at Caf {} after too many wrong identifiants", caf.code)]
    Barred {
        /// The Caf.
        caf: Box<CafContact>,
        /// Time until one may try again.
        retry_after: Duration,
    },
    /// Too much is asked at once, or two changed the same account. Nobody's fault; may be tried again.
    #[error("the gateway is busy")]
    Busy,
    /// Whose fault: this machine's.
    #[error("this machine cannot do what it should")]
    Machine,
    /// Whose fault: the store's.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It cannot be written down. Whose fault: this machine's.
    #[error(transparent)]
    Unaudited(#[from] Unaudited),
}

/// A Caf, and whom one is sent to there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CafContact {
    /// Its code.
    pub code: CafCode,
    /// Its name.
    pub name: String,
    /// Whom to ask.
    pub contact: String,
}

impl Refusal {
    /// The action is not for one who has come that far, or not at all.
    pub(super) fn misplaced(visit: &Visit) -> Self {
        let cause = match visit.stage() {
            None if visit.shown_dead => Cause::Gone,
            None => Cause::NoSession,
            Some(Stage::MustChangePassword(_)) => Cause::PasswordDue,
            Some(Stage::MustChooseCaf(_)) => Cause::NoCaf,
            Some(Stage::MustIdentifyEstablishment(_) | Stage::Ready(_)) => Cause::NoEstablishment,
        };
        cause.into()
    }

    /// With the form to show again.
    pub(super) fn again(self, form: impl Into<Option<Page>>) -> Self {
        Self { form: form.into().map(Box::new), ..self }
    }

    /// With the home page to go to, where no session is left.
    pub(super) fn home(self, page: &str) -> Self {
        match self.cause {
            Cause::Gone | Cause::NoSession => self.leading_to(page),
            _ => self,
        }
    }

    /// With the page to go to.
    pub(super) fn leading_to(self, suite: &str) -> Self {
        Self { suite: Some(suite.to_owned()), ..self }
    }
}

impl<C: Into<Cause>> From<C> for Refusal {
    fn from(cause: C) -> Self {
        Self { cause: cause.into(), form: None, suite: None }
    }
}

impl From<SignInError> for Cause {
    fn from(error: SignInError) -> Self {
        match error {
            SignInError::Refused => Self::Credentials,
            SignInError::Locked { retry_after } => Self::Locked { retry_after },
            SignInError::Hash(HashError::Busy) => Self::Busy,
            SignInError::Hash(HashError::Failed) => Self::Machine,
            SignInError::Store(error) => Self::Store(error),
        }
    }
}

impl Portal {
    /// Why the desk refused, with what only the configuration knows.
    pub(super) fn cause(&self, error: DeskError) -> Cause {
        let contact = |caf| Box::new(self.contact(caf));
        match error {
            DeskError::SignIn(error) | DeskError::Change(ChangeError::Current(error)) => error.into(),
            DeskError::Change(ChangeError::Rules(broken)) => self.broken(broken),
            // The password that was proven is none any more.
            DeskError::Change(ChangeError::Conflict | ChangeError::Twin(_)) => Cause::Credentials,
            DeskError::NotGranted(caf) => Cause::NotGranted(caf),
            DeskError::Misplaced => Cause::NoCaf,
            DeskError::Unknown { caf, tries_left } => Cause::Unknown { caf: contact(caf), tries_left },
            DeskError::Barred { caf, retry_after } => Cause::Barred { caf: contact(caf), retry_after },
            DeskError::Gone => Cause::Gone,
            DeskError::Entropy => Cause::Machine,
            DeskError::Store(error) => Cause::Store(error),
        }
    }

    pub(super) fn broken(&self, broken: Vec<PasswordRule>) -> Cause {
        Cause::Rules { broken, min_length: self.password.min_length }
    }
}

impl CafContact {
    /// A Caf of the configuration; one that is not in it has no name but its code, and nobody to ask.
    pub fn of(code: CafCode, caf: Option<&config::Caf>) -> Self {
        Self {
            code,
            name: caf.map_or_else(|| format!("Caf {code}"), |caf| caf.name.clone()),
            contact: caf.map_or_else(String::new, |caf| caf.contact.clone()),
        }
    }
}
