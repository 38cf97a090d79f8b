//! `octroi session`: who is signed in, and ending that.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Subcommand;

use super::ask::Gateway;
use super::output::{Table, count, date};
use crate::admin::{Command, SessionQuery, SessionsEnded, SessionsPage};
use crate::domain::{CafCode, Identifiant};
use crate::session::Sitting;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    gateway: Gateway,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show live sessions, in the order in which people signed in
    #[command(after_help = "Example:\n  octroi session list --account direction@esat.example")]
    List(ListArgs),
    /// End a session at once, or all of an account
    #[command(after_help = "Example:\n  octroi session revoke --account direction@esat.example")]
    Revoke(RevokeArgs),
}

#[derive(Debug, clap::Args)]
struct ListArgs {
    /// Those of this account
    #[arg(long, value_name = "EMAIL")]
    account: Option<Identifiant>,
    /// Those that are at this Caf now
    #[arg(long, value_name = "CODE")]
    caf: Option<CafCode>,
    /// Those after this one, as the page before said
    #[arg(long, value_name = "SESSION")]
    after: Option<Sitting>,
    /// Most sessions on a page
    #[arg(long, default_value_t = 100)]
    limit: usize,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct RevokeArgs {
    /// The session's public name, as list shows it
    #[arg(value_name = "SESSION")]
    session: Option<Sitting>,
    /// All of this account
    #[arg(long, value_name = "EMAIL")]
    account: Option<Identifiant>,
}

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    match args.action {
        Action::List(ListArgs { account, caf, after, limit }) => {
            let query = SessionQuery { account, caf, after, limit: Some(limit) };
            args.gateway.ask(Command::ListSessions(query), show)
        }
        Action::Revoke(RevokeArgs { session: Some(session), .. }) => {
            args.gateway.ask(Command::RevokeSession(session), ended)
        }
        Action::Revoke(RevokeArgs { account: Some(account), .. }) => {
            args.gateway.ask(Command::RevokeSessions(account), ended)
        }
        Action::Revoke(_) => anyhow::bail!("expected a session or --account"),
    }
}

fn show(page: &SessionsPage, out: &mut dyn Write) -> io::Result<()> {
    if page.sessions.is_empty() && page.next.is_none() {
        return writeln!(out, "There is no such session.");
    }
    let mut table =
        Table::new(["SESSION", "ACCOUNT", "STATE", "CAF", "SINCE", "LAST ACTION", "FROM", "BROWSER"]);
    for one in &page.sessions {
        table.row([
            one.session.to_string(),
            one.account.to_string(),
            one.etat.clone(),
            one.caf.map_or_else(|| "-".to_owned(), String::from),
            date(one.signed_in_at),
            date(one.last_action_at),
            one.from.clone(),
            one.agent.clone().unwrap_or_else(|| "-".to_owned()),
        ]);
    }
    table.write(out)?;
    match page.next {
        Some(next) => writeln!(out, "\nThere are more: --after {next}"),
        None => Ok(()),
    }
}

fn ended(done: &SessionsEnded, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{} ended.", count(done.ended, "session"))
}
