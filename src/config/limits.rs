//! `[limits]`: how much one client may ask.

use std::num::NonZeroU32;
use std::time::Duration;

use serde_json::{Value as Json, json};

use super::declare::{Key, Section};
use super::reader::Reader;
use super::value::{Refusal, Word};
use super::words::{Count, Size};

/// `[limits]`.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Requests of one client address (an IPv6 client is its /64).
    pub per_client: Rate,
    /// Requests of one session.
    pub per_session: Rate,
    /// Tries to sign in, of one client address.
    pub login_per_client: Rate,
    /// Largest request body forwarded, in bytes.
    pub body: u64,
    /// WebSockets that one session may have open at once, at each replica.
    pub tunnels_per_session: usize,
}

/// So many per period, and so many at once after a quiet time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many in each `period`.
    pub count: NonZeroU32,
    /// One second, minute or hour.
    pub period: Duration,
    /// How many at once.
    pub burst: NonZeroU32,
}

pub(super) static LIMITS: Section = Section {
    name: "limits",
    many: false,
    help: "How much one client may ask.",
    keys: &[
        Key::default::<Size>("body", "25MiB", "Largest request body that is forwarded."),
        Key::default::<Tunnels>("tunnels_per_session", "8", "WebSockets of one session open at once."),
    ],
};

pub(super) static PER_CLIENT: Section = Section {
    name: "limits.per_client",
    many: false,
    help: "Requests of one client address (an IPv6 client is its /64).",
    keys: &[
        Key::default::<Pace>("rate", "100/s", PACE_HELP),
        Key::default::<Burst>("burst", "400", BURST_HELP),
    ],
};

pub(super) static PER_SESSION: Section = Section {
    name: "limits.per_session",
    many: false,
    help: "Requests of one session.",
    keys: &[
        Key::default::<Pace>("rate", "50/s", PACE_HELP),
        Key::default::<Burst>("burst", "200", BURST_HELP),
    ],
};

pub(super) static LOGIN_PER_CLIENT: Section = Section {
    name: "limits.login_per_client",
    many: false,
    help: "Tries to sign in, of one client address.",
    keys: &[
        Key::default::<Pace>("rate", "10/m", PACE_HELP),
        Key::default::<Burst>("burst", "10", BURST_HELP),
    ],
};

const PACE_HELP: &str = "How many per second (s), minute (m) or hour (h).";
const BURST_HELP: &str = "How many at once after a quiet time.";

impl Limits {
    pub(super) fn read(reader: &Reader<'_>) -> Option<Self> {
        let part = reader.part(&LIMITS);
        let (body, tunnels) = (part.read::<Size>("body"), part.read::<Tunnels>("tunnels_per_session"));
        let (per_client, per_session) = (read_rate(reader, &PER_CLIENT), read_rate(reader, &PER_SESSION));
        let login_per_client = read_rate(reader, &LOGIN_PER_CLIENT);
        Some(Self {
            per_client: per_client?,
            per_session: per_session?,
            login_per_client: login_per_client?,
            body: body?.0,
            tunnels_per_session: tunnels?.size(),
        })
    }
}

fn read_rate(reader: &Reader<'_>, section: &'static Section) -> Option<Rate> {
    let part = reader.part(section);
    let (pace, burst) = (part.read::<Pace>("rate"), part.read::<Burst>("burst"));
    let pace = pace?;
    Some(Rate { count: pace.count, period: pace.period, burst: NonZeroU32::new(burst?.0)? })
}

type Tunnels = Count<0, 10_000>;
type Burst = Count<1, 1_000_000>;

/// `100/s`
struct Pace {
    count: NonZeroU32,
    period: Duration,
}

impl Word for Pace {
    fn expected() -> String {
        "a rate such as 100/s, 10/m or 1000/h".to_owned()
    }

    fn parse(text: &str) -> Result<Self, Refusal> {
        let (count, unit) = text.split_once('/').ok_or(Refusal::Unlike)?;
        let period = match unit {
            "s" => Duration::from_secs(1),
            "m" => Duration::from_mins(1),
            "h" => Duration::from_hours(1),
            _ => return Err(Refusal::Unlike),
        };
        let digits = count.bytes().all(|b| b.is_ascii_digit());
        let count = count.parse().ok().filter(|count: &NonZeroU32| digits && count.get() <= 1_000_000);
        count.map(|count| Self { count, period }).ok_or(Refusal::Unlike)
    }

    fn schema() -> Json {
        json!({"type": "string", "pattern": "^[1-9][0-9]*/[smh]$"})
    }
}
