//! Where waiting letters are written and sent.
//!
//! Each replica has one post office. It claims an errand, writes the letter, hands it to the carrier, and strikes
//! the errand out. A letter that did not leave is tried again, at growing intervals, until it would be of no use.
//! A replica that is killed with a letter in hand lets go of it after [`HELD`]: another then writes it anew.
//! Two copies are only sent where the carrier took the first one and the word of it was lost.
//!
//! The secret of a link is made here, at the last moment, and its hash is all that the store ever knows: what
//! waits in the store are errands, which open nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{Notify, Semaphore};
use tokio::time::{sleep, timeout};

use crate::account::{Account, Accounts, BeginError, Recoveries};
use crate::domain::{Clock, Identifiant, StoreError, Timestamp, Token};
use crate::outbox::{Claim, Errand, Outbox, Reason};

/// A letter to one person, as text and as HTML.
#[derive(Clone)]
pub struct Letter {
    /// A name that is the same for all copies, for mail programs to know them by.
    pub name: String,
    /// Whom it is for.
    pub to: Identifiant,
    /// Its subject.
    pub subject: String,
    /// Its text.
    pub text: String,
    /// The same as HTML.
    pub html: String,
}

/// A letter did not leave.
#[derive(Debug, thiserror::Error)]
pub enum PostError {
    /// The server does not want it, now or later. Whose fault: the address's, or the server's.
    #[error("it was refused: {0}")]
    Refused(String),
    /// Whose fault: the carrier's or the network's; may be tried again.
    #[error("{0}")]
    Failed(String),
}

/// Who carries letters.
#[async_trait]
pub trait Post: Send + Sync {
    /// Hands a letter over to the carrier.
    async fn send(&self, letter: Letter) -> Result<(), PostError>;
}

/// Who finds the words.
pub trait Stationery: Send + Sync {
    /// To one who forgot the password: the token opens a new one until then.
    fn recovery(&self, name: String, account: &Account, token: &Token, until: Timestamp) -> Letter;

    /// To one whose password falls due then.
    fn expiry(&self, name: String, account: &Account, due: Timestamp) -> Letter;
}

/// How long an errand is one replica's own; more than a letter takes.
pub const HELD: Duration = Duration::from_mins(1);
/// The longest that a letter may take to be handed over.
const PATIENCE: Duration = Duration::from_secs(30);
/// Letters handed over at once by one replica.
const AT_ONCE: usize = 4;
/// How often the store is asked for what waits.
const ROUND: Duration = Duration::from_secs(1);
/// The shortest and the longest wait before another try.
const SOONEST: Duration = Duration::from_secs(1);
const LATEST: Duration = Duration::from_mins(1);

/// A replica's post office.
pub struct PostOffice {
    outbox: Arc<dyn Outbox>,
    accounts: Arc<Accounts>,
    recoveries: Arc<Recoveries>,
    post: Arc<dyn Post>,
    stationery: Arc<dyn Stationery>,
    clock: Clock,
    hands: Arc<Semaphore>,
    woken: Notify,
    stuck: AtomicBool,
}

/// What an errand came to.
enum Written {
    Letter(Letter),
    /// There is nobody to write to, or no need any more.
    Nothing,
    /// It would come too late.
    Late,
}

impl PostOffice {
    /// A post office that does what waits in `outbox`.
    pub fn new(
        outbox: Arc<dyn Outbox>,
        accounts: Arc<Accounts>,
        recoveries: Arc<Recoveries>,
        post: Arc<dyn Post>,
        stationery: Arc<dyn Stationery>,
        clock: Clock,
    ) -> Self {
        let hands = Arc::new(Semaphore::new(AT_ONCE));
        let (woken, stuck) = (Notify::new(), AtomicBool::new(false));
        Self { outbox, accounts, recoveries, post, stationery, clock, hands, woken, stuck }
    }

    /// Says that an errand was just handed in.
    pub fn wake(&self) {
        self.woken.notify_one();
    }

    /// Sends what waits, until [`PostOffice::close`].
    pub async fn work(self: Arc<Self>) {
        let mut out_of_reach = false;
        while let Ok(hand) = Arc::clone(&self.hands).acquire_owned().await {
            let now = self.clock.running();
            let claimed = self.outbox.claim(now, after(now, HELD)).await;
            if let Err(StoreError::Unreachable(why)) = &claimed {
                if !out_of_reach {
                    tracing::error!(%why, "letters wait: the store is out of reach");
                }
                out_of_reach = true;
            } else {
                out_of_reach = false;
            }
            match claimed {
                Ok(Some(claim)) => {
                    let office = Arc::clone(&self);
                    tokio::spawn(async move {
                        office.carry_out(&claim).await;
                        drop(hand);
                    });
                    continue;
                }
                Err(StoreError::Corrupt(why)) => tracing::error!(%why, "an errand is left lying"),
                Ok(None) | Err(StoreError::Unreachable(_)) => {}
            }
            drop(hand);
            let _ = timeout(ROUND, self.woken.notified()).await;
        }
    }

    /// Takes no more errands, and waits for the letters in hand, for so long at most.
    pub async fn close(&self, patience: Duration) {
        let all = u32::try_from(AT_ONCE).unwrap_or(u32::MAX);
        if timeout(patience, self.hands.acquire_many(all)).await.is_err() {
            tracing::warn!("letters in hand are left to another replica, or to the next start");
        }
        self.hands.close();
    }

    async fn carry_out(&self, claim: &Claim) {
        let errand = &claim.errand;
        let outcome = match self.write(errand).await {
            Ok(Written::Letter(letter)) => self.hand_over(letter).await,
            Ok(Written::Nothing) => return self.strike(claim).await,
            Ok(Written::Late) => {
                alarm(errand, "the carrier took it too late for it to be of use");
                return self.strike(claim).await;
            }
            Err(error) => Err(PostError::Failed(error.to_string())),
        };
        match outcome {
            Ok(()) => {
                if self.stuck.swap(false, Ordering::Relaxed) {
                    tracing::info!("letters leave again");
                }
                self.note(errand).await;
                self.strike(claim).await;
            }
            Err(error @ PostError::Refused(_)) => {
                alarm(errand, &error);
                self.strike(claim).await;
            }
            Err(error) => self.put_off(claim, &error).await,
        }
    }

    async fn hand_over(&self, letter: Letter) -> Result<(), PostError> {
        let late = |_| Err(PostError::Failed(format!("the carrier took more than {} s", PATIENCE.as_secs())));
        timeout(PATIENCE, self.post.send(letter)).await.unwrap_or_else(late)
    }

    async fn write(&self, errand: &Errand) -> Result<Written, BeginError> {
        let Some(to) = &errand.to else { return Ok(Written::Nothing) };
        match errand.reason {
            Reason::ForgottenPassword => {
                let until = self.recoveries.good_until(errand.asked_at);
                if self.clock.now() >= until {
                    return Ok(Written::Late);
                }
                Ok(match self.recoveries.begin(to, until).await? {
                    Some((account, token)) => {
                        let letter = self.stationery.recovery(errand.name(), &account, &token, until);
                        Written::Letter(letter)
                    }
                    None => Written::Nothing,
                })
            }
            Reason::PasswordExpires { days, changed_at } => {
                let found = self.accounts.find(to).await?;
                let Some(account) = found.filter(|account| account.password_changed_at == changed_at) else {
                    return Ok(Written::Nothing);
                };
                let due = self.accounts.password_age(changed_at).due();
                Ok(match self.accounts.reminder(&account, self.clock.now()) {
                    Some(mark) if mark.days == days => {
                        Written::Letter(self.stationery.expiry(errand.name(), &account, due))
                    }
                    // Another mark was passed meanwhile, with a letter of its own, or the password fell due.
                    Some(mark) if mark.days < days => Written::Late,
                    None if self.clock.now() >= due => Written::Late,
                    Some(_) | None => Written::Nothing,
                })
            }
        }
    }

    /// Notes that an owner was reminded, so that nobody does it again.
    async fn note(&self, errand: &Errand) {
        let (Some(to), Reason::PasswordExpires { days, changed_at }) = (&errand.to, errand.reason) else {
            return;
        };
        if let Err(error) = self.accounts.note_reminder(to, changed_at, days).await {
            tracing::error!(%error, "a reminder was sent and not noted: it may be sent once more");
        }
    }

    async fn strike(&self, claim: &Claim) {
        // Sent and still waiting, it would be sent twice: the store has until the claim ends to come back.
        while let Err(error) = self.outbox.strike(claim).await {
            if after(self.clock.running(), ROUND) >= claim.held_until {
                return tracing::error!(%error, "a letter is done with, and may be done again");
            }
            sleep(ROUND).await;
        }
    }

    async fn put_off(&self, claim: &Claim, error: &PostError) {
        let errand = &claim.errand;
        if !self.stuck.swap(true, Ordering::Relaxed) {
            tracing::error!(%error, reason = errand.reason.name(), "letters do not leave; they are tried again");
        }
        // As long again as it has waited already.
        let waited = self.clock.now().duration_since(errand.asked_at).unsigned_abs();
        let wait = waited.clamp(SOONEST, LATEST);
        if let Err(error) = self.outbox.put_off(claim, after(self.clock.running(), wait)).await {
            tracing::debug!(%error, "a letter waits for its claim to end");
        }
    }
}

fn alarm(errand: &Errand, why: &(impl std::fmt::Display + ?Sized)) {
    let to = errand.to.as_ref().map(Identifiant::as_str).unwrap_or_default();
    let (reason, asked_at) = (errand.reason.name(), errand.asked_at);
    tracing::error!(%why, reason, %asked_at, to, "a letter is given up");
}

fn after(at: Timestamp, time: Duration) -> Timestamp {
    at.saturating_add(time).unwrap_or(at)
}
