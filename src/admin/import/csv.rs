//! CSV (RFC 4180): records out of a text, each with the line on which it begins.
//!
//! Strict where a lenient reader would guess: a quote that never closes, or text beside a quoted field, is
//! told, since what follows would be read into the wrong columns.

/// A record, or why it is none.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) line: u64,
    pub(super) fields: Result<Vec<String>, Malformed>,
}

/// Why a record cannot be cut into fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Malformed {
    /// The file ends within quotes.
    #[error("a quote is opened here and never closed")]
    Open,
    /// `"a"b`
    #[error("a quoted field goes on after its closing quote; a quote within one is doubled")]
    After,
    /// `a"b`
    #[error("a quote in the middle of a field; the whole field is to be quoted, and its quotes doubled")]
    Within,
    /// A line of nothing but delimiters must not fill the memory.
    #[error("a row has at most {MOST_FIELDS} fields")]
    Fields,
}

/// Most fields of a record; no table has a tenth of it.
const MOST_FIELDS: usize = 200;

/// The records of a text. Lines that are empty are passed over.
pub(super) struct Records<'a> {
    rest: &'a str,
    delimiter: char,
    line: u64,
}

impl<'a> Records<'a> {
    pub(super) fn new(text: &'a str, delimiter: char, line: u64) -> Self {
        Self { rest: text, delimiter, line }
    }

    /// One field off the rest, and whether the record goes on.
    fn field(&mut self) -> Result<(String, bool), Malformed> {
        if let Some(quoted) = self.rest.strip_prefix('"') {
            self.rest = quoted;
            let text = self.quoted()?;
            let ends = self.rest.find([self.delimiter, '\n']).unwrap_or(self.rest.len());
            let (beside, _) = self.rest.split_at(ends);
            return if matches!(beside, "" | "\r") {
                Ok((text, self.step(ends)))
            } else {
                Err(Malformed::After)
            };
        }
        let ends = self.rest.find([self.delimiter, '\n']).unwrap_or(self.rest.len());
        let plain = &self.rest[..ends];
        let last = !self.rest[ends..].starts_with(self.delimiter);
        let plain = if last { plain.strip_suffix('\r').unwrap_or(plain) } else { plain };
        if plain.contains('"') {
            return Err(Malformed::Within);
        }
        let text = plain.to_owned();
        Ok((text, self.step(ends)))
    }

    /// The rest of a quoted field, up to its closing quote.
    fn quoted(&mut self) -> Result<String, Malformed> {
        let mut text = String::new();
        loop {
            let (before, after) = self.rest.split_once('"').ok_or(Malformed::Open)?;
            text.push_str(before);
            self.line += before.matches('\n').count() as u64;
            self.rest = after;
            match after.strip_prefix('"') {
                Some(after) => {
                    text.push('"');
                    self.rest = after;
                }
                None => return Ok(text),
            }
        }
    }

    /// Goes past the end of a field, and says whether another one follows in the record.
    fn step(&mut self, ends: usize) -> bool {
        let mut rest = self.rest[ends..].chars();
        let met = rest.next();
        self.rest = rest.as_str();
        self.line += u64::from(met == Some('\n'));
        met == Some(self.delimiter)
    }

    /// Goes past the line on which a record went wrong; past everything where quotes stay open.
    fn give_up(&mut self, why: Malformed) {
        let (line, rest) = match why {
            Malformed::Open => (0, ""),
            Malformed::After | Malformed::Within | Malformed::Fields => {
                self.rest.split_once('\n').map_or((0, ""), |(_, rest)| (1, rest))
            }
        };
        self.line += line;
        self.rest = rest;
    }
}

impl Iterator for Records<'_> {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        loop {
            if self.rest.is_empty() {
                return None;
            }
            let (line, mut fields) = (self.line, Vec::new());
            loop {
                match self.field() {
                    Ok((_, true)) if fields.len() + 1 == MOST_FIELDS => {
                        self.give_up(Malformed::Fields);
                        return Some(Record { line, fields: Err(Malformed::Fields) });
                    }
                    Ok((field, more)) => {
                        fields.push(field);
                        if !more {
                            break;
                        }
                    }
                    Err(why) => {
                        self.give_up(why);
                        return Some(Record { line, fields: Err(why) });
                    }
                }
            }
            if fields.iter().any(|field| !field.trim().is_empty()) {
                return Some(Record { line, fields: Ok(fields) });
            }
        }
    }
}

/// What separates the fields: the one of `;`, `,` and tab that the first line holds most of.
pub(super) fn delimiter(text: &str) -> char {
    let first = text.lines().next().unwrap_or_default();
    let count = |candidate: char| first.matches(candidate).count();
    // Of those met equally often, `max_by_key` keeps the last one.
    [',', '\t', ';'].into_iter().max_by_key(|candidate| count(*candidate)).unwrap_or(';')
}
