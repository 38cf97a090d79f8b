//! Files that are sent to the gateway.

use std::fs::File;
use std::io::{self, IsTerminal as _, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use axum::body::Body;
use clap::ValueEnum;

use super::Misuse;
use super::ask::Gateway;
use super::progress::Bar;
use crate::admin::{Charset, Command, Format, IMPORT_LIMIT, Import, ImportDone};

#[derive(Debug, clap::Args)]
pub(super) struct ImportFile {
    /// The file, in CSV or JSON Lines; - reads standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Say what would be done and change nothing
    #[arg(long)]
    dry_run: bool,
    /// How the file is written; by default what its name ends with, then what it looks like
    #[arg(long, value_name = "FORMAT")]
    format: Option<FormatName>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum FormatName {
    /// A table whose first line names the columns
    Csv,
    /// An object in JSON a line
    Jsonl,
}

impl FormatName {
    /// What a file's name ends with.
    pub(super) fn of(file: &Path) -> Option<Self> {
        match file.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "csv" => Some(Self::Csv),
            "jsonl" | "ndjson" | "json" => Some(Self::Jsonl),
            _ => None,
        }
    }
}

impl ImportFile {
    /// Has the file imported, and shows what came of it. `gone`: also act on what the file does not name.
    pub(super) fn send(
        &self,
        gateway: &Gateway,
        gone: bool,
        command: fn(Import) -> Command,
        show: impl FnOnce(&ImportDone, &mut dyn Write) -> io::Result<()>,
    ) -> anyhow::Result<ExitCode> {
        let (rows, format) = (self.rows()?, self.format());
        let progress = !gateway.json && io::stderr().is_terminal();
        let import = Import { rows, format, dry_run: self.dry_run, gone, progress };
        if progress {
            return gateway.ask_and_watch(command(import), &mut Bar::new(io::stderr()), show);
        }
        gateway.ask(command(import), show)
    }

    fn format(&self) -> Format {
        match self.format.or_else(|| FormatName::of(&self.file)) {
            Some(FormatName::Csv) => Format::Csv(Charset::Guess),
            Some(FormatName::Jsonl) => Format::JsonLines,
            None => Format::Guess,
        }
    }

    /// What the file holds.
    fn rows(&self) -> anyhow::Result<Body> {
        let (name, rows) = if self.file == Path::new("-") {
            ("standard input".to_owned(), read(io::stdin().lock()))
        } else {
            (self.file.display().to_string(), File::open(&self.file).and_then(read))
        };
        let rows = rows.with_context(|| Misuse(format!("{name} cannot be read")))?;
        let too_large = || Misuse(format!("{name} is larger than {} MiB", IMPORT_LIMIT >> 20));
        anyhow::ensure!(rows.len() <= IMPORT_LIMIT, too_large());
        let is_by_name = self.format.is_none() && self.format() == Format::Csv(Charset::Guess);
        let text = rows.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&rows);
        let other = || {
            Misuse(format!(
                "{name} is named like CSV and begins with {{ as JSON Lines do: say --format jsonl"
            ))
        };
        anyhow::ensure!(!is_by_name || !text.trim_ascii_start().starts_with(b"{"), other());
        Ok(rows.into())
    }
}

fn read(from: impl Read) -> io::Result<Vec<u8>> {
    let mut rows = Vec::new();
    from.take(IMPORT_LIMIT as u64 + 1).read_to_end(&mut rows)?;
    Ok(rows)
}
