//! The command line: one file a command group.
//!
//! What manages habilitations is a client of a running gateway's admin API and of nothing else, so that a
//! command and a program that calls the API do the same. Exit status: 0 done, 1 refused, 2 used wrongly.

mod account;
mod account_view;
mod admin_token;
mod ask;
mod audit;
mod caf;
mod check;
mod client;
mod clock;
mod completions;
mod credentials;
mod establishment;
mod explain;
mod export;
mod import;
mod import_view;
mod output;
mod progress;
mod reload;
mod run;
mod schema;
mod session;
#[cfg(test)]
mod tests;

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::telemetry;

#[derive(Debug, Parser)]
#[command(name = "octroi", version, about = ABOUT, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

const ABOUT: &str = "\
The gateway at the edge of the ESAT extranet: who may pass, to which Caf, and for how long.

Without a command: the embedded default, with demonstration Cafs and accounts,
on http://127.0.0.1:8080.";

const EXPLAIN_HELP: &str = "\
Nothing is changed, counted or forwarded. Whether the Caf's backend takes
requests is told of the present alone. Exit status 0: it was explained,
whatever the answer.

Examples:
  octroi explain --account direction@esat.example --caf 921 \\
      --path /teleprocedure/certificat-emploi
  octroi explain --account direction@esat.example --caf 921 --path / \\
      --at 2027-03-01T00:00:00+01:00";

const RELOAD_HELP: &str = "\
The configuration and the files that it names are checked first, as by octroi
check: where something is wrong, nothing is read again. Keys that have changed
are named: they need a restart. SIGHUP does the same, and logs it. No
connection and no session ends. (Certificates and tokens are also looked at
every second or two by themselves.)

Example:
  octroi reload";

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway
    #[command(after_help = "Example:\n  octroi run --config /etc/octroi/octroi.toml")]
    Run(ConfigFile),
    /// Check a configuration: say everything that is wrong in it, and where
    #[command(after_help = "Example:\n  octroi check --config /etc/octroi/octroi.toml")]
    Check(ConfigFile),
    /// Manage the accounts of a running gateway
    #[command(after_help = "Example:\n  octroi account list --caf 921")]
    Account(account::Args),
    /// Manage the establishments that the Cafs know
    #[command(after_help = "Example:\n  octroi establishment import establishments.csv --dry-run")]
    Establishment(establishment::Args),
    /// Show who is signed in, and end that
    #[command(after_help = "Example:\n  octroi session list --caf 921")]
    Session(session::Args),
    /// Show the Cafs' backends, and take one out of service
    #[command(after_help = "Example:\n  octroi caf status")]
    Caf(caf::Args),
    /// Read certificates, tokens and lists again, without a restart
    #[command(after_help = RELOAD_HELP)]
    Reload(reload::Args),
    /// Say why a person would be let through, or would not, at an instant
    #[command(after_help = EXPLAIN_HELP)]
    Explain(explain::Args),
    /// Make a token for the admin API, shown once
    #[command(after_help = "Example:\n  octroi admin-token --name marie --role gestionnaire --caf 921")]
    AdminToken(admin_token::Args),
    /// Check an audit log, or take out what is about one Caf
    #[command(after_help = "Example:\n  octroi audit verify /var/log/octroi/audit.jsonl")]
    Audit(audit::Args),
    /// Show or move the clock of a gateway in rehearsal
    #[command(after_help = "Example:\n  octroi clock set 2026-12-01T00:00:00+01:00")]
    Clock(clock::Args),
    /// Write a shell's completions to standard output
    #[command(after_help = "Example:\n  octroi completions bash > /etc/bash_completion.d/octroi")]
    Completions(completions::Args),
    /// Write the configuration's JSON Schema to standard output
    #[command(after_help = "Example:\n  octroi schema > octroi.schema.json")]
    Schema,
}

#[derive(Debug, clap::Args)]
struct ConfigFile {
    /// The configuration, in TOML
    #[arg(long, short, value_name = "FILE")]
    config: PathBuf,
}

/// The command line asks for what it cannot have, such as a file that is not there: exit status 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Misuse(String);

/// Does what the command line asks for.
pub fn main() -> ExitCode {
    let done = dispatch(Cli::parse());
    telemetry::flush();
    done.unwrap_or_else(|error| {
        // Whoever read the output has seen enough.
        if error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe) {
            return ExitCode::SUCCESS;
        }
        let _ = writeln!(io::stderr().lock(), "octroi: {error:#}");
        if error.is::<Misuse>() { ExitCode::from(2) } else { ExitCode::FAILURE }
    })
}

fn dispatch(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.command {
        None => run::demo(),
        Some(Command::Run(file)) => run::run(&file.config),
        Some(Command::Check(file)) => check::check(&file.config),
        Some(Command::Account(args)) => account::run(args),
        Some(Command::Establishment(args)) => establishment::run(args),
        Some(Command::Session(args)) => session::run(args),
        Some(Command::Caf(args)) => caf::run(args),
        Some(Command::Reload(args)) => reload::run(&args),
        Some(Command::Explain(args)) => explain::run(args),
        Some(Command::AdminToken(args)) => admin_token::run(&args),
        Some(Command::Audit(args)) => audit::run(&args),
        Some(Command::Clock(args)) => clock::run(&args),
        Some(Command::Completions(args)) => completions::run(&args),
        Some(Command::Schema) => schema::run(),
    }
}
