//! `octroi caf`: the Cafs' backends, and taking one out of service.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Subcommand;

use super::ask::Gateway;
use super::output::{Table, date};
use crate::admin::{CafsList, Command, Drain};
use crate::domain::CafCode;
use crate::forward::{CafView, InstanceState, InstanceView};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    gateway: Gateway,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show the instances of the Cafs' backends: which are well, and how busy they are
    #[command(after_help = "Example:\n  octroi caf status 921")]
    Status {
        /// One Caf; all of them without
        #[arg(value_name = "CAF")]
        caf: Option<CafCode>,
    },
    /// Give a Caf, or one of its instances, no new requests: users are told that the Caf is unavailable
    #[command(after_help = DRAIN_HELP)]
    Drain(Named),
    /// Give it requests again; instances that were drained by themselves stay so until they are named
    #[command(
        after_help = "Examples:\n  octroi caf undrain 921\n  octroi caf undrain 921 --instance http://10.0.1.10:8080"
    )]
    Undrain(Named),
}

const DRAIN_HELP: &str = "\
What is under way goes on. While another instance is in service, an instance
that is drained gets none but the requests of those who bear its
sticky_cookie. Other replicas on the same store follow within a second or two,
and a restart forgets nothing: octroi caf undrain ends it.

Examples:
  octroi caf drain 921
  octroi caf drain 921 --instance http://10.0.1.10:8080";

#[derive(Debug, clap::Args)]
struct Named {
    /// The Caf
    #[arg(value_name = "CAF")]
    caf: CafCode,
    /// One of its instances, as status shows it
    #[arg(long, value_name = "URL")]
    instance: Option<String>,
}

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    match args.action {
        Action::Status { caf: None } => {
            args.gateway.ask(Command::ListCafs, |list: &CafsList, out| show(&list.cafs, out))
        }
        Action::Status { caf: Some(caf) } => args.gateway.ask(Command::ShowCaf(caf), show_one),
        Action::Drain(Named { caf, instance }) => {
            args.gateway.ask(Command::DrainCaf(Drain { caf, instance }), show_one)
        }
        Action::Undrain(Named { caf, instance }) => {
            let is_whole = instance.is_none();
            args.gateway.ask(Command::UndrainCaf(Drain { caf, instance }), |caf: &CafView, out| {
                show_one(caf, out)?;
                if is_whole { still_drained(caf, out) } else { Ok(()) }
            })
        }
    }
}

fn show_one(caf: &CafView, out: &mut dyn Write) -> io::Result<()> {
    show(std::slice::from_ref(caf), out)
}

/// Instances that were drained by themselves stay so when their Caf comes back.
fn still_drained(caf: &CafView, out: &mut dyn Write) -> io::Result<()> {
    for one in caf.instances.iter().filter(|one| one.state == InstanceState::Draining) {
        let (code, url) = (caf.code, &one.instance);
        writeln!(
            out,
            "\n{url} was drained by itself, and stays so until: octroi caf undrain {code} --instance {url}"
        )?;
    }
    Ok(())
}

fn show(cafs: &[CafView], out: &mut dyn Write) -> io::Result<()> {
    let mut table = Table::new([
        "CAF",
        "INSTANCE",
        "STATE",
        "WEIGHT",
        "BUSY",
        "WAITING",
        "FAILED IN A ROW",
        "LAST ERROR",
    ]);
    for caf in cafs {
        for one in &caf.instances {
            let last = one.last_error.as_ref();
            table.row([
                caf.code.to_string(),
                one.instance.clone(),
                state(one),
                one.weight.to_string(),
                one.outstanding.to_string(),
                one.waiting.to_string(),
                one.failures.to_string(),
                last.map_or_else(|| "-".to_owned(), |error| format!("{} {}", date(error.at), error.what)),
            ]);
        }
    }
    table.write(out)?;
    for caf in cafs.iter().filter(|caf| caf.draining) {
        writeln!(
            out,
            "\nCaf {} ({}) is drained: its users are told that it is unavailable.",
            caf.code, caf.name
        )?;
    }
    Ok(())
}

fn state(one: &InstanceView) -> String {
    match (one.state, one.ejected_until) {
        (InstanceState::Ejected, Some(until)) => format!("ejected until {}", date(until)),
        (InstanceState::Ejected, None) => "ejected".to_owned(),
        (InstanceState::Up, _) => "up".to_owned(),
        (InstanceState::Failing, _) => "fails its checks".to_owned(),
        (InstanceState::Draining, _) => "drained".to_owned(),
    }
}
