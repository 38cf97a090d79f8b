//! `[rehearsal]`: living at another time, on one machine alone.

use super::declare::{Key, Section};
use super::reader::Reader;
use super::server::Server;
use crate::domain::Timestamp;

/// `[rehearsal]`: the program lives at another time, which the admin API moves. Refused off loopback.
#[derive(Debug, Clone, Copy)]
pub struct Rehearsal {
    /// Where the clock stands at start.
    pub now: Timestamp,
}

pub(super) static REHEARSAL: Section = Section {
    name: "rehearsal",
    many: false,
    help: "For rehearsals only: the program lives at another time. Refused off loopback.",
    keys: &[Key::required::<Timestamp>("now", "Where the clock stands at start (RFC 3339).")],
};

impl Rehearsal {
    pub(super) fn read(reader: &Reader<'_>, server: Option<&Server>) -> Option<Self> {
        let part = reader.part(&REHEARSAL);
        if !part.is_written() {
            return None;
        }
        if server.is_some_and(|server| !server.is_local()) {
            part.amiss(
                "now",
                "rehearsals are refused off loopback: server.listen has another address".to_owned(),
            );
        }
        Some(Self { now: part.read("now")? })
    }
}
