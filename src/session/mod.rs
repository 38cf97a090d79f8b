//! A session's life: from signing in to leaving, in types (rules 3 to 7).

mod agent;
mod cache;
mod cookie;
mod ending;
mod life;
mod moves;
mod register;
mod sitting;
mod stage;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::domain::{Identifiant, StoreError, Timestamp};

pub use crate::domain::Token;
pub use agent::short as short_agent;
pub use cache::SessionCache;
pub use cookie::{PLAIN_NAME, SECURE_NAME, SessionCookie, Shown};
pub use ending::End;
pub use life::{Found, Policy, Session, SessionError, Sessions};
pub use register::SittingsPage;
pub use sitting::{InvalidSitting, Sitting};
pub use stage::{Holder, MustChangePassword, MustChooseCaf, MustIdentifyEstablishment, Ready, Stage};

/// The name of a session: the hash of its token.
pub type SessionId = crate::domain::TokenHash;

/// A session as the store keeps it; written once, at the change of state that made it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// How far its user has come, and who they are.
    pub stage: Stage,
    /// When its user signed in.
    pub signed_in_at: Timestamp,
    /// The instant at which it ends whatever its user does.
    pub ends_at: Timestamp,
    /// The address it was opened from.
    pub place: String,
    /// What the browser it was opened in calls itself, in two words, where it is one that is known.
    #[serde(default)]
    pub agent: Option<String>,
    /// Its public name, the same from signing in to the end.
    pub sitting: Sitting,
}

/// Where a session is opened from.
#[derive(Debug, Clone, Copy)]
pub struct Whence<'a> {
    /// The client's address.
    pub address: &'a str,
    /// The same as limits know it: the /64 of an IPv6 one.
    pub place: &'a str,
    /// What the browser calls itself, in two words.
    pub agent: Option<&'a str>,
}

/// Where sessions are kept, under the hash of their token.
///
/// A session is alive while `now < ends_at` and `now < last_action + idle_timeout`; expiry is judged by
/// the reader, so that a store's own expiry (later, for cleaning) decides nothing.
#[async_trait]
pub trait SessionStore: Send + Sync {
    /// Keeps a new session, and its name among its account's; kept at least until `record.ends_at`.
    async fn create(&self, id: &SessionId, record: &Record, at: Timestamp) -> Result<(), StoreError>;

    /// A session and the instant of its user's last action.
    async fn find(&self, id: &SessionId) -> Result<Option<(Record, Timestamp)>, StoreError>;

    /// Moves the last action forward to `at`. Neither revives a session that is gone (`false`) nor moves time back.
    async fn touch(&self, id: &SessionId, at: Timestamp) -> Result<bool, StoreError>;

    /// Removes a session; `true` for exactly one of several callers.
    async fn remove(&self, id: &SessionId, account: &Identifiant) -> Result<bool, StoreError>;

    /// The names of an account's sessions that are kept, without reading one: a record that cannot be read
    /// must not keep the others alive.
    async fn ids_of_account(&self, account: &Identifiant) -> Result<Vec<SessionId>, StoreError>;

    /// The sessions of an account that are kept (some may have expired), the oldest first. One that cannot be
    /// read is left out, with a word in the log.
    async fn of_account(
        &self,
        account: &Identifiant,
    ) -> Result<Vec<(SessionId, Record, Timestamp)>, StoreError>;

    /// The names of sittings that come after `after`, in their order, at most `limit`, each with the session it
    /// is at; some may be gone. A sitting may come several times, since each of its sessions had its name.
    async fn sittings(
        &self,
        after: Option<Sitting>,
        limit: usize,
    ) -> Result<Vec<(Sitting, SessionId)>, StoreError>;

    /// The sessions that a sitting was at, gone ones among them.
    async fn of_sitting(&self, sitting: Sitting) -> Result<Vec<SessionId>, StoreError>;
}
