//! `[backend]`: how long a backend may take.

use std::time::Duration;

use super::declare::{Key, Section};
use super::reader::Reader;

/// `[backend]`.
#[derive(Debug, Clone)]
pub struct Backend {
    /// Time to open a connection.
    pub connect_timeout: Duration,
    /// Time from the end of the request's head to the head of the response.
    pub first_byte_timeout: Duration,
    /// Longest silence within a response's body.
    pub idle_timeout: Duration,
    /// How long an unused connection is kept.
    pub keep_alive: Duration,
}

pub(super) static BACKEND: Section = Section {
    name: "backend",
    many: false,
    help: "How long a backend may take.",
    keys: &[
        Key::default::<Duration>("connect_timeout", "3s", "Time to open a connection."),
        Key::default::<Duration>("first_byte_timeout", "60s", "Time until the response begins."),
        Key::default::<Duration>("idle_timeout", "60s", "Longest silence within a response."),
        Key::default::<Duration>(
            "keep_alive",
            "4s",
            "How long an unused connection is kept; less than the backends keep theirs.",
        ),
    ],
};

impl Backend {
    pub(super) fn read(reader: &Reader<'_>) -> Option<Self> {
        let part = reader.part(&BACKEND);
        let time = |key| {
            let time = part.read::<Duration>(key);
            if time.is_some_and(|time| time.is_zero()) && key != "keep_alive" {
                part.refuse(key, "expected more than nothing");
            }
            time
        };
        let (connect_timeout, first_byte_timeout) = (time("connect_timeout"), time("first_byte_timeout"));
        let (idle_timeout, keep_alive) = (time("idle_timeout"), time("keep_alive"));
        Some(Self {
            connect_timeout: connect_timeout?,
            first_byte_timeout: first_byte_timeout?,
            idle_timeout: idle_timeout?,
            keep_alive: keep_alive?,
        })
    }
}
