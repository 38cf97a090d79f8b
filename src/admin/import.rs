//! Import files: JSON Lines read as they come, with everything that is wrong told by line and key.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::fmt;

use axum::body::{Body, BodyDataStream};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use http::StatusCode;
use http_body_util::LengthLimitError;
use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use super::{BadRow, Problem, State};
use crate::domain::CafCode;

/// Longest line that is looked at, in bytes; an account with all its Cafs takes a fiftieth of it.
const LONGEST_LINE: usize = 64 * 1024;
/// Most bad rows that are told: a file of nothing else must not fill the memory.
const MOST_BAD_ROWS: usize = 20_000;
/// Longest name, in characters.
const LONGEST_NAME: usize = 200;
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// A row that is right by itself.
pub(super) struct Row<T> {
    pub(super) line: u64,
    pub(super) value: T,
}

/// What is wrong with a row, and under which key.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) field: Option<String>,
    pub(super) reason: String,
}

/// Reads all rows; what `parse` refuses comes second. Empty lines are passed over, but counted.
pub(super) async fn read<T>(
    body: Body,
    parse: impl Fn(Fields) -> Result<T, Vec<Fault>>,
) -> Result<(Vec<Row<T>>, Vec<BadRow>), Problem> {
    let mut lines = Lines::new(body);
    let (mut rows, mut bad) = (Vec::new(), Vec::new());
    while let Some(Line { number, text }) = lines.next().await? {
        let Ok(text) = text else {
            let reason = "this line is longer than 64 KiB".to_owned();
            bad.push(BadRow { line: Some(number), field: None, reason });
            continue;
        };
        if text.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        match Fields::parse(&text).map_err(|fault| vec![fault]).and_then(&parse) {
            Ok(value) => rows.push(Row { line: number, value }),
            Err(faults) => bad.extend(faults.into_iter().map(|fault| fault.on(Some(number)))),
        }
        if bad.len() > MOST_BAD_ROWS {
            return Err(refusal(bad));
        }
    }
    Ok((rows, bad))
}

/// Goes on only where nothing is wrong.
pub(super) fn refuse(bad: Vec<BadRow>) -> Result<(), Problem> {
    if bad.is_empty() { Ok(()) } else { Err(refusal(bad)) }
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

pub(super) fn check_caf(fields: &mut Fields, key: &'static str, state: &State, caf: CafCode) {
    if !state.knows(caf) {
        fields.fault(key, format!("there is no Caf {caf} in the configuration"));
    } else if !state.author.role.covers(caf) {
        fields.fault(key, format!("{} does not look after Caf {caf}", state.author.name));
    }
}

impl Fault {
    pub(super) fn on(self, line: Option<u64>) -> BadRow {
        BadRow { line, field: self.field, reason: self.reason }
    }
}

/// The values of one JSON object, taken key by key; every fault on the way is kept.
#[derive(Debug)]
pub(super) struct Fields {
    values: BTreeMap<String, Value>,
    faults: Vec<Fault>,
}

impl Fields {
    pub(super) fn parse(text: &[u8]) -> Result<Self, Fault> {
        let whole = |reason| Fault { field: None, reason };
        let text = std::str::from_utf8(text).map_err(|_| whole("the text is not UTF-8".to_owned()))?;
        let values: Values = serde_json::from_str(text).map_err(|error| whole(told(&error)))?;
        Ok(Self { values: values.0, faults: Vec::new() })
    }

    /// The value of a key that must be there.
    pub(super) fn required<T: DeserializeOwned>(&mut self, key: &'static str) -> Option<T> {
        if self.values.get(key).is_none_or(Value::is_null) {
            self.values.remove(key);
            self.fault(key, "this key is missing");
            return None;
        }
        self.optional(key)
    }

    /// The value of a key that may be missing, or be `null`.
    pub(super) fn optional<T: DeserializeOwned>(&mut self, key: &'static str) -> Option<T> {
        let value = self.values.remove(key).filter(|value| !value.is_null())?;
        serde_json::from_value(value).map_err(|error| self.fault(key, error.to_string())).ok()
    }

    pub(super) fn fault(&mut self, key: &str, reason: impl Into<String>) {
        self.faults.push(Fault { field: Some(key.to_owned()), reason: reason.into() });
    }

    pub(super) fn is_faulty(&self) -> bool {
        !self.faults.is_empty()
    }

    /// All faults; a key that nobody took is one.
    pub(super) fn finish(mut self) -> Vec<Fault> {
        for key in std::mem::take(&mut self.values).into_keys() {
            let key: String = key.chars().take(64).collect();
            self.fault(&key, "there is no such key");
        }
        self.faults
    }
}

/// `serde_json` says a place "at line 1 column 7": the line is the file's to tell.
fn told(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let what = text.rsplit_once(" at line ").map_or(text.as_str(), |(what, _)| what);
    format!("this is not an object in JSON: {what} (column {})", error.column())
}

/// An object none of whose keys is there twice, where readers may differ on which one counts.
struct Values(BTreeMap<String, Value>);

impl<'de> Deserialize<'de> for Values {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Entries).map(Self)
    }
}

struct Entries;

impl<'de> Visitor<'de> for Entries {
    type Value = BTreeMap<String, Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut values = BTreeMap::new();
        while let Some((key, value)) = map.next_entry::<String, Value>()? {
            if values.contains_key(&key) {
                let key: String = key.chars().take(64).collect();
                return Err(serde::de::Error::custom(format_args!("the key {key:?} is there twice")));
            }
            values.insert(key, value);
        }
        Ok(values)
    }
}

/// The lines of a body, without their ends.
struct Lines {
    body: BodyDataStream,
    buffer: BytesMut,
    /// Bytes of the buffer that hold no end of line.
    looked_at: usize,
    number: u64,
    too_long: bool,
}

struct Line {
    number: u64,
    text: Result<Bytes, TooLong>,
}

struct TooLong;

impl Lines {
    fn new(body: Body) -> Self {
        let body = body.into_data_stream();
        Self { body, buffer: BytesMut::new(), looked_at: 0, number: 0, too_long: false }
    }

    async fn next(&mut self) -> Result<Option<Line>, Problem> {
        loop {
            if let Some(end) = self.buffer[self.looked_at..].iter().position(|byte| *byte == b'\n') {
                let mut text = self.buffer.split_to(self.looked_at + end + 1);
                text.truncate(text.len() - 1);
                return Ok(Some(self.line(text)));
            }
            self.looked_at = self.buffer.len();
            if self.looked_at > LONGEST_LINE {
                self.too_long = true;
                self.buffer.clear();
                self.looked_at = 0;
            }
            match self.body.next().await {
                Some(chunk) => self.buffer.extend_from_slice(&chunk.map_err(|error| broken(&error))?),
                None if self.buffer.is_empty() && !self.too_long => return Ok(None),
                None => {
                    let rest = std::mem::take(&mut self.buffer);
                    return Ok(Some(self.line(rest)));
                }
            }
        }
    }

    fn line(&mut self, text: BytesMut) -> Line {
        self.number += 1;
        self.looked_at = 0;
        let too_long = std::mem::take(&mut self.too_long) || text.len() > LONGEST_LINE;
        let mut text = text.freeze();
        if self.number == 1 && text.starts_with(BYTE_ORDER_MARK) {
            text = text.slice(BYTE_ORDER_MARK.len()..);
        }
        Line { number: self.number, text: if too_long { Err(TooLong) } else { Ok(text) } }
    }
}

/// Why a body could not be read to its end.
pub(super) fn broken(error: &axum::Error) -> Problem {
    let mut cause = error.source();
    while let Some(error) = cause {
        if error.is::<LengthLimitError>() {
            return Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "the body is larger than this path takes");
        }
        cause = error.source();
    }
    Problem::new(StatusCode::BAD_REQUEST, "the body broke off")
}
