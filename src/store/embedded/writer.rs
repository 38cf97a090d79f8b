//! The thread that writes. Changes that wait for the disk together are committed together.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};

use redb::{Database, WriteTransaction};
use tokio::sync::oneshot;

use super::Failure;
use super::held::Held;
use crate::domain::StoreError;

/// The way to the writing thread, which ends with it.
pub(super) struct Writer {
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
    sound: Arc<AtomicBool>,
}

type Job = Box<dyn FnOnce(&WriteTransaction) -> Done + Send>;

/// A job that has run, and waits for the transaction's end to answer.
struct Done {
    broken: Option<StoreError>,
    answer: Box<dyn FnOnce(Result<(), StoreError>)>,
}

/// Most changes of one transaction: a bound on what a broken one takes with it.
const BATCH: usize = 256;

impl Writer {
    pub(super) fn start(held: Arc<Held>) -> Result<Self, StoreError> {
        let (jobs, waiting) = mpsc::channel();
        let sound = Arc::new(AtomicBool::new(true));
        let told = Arc::clone(&sound);
        let thread = thread::Builder::new()
            .name("octroi-store".to_owned())
            .spawn(move || write_all(&held, &waiting, &told))
            .map_err(|error| StoreError::Unreachable(format!("no thread to write with: {error}")))?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread), sound })
    }

    /// Whether the last transaction reached the disk.
    pub(super) fn is_sound(&self) -> bool {
        self.sound.load(Ordering::Relaxed) && self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    pub(super) async fn write<T, F>(&self, job: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&WriteTransaction) -> Result<T, Failure> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let sent = self.jobs.as_ref().is_some_and(|jobs| jobs.send(box_up(job, answer)).is_ok());
        let stopped = || StoreError::Unreachable("the store writes no more".to_owned());
        if !sent {
            return Err(stopped());
        }
        answered.await.unwrap_or_else(|_| Err(stopped()))
    }
}

impl Drop for Writer {
    /// Waits for what was handed in, so that the file is free when the store is gone.
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn box_up<T, F>(job: F, answer: oneshot::Sender<Result<T, StoreError>>) -> Job
where
    T: Send + 'static,
    F: FnOnce(&WriteTransaction) -> Result<T, Failure> + Send + 'static,
{
    Box::new(move |transaction| {
        let outcome = job(transaction);
        let broken = matches!(outcome, Err(Failure::File(_)));
        let outcome = outcome.map_err(StoreError::from);
        let broken = if broken { outcome.as_ref().err().cloned() } else { None };
        Done { broken, answer: Box::new(move |committed| drop(answer.send(committed.and(outcome)))) }
    })
}

fn write_all(held: &Held, waiting: &Receiver<Job>, sound: &AtomicBool) {
    let mut recovered = None;
    while let Ok(first) = waiting.recv() {
        if !sound.load(Ordering::Relaxed) {
            held.recover(&mut recovered);
        }
        let batch = std::iter::once(first).chain(waiting.try_iter().take(BATCH - 1)).collect();
        let committed = held.with(|database| Ok(commit(database, batch)?)).map_err(StoreError::from);
        if let Err(error) = &committed
            && sound.load(Ordering::Relaxed)
        {
            tracing::error!(%error, "the store's file takes no changes");
        }
        sound.store(committed.is_ok(), Ordering::Relaxed);
    }
}

/// Runs a batch in one transaction, then answers each job. Jobs that did not run are dropped unanswered,
/// which tells their callers as much.
fn commit(database: &Database, batch: Vec<Job>) -> Result<(), StoreError> {
    let transaction = database.begin_write().map_err(Failure::from)?;
    let mut answers = Vec::with_capacity(batch.len());
    let mut outcome = Ok(());
    for job in batch {
        let done = job(&transaction);
        answers.push(done.answer);
        if let Some(error) = done.broken {
            outcome = Err(error);
            break;
        }
    }
    if outcome.is_ok() {
        outcome = transaction.commit().map_err(|error| Failure::from(error).into());
    }
    for answer in answers {
        answer(outcome.clone());
    }
    outcome
}
