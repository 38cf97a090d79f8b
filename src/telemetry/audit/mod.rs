//! The audit log: one line of JSON for each decision, chained by hashes so that none can be changed, removed or moved
//! without its trace. Never a secret, a body, or a worker's number.
//!
//! A line's `hash` is the SHA-256 of the line up to it; its `prev` is the hash of the line before, through
//! restarts and rotated files. The first line of all has 64 zeros.

mod chain;
mod file;
mod verify;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value};
use tokio::sync::{mpsc, oneshot};

use crate::domain::{CafCode, Timestamp};

pub use file::OpenError;
pub use verify::{Broken, Verified, of_caf, verify};

use file::Writer;

/// What was decided.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Entry {
    /// Which decision: `sign-in`, `password-change`, `account-suspend` …
    pub what: &'static str,
    /// How it fell: `ok`, `refused` or `error`.
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
    /// The client's address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Who asked for it, on the operator's side.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// The request's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// Numbers that belong to it.
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
    sender: mpsc::Sender<Message>,
    on_failure: OnFailure,
    state: Arc<State>,
}

/// What the writer tells those who log.
#[derive(Debug, Default)]
struct State {
    is_failing: AtomicBool,
    lost: AtomicU64,
}

struct Message {
    at: Timestamp,
    /// None to try whether writing works again.
    entry: Option<Entry>,
    done: Option<oneshot::Sender<Result<(), Unaudited>>>,
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
    pub fn to_file(path: PathBuf, max_size: u64, on_failure: OnFailure) -> Result<Self, OpenError> {
        let writer = Writer::open(path, max_size)?;
        let (sender, receiver) = mpsc::channel(WAITING);
        let state = Arc::new(State::default());
        let told = Arc::clone(&state);
        std::thread::Builder::new()
            .name("octroi-audit".to_owned())
            .spawn(move || write_for_ever(writer, receiver, &told))
            .map_err(OpenError::Thread)?;
        Ok(Self(Some(Arc::new(Log { sender, on_failure, state }))))
    }

    /// Whether decisions may be taken now: not while they could not be written down, where that matters.
    pub async fn check(&self, at: Timestamp) -> Result<(), Unaudited> {
        match &self.0 {
            Some(log) if log.on_failure == OnFailure::Refuse && log.is_failing() => {
                log.write(Message { at, entry: None, done: None }).await
            }
            _ => Ok(()),
        }
    }

    /// Writes a decision down: on the disk once this returns, where that matters.
    pub async fn record(&self, at: Timestamp, entry: Entry) -> Result<(), Unaudited> {
        let Some(log) = &self.0 else { return Ok(()) };
        let message = Message { at, entry: Some(entry), done: None };
        if log.on_failure == OnFailure::Refuse {
            return log.write(message).await;
        }
        if log.sender.try_send(message).is_err() {
            log.state.lost.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Writes a decision down that nothing depends on any more.
    pub fn note(&self, at: Timestamp, entry: Entry) {
        if let Some(log) = &self.0
            && log.sender.try_send(Message { at, entry: Some(entry), done: None }).is_err()
        {
            log.state.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whether decisions are refused since they cannot be written down.
    pub fn is_refusing(&self) -> bool {
        self.0.as_ref().is_some_and(|log| log.on_failure == OnFailure::Refuse && log.is_failing())
    }
}

impl Log {
    fn is_failing(&self) -> bool {
        self.state.is_failing.load(Ordering::Acquire)
    }

    async fn write(&self, message: Message) -> Result<(), Unaudited> {
        let (done, written) = oneshot::channel();
        let message = Message { done: Some(done), ..message };
        let written = async {
            self.sender.send(message).await.map_err(|_| Unaudited)?;
            written.await.map_err(|_| Unaudited)?
        };
        tokio::time::timeout(PATIENCE, written).await.map_err(|_| Unaudited)?
    }
}

/// Most lines that one write takes: those who wait share one `fdatasync`.
const BATCH: usize = 256;

fn write_for_ever(mut writer: Writer, mut messages: mpsc::Receiver<Message>, state: &State) {
    let mut batch = Vec::new();
    while let Some(first) = messages.blocking_recv() {
        batch.push(first);
        while batch.len() < BATCH
            && let Ok(next) = messages.try_recv()
        {
            batch.push(next);
        }
        let written = write(&mut writer, &batch, state);
        let failed = written.is_err();
        let was_failing = state.is_failing.swap(failed, Ordering::AcqRel);
        match &written {
            Err(error) if !was_failing => tracing::error!(%error, "the audit log cannot be written"),
            Ok(()) if was_failing => tracing::warn!("the audit log is written again"),
            _ => {}
        }
        for message in batch.drain(..) {
            match (message.done, message.entry) {
                (Some(done), _) => drop(done.send(written.as_ref().copied().map_err(|_| Unaudited))),
                (None, Some(_)) if failed => drop(state.lost.fetch_add(1, Ordering::Relaxed)),
                _ => {}
            }
        }
    }
}

fn write(writer: &mut Writer, batch: &[Message], state: &State) -> std::io::Result<()> {
    let at = batch.first().map_or(Timestamp::UNIX_EPOCH, |message| message.at);
    let lost = state.lost.load(Ordering::Relaxed);
    let resumed = (state.is_failing.load(Ordering::Acquire) || lost > 0).then(|| {
        let detail = Map::from_iter([("lost".to_owned(), Value::from(lost))]);
        (at, Entry { what: "audit-resumed", outcome: "ok", detail, ..Entry::default() })
    });
    let entries = batch.iter().filter_map(|message| Some((message.at, message.entry.clone()?)));
    writer.write(resumed.into_iter().chain(entries))?;
    state.lost.fetch_sub(lost, Ordering::Relaxed);
    Ok(())
}

#[cfg(test)]
mod tests;
