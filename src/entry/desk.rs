//! What a person does at the door: signs in, changes the password, chooses a Caf, says who they are, leaves.
//!
//! Each step proves something, moves the session on, and gives a new token.

use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;

use crate::account::{Accounts, ChangeError, GrantError, SignInError, SignedIn};
use crate::domain::{CafCode, Clock, Identifiant, IdentifiantCommunication, StoreError, Timestamp};
use crate::establishment::{self, EstablishmentStore};
use crate::limits::{Attempt, AttemptRule, Counters};
use crate::session::{End, Session, SessionError, Sessions, Stage, Token, Whence};

/// The desk where people are received.
pub struct Desk {
    /// Accounts and their passwords.
    pub accounts: Arc<Accounts>,
    /// Their sessions.
    pub sessions: Arc<Sessions>,
    /// What Cafs know.
    pub establishments: Arc<dyn EstablishmentStore>,
    /// Shared counters.
    pub counters: Arc<dyn Counters>,
    /// The time.
    pub clock: Clock,
}

/// A session that was opened or moved on, with the token that its browser is given.
#[derive(Debug)]
pub struct Entered {
    /// The secret of its cookie.
    pub token: Token,
    /// The session.
    pub session: Arc<Session>,
}

/// A step at the desk failed.
#[derive(Debug, thiserror::Error)]
pub enum DeskError {
    /// The password was not proven.
    #[error(transparent)]
    SignIn(#[from] SignInError),
    /// The password was not changed.
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// The account has no habilitation at this Caf. Whose fault: the client's.
    #[error("no habilitation at Caf {0}")]
    NotGranted(CafCode),
    /// The step belongs to another state than the session's. Whose fault: the client's.
    #[error("this is not what the session waits for")]
    Misplaced,
    /// No establishment of that name at this Caf. Whose fault: the client's.
    #[error("Caf {caf} knows no such establishment")]
    Unknown {
        /// The Caf.
        caf: CafCode,
        /// Tries left before the way is barred for a while.
        tries_left: u32,
    },
    /// Too many wrong identifiants were typed.
    #[error("barred at Caf {caf} after too many wrong identifiants")]
    Barred {
        /// The Caf.
        caf: CafCode,
        /// Time until one may try again.
        retry_after: Duration,
    },
    /// The session ended meanwhile.
    #[error("the session is no longer alive")]
    Gone,
    /// This machine gives no random bytes.
    #[error("the system gives no random bytes")]
    Entropy,
    /// Whose fault: the store's.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<SessionError> for DeskError {
    fn from(error: SessionError) -> Self {
        match error {
            SessionError::Gone => Self::Gone,
            SessionError::Store(error) => Self::Store(error),
            SessionError::Entropy(_) => Self::Entropy,
        }
    }
}

/// What leaving came to (rule 7).
#[derive(Debug)]
pub enum Left {
    /// The Caf was left; another may be chosen.
    Caf(Entered),
    /// The session ended.
    Session,
}

/// Rule 4: wrong identifiants de communication of one account at one Caf.
const IDENTIFY: AttemptRule =
    AttemptRule { max: 5, lockout: QUARTER_HOUR, grows: false, longest: QUARTER_HOUR, memory: QUARTER_HOUR };
const QUARTER_HOUR: Duration = Duration::from_mins(15);

impl Desk {
    /// Signs in; one who has a single Caf goes straight on to it (rules 1 and 3).
    ///
    /// `former` is the live session of the browser, if any: it is about to forget it, so that nobody else
    /// shall find it open. It ends before the new one opens, lest it take the place of another browser's.
    pub async fn sign_in(
        &self,
        former: Option<&Session>,
        identifiant: &str,
        password: SecretString,
        from: Whence<'_>,
    ) -> Result<Entered, DeskError> {
        let signed_in = self.accounts.sign_in(identifiant, password, from.place).await?;
        if let Some(former) = former {
            self.sessions.end(former, End::Replaced).await?;
        }
        self.open(signed_in, from).await
    }

    /// Changes the password (rule 2). Every other session of the account ends; this one, if there is one,
    /// goes on where it was, and without one the owner is signed in.
    ///
    /// The others end once before the password changes, so that a crash in between leaves none alive, and once
    /// after, for those opened meanwhile with the former password. The second of two clicks is signed in anew, since
    /// its browser forgets what the first is answered.
    pub async fn change_password(
        &self,
        session: Option<&Session>,
        identifiant: &str,
        current: SecretString,
        new: SecretString,
        from: Whence<'_>,
    ) -> Result<Entered, DeskError> {
        let own = session.map(Session::id);
        let change = async {
            let change = self.accounts.prepare_change(identifiant, current, new, from.place).await?;
            self.sessions.end_all(change.identifiant(), own, End::PasswordChanged).await?;
            self.accounts.change_password(change).await
        };
        let (signed_in, changed) = match change.await {
            Ok(changed) => changed,
            Err(ChangeError::Twin(signed_in)) => return self.open(*signed_in, from).await,
            Err(ChangeError::Conflict) if session.is_some() => return Err(DeskError::Gone),
            Err(error) => return Err(error.into()),
        };
        self.sessions.end_all(&signed_in.account().identifiant, own, End::PasswordChanged).await?;
        let Some(session) = session else { return self.open(signed_in, from).await };
        let stage = self.go_straight(session.stage().clone().password_changed(&changed)).await?;
        let (token, session) = self.sessions.advance(session, stage).await?;
        self.settle(Entered { token, session }).await
    }

    /// Turns to a Caf of one's own (rules 3 and 4).
    pub async fn choose_caf(&self, session: &Session, caf: CafCode) -> Result<Entered, DeskError> {
        if matches!(session.stage(), Stage::MustChangePassword(_)) {
            return Err(DeskError::Misplaced);
        }
        let stage = match self.enter(session.stage().clone(), caf).await {
            Err(DeskError::Gone) => {
                self.sessions.end(session, End::Outdated).await?;
                return Err(DeskError::Gone);
            }
            other => other?,
        };
        self.advance(session, stage).await
    }

    /// Says which establishment it is, by the identifiant that this Caf gave it (rule 4).
    pub async fn identify(
        &self,
        session: &Session,
        typed: IdentifiantCommunication,
    ) -> Result<Entered, DeskError> {
        let stage = match session.stage().clone() {
            Stage::MustIdentifyEstablishment(stage) => stage,
            Stage::Ready(stage) => stage.again(),
            _ => return Err(DeskError::Misplaced),
        };
        let caf = stage.caf();
        let key = identify_key(session.stage().holder().account(), caf);
        let count = match self.counters.attempt(&key, &IDENTIFY, self.clock.now()).await? {
            Attempt::Allowed { count } => count,
            Attempt::Locked { retry_after } => return Err(DeskError::Barred { caf, retry_after }),
        };
        match establishment::identify(&*self.establishments, caf, typed).await? {
            Some(known) => {
                // Not forgiven: a right one typed now and then would free one to guess at all the others.
                self.counters.take_back(&key, &IDENTIFY).await?;
                self.advance(session, stage.identify(&known)).await
            }
            None => Err(DeskError::Unknown { caf, tries_left: IDENTIFY.max.saturating_sub(count) }),
        }
    }

    /// Leaves the Caf where there are several, the session where there is one (rule 7).
    pub async fn leave(&self, session: &Session) -> Result<Left, DeskError> {
        let stage = session.stage();
        if stage.caf().is_none() || stage.holder().cafs().len() < 2 {
            self.sign_out(session, End::Told).await?;
            return Ok(Left::Session);
        }
        let stage = stage.clone().left_caf();
        Ok(Left::Caf(self.advance(session, stage).await?))
    }

    /// A new token for a session where it stands.
    pub async fn renew(&self, session: &Session) -> Result<Entered, DeskError> {
        self.advance(session, session.stage().clone()).await
    }

    /// Ends the session.
    pub async fn sign_out(&self, session: &Session, why: End) -> Result<(), DeskError> {
        self.sessions.end(session, why).await?;
        Ok(())
    }

    async fn open(&self, signed_in: SignedIn, from: Whence<'_>) -> Result<Entered, DeskError> {
        let stage = self.go_straight(Stage::signed_in(signed_in)).await?;
        let (token, session) = self.sessions.open(stage, from).await?;
        self.settle(Entered { token, session }).await
    }

    /// One who has a single Caf need not choose it (rule 3).
    async fn go_straight(&self, stage: Stage) -> Result<Stage, DeskError> {
        match (&stage, stage.holder().cafs()) {
            (Stage::MustChooseCaf(_), [only]) => {
                let only = *only;
                self.enter(stage, only).await
            }
            _ => Ok(stage),
        }
    }

    /// The stage that a Caf's door leads to. The password is looked at again (rule 2).
    async fn enter(&self, stage: Stage, caf: CafCode) -> Result<Stage, DeskError> {
        let granted = match self.accounts.grant(stage.holder().account(), caf).await {
            Ok(granted) => granted,
            Err(GrantError::PasswordDue) => return Ok(stage.password_due()),
            Err(GrantError::NotGranted) => return Err(DeskError::NotGranted(caf)),
            Err(GrantError::Inactive) => return Err(DeskError::Gone),
            Err(GrantError::Store(error)) => return Err(error.into()),
        };
        let known = establishment::look_up(&*self.establishments, caf, stage.holder().siret()).await?;
        match stage.left_caf() {
            Stage::MustChooseCaf(stage) => Ok(stage.choose(&granted, known)),
            other => Ok(other),
        }
    }

    async fn advance(&self, session: &Session, stage: Stage) -> Result<Entered, DeskError> {
        let (token, session) = self.sessions.advance_in_sight(session, stage).await?;
        self.settle(Entered { token, session }).await
    }

    /// A session that was opened while its account was being suspended, or given another password, is missed
    /// by those who end the account's sessions: it is looked at once more now that it can be seen.
    async fn settle(&self, entered: Entered) -> Result<Entered, DeskError> {
        let holder = entered.session.stage().holder();
        if self.accounts.is_current(holder.account(), holder.password_changed_at()).await? {
            return Ok(entered);
        }
        self.sessions.end(&entered.session, End::Outdated).await?;
        Err(DeskError::Gone)
    }
}

/// Time until an account that is barred at a Caf may type an identifiant de communication again; nothing is counted.
pub(super) async fn barred(
    counters: &dyn Counters,
    account: &Identifiant,
    caf: CafCode,
    now: Timestamp,
) -> Result<Option<Duration>, StoreError> {
    counters.lock_left(&identify_key(account, caf), now).await
}

fn identify_key(account: &Identifiant, caf: CafCode) -> String {
    format!("identify:{account}@{caf}")
}
