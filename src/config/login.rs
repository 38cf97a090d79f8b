//! `[login]`: how many wrong guesses are borne.

use std::time::Duration;

use super::declare::{Key, Section};
use super::reader::Reader;
use super::words::Count;

/// `[login]`.
#[derive(Debug, Clone)]
pub struct Login {
    /// Wrong passwords of one account from one place before it is locked there.
    pub max_failures: u32,
    /// The first lock's length; each further one is twice the last, up to a day.
    pub lockout: Duration,
    /// Wrong passwords of one account from anywhere within a day before it is locked everywhere.
    pub max_failures_per_account: u32,
}

pub(super) static LOGIN: Section = Section {
    name: "login",
    many: false,
    help: "How many wrong passwords are borne.",
    keys: &[
        Key::default::<Failures>(
            "max_failures",
            "5",
            "Wrong passwords of one account from one place before it is locked for that place.",
        ),
        Key::default::<Duration>(
            "lockout",
            "15m",
            "The first lock's length; each further one doubles, up to a day.",
        ),
        Key::default::<Failures>(
            "max_failures_per_account",
            "100",
            "Wrong passwords of one account from anywhere within a day before it is locked everywhere.",
        ),
    ],
};

type Failures = Count<1, 1_000_000>;

impl Login {
    pub(super) fn read(reader: &Reader<'_>) -> Option<Self> {
        let part = reader.part(&LOGIN);
        let (here, lockout) = (part.read::<Failures>("max_failures"), part.read::<Duration>("lockout"));
        let anywhere = part.read::<Failures>("max_failures_per_account");
        if let (Some(here), Some(anywhere)) = (here, anywhere)
            && here.0 > anywhere.0
        {
            let key = if part.has("max_failures") { "max_failures" } else { "max_failures_per_account" };
            part.refuse(key, "expected max_failures to be no more than max_failures_per_account");
        }
        Some(Self { max_failures: here?.0, lockout: lockout?, max_failures_per_account: anywhere?.0 })
    }
}
