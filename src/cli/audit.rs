//! `octroi audit`: whether an audit log is whole, and what it says of one Caf.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, ErrorKind, IsTerminal as _, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;
use flate2::bufread::MultiGzDecoder;
use serde_json::Value;

use super::output::{Table, count, date};
use crate::domain::CafCode;
use crate::telemetry::audit::{Broken, Verified, ends_before, lines, of_caf, verify};

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
        /// The files, the oldest first; compressed by gzip or not
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// The first file goes on from earlier ones that are kept elsewhere: it need not begin with line 1
        #[arg(long)]
        continued: bool,
    },
    /// Show the lines that are about one Caf or its accounts: a table on a terminal, else the lines as they stand
    #[command(after_help = EXPORT_HELP)]
    Export {
        /// The files, the oldest first
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// Which Caf: its three digits
        #[arg(long, value_name = "CODE")]
        caf: CafCode,
        /// The lines as they stand, on a terminal too
        #[arg(long)]
        json: bool,
    },
}

const VERIFY_HELP: &str = "\
Exit status: 0 the chain is whole, 1 it is broken, 2 used wrongly or a file
cannot be read. Lines that were cut off at the very end leave no trace in the
file: compare the last hash with one that was kept elsewhere. Lines that were
cut off at the beginning are missing, unless a file beside the first one ends
just before it, or --continued says that they are kept elsewhere. A file may
begin a new chain, where the program found nothing to continue; that is said,
and what was written between the two is not known.

Examples:
  octroi audit verify /var/log/octroi/audit.jsonl.000000012345 \\
      /var/log/octroi/audit.jsonl
  octroi audit verify --continued audit.jsonl.000000012345";

const EXPORT_HELP: &str = "\
Lines about an account are those of all Cafs that it may declare to.

Exit status: 0 done, 1 a line was altered, 2 used wrongly or a file cannot be
read.

Example:
  octroi audit export /var/log/octroi/audit.jsonl --caf 921 > caf921.jsonl";

/// Why it ends early: what is to be said, and the exit status.
type Early = (String, ExitCode);

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut out = BufWriter::new(io::stdout().lock());
    let done = match &args.action {
        Action::Verify { files, continued } => check(files, *continued, &mut out),
        Action::Export { files, caf, json } => {
            export(files, *caf, *json || !io::stdout().is_terminal(), &mut out)
        }
    };
    out.flush()?;
    match done {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err((said, code)) => {
            writeln!(io::stderr().lock(), "octroi: {said}")?;
            Ok(code)
        }
    }
}

fn check(files: &[PathBuf], continued: bool, out: &mut dyn Write) -> Result<(), Early> {
    let mut seen: Vec<(&Path, Verified)> = Vec::new();
    for path in files {
        let before = seen.last().map(|(_, before)| before);
        let broken = |broken| match broken {
            Broken::File { why, .. } if why.kind() != ErrorKind::InvalidData => unreadable(path, &why),
            broken => (format!("{}: {broken}", path.display()), ExitCode::FAILURE),
        };
        let whole = verify(open(path)?, before).map_err(broken)?;
        in_order(path, whole.as_ref(), &seen)?;
        let start = match &whole {
            Some(whole) => start(path, whole, before.is_some(), continued).map_err(broken)?,
            None => String::new(),
        };
        say(out, &tell(path, whole.as_ref(), &start))?;
        seen.extend(whole.map(|whole| (&**path, whole)));
    }
    say(out, &conclusion(&seen))
}

/// A file that goes on where a later one ends would pass for another chain.
fn in_order(path: &Path, whole: Option<&Verified>, seen: &[(&Path, Verified)]) -> Result<(), Early> {
    let after = whole.and_then(|whole| seen.iter().find(|(_, earlier)| earlier.follows == whole.hash));
    let Some((after, _)) = after else { return Ok(()) };
    let said = format!("{} comes before {}: give the oldest first", path.display(), after.display());
    Err((said, ExitCode::from(2)))
}

fn conclusion(seen: &[(&Path, Verified)]) -> String {
    let begun = seen.iter().skip(1).filter(|(_, whole)| whole.from_the_beginning).count();
    let whole = match (seen.first(), begun) {
        (None, _) => "Nothing is written yet".to_owned(),
        (Some((_, first)), 0) if !first.from_the_beginning => {
            format!("The chain is whole from line {} on", first.first)
        }
        (Some(_), 0) => "The chain is whole".to_owned(),
        (Some(_), others) => format!("These are {} chains, each of them whole", others + 1),
    };
    let hash = seen.last().map_or("none", |(_, last)| &last.hash);
    format!("{whole}. Its last hash: {hash}")
}

/// Where the lines of a file come from; `follows`: a file before it was given.
fn start(path: &Path, whole: &Verified, follows: bool, continued: bool) -> Result<String, Broken> {
    match (whole.from_the_beginning, follows) {
        (true, false) => return Ok("from the chain's beginning".to_owned()),
        (true, true) => {
            return Ok("a new chain begins here, which does not follow the file before".to_owned());
        }
        (false, true) => return Ok("after the file before".to_owned()),
        (false, false) => {}
    }
    let to = whole.first.saturating_sub(1);
    match ends_before(path, whole) {
        Some(other) => Ok(format!(
            "lines up to {to} are in files that were not given, the last of them {}",
            other.display()
        )),
        None if continued => Ok(format!("lines 1 to {to} are in files that were not given")),
        None => Err(Broken::Beginning { to }),
    }
}

fn tell(path: &Path, whole: Option<&Verified>, start: &str) -> String {
    let path = path.display();
    let Some(Verified { lines, first, last, .. }) = whole else {
        return format!("{path}: no line yet");
    };
    let lines = count(usize::try_from(*lines).unwrap_or(usize::MAX), "line");
    format!("{path}: {lines}, {first} to {last}, {start}")
}

fn export(files: &[PathBuf], caf: CafCode, as_they_stand: bool, out: &mut dyn Write) -> Result<(), Early> {
    let mut table = Table::new(["TIME", "WHAT", "OUTCOME", "REASON", "WHO", "FROM", "BY", "REQUEST"]);
    for path in files {
        for (number, line) in (1..).zip(lines(open(path)?)) {
            let line = line.map_err(|why| unreadable(path, &why))?;
            let altered = |why| (format!("{}: line {number}: {why}", path.display()), ExitCode::FAILURE);
            match of_caf(&line, caf.as_str()).map_err(altered)? {
                true if as_they_stand => say(out, &line)?,
                true => table.row(cells(&line)),
                false => {}
            }
        }
    }
    if as_they_stand { Ok(()) } else { table.write(out).map_err(|why| unsaid(&why)) }
}

fn cells(line: &str) -> [String; 8] {
    let line: Value = serde_json::from_str(line).unwrap_or_default();
    ["time", "what", "outcome", "reason", "who", "from", "by", "request"].map(|name| {
        let text = line[name].as_str().unwrap_or("-");
        if name == "time" { text.parse().map_or_else(|_| text.to_owned(), date) } else { text.to_owned() }
    })
}

/// A file, as logrotate leaves it: compressed, it begins with two bytes that no line does (RFC 1952 section 2.3.1).
fn open(path: &Path) -> Result<Box<dyn BufRead>, Early> {
    let failed = |why: io::Error| unreadable(path, &why);
    let mut file = BufReader::new(File::open(path).map_err(failed)?);
    let is_compressed = file.fill_buf().map_err(failed)?.starts_with(&[0x1f, 0x8b]);
    Ok(if is_compressed { Box::new(BufReader::new(MultiGzDecoder::new(file))) } else { Box::new(file) })
}

fn say(out: &mut dyn Write, line: &str) -> Result<(), Early> {
    writeln!(out, "{line}").map_err(|why| unsaid(&why))
}

fn unreadable(path: &Path, why: &io::Error) -> Early {
    (format!("{}: {why}", path.display()), ExitCode::from(2))
}

fn unsaid(why: &io::Error) -> Early {
    (why.to_string(), ExitCode::FAILURE)
}
