//! The file, held open; and opened again once a write to it has failed.
//!
//! After a failed write redb takes no more, since it cannot know what is on the disk. What is there is whole all the
//! same, up to the last change that was acknowledged, so the file is opened anew as soon as the disk takes something.
//! Until then reads go on from what is open.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use redb::Database;
use rustix::fs::{FallocateFlags, fallocate};
use tokio::time::Instant;

use super::{Failure, OpenError};
use crate::domain::StoreError;

/// How a file is opened.
pub(super) type Opener = Box<dyn Fn() -> Result<Database, OpenError> + Send + Sync>;

/// The database, unless it could not be opened again.
pub(super) struct Held {
    database: RwLock<Option<Database>>,
    again: Option<Again>,
}

/// How to open it again.
pub(super) struct Again {
    pub(super) dir: PathBuf,
    pub(super) open: Opener,
}

/// Opening again is tried so often.
const PAUSE: Duration = Duration::from_secs(1);
/// Room that the disk must have for it, in bytes.
const ROOM: u64 = 1 << 20;
/// The file that finds out whether there is room.
const PROBE: &str = "octroi.redb.room";

impl Held {
    pub(super) fn new(database: Database, again: Option<Again>) -> Self {
        Self { database: RwLock::new(Some(database)), again }
    }

    /// Uses the database.
    pub(super) fn with<T>(&self, job: impl FnOnce(&Database) -> Result<T, Failure>) -> Result<T, Failure> {
        match &*self.database.read().unwrap_or_else(PoisonError::into_inner) {
            Some(database) => job(database),
            None => Err(StoreError::Unreachable("the store's file is not open".to_owned()).into()),
        }
    }

    /// Opens the file again, if it is `last`'s time and the disk has room.
    pub(super) fn recover(&self, last: &mut Option<Instant>) {
        let Some(again) = &self.again else { return };
        if last.is_some_and(|last| last.elapsed() < PAUSE) {
            return;
        }
        *last = Some(Instant::now());
        if let Err(error) = has_room(&again.dir) {
            return tracing::debug!(%error, "the store's disk takes nothing yet");
        }
        let mut database = self.database.write().unwrap_or_else(PoisonError::into_inner);
        // One process has one file open once: the former goes first.
        *database = None;
        match (again.open)() {
            Ok(opened) => {
                *database = Some(opened);
                tracing::warn!("the store's file was opened again");
            }
            Err(error) => tracing::error!(%error, "the store's file could not be opened again"),
        }
    }
}

fn has_room(dir: &Path) -> std::io::Result<()> {
    let path = dir.join(PROBE);
    let probe = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path);
    let room = probe.and_then(|probe| Ok(fallocate(&probe, FallocateFlags::empty(), 0, ROOM)?));
    let gone = fs::remove_file(&path);
    room.and(gone)
}
