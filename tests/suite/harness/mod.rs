//! What the tests stand on.

pub mod backend;
pub mod browser;
pub mod client;
pub mod gateway;
pub mod mail;
pub mod modern;
pub mod redis;
pub mod world;

use std::net::{SocketAddr, TcpListener};
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

/// An address that refuses connections for as long as what comes with it is kept: nobody else can listen there.
pub fn closed_address() -> (socket2::Socket, SocketAddr) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    (socket, address)
}

/// A port that nobody listens on just now.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
