//! What is wrong with a configuration, and where: lines that an operator reads at night.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// Everything that is wrong with a configuration, in the file's order; the operator's fault, all of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", lines(.0))]
pub struct Errors(pub Vec<Problem>);

/// One thing that is wrong: `octroi.toml:14:17: session.idle_timeout: found "soon", expected a duration`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub(super) place: Place,
    pub(super) key: String,
    pub(super) said: String,
    /// What a broken line before it cannot have caused.
    pub(super) certain: bool,
}

/// Where a problem lies. Lines and columns count from 1, columns in characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    Text { file: Arc<str>, line: usize, column: usize },
    File(Arc<str>),
    Variable(String),
}

impl Problem {
    /// The configuration key that is wrong (`session.idle_timeout`); empty for an error of TOML itself.
    pub fn key(&self) -> &str {
        &self.key
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Text { file, line, column } => write!(f, "{file}:{line}:{column}: ")?,
            Place::File(file) => write!(f, "{file}: ")?,
            Place::Variable(name) => write!(f, "{name}: ")?,
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.said)
    }
}

impl Place {
    /// The beginning of `span` in `text`.
    pub(super) fn of(file: &Arc<str>, text: &str, span: &Range<usize>) -> Self {
        let start = text.floor_char_boundary(span.start);
        let before = text[..start].trim_start_matches('\u{feff}');
        let line = before.rsplit('\n').next().unwrap_or_default();
        Self::Text {
            file: Arc::clone(file),
            line: before.matches('\n').count() + 1,
            column: line.chars().count() + 1,
        }
    }

    pub(super) fn line(&self) -> Option<usize> {
        match self {
            Self::Text { line, .. } => Some(*line),
            _ => None,
        }
    }
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
