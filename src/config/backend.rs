//! `[backend]`: how long a backend may take, how much it is given, and when it is left alone.

use std::time::Duration;

use super::declare::{Key, Section};
use super::reader::{Part, Reader};
use super::words::Count;

/// `[backend]`, or what holds at one Caf.
#[derive(Debug, Clone)]
pub struct Backend {
    /// The times that a Caf may have of its own.
    pub times: Times,
    /// How long an unused connection is kept.
    pub keep_alive: Duration,
    /// Most connections to one instance in use at once, of all workers together; unused ones come on top.
    pub max_connections: usize,
    /// Most requests that wait for room at one instance.
    pub max_waiting: usize,
    /// Longest that one waits.
    pub wait_timeout: Duration,
    /// Failures in a row after which an instance gets no requests for a while.
    pub eject_after: u32,
    /// That while, the first time; each further one is twice as long.
    pub eject_time: Duration,
    /// The longest that it grows to.
    pub max_eject_time: Duration,
    /// How long an instance that is back takes to get its whole share.
    pub slow_start: Duration,
    /// Requests that may be sent a second time, of a hundred.
    pub retry_budget: u32,
    /// Time between two checks of an instance.
    pub check_interval: Duration,
    /// Longest that a check may take.
    pub check_timeout: Duration,
}

/// How long a backend may take.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// Time to open a connection, TLS included.
    pub connect: Duration,
    /// Time from the end of what the client gave to the head of the response.
    pub first_byte: Duration,
    /// Longest silence within a response's body.
    pub idle: Duration,
    /// Time from the request's head to the end of the response, event streams and WebSockets aside.
    pub request: Duration,
}

pub(super) static BACKEND: Section = Section {
    name: "backend",
    many: false,
    help: "How long a backend may take, how much it is given, and when it is left alone.",
    keys: &[
        Key::default::<Duration>("connect_timeout", "3s", "Time to open a connection, TLS included."),
        Key::default::<Duration>("first_byte_timeout", "60s", "Time until the response begins."),
        Key::default::<Duration>("idle_timeout", "60s", "Longest silence within a response."),
        Key::default::<Duration>(
            "request_timeout",
            "30m",
            "Time until the response ends, however steadily it comes; event streams and WebSockets aside.",
        ),
        Key::default::<Duration>(
            "keep_alive",
            "4s",
            "How long an unused connection is kept; less than the backends keep theirs.",
        ),
        Key::default::<MaxConnections>(
            "max_connections",
            "1000",
            "Most connections to one instance in use at once (over HTTP/2: most requests).",
        ),
        Key::default::<MaxWaiting>(
            "max_waiting",
            "100",
            "Most requests that wait until an instance has room; one more is refused.",
        ),
        Key::default::<Duration>("wait_timeout", "2s", "Longest that such a request waits."),
        Key::default::<EjectAfter>(
            "eject_after",
            "5",
            "Failures in a row after which an instance gets no requests for a while, if another is well.",
        ),
        Key::default::<Duration>(
            "eject_time",
            "5s",
            "That while, the first time; each further one is twice as long.",
        ),
        Key::default::<Duration>("max_eject_time", "5m", "The longest that it grows to."),
        Key::default::<Duration>(
            "slow_start",
            "10s",
            "How long an instance that is back takes to get its whole share; 0s for at once.",
        ),
        Key::default::<Budget>(
            "retry_budget",
            "20",
            "Requests that may be sent a second time, of a hundred; only such as are safe to repeat.",
        ),
        Key::default::<Duration>("check_interval", "5s", "Time between two checks of an instance."),
        Key::default::<Duration>("check_timeout", "2s", "Longest that a check may take."),
    ],
};

pub(super) type MaxConnections = Count<1, 100_000>;
type MaxWaiting = Count<0, 100_000>;
type EjectAfter = Count<1, 1_000>;
type Budget = Count<0, 100>;

impl Backend {
    pub(super) fn read(reader: &Reader<'_>) -> Option<Self> {
        let part = reader.part(&BACKEND);
        let times = Times::read(&part);
        let (keep_alive, wait_timeout) = (part.read("keep_alive"), part.read("wait_timeout"));
        let max_connections = part.read::<MaxConnections>("max_connections").map(Count::size);
        let max_waiting = part.read::<MaxWaiting>("max_waiting").map(Count::size);
        let eject_after = part.read::<EjectAfter>("eject_after").map(|count| count.0);
        let (eject_time, max_eject_time) = (some(&part, "eject_time"), some(&part, "max_eject_time"));
        if let (Some(first), Some(longest)) = (eject_time, max_eject_time)
            && longest < first
        {
            part.refuse("max_eject_time", "expected no less than eject_time");
        }
        let slow_start = part.read("slow_start");
        let retry_budget = part.read::<Budget>("retry_budget").map(|count| count.0);
        let (check_interval, check_timeout) = (some(&part, "check_interval"), some(&part, "check_timeout"));
        Some(Self {
            times: times?,
            keep_alive: keep_alive?,
            max_connections: max_connections?,
            max_waiting: max_waiting?,
            wait_timeout: wait_timeout?,
            eject_after: eject_after?,
            eject_time: eject_time?,
            max_eject_time: max_eject_time?,
            slow_start: slow_start?,
            retry_budget: retry_budget?,
            check_interval: check_interval?,
            check_timeout: check_timeout?,
        })
    }
}

impl Times {
    fn read(part: &Part<'_>) -> Option<Self> {
        let (connect, first_byte) = (some(part, "connect_timeout"), some(part, "first_byte_timeout"));
        let (idle, request) = (some(part, "idle_timeout"), some(part, "request_timeout"));
        Some(Self { connect: connect?, first_byte: first_byte?, idle: idle?, request: request? })
    }
}

/// A duration that is not nothing.
pub(super) fn some(part: &Part<'_>, key: &str) -> Option<Duration> {
    let time = part.read::<Duration>(key);
    if time.is_some_and(|time| time.is_zero()) {
        part.refuse(key, "expected more than nothing");
    }
    time
}

#[cfg(test)]
impl Backend {
    /// One that gives everything five seconds.
    pub(crate) fn patient() -> Self {
        let long = Duration::from_secs(5);
        Self {
            times: Times { connect: long, first_byte: long, idle: long, request: long },
            keep_alive: Duration::from_secs(30),
            max_connections: 100,
            max_waiting: 10,
            wait_timeout: long,
            eject_after: 5,
            eject_time: long,
            max_eject_time: Duration::from_mins(5),
            slow_start: Duration::ZERO,
            retry_budget: 20,
            check_interval: long,
            check_timeout: long,
        }
    }
}
