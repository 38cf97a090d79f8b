//! `octroi schema`: the configuration's JSON Schema, for editors that complete and check as one types.

use std::io::{self, Write as _};
use std::process::ExitCode;

use crate::config;

pub(super) fn run() -> anyhow::Result<ExitCode> {
    let schema = serde_json::to_string_pretty(&config::schema())?;
    writeln!(io::stdout().lock(), "{schema}")?;
    Ok(ExitCode::SUCCESS)
}
