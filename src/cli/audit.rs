//! `octroi audit`: whether an audit log is whole, and what it says of one Caf.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, BufWriter, ErrorKind, IsTerminal as _, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;
use serde_json::Value;

use super::output::{Table, count, date};
use crate::domain::CafCode;
use crate::telemetry::audit::{Broken, Verified, of_caf, verify};

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
    /// Show the lines that are about one Caf: a table on a terminal, else the lines as they stand
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
file: compare the last hash with one that was kept elsewhere. A file may begin
a new chain, where the program found nothing to continue; that is said, and
what was written between the two is not known.

Example:
  octroi audit verify /var/log/octroi/audit.jsonl.000000012345 \\
      /var/log/octroi/audit.jsonl";

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
        Action::Verify { files } => check(files, &mut out),
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

fn check(files: &[PathBuf], out: &mut dyn Write) -> Result<(), Early> {
    let (mut before, mut chains): (Option<Verified>, u32) = (None, 0);
    for path in files {
        let broken = |broken| match broken {
            Broken::File { why, .. } if why.kind() != ErrorKind::InvalidData => unreadable(path, &why),
            broken => (format!("{}: {broken}", path.display()), ExitCode::FAILURE),
        };
        let whole = verify(BufReader::new(open(path)?), before.as_ref()).map_err(broken)?;
        say(out, &tell(path, whole.as_ref(), before.is_some()))?;
        if let Some(whole) = whole {
            chains += u32::from(before.is_none() || whole.from_the_beginning);
            before = Some(whole);
        }
    }
    let hash = before.map_or_else(|| "none".to_owned(), |last| last.hash);
    let whole = match chains {
        0 => "Nothing is written yet".to_owned(),
        1 => "The chain is whole".to_owned(),
        several => format!("These are {several} chains, each of them whole"),
    };
    say(out, &format!("{whole}. Its last hash: {hash}"))
}

fn tell(path: &Path, whole: Option<&Verified>, follows: bool) -> String {
    let path = path.display();
    let Some(Verified { lines, first, last, from_the_beginning, .. }) = whole else {
        return format!("{path}: no line yet");
    };
    let start = match (from_the_beginning, follows) {
        (true, false) => "from the chain's beginning".to_owned(),
        (true, true) => "a new chain begins here, which does not follow the file before".to_owned(),
        (false, true) => "after the file before".to_owned(),
        (false, false) => format!("lines 1 to {} are in files that were not given", first - 1),
    };
    format!(
        "{path}: {}, {first} to {last}, {start}",
        count(usize::try_from(*lines).unwrap_or(usize::MAX), "line")
    )
}

fn export(files: &[PathBuf], caf: CafCode, as_they_stand: bool, out: &mut dyn Write) -> Result<(), Early> {
    let mut table = Table::new(["TIME", "WHAT", "OUTCOME", "REASON", "WHO", "FROM", "BY", "REQUEST"]);
    for path in files {
        for (number, line) in (1..).zip(BufReader::new(open(path)?).lines()) {
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

fn open(path: &Path) -> Result<File, Early> {
    File::open(path).map_err(|why| unreadable(path, &why))
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
