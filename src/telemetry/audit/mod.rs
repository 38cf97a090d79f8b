//! The audit log: one line of JSON for each decision, chained by hashes so that none can be changed, removed or moved
//! without its trace. Never a secret, a body, or a worker's number.
//!
//! A line's `hash` is the SHA-256 of the line up to it; its `prev` is the hash of the line before, through
//! restarts and rotated files. The first line of all has 64 zeros.

mod beside;
mod chain;
mod file;
mod scribe;
mod verify;

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, SyncSender};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value};
use tokio::sync::oneshot;

use crate::domain::{CafCode, Clock, Timestamp};

pub use beside::ends_before;
pub use file::OpenError;
pub use verify::{Broken, Verified, lines, of_caf, verify};

use file::Writer;
use scribe::{Message, Scribe, State};

/// What was decided.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Entry {
    /// Which decision: `sign-in`, `password-change`, `account-suspend` …
    pub what: &'static str,
    /// How it fell: `ok`, `refused`, `locked`, `barred` or `error`.
    pub outcome: &'static str,
    /// The problem's code, where one was answered; or why a session ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// The account that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub who: Option<String>,
    /// The Caf that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caf: Option<CafCode>,
    /// Where it is about no one Caf: those of the account.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cafs: Vec<CafCode>,
    /// The client's address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Who asked for it, on the operator's side.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// The request's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// Numbers and words of the gateway's own that belong to it.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub detail: Map<String, Value>,
}

/// What to do when a line cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// Nothing that must be audited is done.
    Refuse,
    /// All goes on, and the operator is alarmed.
    Continue,
}

/// A decision could not be written down. Whose fault: this machine's; may be tried again.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the audit log cannot be written")]
pub struct Unaudited;

/// Where decisions are written; clones write to the same.
#[derive(Debug, Clone, Default)]
pub struct Audit(Option<Arc<Log>>);

#[derive(Debug)]
struct Log {
    sender: SyncSender<Message>,
    on_failure: OnFailure,
    state: Arc<State>,
}

/// How the log does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Figures {
    /// Whether it cannot be written now.
    pub is_failing: bool,
    /// Whether decisions are refused meanwhile.
    pub refuses: bool,
    /// Lines that were lost since the program began.
    pub lost: u64,
    /// How many of them the log itself does not tell of yet.
    pub untold: u64,
}

/// Lines that may wait to be written.
const WAITING: usize = 4096;
/// How long a decision waits for its line.
const PATIENCE: Duration = Duration::from_secs(5);

static AUDIT: OnceLock<Audit> = OnceLock::new();

/// Where this program's decisions are written from now on; the first one stays.
pub fn install(audit: Audit) {
    let _ = AUDIT.set(audit);
}

/// Where this program's decisions are written; nowhere until [`install`] said.
pub fn log() -> &'static Audit {
    static NONE: Audit = Audit(None);
    AUDIT.get().unwrap_or(&NONE)
}

impl Audit {
    /// Writes to a file, by a thread of its own; beyond `max_size` bytes a new one is begun.
    pub fn to_file(
        path: PathBuf,
        max_size: u64,
        on_failure: OnFailure,
        clock: &Clock,
    ) -> Result<Self, OpenError> {
        let writer = Writer::open(path, max_size)?;
        let (sender, messages) = mpsc::sync_channel(WAITING);
        let state = Arc::new(State::default());
        let (told, clock) = (Arc::clone(&state), clock.clone());
        let scribe = Scribe { writer, messages, state: told, clock, owed: Vec::new() };
        std::thread::Builder::new()
            .name("octroi-audit".to_owned())
            .spawn(move || scribe.work())
            .map_err(OpenError::Thread)?;
        Ok(Self(Some(Arc::new(Log { sender, on_failure, state }))))
    }

    /// Whether decisions are written down at all.
    pub fn is_kept(&self) -> bool {
        self.0.is_some()
    }

    /// Whether decisions may be taken now: not while they could not be written down, where that matters. The disk is
    /// asked each time: the first decision on a full one is not taken either.
    pub async fn check(&self, at: Timestamp) -> Result<(), Unaudited> {
        match &self.0 {
            Some(log) if log.on_failure == OnFailure::Refuse => log.write(at, Vec::new(), false).await,
            _ => Ok(()),
        }
    }

    /// Writes down a decision that is not carried out yet, or can be taken back: on the disk once this returns,
    /// where that matters.
    pub async fn record(&self, at: Timestamp, entries: Vec<Entry>) -> Result<(), Unaudited> {
        match &self.0 {
            Some(log) if log.on_failure == OnFailure::Refuse => log.write(at, entries, false).await,
            Some(log) => {
                log.hand_over(at, entries);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Writes down what is done and cannot be taken back. Where that matters it waits for the disk; a line that
    /// cannot be written now is kept until it can.
    pub async fn settle(&self, at: Timestamp, entries: Vec<Entry>) {
        match &self.0 {
            Some(log) if log.on_failure == OnFailure::Refuse => {
                let written = log.write(at, entries, true).await;
                if written.is_err() {
                    tracing::error!("something was done whose line in the audit log has to wait");
                }
            }
            Some(log) => log.hand_over(at, entries),
            None => {}
        }
    }

    /// Writes a decision down that nobody waits for.
    pub fn note(&self, at: Timestamp, entry: Entry) {
        if let Some(log) = &self.0 {
            log.hand_over(at, vec![entry]);
        }
    }

    /// How the log does; none where none is kept.
    pub fn figures(&self) -> Option<Figures> {
        let log = self.0.as_ref()?;
        let (lost, told) = (log.state.lost.load(Ordering::Relaxed), log.state.told.load(Ordering::Relaxed));
        let is_failing = log.state.is_failing.load(Ordering::Acquire);
        let refuses = log.on_failure == OnFailure::Refuse && is_failing;
        Some(Figures { is_failing, refuses, lost, untold: lost.saturating_sub(told) })
    }

    /// Waits until all that was handed over is on the disk.
    pub async fn flush(&self, at: Timestamp) -> Result<(), Unaudited> {
        match &self.0 {
            Some(log) => log.write(at, Vec::new(), false).await,
            None => Ok(()),
        }
    }
}

impl Log {
    async fn write(&self, at: Timestamp, entries: Vec<Entry>, is_owed: bool) -> Result<(), Unaudited> {
        let (done, written) = oneshot::channel();
        let lines = entries.len();
        let message = Message { at, entries, is_owed, done: Some(done) };
        if self.sender.try_send(message).is_err() {
            self.state.lose(if is_owed { lines } else { 0 });
            return Err(Unaudited);
        }
        let written = tokio::time::timeout(PATIENCE, written).await.map_err(|_| Unaudited)?;
        written.map_err(|_| Unaudited)?
    }

    /// Lines that nobody waits for: kept for later where none may be missing.
    fn hand_over(&self, at: Timestamp, entries: Vec<Entry>) {
        let lines = entries.len();
        let is_owed = self.on_failure == OnFailure::Refuse;
        if self.sender.try_send(Message { at, entries, is_owed, done: None }).is_err() {
            self.state.lose(lines);
        }
    }
}

#[cfg(test)]
mod tests;
