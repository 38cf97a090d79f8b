//! Tables, dates and refusals, for people.

use std::io::{self, Write};

use jiff::tz::TimeZone;

use crate::admin::Problem;
use crate::domain::Timestamp;

/// A table whose columns are as wide as their widest cell.
pub(super) struct Table<const N: usize> {
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    pub(super) fn new(heads: [&str; N]) -> Self {
        Self { rows: vec![heads.map(str::to_owned)] }
    }

    pub(super) fn row(&mut self, cells: [String; N]) {
        self.rows.push(cells.map(|cell| printable(&cell)));
    }

    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let width = |column: usize| self.rows.iter().map(|row| row[column].chars().count()).max();
        let widths: [usize; N] = std::array::from_fn(|column| width(column).unwrap_or(0));
        for row in &self.rows {
            let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
            let line = cells.collect::<Vec<_>>().join("  ");
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// A refusal, with the rows that were wrong.
pub(super) fn problem(problem: &Problem, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "octroi: {}", printable(&problem.detail))?;
    for row in &problem.errors {
        let line = row.line.map(|line| format!("line {line}: ")).unwrap_or_default();
        let field = row.field.as_ref().map(|field| format!("{field}: ")).unwrap_or_default();
        writeln!(out, "  {}", printable(&format!("{line}{field}{}", row.reason)))?;
    }
    Ok(())
}

/// An instant as a clock on a wall in Paris shows it.
pub(super) fn date(at: Timestamp) -> String {
    let zone = TimeZone::get("Europe/Paris").unwrap_or(TimeZone::UTC);
    at.to_zoned(zone).strftime("%Y-%m-%d %H:%M").to_string()
}

/// "1 account", "2 accounts".
pub(super) fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// What came from others must not move the terminal's cursor or colour its text.
pub(super) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_control_characters_are_shown() {
        let mut table = Table::new(["NAME", "N"]);
        table.row(["été".into(), "1".into()]);
        table.row(["\u{1b}[31mred".into(), "22".into()]);
        let mut out = Vec::new();
        table.write(&mut out).expect("a table");
        assert_eq!(String::from_utf8_lossy(&out), "NAME      N\nété       1\n\u{fffd}[31mred  22\n");
    }

    #[test]
    fn dates_are_those_of_paris() {
        assert_eq!(date("2026-11-30T23:30:00Z".parse().expect("an instant")), "2026-12-01 00:30");
    }
}
