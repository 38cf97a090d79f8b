//! Hashing passwords: argon2id on a bounded pool, since one hash takes 19 MiB and some 20 ms of a core.
//!
//! The pool's threads are its own, and yield to all others: a flood of sign-ins only gets the time that requests
//! of those who are signed in leave over.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};

use argon2::password_hash::phc;
use argon2::{Argon2, Params, PasswordHasher as _, PasswordVerifier as _};
use futures_util::StreamExt as _;
use rustix::process::{getpriority_process, setpriority_process};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::oneshot;

use super::PasswordHash;

/// Computes and checks argon2id hashes (RFC 9106), so many at once; m = 19 MiB, t = 2, p = 1.
///
/// More than `waiting` callers beyond those at work are refused at once: a flood of sign-ins must
/// neither fill the memory nor make the last in the queue wait for minutes.
#[derive(Debug)]
pub struct Hasher {
    jobs: Sender<Job>,
    present: AtomicUsize,
    room: usize,
    at_once: usize,
    dummy: PasswordHash,
}

type Job = Box<dyn FnOnce() + Send>;

/// How much more the pool's threads yield than the program's others (`nice`, from -20 to 19): a tenth of a core's time
/// against a thread that wants all of it, and none of a core's time that somebody is woken for.
const NICENESS: i32 = 10;

const MOST_NICE: i32 = 19;

/// Why no hash was computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HashError {
    /// Too many wait already. Nobody's fault; may be tried again in a few seconds.
    #[error("too many passwords wait to be hashed")]
    Busy,
    /// argon2 failed (no memory). Whose fault: this machine's.
    #[error("hashing failed")]
    Failed,
}

/// Longest password that is hashed at all, in bytes; longer ones are wrong ones.
const LONGEST: usize = 1024;

impl Hasher {
    /// A pool that hashes `at_once` passwords at a time and lets `waiting` more wait.
    pub fn new(at_once: usize, waiting: usize) -> Result<Self, HashError> {
        let dummy = hash(&SecretString::from("nobody knows this one"))?;
        let (jobs, waiting_jobs) = mpsc::channel();
        let waiting_jobs = Arc::new(Mutex::new(waiting_jobs));
        for number in 0..at_once.max(1) {
            let jobs = Arc::clone(&waiting_jobs);
            let thread = std::thread::Builder::new().name(format!("octroi-hash-{number}"));
            thread.spawn(move || work_off(&jobs)).map_err(|_| HashError::Failed)?;
        }
        let at_once = at_once.max(1);
        Ok(Self { jobs, present: AtomicUsize::new(0), room: at_once + waiting, at_once, dummy })
    }

    /// Hashes a new password with a random salt.
    pub async fn hash(&self, password: SecretString) -> Result<PasswordHash, HashError> {
        self.work(move || hash(&password)).await?
    }

    /// Hashes many new passwords, several at a time, for one caller who can wait: whoever signs in meanwhile
    /// waits for one of them at most, since the pool serves in order of arrival. `go_on` is told how many are done,
    /// and says whether to go on; nothing comes back when it does not.
    pub async fn hash_all(
        &self,
        passwords: Vec<SecretString>,
        go_on: &(dyn Fn(usize) -> bool + Send + Sync),
    ) -> Result<Option<Vec<PasswordHash>>, HashError> {
        let jobs =
            passwords.into_iter().map(|password| async move { self.in_turn(move || hash(&password)).await? });
        let mut jobs = futures_util::stream::iter(jobs).buffered(self.at_once);
        let mut hashes = Vec::new();
        while let Some(hash) = jobs.next().await {
            hashes.push(hash?);
            if !go_on(hashes.len()) {
                return Ok(None);
            }
        }
        Ok(Some(hashes))
    }

    /// Whether `password` is the one of `expected`. Without one, or with one that was made cheaper than
    /// ours, a hash of ours is computed as well, so that the time taken tells nothing.
    pub async fn verify(
        &self,
        password: SecretString,
        expected: Option<PasswordHash>,
    ) -> Result<bool, HashError> {
        let dummy = self.dummy.clone();
        self.work(move || {
            let verified = expected.as_ref().is_some_and(|hash| matches(&password, hash));
            if expected.is_none_or(|hash| hash.is_cheap()) {
                matches(&password, &dummy);
            }
            verified
        })
        .await
    }

    /// Runs a job that takes a core for long.
    pub(super) async fn work<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, HashError> {
        let _present = Present::enter(self)?;
        self.in_turn(job).await
    }

    /// Has a job done once those before it are.
    async fn in_turn<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, HashError> {
        let (answer, answered) = oneshot::channel();
        let job = move || {
            // Whoever asked may have gone away while it waited.
            if !answer.is_closed() {
                let _ = answer.send(job());
            }
        };
        self.jobs.send(Box::new(job)).map_err(|_| HashError::Failed)?;
        answered.await.map_err(|_| HashError::Failed)
    }
}

/// One thread of the pool, until the pool is gone.
fn work_off(jobs: &Mutex<Receiver<Job>>) {
    // Of this thread alone, as Linux has it.
    let nicer = getpriority_process(None)
        .and_then(|niceness| setpriority_process(None, (niceness + NICENESS).min(MOST_NICE)));
    if let Err(error) = nicer {
        tracing::warn!(%error, "hashing yields to nobody: sign-ins may slow down requests");
    }
    loop {
        let next = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = next else { return };
        // A job that panics is answered by its caller's empty channel, and must not take the thread along.
        let _ = catch_unwind(AssertUnwindSafe(job));
    }
}

/// One caller, counted while it waits or works.
struct Present<'a>(&'a AtomicUsize);

impl<'a> Present<'a> {
    fn enter(hasher: &'a Hasher) -> Result<Self, HashError> {
        let entered = Self(&hasher.present);
        let others = hasher.present.fetch_add(1, Ordering::Relaxed);
        if others < hasher.room { Ok(entered) } else { Err(HashError::Busy) }
    }
}

impl Drop for Present<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Why a text is no password hash that this program takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidHash {
    /// Not a PHC string with a salt and a hash.
    #[error("a password hash is a PHC string, $argon2id$v=19$m=…,t=…,p=…$salt$hash")]
    Syntax,
    /// Another algorithm, or an older version of argon2.
    #[error("only argon2id version 19 is taken")]
    Algorithm,
    /// So dear that checking it would starve the gateway.
    #[error("the hash asks for more than 256 MiB, 10 passes or 16 lanes")]
    Cost,
}

impl PasswordHash {
    /// Takes a PHC string made elsewhere.
    pub fn parse(text: &str) -> Result<Self, InvalidHash> {
        let parsed = phc::PasswordHash::new(text).map_err(|_| InvalidHash::Syntax)?;
        if parsed.algorithm.as_str() != "argon2id" || parsed.version != Some(19) {
            return Err(InvalidHash::Algorithm);
        }
        if parsed.salt.is_none() || parsed.hash.is_none() {
            return Err(InvalidHash::Syntax);
        }
        let params = Params::try_from(&parsed).map_err(|_| InvalidHash::Syntax)?;
        if params.m_cost() > 256 * 1024 || params.t_cost() > 10 || params.p_cost() > 16 {
            return Err(InvalidHash::Cost);
        }
        Ok(Self(text.to_owned()))
    }

    fn is_cheap(&self) -> bool {
        let params = phc::PasswordHash::new(&self.0).ok().and_then(|hash| Params::try_from(&hash).ok());
        let work = |params: &Params| u64::from(params.m_cost()) * u64::from(params.t_cost());
        params.is_none_or(|params| work(&params) < work(&Params::default()))
    }
}

fn hash(password: &SecretString) -> Result<PasswordHash, HashError> {
    let hashed = Argon2::default().hash_password(password.expose_secret().as_bytes());
    hashed.map(|hash| PasswordHash(hash.to_string())).map_err(|_| HashError::Failed)
}

fn matches(password: &SecretString, hash: &PasswordHash) -> bool {
    let password = password.expose_secret().as_bytes();
    password.len() <= LONGEST && Argon2::default().verify_password(password, hash.as_str()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_right_password_and_no_other() {
        let hasher = Hasher::new(1, 8).expect("a hasher");
        let hash = hasher.hash("Tilleul-2026".into()).await.expect("a hash");
        assert!(PasswordHash::parse(hash.as_str()).is_ok());
        assert_eq!(hasher.verify("Tilleul-2026".into(), Some(hash.clone())).await, Ok(true));
        assert_eq!(hasher.verify("tilleul-2026".into(), Some(hash)).await, Ok(false));
        assert_eq!(hasher.verify("nobody knows this one".into(), None).await, Ok(false));
    }

    #[tokio::test]
    async fn a_flood_is_refused_not_queued() {
        let hasher = Hasher::new(1, 1).expect("a hasher");
        let one = || hasher.verify("x".into(), None);
        let (a, b, c) = tokio::join!(one(), one(), one());
        assert_eq!([a, b, c], [Ok(false), Ok(false), Err(HashError::Busy)]);
        assert_eq!(one().await, Ok(false));
    }

    #[tokio::test]
    async fn many_are_hashed_in_their_order_beside_those_who_sign_in() {
        let pool = Hasher::new(2, 1).expect("a hasher");
        let passwords: Vec<SecretString> = (0..6).map(|n| format!("Tilleul-{n}").into()).collect();
        let done = AtomicUsize::new(0);
        let told = |count| {
            done.store(count, Ordering::Relaxed);
            true
        };
        let (hashes, beside) = tokio::join!(pool.hash_all(passwords, &told), pool.verify("x".into(), None));
        let hashes = hashes.expect("hashes").expect("all of them");
        assert_eq!(beside, Ok(false), "an import takes no sign-in's place");
        assert_eq!((hashes.len(), done.load(Ordering::Relaxed)), (6, 6));
        for (n, hash) in hashes.into_iter().enumerate() {
            assert_eq!(pool.verify(format!("Tilleul-{n}").into(), Some(hash)).await, Ok(true));
        }
    }

    #[tokio::test]
    async fn nobody_hashes_for_one_who_left() {
        let hasher = Hasher::new(1, 1).expect("a hasher");
        let passwords: Vec<SecretString> = (0..1_000).map(|n| format!("Tilleul-{n}").into()).collect();
        assert_eq!(hasher.hash_all(passwords, &|done| done < 2).await, Ok(None));
    }

    #[test]
    fn hashes_made_elsewhere_are_looked_at() {
        let parse = |text: &str| PasswordHash::parse(text).map(drop);
        let tail = "$c29tZXNhbHRzb21l$yQPTFBuGXvKWzaFFuaBDqVZ0iCZQCFoV3JZsUpA+Y5c";
        assert_eq!(parse(&format!("$argon2id$v=19$m=19456,t=2,p=1{tail}")), Ok(()));
        assert_eq!(parse(&format!("$argon2i$v=19$m=19456,t=2,p=1{tail}")), Err(InvalidHash::Algorithm));
        assert_eq!(parse(&format!("$argon2id$v=16$m=19456,t=2,p=1{tail}")), Err(InvalidHash::Algorithm));
        assert_eq!(parse(&format!("$argon2id$v=19$m=9999999,t=2,p=1{tail}")), Err(InvalidHash::Cost));
        assert_eq!(parse("$argon2id$v=19$m=19456,t=2,p=1"), Err(InvalidHash::Syntax));
        assert_eq!(parse("secret"), Err(InvalidHash::Syntax));
        assert_eq!(parse(""), Err(InvalidHash::Syntax));
    }
}
