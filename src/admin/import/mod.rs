//! Import files: read as JSON Lines or as CSV, with everything that is wrong told by line and key.

mod csv;
mod encoding;
mod fields;
mod format;
mod json_lines;
mod progress;
mod table;
#[cfg(test)]
mod tests;

use std::error::Error as _;

use axum::body::Body;
use bytes::Bytes;
use http::StatusCode;
use http_body_util::LengthLimitError;

use super::{BadRow, Problem, State};
use crate::domain::CafCode;

pub(super) use fields::{Fault, Fields};
pub use format::{Charset, Format};
pub(super) use progress::stream;
pub use progress::{Stage, Step};
pub(super) use progress::{Teller, silent};
pub(super) use table::{Column, Kind, protected};

/// A file to be imported.
#[derive(Debug)]
pub struct Import {
    /// What it holds.
    pub rows: Body,
    /// How it is written.
    pub format: Format,
    /// Only says what would be done.
    pub dry_run: bool,
    /// Also acts on what is in the store and not in the file: suspends accounts, removes establishments.
    pub gone: bool,
    /// Tells how far it is while it works, line by line, and the outcome in the last line.
    pub progress: bool,
}

/// Longest row that is looked at, in bytes; an account with all its Cafs takes a fiftieth of it.
const LONGEST_LINE: usize = 64 * 1024;
/// Most bad rows that are told: a file of nothing else must not fill the memory.
const MOST_BAD_ROWS: usize = 20_000;
/// Most rows of a file: all are written in one go, in which others wait.
const MOST_ROWS: usize = 50_000;
/// Longest name, in characters.
const LONGEST_NAME: usize = 200;

/// A row that is right by itself.
pub(super) struct Row<T> {
    pub(super) line: u64,
    pub(super) value: T,
}

/// What a file holds.
pub(super) struct Rows<T> {
    /// Rows that are right by themselves.
    pub(super) good: Vec<Row<T>>,
    /// What is wrong with the others.
    pub(super) bad: Vec<BadRow>,
    /// How the file was understood, in words.
    pub(super) read_as: String,
}

/// Reads all rows, on a thread where a long file holds nobody up.
pub(super) async fn read<T: Send + 'static>(
    body: Body,
    format: Format,
    columns: &'static [Column],
    parse: impl Fn(Fields) -> Result<T, Vec<Fault>> + Send + 'static,
) -> Result<Rows<T>, Problem> {
    let bytes = whole(body).await?;
    let reading = tokio::task::spawn_blocking(move || match format.of(&bytes) {
        Format::Csv(charset) => table::read(&bytes, charset, columns, &parse),
        Format::JsonLines | Format::Guess => json_lines::read(&bytes, &parse),
    });
    let failed = |_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the file could not be read");
    reading.await.map_err(failed)?
}

/// A body, read to its end.
pub(super) async fn whole(body: Body) -> Result<Bytes, Problem> {
    axum::body::to_bytes(body, usize::MAX).await.map_err(|error| broken(&error))
}

/// The rows and faults met so far.
struct Collected<T> {
    good: Vec<Row<T>>,
    bad: Vec<BadRow>,
}

impl<T> Collected<T> {
    fn new() -> Self {
        Self { good: Vec::new(), bad: Vec::new() }
    }

    /// Takes a row; gives up where too many are there, or too many are wrong.
    fn take(&mut self, line: u64, row: Result<T, Vec<Fault>>) -> Result<(), Problem> {
        match row {
            Ok(value) => self.good.push(Row { line, value }),
            Err(faults) => self.bad.extend(faults.into_iter().map(|fault| fault.on(Some(line)))),
        }
        if self.bad.len() > MOST_BAD_ROWS {
            return Err(refusal(std::mem::take(&mut self.bad)));
        }
        if self.good.len() > MOST_ROWS {
            let detail = format!("a file of more than {MOST_ROWS} rows is to be cut in several");
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail));
        }
        Ok(())
    }
}

/// Goes on only where nothing is wrong.
pub(super) fn refuse(bad: Vec<BadRow>) -> Result<(), Problem> {
    if bad.is_empty() { Ok(()) } else { Err(refusal(bad)) }
}

/// Refuses a file without a row where its sender means all that it does not name to be gone: that would be everything.
pub(super) fn refuse_nothing<T>(rows: &[Row<T>], gone: bool) -> Result<(), Problem> {
    if gone && rows.is_empty() {
        let detail = "the file has no row: all that is in the store would be gone; nothing was done";
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail));
    }
    Ok(())
}

/// Nothing was imported, for these reasons.
pub(super) fn refusal(mut bad: Vec<BadRow>) -> Problem {
    let more = if bad.len() > MOST_BAD_ROWS { "more than " } else { "" };
    bad.sort_by_key(|row| row.line);
    bad.truncate(MOST_BAD_ROWS);
    let mut lines: Vec<_> = bad.iter().map(|row| row.line).collect();
    lines.dedup();
    let rows = if lines.len() == 1 { "row is" } else { "rows are" };
    let detail = format!("{more}{} {rows} wrong; nothing was imported", lines.len());
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail).with_errors(bad)
}

pub(super) fn bad(line: u64, field: &str, reason: String) -> BadRow {
    BadRow { line: Some(line), field: Some(field.to_owned()), reason }
}

/// Names are shown on pages and terminals.
pub(super) fn check_name(fields: &mut Fields, name: &str) {
    if name.chars().any(char::is_control) || name.chars().count() > LONGEST_NAME {
        fields.fault("nom", "a name is at most 200 characters, without control characters");
    }
}

/// A Caf that the author looks after.
pub(super) fn check_caf(fields: &mut Fields, key: &'static str, state: &State, caf: CafCode) {
    if check_known(fields, key, state, caf) && !state.author.role.covers(caf) {
        fields.fault(key, not_looked_after(state, caf));
    }
}

/// A Caf of the configuration.
pub(super) fn check_known(fields: &mut Fields, key: &'static str, state: &State, caf: CafCode) -> bool {
    let known = state.knows(caf);
    if !known {
        fields.fault(key, format!("there is no Caf {caf} in the configuration"));
    }
    known
}

pub(super) fn not_looked_after(state: &State, caf: CafCode) -> String {
    format!("{} does not look after Caf {caf}", state.author.name)
}

/// Why a body could not be read to its end.
fn broken(error: &axum::Error) -> Problem {
    let mut cause = error.source();
    while let Some(error) = cause {
        if error.is::<LengthLimitError>() {
            return Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "the body is larger than this path takes");
        }
        cause = error.source();
    }
    Problem::new(StatusCode::BAD_REQUEST, "the body broke off")
}
