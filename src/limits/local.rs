//! Rate limits of this process: governor over a bounded cache.

use std::hash::Hash;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed, StateStore};
use governor::{Quota, RateLimiter as Governor};
use quick_cache::sync::Cache;

use crate::config::Rate;

/// A client, for limits: an IPv4 address, or the /64 that an IPv6 host can pick its addresses from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClientKey(u128);

impl From<IpAddr> for ClientKey {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => Self(v4.to_ipv6_mapped().to_bits()),
            IpAddr::V6(v6) => Self(v6.to_bits() >> 64 << 64),
        }
    }
}

impl std::fmt::Display for ClientKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", std::net::Ipv6Addr::from_bits(self.0).to_canonical())
    }
}

/// The limit is reached. Whose fault: the client's; it may try again after the time told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooMany {
    /// Time until the next request would be let through.
    pub retry_after: Duration,
}

/// So many requests a period for each key, GCRA, kept in memory.
///
/// At most `KEYS` keys are remembered. A flood of new keys pushes out those seen once before those that
/// come back; a key pushed out starts with its full burst.
pub struct RateLimiter<K: Hash + Eq + Clone> {
    governor: Governor<K, Table<K>, DefaultClock>,
    states: Arc<Cache<K, Arc<InMemoryState>>>,
    clock: DefaultClock,
}

/// Keys remembered; about 100 bytes each.
const KEYS: usize = 100_000;

struct Table<K>(Arc<Cache<K, Arc<InMemoryState>>>);

impl<K: Hash + Eq + Clone> StateStore for Table<K> {
    type Key = K;

    fn measure_and_replace<T, F, E>(&self, key: &K, f: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let state = match self.0.get(key) {
            Some(state) => state,
            None => self.remember(key),
        };
        state.measure_and_replace(&NotKeyed::NonKey, f)
    }
}

impl<K: Hash + Eq + Clone> Table<K> {
    fn remember(&self, key: &K) -> Arc<InMemoryState> {
        let fresh = Arc::new(InMemoryState::default());
        match self.0.get_value_or_guard(key, Some(Duration::ZERO)) {
            quick_cache::sync::GuardResult::Value(state) => state,
            quick_cache::sync::GuardResult::Guard(guard) => {
                // Losing the place to a concurrent removal only gives the key a fresh burst.
                let _ = guard.insert(Arc::clone(&fresh));
                fresh
            }
            quick_cache::sync::GuardResult::Timeout => fresh,
        }
    }
}

impl<K: Hash + Eq + Clone> RateLimiter<K> {
    /// A limiter of that rate for each key.
    pub fn new(rate: Rate) -> Self {
        let each = rate.period / rate.count.get();
        let quota = Quota::with_period(each.max(Duration::from_nanos(1)))
            .unwrap_or_else(|| Quota::per_second(rate.count))
            .allow_burst(rate.burst);
        let clock = DefaultClock::default();
        let states = Arc::new(Cache::new(KEYS));
        let governor = Governor::new(quota, Table(Arc::clone(&states)), clock.clone());
        Self { governor, states, clock }
    }

    /// Keys remembered at present.
    pub fn keys(&self) -> usize {
        self.states.len()
    }

    /// Counts one request of `key`.
    pub fn check(&self, key: &K) -> Result<(), TooMany> {
        self.governor
            .check_key(key)
            .map_err(|until| TooMany { retry_after: until.wait_time_from(self.clock.now()) })
    }
}

impl<K: Hash + Eq + Clone> std::fmt::Debug for RateLimiter<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RateLimiter(…)")
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    fn limiter<K: Hash + Eq + Clone>(burst: u32) -> RateLimiter<K> {
        let burst = NonZeroU32::new(burst).expect("not zero");
        RateLimiter::new(Rate { count: NonZeroU32::MIN, period: Duration::from_hours(1), burst })
    }

    #[test]
    fn a_burst_then_a_wait() {
        let limiter = limiter(3);
        for _ in 0..3 {
            assert_eq!(limiter.check(&"a"), Ok(()));
        }
        let refused = limiter.check(&"a").expect_err("the burst is used up");
        assert!(refused.retry_after > Duration::from_mins(50), "{refused:?}");
        assert_eq!(limiter.check(&"b"), Ok(()));
    }

    #[test]
    fn an_ipv6_client_is_its_64_and_a_mapped_one_its_ipv4() {
        let key = |text: &str| ClientKey::from(text.parse::<IpAddr>().expect("an address"));
        assert_eq!(key("2001:db8::1"), key("2001:db8::ffff:1"));
        assert_ne!(key("2001:db8::1"), key("2001:db8:0:1::1"));
        assert_eq!(key("::ffff:192.0.2.1"), key("192.0.2.1"));
        assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
    }

    #[test]
    fn a_million_keys_take_bounded_memory_and_free_nobody() {
        let limiter = limiter(2);
        let regular = 7_000_000_u32;
        assert_eq!(limiter.check(&regular), Ok(()));
        assert_eq!(limiter.check(&regular), Ok(()));
        for stranger in 0..1_000_000_u32 {
            assert_eq!(limiter.check(&stranger), Ok(()));
            if stranger.is_multiple_of(1_000) {
                assert!(limiter.check(&regular).is_err(), "after {stranger} strangers");
            }
        }
        assert!(limiter.keys() <= KEYS);
    }
}
