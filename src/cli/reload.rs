//! `octroi reload`: certificates, keys, tokens and lists read again while requests go on.

use std::io::{self, Write};
use std::process::ExitCode;

use super::ask::Gateway;
use super::output::Table;
use crate::admin::{Command, Outcome, Reloaded};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    gateway: Gateway,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    args.gateway.ask(Command::Reload, show)
}

fn show(done: &Reloaded, out: &mut dyn Write) -> io::Result<()> {
    if done.parts.is_empty() {
        writeln!(out, "The configuration is right. It names no file that could be read again.")?;
    } else {
        let mut table = Table::new(["READ AGAIN", "WHAT IT HOLDS"]);
        for part in &done.parts {
            let what = match part.outcome {
                Outcome::Changed => "is new, and in use",
                Outcome::Unchanged => "has not changed",
                Outcome::Refused => "cannot be used",
            };
            table.row([part.part.clone(), what.to_owned()]);
        }
        table.write(out)?;
    }
    if !done.needs_restart.is_empty() {
        writeln!(out, "\nThese keys have changed since the start, and need a restart to count:")?;
        for key in &done.needs_restart {
            writeln!(out, "  {key}")?;
        }
    }
    Ok(())
}
