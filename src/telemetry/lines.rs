//! Lines on their way to standard error.
//!
//! Whoever logs only appends to a buffer of its own thread; one thread writes them all, every few milliseconds.
//! So a request costs no system call for its line, and a reader of the log that hangs keeps no request
//! waiting: beyond [`MOST`] bytes a thread's lines are dropped, counted, and the loss is told.

use std::io::{self, Write};
use std::mem;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::Thread;
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

/// How long lines are gathered before they are written: what a killed process may lose.
const GATHER: Duration = Duration::from_millis(10);
/// Bytes that one thread may have waiting.
const MOST: usize = 1024 * 1024;
/// How long [`flush`] waits for a reader that does not read.
const PATIENCE: Duration = Duration::from_secs(1);

static BUFFERS: Mutex<Vec<Arc<Buffer>>> = Mutex::new(Vec::new());
static WRITER: OnceLock<Thread> = OnceLock::new();
static LOST: AtomicU64 = AtomicU64::new(0);
static ROUNDS: Mutex<Rounds> = Mutex::new(Rounds { asked: 0, done: 0 });
static ROUND_DONE: Condvar = Condvar::new();

thread_local! {
    static OWN: Arc<Buffer> = register();
}

/// What one thread has logged and nobody has written yet.
#[derive(Default)]
struct Buffer(Mutex<Vec<u8>>);

/// How often the writer was asked to write all, and how often it has.
struct Rounds {
    asked: u64,
    done: u64,
}

/// Starts the thread that writes; `told` makes the line that tells how many were lost.
pub(super) fn start(told: fn(u64) -> String) -> io::Result<()> {
    let builder = std::thread::Builder::new().name("octroi-log".to_owned());
    let thread = builder.spawn(move || write_for_ever(told))?.thread().clone();
    let _ = WRITER.set(thread);
    let panicked = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        panicked(panic);
        flush();
    }));
    Ok(())
}

/// Appends one line, its end included.
pub(super) fn put(line: impl FnOnce(&mut Vec<u8>)) {
    let first = OWN.try_with(|buffer| {
        let mut text = buffer.lock();
        if text.len() >= MOST {
            LOST.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        let first = text.is_empty();
        line(&mut text);
        first
    });
    // A thread that is ending has no buffer any more, and nothing left to tell.
    if first.unwrap_or(false)
        && let Some(writer) = WRITER.get()
    {
        writer.unpark();
    }
}

/// Waits until what was logged so far is written, a second at most.
pub fn flush() {
    let Some(writer) = WRITER.get() else { return };
    let mut rounds = guard(&ROUNDS);
    rounds.asked += 1;
    let asked = rounds.asked;
    writer.unpark();
    let _ = ROUND_DONE.wait_timeout_while(rounds, PATIENCE, |rounds| rounds.done < asked);
}

/// For what `tracing` formats: each event is one write.
pub(super) struct Entrance;

impl<'a> MakeWriter<'a> for Entrance {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        Self
    }
}

impl Write for Entrance {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        put(|text| text.extend_from_slice(line));
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Buffer {
    fn lock(&self) -> MutexGuard<'_, Vec<u8>> {
        guard(&self.0)
    }
}

fn guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn register() -> Arc<Buffer> {
    let buffer = Arc::new(Buffer::default());
    guard(&BUFFERS).push(Arc::clone(&buffer));
    buffer
}

fn write_for_ever(told: fn(u64) -> String) {
    let mut text = Vec::new();
    loop {
        let asked = guard(&ROUNDS).asked;
        write_all(&mut text, told);
        let mut rounds = guard(&ROUNDS);
        rounds.done = asked;
        let behind = rounds.asked > asked;
        drop(rounds);
        ROUND_DONE.notify_all();
        if !behind {
            std::thread::park();
            std::thread::park_timeout(GATHER);
        }
    }
}

/// Writes what every thread has logged. A standard error that is gone takes the lines with it: there is nobody
/// left to tell.
fn write_all(text: &mut Vec<u8>, told: fn(u64) -> String) {
    let buffers: Vec<_> = {
        let mut all = guard(&BUFFERS);
        // The buffers of threads that have ended go once they are written.
        all.retain(|buffer| Arc::strong_count(buffer) > 1 || !buffer.lock().is_empty());
        all.clone()
    };
    for buffer in buffers {
        mem::swap(&mut *buffer.lock(), text);
        if !text.is_empty() {
            let _ = io::stderr().lock().write_all(text);
            text.clear();
        }
    }
    let lost = LOST.swap(0, Ordering::Relaxed);
    if lost > 0 {
        let _ = io::stderr().lock().write_all(told(lost).as_bytes());
    }
}
