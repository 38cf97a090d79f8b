//! What the tests stand on.

pub mod backend;
pub mod browser;
pub mod client;
pub mod gateway;
pub mod mail;
pub mod modern;
pub mod redis;
pub mod world;

use std::net::TcpListener;
use std::time::{Duration, Instant};

/// Waits for a fact, 10 s at most.
pub fn eventually(fact: &str, holds: impl FnMut() -> bool) {
    within(Duration::from_secs(10), fact, holds);
}

/// Waits for a fact, for so long at most.
#[expect(clippy::disallowed_methods, reason = "a test's patience is no business of the gateway's clock")]
pub fn within(time: Duration, fact: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < time, "not within {time:?}: {fact}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A port that nobody listens on.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
