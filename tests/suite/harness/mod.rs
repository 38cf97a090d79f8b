//! What the tests stand on.

pub mod backend;
pub mod browser;
pub mod client;
pub mod gateway;
pub mod mail;
pub mod modern;
pub mod redis;
pub mod world;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// How long a fact is waited for that has no time of its own; a busy machine may stop a process for seconds.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Waits for a fact, [`PATIENCE`] at most.
pub fn eventually(fact: &str, holds: impl FnMut() -> bool) {
    within(PATIENCE, fact, holds);
}

/// Waits for a fact, for so long at most.
#[expect(clippy::disallowed_methods, reason = "a test's patience is no business of the gateway's clock")]
pub fn within(time: Duration, fact: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    loop {
        // The time first: who was stopped after a look has not seen what came meanwhile.
        let is_over = began.elapsed() >= time;
        if holds() {
            return;
        }
        assert!(!is_over, "not within {time:?}: {fact}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// An address that is nobody else's for as long as what comes with it is kept: it refuses connections until one who
/// was told of it listens there (with `SO_REUSEADDR`, as servers do), and again afterwards.
pub fn closed_address() -> (socket2::Socket, SocketAddr) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    (socket, address)
}
