//! The addresses that an instance's name stands for.
//!
//! The system's resolver takes a thread for each question, for as long as it takes to be answered or given up, and
//! threads are all Cafs'. So one request asks for all that want the same instance, and the answer is kept for a moment;
//! the last good one is better than none.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::lookup_host;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

/// How long an answer is kept.
const KEPT: Duration = Duration::from_secs(5);
/// How long the resolver is waited for where a former answer is known.
const PATIENCE: Duration = Duration::from_secs(1);

/// What is known of one name.
#[derive(Debug, Default)]
pub(super) struct Addresses(Mutex<Option<Known>>);

#[derive(Debug)]
struct Known {
    since: Instant,
    addresses: Vec<SocketAddr>,
}

impl Addresses {
    /// The addresses of `host`; one that is an address already stands for itself.
    pub(super) async fn of(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        if let Ok(ip) = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(ip, port)]);
        }
        let ask = async { Ok(lookup_host((host, port)).await?.collect()) };
        self.known_or(ask).await
    }

    async fn known_or(
        &self,
        ask: impl Future<Output = io::Result<Vec<SocketAddr>>>,
    ) -> io::Result<Vec<SocketAddr>> {
        let mut known = self.0.lock().await;
        let former = match known.as_ref() {
            Some(known) if known.since.elapsed() < KEPT => return Ok(known.addresses.clone()),
            former => former.map(|known| known.addresses.clone()),
        };
        let addresses = match former {
            None => ask.await?,
            Some(former) => match timeout(PATIENCE, ask).await {
                Ok(Ok(found)) if !found.is_empty() => found,
                _ => former,
            },
        };
        if !addresses.is_empty() {
            *known = Some(Known { since: Instant::now(), addresses: addresses.clone() });
        }
        Ok(addresses)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::pending;

    use super::*;

    fn address(port: u16) -> Vec<SocketAddr> {
        vec![SocketAddr::from(([127, 0, 0, 1], port))]
    }

    async fn age(addresses: &Addresses) {
        addresses.0.lock().await.as_mut().unwrap().since -= KEPT;
    }

    #[tokio::test]
    async fn an_address_is_nobodys_question() {
        let addresses = Addresses::default();
        assert_eq!(addresses.of("127.0.0.1", 80).await.unwrap(), address(80));
        assert_eq!(addresses.of("[::1]", 80).await.unwrap(), ["[::1]:80".parse().unwrap()]);
        assert!(addresses.of("localhost", 80).await.unwrap().iter().all(|found| found.ip().is_loopback()));
    }

    #[tokio::test]
    async fn one_asks_for_all_and_the_last_answer_outlives_a_resolver_that_hangs() {
        let (addresses, asked) = (Addresses::default(), Cell::new(0));
        let ask = |port| {
            asked.set(asked.get() + 1);
            async move { Ok(address(port)) }
        };
        assert!(addresses.known_or(async { Err(io::ErrorKind::NotFound.into()) }).await.is_err());
        assert_eq!(addresses.known_or(ask(1)).await.unwrap(), address(1));
        assert_eq!(addresses.known_or(pending()).await.unwrap(), address(1), "it is still known");
        age(&addresses).await;
        assert_eq!(addresses.known_or(pending()).await.unwrap(), address(1), "better than none");
        assert_eq!(addresses.known_or(pending()).await.unwrap(), address(1), "and not asked at once again");
        age(&addresses).await;
        assert_eq!(addresses.known_or(ask(2)).await.unwrap(), address(2));
    }
}
