//! `[log]`: what is logged, and how.

use serde_json::{Value as Json, json};

use super::declare::{Key, Section};
use super::reader::Reader;
use super::value::{Refusal, Word};

/// `[log]`.
#[derive(Debug, Clone)]
pub struct Log {
    /// What is logged: `info`, or directives as `octroi=debug,hyper=warn`.
    pub level: String,
    /// How lines look.
    pub format: LogFormat,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// `Human` on a terminal, `Json` otherwise.
    Auto,
    /// For eyes.
    Human,
    /// One JSON object a line.
    Json,
}

pub(super) static LOG: Section = Section {
    name: "log",
    many: false,
    help: "What is logged, and how.",
    keys: &[
        Key::default::<Level>(
            "level",
            "info",
            "off, error, warn, info, debug or trace; or by module: info,hyper=warn.",
        ),
        Key::default::<LogFormat>(
            "format",
            "auto",
            "human, json, or auto: human on a terminal, json otherwise.",
        ),
    ],
};

impl Log {
    pub(super) fn read(reader: &Reader<'_>) -> Option<Self> {
        let part = reader.part(&LOG);
        let (level, format) = (part.read::<Level>("level"), part.read("format"));
        Some(Self { level: level?.0, format: format? })
    }
}

struct Level(String);

impl Word for Level {
    fn expected() -> String {
        "off, error, warn, info, debug or trace, or directives such as info,hyper=warn".to_owned()
    }

    /// Stricter than the logger, which takes a misspelt level for a module's name and falls silent.
    fn parse(text: &str) -> Result<Self, Refusal> {
        let level = |word: &str| ["off", "error", "warn", "info", "debug", "trace"].contains(&word);
        let module = |word: &str| {
            !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || "_:".contains(c))
        };
        let directive = |word: &str| match word.split_once('=') {
            Some((target, word)) => module(target) && level(word),
            None => level(word),
        };
        if text.split(',').all(directive) { Ok(Self(text.to_owned())) } else { Err(Refusal::Unlike) }
    }
}

impl Word for LogFormat {
    fn expected() -> String {
        "\"auto\", \"human\" or \"json\"".to_owned()
    }

    fn parse(text: &str) -> Result<Self, Refusal> {
        match text {
            "auto" => Ok(Self::Auto),
            "human" => Ok(Self::Human),
            "json" => Ok(Self::Json),
            _ => Err(Refusal::Unlike),
        }
    }

    fn schema() -> Json {
        json!({"enum": ["auto", "human", "json"]})
    }
}
