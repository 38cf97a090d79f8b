//! A Redis server: the store that replicas share.
//!
//! One multiplexed connection carries everything, and a supervisor (`link`) keeps it: it asks for
//! tracking before the connection is used, vouches for the session cache for as long as the server
//! answers on it, and dials again for ever when it breaks. Without a connection every operation fails at
//! once; with one that went silent, within [`PATIENCE`].
//!
//! Each command, script or pipeline stage touches one key, save the scripts that take many rows (`staged`):
//!
//! | key | type | holds |
//! |---|---|---|
//! | `octroi:accounts` | hash | identifiant → account |
//! | `octroi:establishments` | hash | `921:s:SIRET` and `921:c:IDENTIFIANT` → establishment |
//! | `octroi:session:ID` | string | record; expires |
//! | `octroi:action:ID` | string | its last action, in ms; expires |
//! | `octroi:sessions-of:IDENTIFIANT` | sorted set | session names, the oldest first; expires |
//! | `octroi:sittings` | sorted set | `SITTING:ID`, the public names of all sessions; swept |
//! | `octroi:attempts:KEY` | hash | `count`, `locked_until` and `forget_at` in ms; expires |
//! | `octroi:outbox` | sorted set | errands, by the instant at which they are due |
//! | `octroi:signing-keys` | list | keys, the oldest first |
//! | `{octroi:accounts}:staged:ID` and its like | list | rows on their way in; expires |
//!
//! Expiry by Redis only cleans: what has ended is judged by the reader, on instants that are in the values.

mod accounts;
mod counters;
mod drains;
mod establishments;
mod fault;
mod keys;
mod layout;
mod link;
mod outbox;
mod parking;
mod recoveries;
mod sessions;
mod staged;
mod voucher;

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use ::redis::{Cmd, FromRedisValue, Pipeline, Script};
use async_trait::async_trait;
use secrecy::SecretString;
use tokio::task::AbortHandle;

use super::Upkeep;
use crate::domain::{Clock, StoreError, Timestamp};
use crate::session::SessionCache;
use layout::Layout;
use link::Link;

/// The longest that an operation may take.
pub const PATIENCE: Duration = Duration::from_millis(800);

/// Entries of a hash that are read in one go.
const PAGE: usize = 500;

/// A store on a Redis server.
pub struct Redis {
    link: Arc<Link>,
    layout: Layout,
    supervisor: AbortHandle,
}

impl Redis {
    /// The store at `url` (`redis://`, `rediss://`, `redis+unix://`), kept up by a task on the current
    /// runtime. `clock` follows the server's, and `cache` is trusted while the server's word is sure.
    ///
    /// A server that is down is no error: the store answers [`StoreError::Unreachable`] until it is up. A
    /// URL that is none is one, at once.
    pub async fn connect(
        url: &SecretString,
        clock: Clock,
        cache: Arc<SessionCache>,
    ) -> Result<Arc<Self>, StoreError> {
        Self::connect_under("octroi", url, clock, cache).await
    }

    /// As [`Redis::connect`], with another `prefix` than `octroi` before all keys.
    pub async fn connect_under(
        prefix: &str,
        url: &SecretString,
        clock: Clock,
        cache: Arc<SessionCache>,
    ) -> Result<Arc<Self>, StoreError> {
        let layout = Layout::new(prefix);
        let link = Arc::new(Link::new(url, layout.clone(), clock, cache)?);
        let supervisor = tokio::spawn(link::supervise(Arc::clone(&link))).abort_handle();
        link.first_outcome().await;
        Ok(Arc::new(Self { link, layout, supervisor }))
    }

    /// Runs a read; if the connection breaks under it, once more on the next one.
    async fn query<T: FromRedisValue + Send>(&self, command: &Cmd) -> Result<T, StoreError> {
        self.link.twice(|mut line| async move { command.query_async(&mut line).await }).await
    }

    /// Runs a change, once: a change whose answer was lost may have been made.
    async fn change<T: FromRedisValue + Send>(&self, command: &Cmd) -> Result<T, StoreError> {
        self.link.once(|mut line| async move { command.query_async(&mut line).await }).await
    }

    /// As [`Redis::query`], several in one go.
    async fn query_all<T: FromRedisValue + Send>(&self, pipeline: &Pipeline) -> Result<T, StoreError> {
        self.link.twice(|mut line| async move { pipeline.query_async(&mut line).await }).await
    }

    /// As [`Redis::change`], several in one go, each by itself and in order.
    async fn change_all<T: FromRedisValue + Send>(&self, pipeline: &Pipeline) -> Result<T, StoreError> {
        self.link.once(|mut line| async move { pipeline.query_async(&mut line).await }).await
    }

    /// All that a hash holds, read page by page: its whole in one answer would hold up everybody else's.
    async fn all(&self, key: &str) -> Result<HashMap<Vec<u8>, Vec<u8>>, StoreError> {
        let (mut all, mut cursor) = (HashMap::new(), 0_u64);
        loop {
            let mut page = ::redis::cmd("HSCAN");
            page.arg(key).arg(cursor).arg("COUNT").arg(PAGE);
            let (next, entries): (u64, HashMap<Vec<u8>, Vec<u8>>) = self.query(&page).await?;
            all.extend(entries);
            if next == 0 {
                return Ok(all);
            }
            cursor = next;
        }
    }

    /// Runs a script that changes one key, once.
    async fn run<T: FromRedisValue + Send>(
        &self,
        script: &Script,
        key: &str,
        arguments: &[&[u8]],
    ) -> Result<T, StoreError> {
        let mut call = script.key(key);
        for argument in arguments {
            call.arg(*argument);
        }
        let call = &call;
        self.link.once(|mut line| async move { call.invoke_async(&mut line).await }).await
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.supervisor.abort();
    }
}

impl std::fmt::Debug for Redis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Redis(…)")
    }
}

#[async_trait]
impl Upkeep for Redis {
    fn is_reachable(&self) -> bool {
        self.link.is_up()
    }

    /// Keys expire by themselves, and an account's dead sessions leave its index when the index is read; only
    /// the register of sittings holds what must be struck off.
    async fn sweep(&self, now: Timestamp) -> Result<usize, StoreError> {
        self.sweep_sittings(now).await
    }
}

/// The scripts, loaded on each new connection.
struct Scripts {
    index: Script,
    touch: Script,
    attempt: Script,
    take_back: Script,
    write: Script,
    replace: Script,
    put: Script,
    add_key: Script,
    post: Script,
    claim: Script,
    settle: Script,
}

static SCRIPTS: LazyLock<Scripts> = LazyLock::new(|| Scripts {
    index: Script::new(include_str!("lua/index.lua")),
    touch: Script::new(include_str!("lua/touch.lua")),
    attempt: Script::new(include_str!("lua/attempt.lua")),
    take_back: Script::new(include_str!("lua/take_back.lua")),
    write: Script::new(include_str!("lua/write.lua")),
    replace: Script::new(include_str!("lua/replace.lua")),
    put: Script::new(include_str!("lua/put.lua")),
    add_key: Script::new(include_str!("lua/add_key.lua")),
    post: Script::new(include_str!("lua/post.lua")),
    claim: Script::new(include_str!("lua/claim.lua")),
    settle: Script::new(include_str!("lua/settle.lua")),
});

impl Scripts {
    fn all(&self) -> [&Script; 11] {
        let Self { index, touch, attempt, take_back, write, replace, put, add_key, post, claim, settle } =
            self;
        [index, touch, attempt, take_back, write, replace, put, add_key, post, claim, settle]
    }
}

#[cfg(test)]
mod tests;
