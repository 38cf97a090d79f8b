//! `octroi establishment`: what the Cafs know.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Subcommand;

use super::ask::Gateway;
use super::import::ImportFile;
use super::output::{Table, count};
use crate::admin::{Command, EstablishmentsImported, EstablishmentsList};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    gateway: Gateway,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Add the establishments of a file, all or none; one that shares a SIRET or an identifiant de
    /// communication with a known one of the same Caf takes its place
    #[command(after_help = IMPORT_HELP)]
    Import(ImportFile),
    /// Show all of them
    #[command(after_help = "Example:\n  octroi establishment list --json")]
    List,
}

const IMPORT_HELP: &str = "\
Each line is an object; siret or identifiant_communication may be missing, not both:
  {\"caf\": \"921\", \"siret\": \"73282932000074\",
   \"identifiant_communication\": \"00012345678\", \"nom\": \"ESAT Les Tilleuls\"}
(shown here on two lines). Nothing is imported when one line is wrong; all that are wrong are told.

Example:
  octroi establishment import establishments.jsonl --dry-run";

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    match args.action {
        Action::Import(file) => {
            let command = Command::ImportEstablishments { rows: file.rows()?, dry_run: file.dry_run };
            args.gateway.ask(command, show_import)
        }
        Action::List => args.gateway.ask(Command::ListEstablishments, show_list),
    }
}

fn show_import(done: &EstablishmentsImported, out: &mut dyn Write) -> io::Result<()> {
    let (created, replaced) = (count(done.created, "establishment"), done.replaced);
    if done.dry_run {
        return writeln!(out, "{created} would be added and {replaced} replaced; nothing was changed.");
    }
    writeln!(out, "{created} added, {replaced} replaced.")
}

fn show_list(list: &EstablishmentsList, out: &mut dyn Write) -> io::Result<()> {
    let mut table = Table::new(["CAF", "SIRET", "COMMUNICATION", "NAME"]);
    for one in &list.establishments {
        let siret = one.siret.map_or_else(|| "-".to_owned(), String::from);
        let communication = one.identifiant_communication.map_or_else(|| "-".to_owned(), String::from);
        table.row([one.caf.to_string(), siret, communication, one.nom.clone()]);
    }
    if list.establishments.is_empty() {
        return writeln!(out, "There is no establishment yet.");
    }
    table.write(out)
}
