//! The addresses that an instance's name stands for.
//!
//! The system's resolver takes a thread for each question, for as long as it takes to be answered or given up, and
//! threads are all Cafs'. So one question is asked for all that want the same instance, and the answer is kept for a moment,
//! even if it is that there is none; the last good one is better than none.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::lookup_host;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

/// How long an answer is kept, and that there was none.
const KEPT: Duration = Duration::from_secs(5);
/// How long the resolver is waited for where a former answer is known.
const PATIENCE: Duration = Duration::from_secs(1);

type Found = io::Result<Vec<SocketAddr>>;

/// What is known of one name.
#[derive(Debug, Default)]
pub(super) struct Addresses(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    since: Option<Instant>,
    /// None where nothing was found.
    addresses: Vec<SocketAddr>,
    /// Under way; whoever asked may have gone.
    question: Option<JoinHandle<Found>>,
}

impl Addresses {
    /// The addresses of `host`; one that is an address already stands for itself.
    pub(super) async fn of(&self, host: &str, port: u16) -> Found {
        if let Ok(ip) = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(ip, port)]);
        }
        let name = host.to_owned();
        self.known_or(async move { Ok(lookup_host((name, port)).await?.collect()) }).await
    }

    async fn known_or(&self, ask: impl Future<Output = Found> + Send + 'static) -> Found {
        let mut known = self.0.lock().await;
        if known.since.is_none_or(|since| since.elapsed() >= KEPT) {
            known.learn(ask).await?;
        }
        match known.addresses.as_slice() {
            [] => Err(io::Error::new(io::ErrorKind::NotFound, "its name stands for no address")),
            found => Ok(found.to_vec()),
        }
    }
}

impl Known {
    /// Waits for the answer to the question under way, or asks.
    async fn learn(&mut self, ask: impl Future<Output = Found> + Send + 'static) -> io::Result<()> {
        // What came when nobody waited may be old: it serves once.
        let was_there = self.question.as_ref().is_some_and(JoinHandle::is_finished);
        let question = self.question.get_or_insert_with(|| tokio::spawn(ask));
        let answer = if self.addresses.is_empty() {
            Some(question.await)
        } else {
            timeout(PATIENCE, question).await.ok()
        };
        self.since = (!was_there).then(Instant::now);
        let Some(answer) = answer else { return Ok(()) };
        self.question = None;
        match answer.map_err(io::Error::other).flatten() {
            Ok(found) if !found.is_empty() => self.addresses = found,
            Err(error) if self.addresses.is_empty() => return Err(error),
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn address(port: u16) -> Vec<SocketAddr> {
        vec![SocketAddr::from(([127, 0, 0, 1], port))]
    }

    async fn age(addresses: &Addresses) {
        let since = &mut addresses.0.lock().await.since;
        *since = since.map(|since| since - KEPT);
    }

    #[tokio::test]
    async fn an_address_is_nobodys_question() {
        let addresses = Addresses::default();
        assert_eq!(addresses.of("127.0.0.1", 80).await.unwrap(), address(80));
        assert_eq!(addresses.of("[::1]", 80).await.unwrap(), ["[::1]:80".parse().unwrap()]);
        assert!(addresses.of("localhost", 80).await.unwrap().iter().all(|found| found.ip().is_loopback()));
    }

    #[tokio::test]
    async fn the_last_answer_outlives_a_resolver_that_hangs() {
        let addresses = Addresses::default();
        let found = |port| async move { Ok(address(port)) };
        assert_eq!(addresses.known_or(found(1)).await.unwrap(), address(1));
        assert_eq!(addresses.known_or(pending()).await.unwrap(), address(1), "it is still known");
        age(&addresses).await;
        assert_eq!(addresses.known_or(pending()).await.unwrap(), address(1), "better than none");
        assert_eq!(addresses.known_or(pending()).await.unwrap(), address(1), "and not asked at once again");
        addresses.0.lock().await.question = None;
        age(&addresses).await;
        assert_eq!(addresses.known_or(found(2)).await.unwrap(), address(2));
    }

    #[tokio::test]
    async fn that_there_is_none_is_kept_too() {
        let addresses = Addresses::default();
        let none = || async { Err(io::ErrorKind::TimedOut.into()) };
        assert_eq!(addresses.known_or(none()).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        let again = timeout(PATIENCE, addresses.known_or(pending())).await.expect("an answer at once");
        assert_eq!(again.unwrap_err().kind(), io::ErrorKind::NotFound);
        age(&addresses).await;
        assert_eq!(addresses.known_or(async { Ok(address(1)) }).await.unwrap(), address(1));
    }

    #[tokio::test]
    async fn a_first_question_that_hangs_is_asked_once_whoever_gives_up() {
        let (addresses, asked) = (Addresses::default(), Arc::new(AtomicUsize::new(0)));
        let (answer, answered) = tokio::sync::watch::channel(false);
        let ask = || {
            let (asked, mut answered) = (Arc::clone(&asked), answered.clone());
            async move {
                asked.fetch_add(1, Ordering::Relaxed);
                answered.wait_for(|answered| *answered).await.map_err(io::Error::other)?;
                Ok(address(1))
            }
        };
        for _ in 0..3 {
            assert!(timeout(Duration::from_millis(20), addresses.known_or(ask())).await.is_err());
        }
        answer.send_replace(true);
        assert_eq!(addresses.known_or(ask()).await.unwrap(), address(1));
        assert_eq!(asked.load(Ordering::Relaxed), 1);
    }
}
