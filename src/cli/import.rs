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
        let ending = self.file.extension().and_then(|ending| ending.to_str()).map(str::to_ascii_lowercase);
        match (self.format, ending.as_deref()) {
            (Some(FormatName::Csv), _) | (None, Some("csv")) => Format::Csv(Charset::Guess),
            (Some(FormatName::Jsonl), _) | (None, Some("jsonl" | "ndjson" | "json")) => Format::JsonLines,
            _ => Format::Guess,
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
        Ok(rows.into())
    }
}

fn read(from: impl Read) -> io::Result<Vec<u8>> {
    let mut rows = Vec::new();
    from.take(IMPORT_LIMIT as u64 + 1).read_to_end(&mut rows)?;
    Ok(rows)
}
