//! Files that are sent to the gateway.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use axum::body::Body;

use crate::admin::IMPORT_LIMIT;

#[derive(Debug, clap::Args)]
pub(super) struct ImportFile {
    /// The file, in JSON Lines; - reads standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Only check it, and say what would be done
    #[arg(long)]
    pub(super) dry_run: bool,
}

impl ImportFile {
    /// What the file holds.
    pub(super) fn rows(&self) -> anyhow::Result<Body> {
        let (name, rows) = if self.file == Path::new("-") {
            ("standard input".to_owned(), read(io::stdin().lock()))
        } else {
            (self.file.display().to_string(), File::open(&self.file).and_then(read))
        };
        let rows = rows.with_context(|| format!("{name} cannot be read"))?;
        anyhow::ensure!(rows.len() <= IMPORT_LIMIT, "{name} is larger than {} MiB", IMPORT_LIMIT >> 20);
        Ok(rows.into())
    }
}

fn read(from: impl Read) -> io::Result<Vec<u8>> {
    let mut rows = Vec::new();
    from.take(IMPORT_LIMIT as u64 + 1).read_to_end(&mut rows)?;
    Ok(rows)
}
