//! `[session]`: how long a session lives.

use std::time::Duration;

use super::declare::{Key, Section};
use super::reader::Reader;
use super::words::{Count, PathPrefix};

/// `[session]`.
#[derive(Debug, Clone)]
pub struct Session {
    /// Time without a user's action that ends a session (rule 6).
    pub idle_timeout: Duration,
    /// How long before the end the warning begins.
    pub warning: Duration,
    /// Age at which a session ends whatever its user does (rule 2).
    pub absolute_timeout: Duration,
    /// Path prefixes that pages poll by themselves: no action of the user.
    pub passive_paths: Vec<String>,
    /// Sessions that one account may have; the oldest ends.
    pub max_per_account: usize,
}

pub(super) static SESSION: Section = Section {
    name: "session",
    many: false,
    help: "How long a session lives.",
    keys: &[
        Key::default::<Duration>("idle_timeout", "30m", "Time without a user's action that ends a session."),
        Key::default::<Duration>("warning", "5m", "How long before that end the page warns."),
        Key::default::<Duration>(
            "absolute_timeout",
            "12h",
            "Age at which a session ends whatever its user does.",
        ),
        Key::default::<Vec<PathPrefix>>(
            "passive_paths",
            "",
            "Path prefixes that a backend's pages poll by themselves: asking for them is no action of the user.",
        ),
        Key::default::<PerAccount>(
            "max_per_account",
            "5",
            "Sessions that one account may have; the oldest ends.",
        ),
    ],
};

type PerAccount = Count<1, 1000>;

impl Session {
    pub(super) fn read(reader: &Reader<'_>) -> Option<Self> {
        let part = reader.part(&SESSION);
        let (idle, warning) = (part.read::<Duration>("idle_timeout"), part.read::<Duration>("warning"));
        let absolute = part.read::<Duration>("absolute_timeout");
        let passive_paths = part.read::<Vec<PathPrefix>>("passive_paths");
        let max_per_account = part.read::<PerAccount>("max_per_account");
        if idle.is_some_and(|idle| idle.is_zero()) {
            part.refuse("idle_timeout", "expected more than nothing");
        } else if let (Some(idle), Some(warning)) = (idle, warning)
            && warning >= idle
        {
            part.refuse("warning", "expected less than idle_timeout");
        }
        if let (Some(idle), Some(absolute)) = (idle, absolute)
            && idle > absolute
        {
            part.refuse("idle_timeout", "expected no more than absolute_timeout");
        }
        let is_everything = |path: &PathPrefix| path.0.trim_end_matches('/').is_empty();
        if passive_paths.iter().flatten().any(is_everything) {
            let said = "holds /, which is everything at the Cafs: no request there is an action, and whoever works \
                        there is signed out after idle_timeout";
            part.warn("passive_paths", said);
        }
        Some(Self {
            idle_timeout: idle?,
            warning: warning?,
            absolute_timeout: absolute?,
            passive_paths: passive_paths?.into_iter().map(|path| path.0).collect(),
            max_per_account: max_per_account?.size(),
        })
    }
}
