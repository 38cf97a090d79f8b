//! Sessions that this process has just seen, so that they cost no round trip.
//!
//! The store keeps the cache honest: it calls [`SessionCache::forget`] when another replica wrote, and
//! [`SessionCache::distrust`] when it may have missed such a word. A session read before that word and
//! inserted after it is caught by a stamp taken before the read.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use quick_cache::sync::Cache;
use tokio::time::Instant;

use super::{Session, SessionId};

/// A bounded cache of live sessions, shared by all workers.
#[derive(Debug)]
pub struct SessionCache {
    sessions: Cache<SessionId, Arc<Session>>,
    stamps: Box<[AtomicU64]>,
    born: Instant,
    trusted_until_ms: AtomicI64,
}

const STAMPS: usize = 1024;

/// What was known of later changes when a read began.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stamp(u64);

impl SessionCache {
    /// A cache of at most `capacity` sessions, not trusted yet.
    pub fn new(capacity: usize) -> Self {
        Self {
            sessions: Cache::new(capacity),
            stamps: (0..STAMPS).map(|_| AtomicU64::new(0)).collect(),
            born: Instant::now(),
            trusted_until_ms: AtomicI64::new(0),
        }
    }

    /// The store vouches that every change made elsewhere, up to now, has been or will be told here: the
    /// cache may be believed for `time`.
    pub fn trust_for(&self, time: Duration) {
        let until = self.elapsed_ms().saturating_add(i64::try_from(time.as_millis()).unwrap_or(i64::MAX));
        self.trusted_until_ms.store(until, Ordering::Release);
    }

    /// The store may have missed changes: all is forgotten until it vouches again.
    pub fn distrust(&self) {
        self.trusted_until_ms.store(0, Ordering::Release);
        self.forget_all();
    }

    /// Any session may have been changed.
    pub fn forget_all(&self) {
        self.stamps.iter().for_each(bump);
        self.sessions.clear();
    }

    /// A session was changed or removed.
    pub fn forget(&self, id: &SessionId) {
        bump(self.stamp_of(id));
        self.sessions.remove(id);
    }

    pub(super) fn find(&self, id: &SessionId) -> Option<Arc<Session>> {
        if self.is_trusted() { self.sessions.get(id) } else { None }
    }

    pub(super) fn stamp(&self, id: &SessionId) -> Stamp {
        Stamp(self.stamp_of(id).load(Ordering::SeqCst))
    }

    /// Keeps a session that was read after `stamp` was taken, unless it was changed since.
    pub(super) fn insert(&self, session: &Arc<Session>, stamp: Stamp) {
        if !self.is_trusted() {
            return;
        }
        let id = session.id();
        self.sessions.insert(*id, Arc::clone(session));
        if self.stamp_of(id).load(Ordering::SeqCst) != stamp.0 {
            self.sessions.remove(id);
        }
    }

    fn is_trusted(&self) -> bool {
        self.elapsed_ms() < self.trusted_until_ms.load(Ordering::Acquire)
    }

    fn elapsed_ms(&self) -> i64 {
        i64::try_from(self.born.elapsed().as_millis()).unwrap_or(i64::MAX)
    }

    fn stamp_of(&self, id: &SessionId) -> &AtomicU64 {
        let [low, high, ..] = *id.as_bytes();
        &self.stamps[usize::from(u16::from_le_bytes([low, high])) % STAMPS]
    }
}

fn bump(stamp: &AtomicU64) {
    stamp.fetch_add(1, Ordering::SeqCst);
}
