//! Log lines on standard error: for eyes on a terminal, JSON otherwise.

use std::io::{self, IsTerminal as _};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;

use super::{access, lines};

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// For eyes on a terminal, JSON otherwise.
    Auto,
    /// For eyes.
    Human,
    /// One JSON object a line.
    Json,
}

/// Logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter cannot be read. Whose fault: the configuration's.
    #[error("log.level: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// Another logger is there already.
    #[error("{0}")]
    Twice(#[from] tracing::subscriber::SetGlobalDefaultError),
    /// The system gives no thread to write from.
    #[error("no thread for the log: {0}")]
    Thread(#[from] io::Error),
}

/// Sends what is logged from now on to standard error.
pub fn init(level: &str, style: Style) -> Result<(), LogError> {
    let filter = EnvFilter::builder().parse(level)?;
    // What the peer of an HTTP/2 connection does wrong is no news, and it could do it a million times a second.
    let is_named = level.contains("h2");
    let filter = if is_named { filter } else { filter.add_directive("h2=off".parse()?) };
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_span_events(FmtSpan::NONE)
        .with_writer(lines::Entrance);
    let human = match style {
        Style::Human => true,
        Style::Json => false,
        Style::Auto => io::stderr().is_terminal(),
    };
    access::set_style(human);
    lines::start(if human { lost_for_eyes } else { lost_as_json })?;
    if human {
        let lines = lines.compact().with_target(false).with_ansi(io::stderr().is_terminal());
        tracing::subscriber::set_global_default(lines.finish())?;
    } else {
        let lines = lines.json().flatten_event(true).with_current_span(false).with_span_list(false);
        tracing::subscriber::set_global_default(lines.finish())?;
    }
    Ok(())
}

fn lost_for_eyes(count: u64) -> String {
    format!("WARN {count} log lines were lost: they came faster than they were read\n")
}

fn lost_as_json(count: u64) -> String {
    let message = "log lines were lost: they came faster than they were read";
    format!("{}\n", serde_json::json!({"level": "WARN", "message": message, "lost": count}))
}
