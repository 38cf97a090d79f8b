//! `[audit]`: where decisions are written down.

use std::path::PathBuf;

use serde_json::{Value as Json, json};

use super::declare::{Key, Section};
use super::reader::Reader;
use super::value::{Refusal, Word};
use super::words::Size;

/// `[audit]`.
#[derive(Debug, Clone)]
pub struct Audit {
    /// The file; none where no audit log is kept.
    pub path: Option<PathBuf>,
    /// Size in bytes beyond which a new file is begun.
    pub max_size: u64,
    /// What to do when a line cannot be written.
    pub on_failure: AuditFailure,
}

/// What to do when a decision cannot be written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuditFailure {
    /// What must be audited is refused.
    Refuse,
    /// All goes on, and the operator is alarmed.
    Continue,
}

pub(super) static AUDIT: Section = Section {
    name: "audit",
    many: false,
    help: "Where decisions are written down; without path nowhere.",
    keys: &[
        Key::optional::<PathBuf>("path", "The file: one line of JSON a decision, chained by hashes."),
        Key::default::<Size>("max_size", "100MiB", "Beyond it a new file is begun, and the old one renamed."),
        Key::default::<AuditFailure>(
            "on_failure",
            "refuse",
            "When a line cannot be written: refuse sign-ins and changes, or continue and alarm.",
        ),
    ],
};

impl Audit {
    pub(super) fn read(reader: &Reader<'_>) -> Option<Self> {
        let part = reader.part(&AUDIT);
        let (path, max_size) = (part.read("path"), part.read::<Size>("max_size"));
        let on_failure = part.read("on_failure");
        Some(Self { path, max_size: max_size?.0, on_failure: on_failure? })
    }
}

impl Word for AuditFailure {
    fn expected() -> String {
        "\"refuse\" or \"continue\"".to_owned()
    }

    fn parse(text: &str) -> Result<Self, Refusal> {
        match text {
            "refuse" => Ok(Self::Refuse),
            "continue" => Ok(Self::Continue),
            _ => Err(Refusal::Unlike),
        }
    }

    fn schema() -> Json {
        json!({"enum": ["refuse", "continue"]})
    }
}
