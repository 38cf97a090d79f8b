//! Tables: the first line names the columns, each further record is a row.

use std::collections::{BTreeMap, HashSet};

use http::StatusCode;
use serde_json::Value;

use super::csv::{Record, Records, delimiter};
use super::encoding::{Decoded, decode};
use super::fields::{shortened, unknown};
use super::{Charset, Collected, Fault, Fields, LONGEST_LINE, Problem, Rows, bad, refusal};

/// A column that a table may have.
#[derive(Debug, Clone, Copy)]
pub(in crate::admin) struct Column {
    pub(in crate::admin) name: &'static str,
    pub(in crate::admin) kind: Kind,
    pub(in crate::admin) required: bool,
}

/// What a column's fields hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::admin) enum Kind {
    /// Text whose outer spaces count.
    Name,
    /// A word.
    Word,
    /// Yes or no.
    Flag,
    /// Words, with any of these between them.
    List(&'static [char]),
}

impl Column {
    pub(in crate::admin) const fn new(name: &'static str, kind: Kind) -> Self {
        Self { name, kind, required: false }
    }

    pub(in crate::admin) const fn required(name: &'static str, kind: Kind) -> Self {
        Self { name, kind, required: true }
    }
}

pub(super) fn read<T>(
    bytes: &[u8],
    charset: Charset,
    columns: &[Column],
    parse: &impl Fn(Fields) -> Result<T, Vec<Fault>>,
) -> Result<Rows<T>, Problem> {
    let Decoded { text, name } = decode(bytes, charset)
        .map_err(|wrong| refusal(vec![Fault::whole(wrong.reason).on(Some(wrong.line))]))?;
    // Excel's "CSV (Macintosh)" ends its lines with a carriage return alone.
    let text = if text.contains('\n') { text } else { text.replace('\r', "\n").into() };
    let (text, told, line) = told_delimiter(&text);
    let delimiter = told.unwrap_or_else(|| delimiter(text));
    let mut records = Records::new(text, delimiter, line);
    let mut rows = Collected::new();
    let Some(head) = records.next() else {
        let detail = "the file is empty: its first line should name the columns";
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail));
    };
    let header = match head.fields {
        Ok(names) => Header::new(names, head.line, columns, &mut rows.bad),
        Err(why) => return Err(refusal(vec![Fault::whole(why.to_string()).on(Some(head.line))])),
    };
    for Record { line, fields } in records {
        let fields = fields.map_err(|why| vec![Fault::whole(why.to_string())]);
        let row = fields.and_then(|fields| header.row(&fields, parse));
        rows.take(line, row)?;
    }
    let read_as = format!("CSV, {name}, fields separated by {}", shown(delimiter));
    Ok(Rows { good: rows.good, bad: rows.bad, read_as })
}

/// Spreadsheets may say the delimiter in a line of its own before the header: `sep=;`.
fn told_delimiter(text: &str) -> (&str, Option<char>, u64) {
    let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
    let told = first.trim_end().strip_prefix("sep=").and_then(|told| told.chars().next());
    if told.is_some() { (rest, told, 2) } else { (text, None, 1) }
}

fn shown(delimiter: char) -> String {
    if delimiter == '\t' { "tabs".to_owned() } else { format!("\"{delimiter}\"") }
}

/// The columns of a table, in its order; `None` for one that means nothing.
struct Header<'a> {
    columns: Vec<Option<&'a Column>>,
    missing: Vec<&'static str>,
}

impl<'a> Header<'a> {
    fn new(names: Vec<String>, line: u64, known: &'a [Column], wrong: &mut Vec<super::BadRow>) -> Self {
        let mut columns: Vec<Option<&Column>> = Vec::with_capacity(names.len());
        for name in names {
            let name = name.trim();
            let column = known.iter().find(|column| column.name.eq_ignore_ascii_case(name));
            let met = |column: &Column| columns.iter().flatten().any(|other| other.name == column.name);
            if let Some(column) = column.filter(|column| met(column)) {
                wrong.push(bad(line, column.name, "this column is there twice".to_owned()));
                columns.push(None);
                continue;
            }
            if column.is_none() && !name.is_empty() {
                let reason = unknown("column", name, known.iter().map(|column| column.name));
                wrong.push(bad(line, &shortened(name), reason));
            }
            columns.push(column);
        }
        let there: HashSet<&str> = columns.iter().flatten().map(|column| column.name).collect();
        let missing = known.iter().filter(|column| column.required && !there.contains(column.name));
        let missing: Vec<&'static str> = missing.map(|column| column.name).collect();
        for name in &missing {
            wrong.push(bad(line, name, "this column is missing".to_owned()));
        }
        Self { columns, missing }
    }

    fn row<T>(
        &self,
        fields: &[String],
        parse: &impl Fn(Fields) -> Result<T, Vec<Fault>>,
    ) -> Result<T, Vec<Fault>> {
        let (found, expected) = (fields.len(), self.columns.len());
        if found != expected {
            let reason = format!("{found} fields, where the first line names {expected} columns");
            return Err(vec![Fault::whole(reason)]);
        }
        if fields.iter().map(String::len).sum::<usize>() > LONGEST_LINE {
            return Err(vec![Fault::whole("this row is longer than 64 KiB")]);
        }
        let cells = self.columns.iter().zip(fields);
        let known = cells.filter_map(|(column, field)| Some((column.as_ref()?, field.as_str())));
        let cells: BTreeMap<&str, (Kind, &str)> =
            known.map(|(column, field)| (column.name, (column.kind, unprotected(field)))).collect();
        let values = cells.iter().map(|(name, (kind, text))| ((*name).to_owned(), value(*kind, text)));
        parse(Fields::new(values.collect())).map_err(|faults| self.explained(faults, &cells))
    }

    /// Faults of a row, less those that were told of the header (it may be none that is left), with what a spreadsheet may have done.
    fn explained(&self, faults: Vec<Fault>, cells: &BTreeMap<&str, (Kind, &str)>) -> Vec<Fault> {
        let of_header =
            |fault: &Fault| fault.field.as_ref().is_some_and(|field| self.missing.contains(&field.as_str()));
        let mut told: Vec<Fault> = faults.into_iter().filter(|fault| !of_header(fault)).collect();
        for fault in &mut told {
            let cell = fault.field.as_deref().and_then(|field| cells.get(field));
            if let Some(hint) = cell.and_then(|(kind, text)| hint(*kind, text)) {
                fault.reason = format!("{}; {hint}", fault.reason);
            }
        }
        told
    }
}

fn value(kind: Kind, text: &str) -> Value {
    let word = text.trim();
    match kind {
        _ if text.is_empty() => Value::Null,
        // A cell that was broken by hand in a spreadsheet; a name is one line.
        Kind::Name if text.contains(['\r', '\n']) => {
            let lines = text.split(['\r', '\n']).map(str::trim).filter(|line| !line.is_empty());
            Value::from(lines.collect::<Vec<_>>().join(" "))
        }
        Kind::Name => Value::from(text),
        _ if word.is_empty() => Value::Null,
        // Spreadsheets put narrow and unbreakable spaces between digits.
        Kind::Word => Value::from(word.replace(['\u{a0}', '\u{202f}'], " ")),
        Kind::Flag => match word.to_lowercase().as_str() {
            "true" | "vrai" | "oui" | "yes" | "1" => Value::from(true),
            "false" | "faux" | "non" | "no" | "0" => Value::from(false),
            _ => Value::from(word),
        },
        Kind::List(separators) => {
            let words = word.split(|c| separators.contains(&c)).map(str::trim);
            Value::from(words.filter(|word| !word.is_empty()).collect::<Vec<_>>())
        }
    }
}

/// What a spreadsheet may have done to a value that is wrong.
fn hint(kind: Kind, text: &str) -> Option<&'static str> {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let scientific = text
        .to_ascii_uppercase()
        .split_once("E+")
        .is_some_and(|(mantissa, exponent)| digits(&mantissa.replace([',', '.'], "")) && digits(exponent));
    match kind {
        Kind::Word if scientific => {
            Some("a spreadsheet shortened this number: give its column the format \"text\" before filling it")
        }
        Kind::List(_) | Kind::Word if digits(text) && text.len() < 3 => {
            Some("did a spreadsheet drop the zeros at its beginning?")
        }
        Kind::Flag => Some("true or false is expected"),
        _ => None,
    }
}

/// What makes a spreadsheet take a field for a formula, where the field begins with it.
const FORMULA: [char; 4] = ['=', '+', '-', '@'];

/// A field that no spreadsheet takes for a formula: where it could, an apostrophe is put before it, as people
/// do by hand. A field that could be mistaken for such a one gets another apostrophe, so that
/// reading it back gives the same text.
pub(in crate::admin) fn protected(field: &str) -> std::borrow::Cow<'_, str> {
    let mark = |c| FORMULA.contains(&c) || c == '\'';
    if field.starts_with(mark) { format!("'{field}").into() } else { field.into() }
}

/// The text that [`protected`] was given.
fn unprotected(field: &str) -> &str {
    let mark = |c| FORMULA.contains(&c) || c == '\'';
    field.strip_prefix('\'').filter(|rest| rest.starts_with(mark)).unwrap_or(field)
}
