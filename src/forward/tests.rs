//! The forwarder against sockets: what a backend sees, and what becomes of what it does.

mod connections;
mod failures;
mod heads;
mod uploads;

use std::time::Duration;

use super::testing::timeouts;
use crate::config;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Limits that a test can wait for, and that no pause of a busy machine reaches by itself.
fn short() -> config::Backend {
    let limit = Duration::from_secs(1);
    let times = config::Times { first_byte: limit, idle: limit, ..timeouts().times };
    config::Backend { times, ..timeouts() }
}
