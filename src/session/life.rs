//! Live sessions: opened, found, acted in, moved on, ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use quick_cache::sync::Cache;
use tokio::sync::Notify;

use super::moves::Moves;
use super::{End, Record, SessionCache, SessionId, SessionStore, Sitting, Stage, Token, Whence};
use crate::account::{AccountStore, Status};
use crate::domain::{Clock, Identifiant, NoEntropy, StoreError, Timestamp};
use crate::limits::Counters;

/// How long sessions live, and how many an account may have.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Time without a user's action that ends a session (rule 6).
    pub idle_timeout: Duration,
    /// How long before its end the user is warned.
    pub warning: Duration,
    /// Age at which a session ends whatever its user does.
    pub absolute_timeout: Duration,
    /// Sessions of one account; the oldest ends when one more is opened.
    pub max_per_account: usize,
}

/// A session that was alive when it was found.
#[derive(Debug)]
pub struct Session {
    id: SessionId,
    pub(super) record: Record,
    last_action_ms: AtomicI64,
    unwritten: AtomicBool,
}

impl Session {
    pub(super) fn new(id: SessionId, record: Record, last_action: Timestamp) -> Self {
        let last_action_ms = AtomicI64::new(last_action.as_millisecond());
        Self { id, record, last_action_ms, unwritten: AtomicBool::new(false) }
    }

    /// Its name in the store.
    pub fn id(&self) -> &SessionId {
        &self.id
    }

    /// How far its user has come.
    pub fn stage(&self) -> &Stage {
        &self.record.stage
    }

    /// When its user signed in.
    pub fn signed_in_at(&self) -> Timestamp {
        self.record.signed_in_at
    }

    /// The address it was opened from.
    pub fn place(&self) -> &str {
        &self.record.place
    }

    /// What the browser it was opened in calls itself, in two words.
    pub fn agent(&self) -> Option<&str> {
        self.record.agent.as_deref()
    }

    /// The instant at which it ends whatever its user does.
    pub(super) fn latest_end(&self) -> Timestamp {
        self.record.ends_at
    }

    /// Its public name.
    pub fn sitting(&self) -> Sitting {
        self.record.sitting
    }

    /// When its user last did something, as far as this process knows.
    pub fn last_action(&self) -> Timestamp {
        Timestamp::from_millisecond(self.last_action_ms.load(Ordering::Relaxed)).unwrap_or(Timestamp::MIN)
    }

    /// The instant at which it ends if its user does nothing more.
    pub fn ends_at(&self, policy: &Policy) -> Timestamp {
        let last = self.last_action_ms.load(Ordering::Relaxed);
        ends_at(&self.record, last, policy)
    }

    /// Whether it ends then whatever its user does until then.
    pub fn is_at_its_limit(&self, policy: &Policy) -> bool {
        self.ends_at(policy) == self.record.ends_at
    }
}

fn ends_at(record: &Record, last_action_ms: i64, policy: &Policy) -> Timestamp {
    Timestamp::from_millisecond(last_action_ms)
        .ok()
        .and_then(|last| last.checked_add(policy.idle_timeout).ok())
        .map_or(record.ends_at, |idle_end| idle_end.min(record.ends_at))
}

/// How long it is known whose a session was that ran out.
const REMEMBERED: Duration = Duration::from_mins(30);

/// What a cookie leads to.
#[derive(Debug)]
pub enum Found {
    /// A live session.
    Live(Arc<Session>),
    /// None, or one that no longer lives.
    Expired,
}

/// A session could not be opened or moved on.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The session ended meanwhile, or another request moved it on first. The client's user signs in again.
    #[error("the session is no longer alive")]
    Gone,
    /// Whose fault: the store's.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Whose fault: this machine's.
    #[error(transparent)]
    Entropy(#[from] NoEntropy),
}

/// All sessions, through the cache and the store.
pub struct Sessions {
    store: Arc<dyn SessionStore>,
    accounts: Arc<dyn AccountStore>,
    counters: Arc<dyn Counters>,
    cache: Arc<SessionCache>,
    clock: Clock,
    policy: Policy,
    unwritten: std::sync::Mutex<Vec<Arc<Session>>>,
    /// Those whose end the audit log was told of.
    ended: Cache<SessionId, ()>,
    ending: std::sync::Mutex<()>,
    pub(super) moves: Moves,
    woken: Notify,
}

/// Ended sessions remembered, so that each end is noted once.
const ENDED: usize = 10_000;

impl Sessions {
    /// Sessions kept in `store` for those in `accounts`, with the cache that `store` keeps honest. By `counters` replicas
    /// agree on who tells of a session's end.
    pub fn new(
        store: Arc<dyn SessionStore>,
        accounts: Arc<dyn AccountStore>,
        counters: Arc<dyn Counters>,
        cache: Arc<SessionCache>,
        clock: Clock,
        policy: Policy,
    ) -> Self {
        let unwritten = std::sync::Mutex::new(Vec::new());
        let ended = Cache::new(ENDED);
        let ending = std::sync::Mutex::default();
        let (moves, woken) = (Moves::default(), Notify::new());
        Self { store, accounts, counters, cache, clock, policy, unwritten, ended, ending, moves, woken }
    }

    /// How long sessions live.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Opens a session for one who has just signed in.
    pub async fn open(&self, stage: Stage, from: Whence<'_>) -> Result<(Token, Arc<Session>), SessionError> {
        let now = self.clock.now();
        let ends_at = now.saturating_add(self.policy.absolute_timeout).unwrap_or(Timestamp::MAX);
        let (place, agent) = (from.address.to_owned(), from.agent.map(str::to_owned));
        let sitting = Sitting::new(ends_at)?;
        let record = Record { stage, signed_in_at: now, ends_at, place, agent, sitting };
        let (token, session) = self.create(record).await?;
        self.end_oldest(&session).await?;
        Ok((token, session))
    }

    /// The session of a token. A cached one that looks expired is asked of the store again, since another
    /// replica may have seen its user since.
    ///
    /// One that was opened with another password than the account's present one is over, even if whoever
    /// changed it was killed before ending it; and so is one whose record cannot be read.
    pub async fn find(&self, token: &Token) -> Result<Found, StoreError> {
        self.look_up(&token.id()).await
    }

    /// The session of a name, in the same way.
    pub async fn look_up(&self, id: &SessionId) -> Result<Found, StoreError> {
        if let Some(session) = self.cache.find(id)
            && self.is_alive(&session)
        {
            return Ok(Found::Live(session));
        }
        let stamp = self.cache.stamp(id);
        let (record, last_action) = match self.store.find(id).await {
            Ok(Some(kept)) => kept,
            Ok(None) => return Ok(Found::Expired),
            Err(StoreError::Corrupt(why)) => {
                tracing::error!(%why, "a session cannot be read: its user must sign in again");
                return Ok(Found::Expired);
            }
            Err(error) => return Err(error),
        };
        let session = Arc::new(Session::new(*id, record, last_action));
        if !self.is_alive(&session) || !self.is_rightful(&session).await? {
            self.cache.forget(id);
            self.note_end(&session, End::Outdated).await;
            return Ok(Found::Expired);
        }
        self.cache.insert(&session, stamp);
        Ok(Found::Live(session))
    }

    /// Where a session stood that ran out in the last half hour; none where it was ended.
    pub async fn former(&self, id: &SessionId) -> Result<Option<Stage>, StoreError> {
        let Some((record, last_action)) = self.store.find(id).await? else { return Ok(None) };
        let session = Session::new(*id, record, last_action);
        let forgotten = session.ends_at(&self.policy).checked_add(REMEMBERED).unwrap_or(Timestamp::MAX);
        let is_recent = !self.is_alive(&session) && self.clock.now() < forgotten;
        Ok(is_recent.then_some(session.record.stage))
    }

    /// A user's action: idle time is back to full. Written to the store at most once a second.
    pub fn act(&self, session: &Arc<Session>) {
        session.last_action_ms.fetch_max(self.clock.now_ms(), Ordering::Relaxed);
        if !session.unwritten.swap(true, Ordering::AcqRel) {
            self.queue().push(Arc::clone(session));
            self.woken.notify_one();
        }
    }

    /// Takes a session away, without a word.
    pub(super) async fn remove(&self, id: &SessionId, account: &Identifiant) -> Result<bool, StoreError> {
        let removed = self.store.remove(id, account).await;
        self.cache.forget(id);
        removed
    }

    /// The live sessions of an account, the oldest first.
    pub async fn of_account(&self, account: &Identifiant) -> Result<Vec<Arc<Session>>, StoreError> {
        let kept = self.store.of_account(account).await?;
        let sessions = kept.into_iter().map(|(id, record, last)| Arc::new(Session::new(id, record, last)));
        Ok(sessions.filter(|session| self.is_alive(session)).collect())
    }

    /// Writes last actions to the store, each session's at most once a second, until the program ends.
    pub async fn write_actions(&self) {
        loop {
            self.woken.notified().await;
            self.flush().await;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    /// Writes the last actions that are not in the store yet; what cannot be written is kept for the next time.
    pub async fn flush(&self) {
        let batch = std::mem::take(&mut *self.queue());
        let writes = batch.into_iter().map(|session| self.write(session));
        let failed = futures_util::future::join_all(writes).await.into_iter().flatten();
        let mut queue = self.queue();
        let waiting = queue.len();
        queue.extend(failed);
        if queue.len() > waiting {
            self.woken.notify_one();
        }
    }

    async fn write(&self, session: Arc<Session>) -> Option<Arc<Session>> {
        session.unwritten.store(false, Ordering::Release);
        let last = session.last_action_ms.load(Ordering::Relaxed);
        let at = Timestamp::from_millisecond(last).unwrap_or(Timestamp::MIN);
        match self.store.touch(&session.id, at).await {
            Ok(true) => None,
            Ok(false) => {
                self.cache.forget(&session.id);
                None
            }
            Err(error) => {
                tracing::debug!(%error, "a session's last action is kept for later");
                (!session.unwritten.swap(true, Ordering::AcqRel)).then_some(session)
            }
        }
    }

    pub(super) async fn create(&self, record: Record) -> Result<(Token, Arc<Session>), SessionError> {
        let token = Token::random()?;
        let id = token.id();
        let now = self.clock.now();
        let stamp = self.cache.stamp(&id);
        self.store.create(&id, &record, now).await?;
        let session = Arc::new(Session::new(id, record, now));
        self.cache.insert(&session, stamp);
        Ok((token, session))
    }

    /// Whether its account is active, with the password that opened it.
    async fn is_rightful(&self, session: &Session) -> Result<bool, StoreError> {
        let holder = session.stage().holder();
        let account = self.accounts.find(holder.account()).await?;
        Ok(account.is_some_and(|account| {
            account.status == Status::Active && account.password_changed_at == holder.password_changed_at()
        }))
    }

    /// Whether a session that was found earlier lives on, as far as this process knows.
    pub fn is_alive(&self, session: &Session) -> bool {
        self.clock.now() < session.ends_at(&self.policy)
    }

    pub(super) fn store(&self) -> &dyn SessionStore {
        &*self.store
    }

    pub(super) fn cache(&self) -> &SessionCache {
        &self.cache
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    pub(super) fn counters(&self) -> &dyn Counters {
        &*self.counters
    }

    /// Whether a session is known to have ended, and its end told.
    pub(super) fn is_over(&self, id: &SessionId) -> bool {
        self.ended.get(id).is_some()
    }

    /// Whether the end of a session is heard of for the first time.
    pub(super) fn is_first_heard(&self, id: &SessionId) -> bool {
        let _one_at_a_time = self.ending.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let is_new = self.ended.get(id).is_none();
        self.ended.insert(*id, ());
        is_new
    }

    /// A live session as the store has it now; the cache is for those who come with their token.
    pub(super) async fn stored(&self, id: &SessionId) -> Result<Option<Arc<Session>>, StoreError> {
        let Some((record, last_action)) = self.store.find(id).await? else { return Ok(None) };
        let session = Session::new(*id, record, last_action);
        Ok(self.is_alive(&session).then(|| Arc::new(session)))
    }

    fn queue(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Session>>> {
        self.unwritten.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
