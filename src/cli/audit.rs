//! `octroi audit`: whether an audit log is whole, and what it says of one Caf.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Subcommand;

use crate::domain::CafCode;
use crate::telemetry::audit::{Verified, of_caf, verify};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Follow the chain of hashes: name the first line that was altered, removed or moved
    #[command(after_help = VERIFY_HELP)]
    Verify {
        /// The files, the oldest first
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Write the lines that are about one Caf to standard output
    #[command(
        after_help = "Example:\n  octroi audit export /var/log/octroi/audit.jsonl --caf 921 > caf921.jsonl"
    )]
    Export {
        /// The files, the oldest first
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// Which Caf: its three digits
        #[arg(long, value_name = "CODE")]
        caf: CafCode,
    },
}

const VERIFY_HELP: &str = "\
Exit status: 0 the chain is whole, 1 it is broken, 2 used wrongly or a file cannot be opened.
Lines that were cut off at the very end leave no trace in the file: compare the last hash with
one that was kept elsewhere.

Example:
  octroi audit verify /var/log/octroi/audit.jsonl.000000012345 /var/log/octroi/audit.jsonl";

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match &args.action {
        Action::Verify { files } => check(files),
        Action::Export { files, caf } => export(files, *caf),
    }
}

fn check(files: &[PathBuf]) -> anyhow::Result<ExitCode> {
    let mut out = io::stdout().lock();
    let mut before: Option<Verified> = None;
    for path in files {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) => {
                writeln!(io::stderr().lock(), "octroi: {}: {error}", path.display())?;
                return Ok(ExitCode::from(2));
            }
        };
        match verify(BufReader::new(file), before.as_ref()) {
            Ok(whole) => {
                tell(&mut out, path, &whole, before.is_some())?;
                before = Some(whole);
            }
            Err(broken) => {
                writeln!(io::stderr().lock(), "octroi: {}: {broken}", path.display())?;
                return Ok(ExitCode::FAILURE);
            }
        }
    }
    if let Some(last) = before {
        writeln!(out, "The chain is whole. Its last hash: {}", last.hash)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn tell(out: &mut dyn io::Write, path: &Path, whole: &Verified, follows: bool) -> io::Result<()> {
    let Verified { lines, first, last, from_the_beginning, .. } = whole;
    let start = match (from_the_beginning, follows) {
        (true, _) => "from the chain's beginning".to_owned(),
        (false, true) => "after the file before".to_owned(),
        (false, false) => format!("lines 1 to {} are in files that were not given", first - 1),
    };
    writeln!(out, "{}: {lines} lines, {first} to {last}, {start}", path.display())
}

fn export(files: &[PathBuf], caf: CafCode) -> anyhow::Result<ExitCode> {
    let mut out = io::stdout().lock();
    for path in files {
        let file = File::open(path).with_context(|| path.display().to_string())?;
        for (number, line) in (1..).zip(BufReader::new(file).lines()) {
            let line = line?;
            let place = || format!("{}: line {number}", path.display());
            if of_caf(&line, caf.as_str()).with_context(place)? {
                writeln!(out, "{line}")?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
