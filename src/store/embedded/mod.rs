//! One process, one file: the store that needs no server.
//!
//! Every change is on the disk before it is acknowledged, last actions and counters included: a thread of
//! its own gathers the changes that wait into one transaction, so that a hundred of them cost one
//! `fsync`. Reads take a snapshot and wait for nobody.
//!
//! The file is this process' alone, so nothing can change behind the session cache: whoever uses this
//! store may trust the cache for good.

mod accounts;
mod counters;
mod drains;
mod establishments;
mod held;
mod keys;
mod outbox;
mod parking;
mod recoveries;
mod sessions;
mod writer;

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use redb::backends::{FileBackend, InMemoryBackend};
use redb::{
    Database, DatabaseError, ReadTransaction, ReadableDatabase as _, StorageBackend, WriteTransaction,
};

use super::Upkeep;
use crate::domain::{StoreError, Timestamp};
use held::{Again, Held, Opener};
use writer::Writer;

/// A store in one file, or in memory alone.
pub struct Embedded {
    held: Arc<Held>,
    writer: Writer,
}

/// The file could not be opened. Whose fault: this machine's, or its operator's.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error("{0} is in use by another process: one process owns it (is octroi running already?)")]
    InUse(PathBuf),
    /// The folder or the file cannot be made or opened.
    #[error("{0} cannot be opened: {1}")]
    Io(PathBuf, #[source] io::Error),
    /// It is no store, or a damaged one.
    #[error("{0} cannot be read as a store: {1}")]
    Unreadable(PathBuf, #[source] DatabaseError),
    /// The file opened, but cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The file's name in its folder.
const FILE: &str = "octroi.redb";

impl Embedded {
    /// Opens `dir/octroi.redb`, and makes both, for this user alone, where they are not there yet.
    pub fn open(dir: &Path) -> Result<Arc<Self>, OpenError> {
        let dir = dir.to_owned();
        Self::opened_by(dir.clone(), Box::new(move || open_file(&dir)))
    }

    fn opened_by(dir: PathBuf, open: Opener) -> Result<Arc<Self>, OpenError> {
        Ok(Self::with(open()?, Some(Again { dir, open }))?)
    }

    /// A store that is gone with the process.
    pub fn in_memory() -> Result<Arc<Self>, OpenError> {
        let database = create(InMemoryBackend::new())
            .map_err(|error| OpenError::Unreadable(PathBuf::from("memory"), error))?;
        Ok(Self::with(database, None)?)
    }

    fn with(database: Database, again: Option<Again>) -> Result<Arc<Self>, StoreError> {
        make_tables(&database)?;
        let held = Arc::new(Held::new(database, again));
        let writer = Writer::start(Arc::clone(&held))?;
        Ok(Arc::new(Self { held, writer }))
    }

    /// Runs `job` on a snapshot, where blocking hurts nobody.
    async fn read<T, F>(&self, job: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&ReadTransaction) -> Result<T, Failure> + Send + 'static,
    {
        let held = Arc::clone(&self.held);
        let read = move || held.with(|database| job(&database.begin_read()?));
        tokio::task::spawn_blocking(move || read().map_err(StoreError::from))
            .await
            .unwrap_or_else(|_| Err(StoreError::Unreachable("the read was cut short".to_owned())))
    }

    /// Runs `job` in a transaction and returns once it is on the disk.
    async fn write<T, F>(&self, job: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&WriteTransaction) -> Result<T, Failure> + Send + 'static,
    {
        self.writer.write(job).await
    }
}

#[async_trait]
impl Upkeep for Embedded {
    fn is_reachable(&self) -> bool {
        self.writer.is_sound()
    }

    async fn sweep(&self, now: Timestamp) -> Result<usize, StoreError> {
        let swept = self.sweep_sessions(now).await? + self.sweep_counters(now).await?;
        let swept = swept + self.sweep_parked(now).await?;
        Ok(swept + self.sweep_recoveries(now).await?)
    }
}

impl std::fmt::Debug for Embedded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Embedded(…)")
    }
}

fn open_file(dir: &Path) -> Result<Database, OpenError> {
    let path = dir.join(FILE);
    let file = private_file(dir, &path).map_err(|error| OpenError::Io(path.clone(), error))?;
    FileBackend::new(file).and_then(create).map_err(|error| match error {
        DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => OpenError::InUse(path),
        other => OpenError::Unreadable(path, other),
    })
}

fn private_file(dir: &Path, path: &Path) -> io::Result<File> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let file =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
    // A new file's name must be on the disk as well, for what is written in it to be found again.
    File::open(dir)?.sync_all()?;
    Ok(file)
}

fn create(backend: impl StorageBackend) -> Result<Database, DatabaseError> {
    Database::builder().set_cache_size(CACHE_BYTES).create_with_backend(backend)
}

/// redb's page cache; its own default is a gigabyte.
const CACHE_BYTES: usize = 64 << 20;

/// Makes the tables, so that a read never meets one that is missing.
fn make_tables(database: &Database) -> Result<(), Failure> {
    let transaction = database.begin_write()?;
    accounts::make_table(&transaction)?;
    establishments::make_table(&transaction)?;
    sessions::make_tables(&transaction)?;
    counters::make_table(&transaction)?;
    drains::make_table(&transaction)?;
    keys::make_table(&transaction)?;
    outbox::make_table(&transaction)?;
    parking::make_table(&transaction)?;
    recoveries::make_table(&transaction)?;
    transaction.commit()?;
    Ok(())
}

/// Why a job failed. A job that fails for [`Failure::Record`] has changed nothing: what it must read,
/// it reads before it writes. After [`Failure::File`] its whole transaction is dropped.
#[derive(Debug)]
enum Failure {
    File(redb::Error),
    Record(StoreError),
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::File(redb::Error::Corrupted(why)) => Self::Corrupt(why),
            Failure::File(error) => Self::Unreachable(format!("the store's file: {error}")),
            Failure::Record(error) => error,
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Record(error)
    }
}

/// redb has an error type for each step; all are the file's.
macro_rules! from_redb {
    ($($error:ident),+) => {$(
        impl From<redb::$error> for Failure {
            fn from(error: redb::$error) -> Self {
                Self::File(error.into())
            }
        }
    )+};
}

from_redb!(StorageError, TableError, TransactionError, CommitError);

#[cfg(test)]
mod tests;
