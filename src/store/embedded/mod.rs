//! The embedded store: one file, owned by one process, with the same contract as a server.
//!
//! What is acknowledged is on the disk (`Durability::Immediate`), but for two things that are written too
//! often for that: a session's last action and the counts of wrong tries. These reach the disk within a
//! second ([`Embedded::upkeep`]), so that a crash moves a user's idle time back by a second at most.

mod accounts;
mod counters;
mod establishments;
mod keys;
mod sessions;

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use redb::backends::InMemoryBackend;
use redb::{Database, Durability, ReadTransaction, ReadableDatabase as _, WriteTransaction};

use super::Health;
use crate::domain::{Clock, StoreError};

/// A store of one process.
#[derive(Clone)]
pub struct Embedded(Arc<Inner>);

struct Inner {
    database: Database,
    unsaved: AtomicBool,
}

/// How often what was written lightly is brought to the disk.
const SAVE: Duration = Duration::from_secs(1);
/// How often what has expired is removed, in saves.
const SWEEP: u32 = 60;

impl Embedded {
    /// Opens `folder/octroi.redb`, and makes both where they are missing. Fails when another process has it.
    pub fn open(folder: &Path) -> Result<Arc<Self>, StoreError> {
        let failed =
            |error: &dyn std::fmt::Display| StoreError::Unreachable(format!("{}: {error}", folder.display()));
        fs::create_dir_all(folder).map_err(|error| failed(&error))?;
        let database =
            Database::builder().create(folder.join("octroi.redb")).map_err(|error| failed(&error))?;
        Self::over(database)
    }

    /// A store that is gone with the process.
    pub fn in_memory() -> Result<Arc<Self>, StoreError> {
        Self::over(Database::builder().create_with_backend(InMemoryBackend::new()).map_err(broken)?)
    }

    /// Saves what was written lightly, and sweeps what has expired, for as long as the program runs.
    pub async fn upkeep(&self, clock: &Clock) {
        for round in 1_u32.. {
            tokio::time::sleep(SAVE).await;
            let now = clock.now();
            let done = if round.is_multiple_of(SWEEP) { self.sweep(now).await } else { self.save().await };
            if let Err(error) = done {
                tracing::error!(%error, "the store's upkeep failed");
            }
        }
    }

    /// Brings what was written lightly to the disk.
    pub async fn save(&self) -> Result<(), StoreError> {
        if self.0.unsaved.swap(false, Ordering::AcqRel) {
            self.write(Durability::Immediate, |_| Ok(())).await?;
        }
        Ok(())
    }

    fn over(database: Database) -> Result<Arc<Self>, StoreError> {
        let store = Self(Arc::new(Inner { database, unsaved: AtomicBool::new(false) }));
        store.0.write(Durability::Immediate, |transaction| {
            accounts::create(transaction)?;
            establishments::create(transaction)?;
            sessions::create(transaction)?;
            counters::create(transaction)?;
            keys::create(transaction)
        })?;
        Ok(Arc::new(store))
    }

    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&ReadTransaction) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let inner = Arc::clone(&self.0);
        blocking(move || work(&inner.database.begin_read().map_err(broken)?)).await
    }

    async fn write<T: Send + 'static>(
        &self,
        durability: Durability,
        work: impl FnOnce(&WriteTransaction) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let inner = Arc::clone(&self.0);
        blocking(move || inner.write(durability, work)).await
    }
}

impl Inner {
    fn write<T>(
        &self,
        durability: Durability,
        work: impl FnOnce(&WriteTransaction) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut transaction = self.database.begin_write().map_err(broken)?;
        transaction.set_durability(durability).map_err(broken)?;
        let done = work(&transaction)?;
        transaction.commit().map_err(broken)?;
        if matches!(durability, Durability::None) {
            self.unsaved.store(true, Ordering::Release);
        }
        Ok(done)
    }
}

impl Health for Embedded {
    fn is_reachable(&self) -> bool {
        self.0.database.begin_read().is_ok()
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let ended = tokio::task::spawn_blocking(work).await;
    ended.unwrap_or_else(|error| Err(StoreError::Unreachable(error.to_string())))
}

fn broken(error: impl std::fmt::Display) -> StoreError {
    StoreError::Unreachable(error.to_string())
}
