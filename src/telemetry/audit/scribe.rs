//! The thread that writes: those who wait share one write, and a disk that failed is tried again by itself.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::sync::oneshot;

use super::file::{Begun, Writer};
use super::{Entry, Unaudited};
use crate::domain::{Clock, Timestamp};

/// What the writer tells those who log.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) is_failing: AtomicBool,
    /// Lines that were lost since the program began.
    pub(super) lost: AtomicU64,
    /// How many of them the log itself tells of.
    pub(super) told: AtomicU64,
}

impl State {
    pub(super) fn lose(&self, lines: usize) {
        self.lost.fetch_add(lines as u64, Ordering::Relaxed);
    }
}

pub(super) struct Message {
    pub(super) at: Timestamp,
    /// None to be told whether lines could be written.
    pub(super) entries: Vec<Entry>,
    /// They tell what is done already: kept for later where they cannot be written now.
    pub(super) is_owed: bool,
    pub(super) done: Option<oneshot::Sender<Result<(), Unaudited>>>,
}

pub(super) struct Scribe {
    pub(super) writer: Writer,
    pub(super) messages: Receiver<Message>,
    pub(super) state: Arc<State>,
    pub(super) clock: Clock,
    /// Lines of what is done that could not be written yet.
    pub(super) owed: Vec<(Timestamp, Entry)>,
}

/// How often the disk is looked at while nobody has anything to write.
const LOOK: Duration = Duration::from_secs(1);
/// Most lines that one write takes: those who wait share one `fdatasync`.
const BATCH: usize = 256;
/// Most lines that are kept for later.
const OWED: usize = 4096;

impl Scribe {
    pub(super) fn work(mut self) {
        if let Some(begun) = self.writer.begun() {
            self.owed.push((self.clock.now(), begins(begun)));
            tracing::info!(path = %self.writer.path().display(), ?begun, "the audit log begins a new chain");
        }
        self.take(Vec::new());
        loop {
            match self.messages.recv_timeout(LOOK) {
                Ok(first) => {
                    let others = self.messages.try_iter().take(BATCH - 1);
                    let batch = std::iter::once(first).chain(others).collect();
                    self.take(batch);
                }
                Err(RecvTimeoutError::Timeout) => self.take(Vec::new()),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn take(&mut self, batch: Vec<Message>) {
        let ready = self.writer.ready();
        let written = self.write(&batch, ready.is_ok());
        let told = |result: &io::Result<()>| if result.is_ok() { Ok(()) } else { Err(Unaudited) };
        let (ready_for_more, done) = (told(&ready).and(told(&written)), told(&written));
        self.turn(ready.and(written).err().as_ref());
        for Message { at, entries, is_owed, done: waiting } in batch {
            let answer = if entries.is_empty() { ready_for_more } else { done };
            if done.is_err() {
                self.keep(at, entries, is_owed, waiting.is_some());
            }
            if let Some(waiting) = waiting {
                let _ = waiting.send(answer);
            }
        }
    }

    /// Says it once when the disk fails, and once when it is well again.
    fn turn(&self, error: Option<&io::Error>) {
        let was_failing = self.state.is_failing.swap(error.is_some(), Ordering::AcqRel);
        let path = self.writer.path().display();
        match error {
            Some(error) if !was_failing => tracing::error!(%path, %error, "the audit log cannot be written"),
            None if was_failing => tracing::warn!(%path, "the audit log is written again"),
            _ => {}
        }
    }

    /// Lines that somebody waits for and nothing was done for yet are neither kept nor lost: it is not done.
    fn keep(&mut self, at: Timestamp, entries: Vec<Entry>, is_owed: bool, is_awaited: bool) {
        let kept = if is_owed { entries.len().min(OWED.saturating_sub(self.owed.len())) } else { 0 };
        if is_owed || !is_awaited {
            self.state.lose(entries.len() - kept);
        }
        self.owed.extend(entries.into_iter().take(kept).map(|entry| (at, entry)));
    }

    fn write(&mut self, batch: &[Message], is_ready: bool) -> io::Result<()> {
        let lost = self.state.lost.load(Ordering::Relaxed);
        let untold = lost - self.state.told.load(Ordering::Relaxed);
        let resumes = is_ready && (self.state.is_failing.load(Ordering::Acquire) || untold > 0);
        let word = resumes.then(|| (self.clock.now(), resumes_after(untold)));
        let new = batch.iter().flat_map(|message| message.entries.iter().map(|entry| (message.at, entry)));
        let owed = self.owed.iter().chain(&word).map(|(at, entry)| (*at, entry));
        let mut lines = owed.chain(new).peekable();
        if lines.peek().is_none() {
            return Ok(());
        }
        self.writer.write(lines)?;
        self.owed.clear();
        if resumes {
            self.state.told.store(lost, Ordering::Relaxed);
        }
        Ok(())
    }
}

fn begins(begun: Begun) -> Entry {
    let reason = (begun == Begun::Anew).then_some("no-file-to-continue");
    Entry { what: "audit-begun", outcome: "ok", reason, ..Entry::default() }
}

fn resumes_after(lost: u64) -> Entry {
    let detail = Map::from_iter([("lost".to_owned(), Value::from(lost))]);
    Entry { what: "audit-resumed", outcome: "ok", detail, ..Entry::default() }
}
