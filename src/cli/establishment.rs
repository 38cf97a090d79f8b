//! `octroi establishment`: what the Cafs know.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Subcommand;

use super::ask::Gateway;
use super::export::ExportFile;
use super::import::ImportFile;
use super::import_view;
use super::output::{Table, more};
use crate::admin::{Command, EstablishmentQuery, EstablishmentsPage, LARGEST_LIMIT};
use crate::domain::{CafCode, Siret};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    gateway: Gateway,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Add and change the establishments of a file, all or none
    #[command(after_help = IMPORT_HELP)]
    Import(ImportArgs),
    /// Write all establishments as a file that imports back to the same
    #[command(after_help = EXPORT_HELP)]
    Export(ExportFile),
    /// Show them, by Caf and SIRET
    #[command(after_help = "Example:\n  octroi establishment list --caf 921")]
    List(ListArgs),
}

#[derive(Debug, clap::Args)]
struct ListArgs {
    /// Those that this Caf knows
    #[arg(long, value_name = "CODE")]
    caf: Option<CafCode>,
    /// Those of this SIRET
    #[arg(long)]
    siret: Option<Siret>,
    /// Those after this one, as the page before said
    #[arg(long, value_name = "NEXT")]
    after: Option<String>,
    /// Most establishments shown; all of them without
    #[arg(long, value_name = "COUNT")]
    limit: Option<usize>,
}

#[derive(Debug, clap::Args)]
struct ImportArgs {
    #[command(flatten)]
    file: ImportFile,
    /// Also remove the establishments that are in the store and not in the file, of whatever Caf
    #[arg(long)]
    delete_gone: bool,
}

const IMPORT_HELP: &str = "\
CSV: the first line names the columns, in any order. Fields are separated by ;
or , and the text is UTF-8 or Windows-1252 (as Excel saves it):
  caf;siret;identifiant_communication;nom
  921;73282932000074;00012345678;ESAT Les Tilleuls

JSON Lines: an object a line, under the same keys:
  {\"caf\": \"921\", \"siret\": \"73282932000074\", \"nom\": \"ESAT Les Tilleuls\"}

Needed: caf, and siret or identifiant_communication (completed with zeros on
the left to 11 characters). One that shares a siret or an identifiant with a
known one of the same Caf takes its place; but the identifiant of another SIRET
is only taken where the file tells of that one too. All or nothing: when one row
is wrong nothing is imported, and all that are wrong are told.

Examples:
  octroi establishment import establishments.csv --dry-run
  octroi establishment import establishments.csv";

const EXPORT_HELP: &str = "\
JSON Lines are for programs; CSV is for spreadsheets (UTF-8, fields separated
by ;). In CSV an apostrophe stands before a field that begins with = + - @ or
an apostrophe, so that no spreadsheet takes it for a formula; the import takes
it away again.

Example:
  octroi establishment export --output establishments.csv";

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let gateway = args.gateway;
    match args.action {
        Action::Import(ImportArgs { file, delete_gone }) => {
            file.send(&gateway, delete_gone, Command::ImportEstablishments, import_view::establishments)
        }
        Action::Export(file) => file.receive(&gateway, Command::ExportEstablishments, false),
        Action::List(ListArgs { caf, siret, after, limit }) => {
            let page = |after| {
                let limit = limit.or(Some(LARGEST_LIMIT));
                Command::ListEstablishments(EstablishmentQuery { caf, siret, after, limit })
            };
            gateway.ask_pages(after, limit.is_some(), page, show_list)
        }
    }
}

fn show_list(list: &EstablishmentsPage, out: &mut dyn Write) -> io::Result<()> {
    let mut table = Table::new(["CAF", "SIRET", "COMMUNICATION", "NAME"]);
    for one in &list.establishments {
        let siret = one.siret.map_or_else(|| "-".to_owned(), String::from);
        let communication = one.identifiant_communication.map_or_else(|| "-".to_owned(), String::from);
        table.row([one.caf.to_string(), siret, communication, one.nom.clone()]);
    }
    if list.establishments.is_empty() {
        return writeln!(out, "There is no such establishment.");
    }
    table.write(out)?;
    more(list.next.as_deref(), out)
}
