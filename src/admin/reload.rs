//! `POST /v1/reload`: reading files again while requests go on.

use axum::Json;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::problem::BadRow;
use super::{Problem, State};

/// What reads everything again; it blocks.
pub type Reload = dyn Fn() -> Result<Reloaded, Unreadable> + Send + Sync;

/// What was read again.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Reloaded {
    /// What can be read again, and what came of it.
    pub parts: Vec<Part>,
    /// Keys of the configuration that have changed since the start, and change nothing before the next one.
    pub needs_restart: Vec<String>,
}

/// One of the things that can be read again.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Part {
    /// The section or key that names its files.
    pub part: String,
    /// What came of it.
    pub outcome: Outcome,
    /// Why it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What came of reading a part again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The new one is in use.
    Changed,
    /// It holds what it held.
    Unchanged,
    /// It cannot be used: what was in use stays.
    Refused,
}

/// The configuration is wrong, line by line: nothing was read again. Whose fault: the operator's.
#[derive(Debug)]
pub struct Unreadable(pub Vec<String>);

impl Outcome {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Unchanged => "unchanged",
            Self::Refused => "refused",
        }
    }
}

/// Reads everything again. What was refused is told line by line, after what has changed all the same.
pub(super) async fn run(state: &State) -> Result<Response, Problem> {
    let reload = std::sync::Arc::clone(&state.reload);
    let reloading = tokio::task::spawn_blocking(move || reload()).await;
    let broke_off =
        |_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the reload broke off; the log says why");
    let reloaded = reloading.map_err(broke_off)?.map_err(wrong)?;
    let refused: Vec<_> = reloaded.parts.iter().filter(|part| part.outcome == Outcome::Refused).collect();
    if refused.is_empty() {
        return Ok(Json(reloaded).into_response());
    }
    let reason = |part: &&Part| BadRow {
        line: None,
        field: Some(part.part.clone()),
        reason: part.reason.clone().unwrap_or_default(),
    };
    let changed = reloaded.parts.iter().filter(|part| part.outcome == Outcome::Changed);
    let changed: Vec<&str> = changed.map(|part| part.part.as_str()).collect();
    let others = match changed.as_slice() {
        [] => "nothing else had changed".to_owned(),
        changed => format!("in use from now on: {}", changed.join(", ")),
    };
    let detail = format!("some files cannot be used, and what they held before stays in use; {others}");
    let errors = refused.iter().map(reason).collect();
    Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail).with_errors(errors))
}

fn wrong(Unreadable(lines): Unreadable) -> Problem {
    let errors = lines.into_iter().map(|reason| BadRow { line: None, field: None, reason }).collect();
    let detail = "the configuration is wrong; nothing was read again, and all goes on as before";
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail).with_errors(errors)
}
