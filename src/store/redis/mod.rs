//! The shared store: a Redis server that all replicas see.
//!
//! Every script and transaction touches one key, so that a cluster needs nothing else. A write that is not
//! answered is not sent again: it may have been done.

mod accounts;
mod counters;
mod establishments;
mod keys;
mod link;
mod sessions;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwapOption;
use redis::aio::MultiplexedConnection;
use redis::{FromRedisValue, Pipeline, RedisError, ScriptInvocation};
use secrecy::SecretString;

use super::Health;
use crate::domain::{Clock, StoreError};
use crate::session::SessionCache;

/// A Redis server, through one connection that every worker shares.
pub struct Redis {
    line: ArcSwapOption<Line>,
}

/// A connection that is tracked, until its own task finds that it broke.
struct Line {
    connection: MultiplexedConnection,
    broken: Arc<AtomicBool>,
}

impl Redis {
    /// A store on the server at `url`, and the task that connects to it and keeps `cache` honest: it must
    /// run for as long as the store is used. The server need not be up: until it is, every operation
    /// fails at once.
    pub fn new(
        url: &SecretString,
        clock: Clock,
        cache: Arc<SessionCache>,
    ) -> Result<(Arc<Self>, impl Future<Output = ()> + Send + 'static), StoreError> {
        let store = Arc::new(Self { line: ArcSwapOption::empty() });
        let link = link::Link::new(url, Arc::clone(&store), clock, cache)?;
        Ok((store, link.run()))
    }

    fn publish(&self, line: Line) {
        self.line.store(Some(Arc::new(line)));
    }

    fn retract(&self) {
        self.line.store(None);
    }

    fn connection(&self) -> Result<MultiplexedConnection, StoreError> {
        let line = self.line.load();
        let whole = line.as_deref().filter(|line| !line.broken.load(Ordering::Acquire));
        let line = whole.ok_or_else(|| StoreError::Unreachable("not connected".to_owned()))?;
        Ok(line.connection.clone())
    }

    async fn command<T: FromRedisValue>(&self, command: &redis::Cmd) -> Result<T, StoreError> {
        command.query_async(&mut self.connection()?).await.map_err(|error| fault(&error))
    }

    async fn pipeline<T: FromRedisValue>(&self, pipeline: &Pipeline) -> Result<T, StoreError> {
        pipeline.query_async(&mut self.connection()?).await.map_err(|error| fault(&error))
    }

    async fn script<T: FromRedisValue>(&self, script: &ScriptInvocation<'_>) -> Result<T, StoreError> {
        script.invoke_async(&mut self.connection()?).await.map_err(|error| fault(&error))
    }
}

impl Health for Redis {
    fn is_reachable(&self) -> bool {
        self.connection().is_ok()
    }
}

fn fault(error: &RedisError) -> StoreError {
    match error.kind() {
        redis::ErrorKind::UnexpectedReturnType | redis::ErrorKind::Parse => {
            StoreError::Corrupt(error.to_string())
        }
        _ => StoreError::Unreachable(error.to_string()),
    }
}
