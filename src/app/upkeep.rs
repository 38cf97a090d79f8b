//! The store that the configuration names, and what sweeps it.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;

use super::StartError;
use crate::config;
use crate::domain::Clock;
use crate::session::{SessionCache, Sessions};
use crate::store::{self, Store};

/// How often what has expired is swept from the store.
const SWEEP: Duration = Duration::from_mins(1);

/// Opens the store.
pub(super) fn open_store(
    background: &Runtime,
    store: &config::Store,
    clock: &Clock,
    cache: &Arc<SessionCache>,
) -> Result<Arc<dyn Store>, StartError> {
    let embedded = match store {
        config::Store::Redis(url) => {
            let connect = store::redis::Redis::connect(url, clock.clone(), Arc::clone(cache));
            return Ok(background.block_on(connect)?);
        }
        config::Store::Embedded(folder) => store::embedded::Embedded::open(folder)?,
        config::Store::Memory => store::embedded::Embedded::in_memory()?,
    };
    // One process owns the file: nobody else can change what is cached.
    cache.trust_for(Duration::MAX);
    Ok(embedded)
}

/// Tells of the sessions that ran out, and sweeps what has expired, for as long as the program runs.
pub(super) async fn sweep(store: Arc<dyn Store>, sessions: Arc<Sessions>, clock: Clock) {
    loop {
        // A rehearsal's clock that is moved says that time has passed.
        let _ = tokio::time::timeout(SWEEP, clock.moved()).await;
        if let Err(error) = sessions.note_expired().await {
            tracing::error!(%error, "the sessions that ran out could not be looked through");
        }
        if let Err(error) = store.sweep(clock.now()).await {
            tracing::error!(%error, "what has expired could not be swept");
        }
    }
}
