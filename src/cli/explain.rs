//! `octroi explain`: why a person is let through, or is not, told step by step.

use std::io::{self, Write};
use std::net::IpAddr;
use std::process::ExitCode;

use super::ask::Gateway;
use super::output::{date, printable};
use crate::admin::{Command, ExplainQuery, Moment};
use crate::domain::{CafCode, Identifiant};
use crate::entry::{Explanation, Outcome, Topic};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Whose request it would be: an identifiant
    #[arg(long, value_name = "IDENTIFIANT")]
    account: Identifiant,
    /// At which Caf: its three digits
    #[arg(long, value_name = "CODE")]
    caf: CafCode,
    /// Which path they would ask for
    #[arg(long, value_name = "PATH", value_parser = path)]
    path: String,
    /// When: 2027-02-28T23:59 on a clock in Paris, or an instant with its offset; now, where it is not told
    #[arg(long, value_name = "INSTANT")]
    at: Option<Moment>,
    /// From which address: whether that place is locked is looked at too
    #[arg(long, value_name = "ADDRESS")]
    from: Option<IpAddr>,
    #[command(flatten)]
    gateway: Gateway,
}

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let Args { account, caf, path, at, from, gateway } = args;
    gateway.ask(Command::Explain(ExplainQuery { account, caf, path, at, from }), show)
}

fn path(text: &str) -> Result<String, &'static str> {
    if text.starts_with('/') { Ok(text.to_owned()) } else { Err("a path begins with /") }
}

fn show(told: &Explanation, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{} at Caf {}, {}", told.account, told.caf, printable(&told.path))?;
    writeln!(out, "on {} (Paris):\n", date(told.at))?;
    for step in &told.steps {
        let mark = match step.outcome {
            Outcome::Passes => "ok",
            Outcome::Asks => "asks",
            Outcome::Stops => "STOP",
        };
        writeln!(out, "  {mark:4}  {:14}{}", name(step.step), printable(&step.reason))?;
    }
    writeln!(out, "\n{}", verdict(told))
}

fn name(topic: Topic) -> &'static str {
    match topic {
        Topic::SignIn => "sign-in",
        Topic::Lock => "lock",
        Topic::Password => "password",
        Topic::Caf => "Caf",
        Topic::Establishment => "establishment",
        Topic::Path => "path",
        Topic::Calendar => "calendar",
        Topic::Backend => "backend",
    }
}

fn verdict(told: &Explanation) -> String {
    let stops = told.steps.iter().any(|step| step.outcome == Outcome::Stops);
    match &told.code {
        _ if told.forwarded => format!("Forwarded to Caf {}.", told.caf),
        Some(code) if stops => format!("Not forwarded: the answer is {code}."),
        Some(code) => format!("Not forwarded until what is asked for is given: the answer is {code}."),
        None => "Not forwarded: the gateway answers.".to_owned(),
    }
}
