//! Tables, dates and refusals, for people.

use std::io::{self, Write};

use jiff::tz::TimeZone;

use crate::admin::Problem;
use crate::domain::Timestamp;

/// A table whose columns are as wide as their widest cell. On a terminal that is narrower, the widest
/// cells go on in further lines.
pub(super) struct Table<const N: usize> {
    rows: Vec<[String; N]>,
    whole: Option<usize>,
}

/// What is said below a page that is not the last.
pub(super) fn more(next: Option<&str>, out: &mut dyn Write) -> io::Result<()> {
    next.map_or(Ok(()), |next| writeln!(out, "\nThere are more: --after {}", printable(next)))
}

/// Narrowest that a column is made to fit a terminal.
const NARROWEST: usize = 12;
const BETWEEN: usize = 2;

impl<const N: usize> Table<N> {
    pub(super) fn new(heads: [&str; N]) -> Self {
        Self { rows: vec![heads.map(str::to_owned)], whole: None }
    }

    /// A column whose cells are to be copied: they are never cut.
    pub(super) fn whole(self, column: usize) -> Self {
        Self { whole: Some(column), ..self }
    }

    pub(super) fn row(&mut self, cells: [String; N]) {
        self.rows.push(cells.map(|cell| printable(&cell)));
    }

    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let terminal = terminal_size::terminal_size_of(io::stdout());
        self.write_within(terminal.map_or(usize::MAX, |(width, _)| usize::from(width.0)), out)
    }

    fn write_within(&self, limit: usize, out: &mut dyn Write) -> io::Result<()> {
        let widths = self.widths(limit);
        for row in &self.rows {
            let cells: Vec<Vec<String>> =
                row.iter().zip(widths).map(|(cell, width)| cut(cell, width)).collect();
            for line in 0..cells.iter().map(Vec::len).max().unwrap_or(0) {
                let text: Vec<String> = cells
                    .iter()
                    .zip(widths)
                    .map(|(cell, width)| padded(cell.get(line).map_or("", String::as_str), width))
                    .collect();
                writeln!(out, "{}", text.join(&" ".repeat(BETWEEN)).trim_end())?;
            }
        }
        Ok(())
    }

    /// The columns' widths: those of their widest cells, the widest of them made narrower until all fit.
    fn widths(&self, limit: usize) -> [usize; N] {
        let widest = |column: usize| self.rows.iter().map(|row| width(&row[column])).max();
        let mut widths: [usize; N] = std::array::from_fn(|column| widest(column).unwrap_or(0));
        while widths.iter().sum::<usize>() + BETWEEN * N.saturating_sub(1) > limit {
            let columns = (0..N).filter(|column| self.whole != Some(*column));
            let Some(column) = columns.max_by_key(|column| widths[*column]) else { break };
            if widths[column] <= NARROWEST {
                break;
            }
            widths[column] -= 1;
        }
        widths
    }
}

/// The lines of a cell, cut after a space, a comma or an at sign where there is one.
fn cut(cell: &str, limit: usize) -> Vec<String> {
    let (mut lines, mut line) = (Vec::new(), String::new());
    for c in cell.chars() {
        if width(&line) + columns(c) > limit && !line.is_empty() {
            let at = line.rfind([' ', ',', '@']).filter(|at| *at > 0).map_or(line.len(), |at| at + 1);
            let rest = line.split_off(at);
            lines.push(std::mem::replace(&mut line, rest));
        }
        line.push(c);
    }
    lines.push(line);
    lines
}

fn padded(text: &str, to: usize) -> String {
    format!("{text}{}", " ".repeat(to.saturating_sub(width(text))))
}

/// Columns that a text takes on a terminal.
fn width(text: &str) -> usize {
    text.chars().map(columns).sum()
}

/// Columns of a character: none for a mark on the one before it, two for those of East Asia and for pictures.
fn columns(c: char) -> usize {
    match c {
        '\u{300}'..='\u{36f}' | '\u{200b}'..='\u{200d}' | '\u{fe00}'..='\u{fe0f}' => 0,
        '\u{1100}'..='\u{115f}'
        | '\u{2e80}'..='\u{a4cf}'
        | '\u{ac00}'..='\u{d7a3}'
        | '\u{f900}'..='\u{faff}'
        | '\u{ff00}'..='\u{ff60}'
        | '\u{1f300}'..='\u{1faff}' => 2,
        _ => 1,
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

/// The day of an instant in Paris.
pub(super) fn day(at: Timestamp) -> String {
    date(at)[..10].to_owned()
}

/// "1 account", "2 accounts".
pub(super) fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// What came from others must not move the terminal's cursor or colour its text.
pub(super) fn printable(text: &str) -> String {
    // Those that turn the reading direction could make one name look like another.
    let moves = |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().map(|c| if moves(c) { char::REPLACEMENT_CHARACTER } else { c }).collect()
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
    fn a_table_fits_a_narrow_terminal_and_keeps_whole_what_is_copied() {
        let mut table = Table::new(["IDENTIFIANT", "CAFS", "PASSWORD"]).whole(2);
        let name = format!("{}@esat.example", "a".repeat(40));
        table.row([name.clone(), "011,921,751,752,753,754".into(), "abc2-def3-ghj4".into()]);
        table.row(["e\u{301}té@esat.example".into(), "日本".into(), "x".into()]);
        let write = |limit| {
            let mut out = Vec::new();
            table.write_within(limit, &mut out).expect("a table");
            String::from_utf8(out).expect("text")
        };
        let (wide, narrow) = (write(usize::MAX), write(60));
        assert_eq!(wide.lines().count(), 3);
        assert!(narrow.lines().all(|line| width(line) <= 60), "{narrow}");
        assert!(narrow.contains("abc2-def3-ghj4") && narrow.contains("@esat.example"), "{narrow}");
        let starts = |line: &str| width(line.split("日本").next().unwrap_or_default());
        let (heads, last) = (wide.lines().next(), wide.lines().last());
        assert_eq!(heads.and_then(|heads| heads.find("CAFS")), last.map(starts));
        assert_eq!(width(&write(1).lines().last().unwrap_or_default()[..1]), 1, "too narrow for any table");
    }

    #[test]
    fn dates_are_those_of_paris() {
        assert_eq!(date("2026-11-30T23:30:00Z".parse().expect("an instant")), "2026-12-01 00:30");
    }
}
