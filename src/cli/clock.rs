//! `octroi clock`: the clock of a rehearsal.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Subcommand;

use super::ask::Gateway;
use super::output;
use crate::admin::{ClockView, Command};
use crate::domain::Timestamp;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    gateway: Gateway,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show the time it stands at
    #[command(after_help = "Example:\n  octroi clock show")]
    Show,
    /// Put it at an instant
    #[command(after_help = "Example:\n  octroi clock set 2027-02-28T23:59:59+01:00")]
    Set {
        /// The instant (RFC 3339)
        now: Timestamp,
    },
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let command = match args.action {
        Action::Show => Command::ShowClock,
        Action::Set { now } => Command::SetClock(now),
    };
    args.gateway.ask(command, show)
}

fn show(clock: &ClockView, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "The rehearsal's clock stands at {} ({} in Paris).", clock.now, output::date(clock.now))
}
