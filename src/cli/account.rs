//! `octroi account`: habilitations.

use std::process::ExitCode;

use clap::{Subcommand, ValueEnum};
use serde_json::json;

use super::account_view as view;
use super::ask::Gateway;
use super::export::ExportFile;
use super::import::ImportFile;
use super::import_view;
use crate::account::{NewAccount, Status};
use crate::admin::{AccountQuery, Command, LARGEST_LIMIT, Moment, Sort};
use crate::domain::{CafCode, Identifiant, Siret};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    gateway: Gateway,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make an account, and show its provisional password once
    #[command(after_help = CREATE_HELP)]
    Create(NewAccountArgs),
    /// Show accounts
    #[command(after_help = LIST_HELP)]
    List(ListArgs),
    /// Show one account
    #[command(after_help = "Example:\n  octroi account show direction@esat.example")]
    Show(One),
    /// Make and change the accounts of a file, all or none
    #[command(after_help = IMPORT_HELP)]
    Import(ImportArgs),
    /// Write all accounts as a file that imports back to the same; it holds their password hashes
    #[command(after_help = EXPORT_HELP)]
    Export(ExportFile),
    /// Close an account at once: its sessions end
    #[command(after_help = "Example:\n  octroi account suspend direction@esat.example")]
    Suspend(One),
    /// Open a suspended account again
    #[command(after_help = "Example:\n  octroi account reactivate direction@esat.example")]
    Reactivate(One),
    /// Give a provisional password, shown once: sessions end, and the account is unlocked
    #[command(after_help = "Example:\n  octroi account reset-password direction@esat.example")]
    ResetPassword(One),
    /// Have the password changed at the next sign-in or entry to a Caf
    #[command(after_help = "Example:\n  octroi account force-change direction@esat.example")]
    ForceChange(One),
    /// Lift the locks that wrong passwords brought, wherever they came from
    #[command(after_help = "Example:\n  octroi account unlock direction@esat.example")]
    Unlock(One),
    /// Remove an account for good: its sessions end
    #[command(after_help = "Example:\n  octroi account delete direction@esat.example")]
    Delete(One),
}

#[derive(Debug, clap::Args)]
struct NewAccountArgs {
    /// E-mail address that names the account
    #[arg(long, value_name = "EMAIL")]
    identifiant: Identifiant,
    /// The ESAT's SIRET
    #[arg(long)]
    siret: Siret,
    /// The ESAT's name
    #[arg(long, value_name = "NAME", default_value = "")]
    nom: String,
    /// A Caf it may declare to; may be given several times
    #[arg(long = "caf", required = true, value_name = "CODE")]
    cafs: Vec<CafCode>,
    /// The Caf that manages it
    #[arg(long, value_name = "CODE")]
    home_caf: Option<CafCode>,
}

#[derive(Debug, clap::Args)]
struct ListArgs {
    /// Those that may declare to this Caf
    #[arg(long, value_name = "CODE")]
    caf: Option<CafCode>,
    /// Those of this status
    #[arg(long)]
    status: Option<StatusName>,
    /// Those whose password expires before this day of Paris (2027-01-20), this time of Paris (2027-01-20T12:00) or this instant
    #[arg(long, value_name = "MOMENT")]
    expiring_before: Option<Moment>,
    /// Those whose owner never signed in
    #[arg(long)]
    never_signed_in: bool,
    /// In which order: identifiant, siret, expires or last-sign-in, with - before it for the last ones first
    #[arg(long, allow_hyphen_values = true, value_name = "ORDER", default_value_t)]
    sort: Sort,
    /// Those after this one, as the page before said
    #[arg(long, allow_hyphen_values = true, value_name = "NEXT")]
    after: Option<String>,
    /// Most accounts shown; all of them without
    #[arg(long, value_name = "COUNT")]
    limit: Option<usize>,
}

#[derive(Debug, clap::Args)]
struct ImportArgs {
    #[command(flatten)]
    file: ImportFile,
    /// Also suspend the accounts that are in the store and not in the file; their sessions end
    #[arg(long)]
    suspend_gone: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum StatusName {
    Active,
    Suspended,
}

#[derive(Debug, clap::Args)]
struct One {
    /// The account's e-mail address
    #[arg(value_name = "EMAIL")]
    identifiant: Identifiant,
}

const LIST_HELP: &str = "\
Examples:
  octroi account list --caf 921 --status suspended
  octroi account list --expiring-before 2027-01-20 --sort expires
  octroi account list --never-signed-in --limit 50";

const CREATE_HELP: &str = "\
The password is to be changed at the first sign-in; after 30 days unchanged (see
[password] provisional_max_age) it opens nothing, and needs a reset-password.

Example:
  octroi account create --identifiant direction@esat.example \\
      --siret 73282932000074 --nom \"ESAT Les Tilleuls\" \\
      --caf 921 --caf 751 --home-caf 921";

const IMPORT_HELP: &str = "\
CSV: the first line names the columns, in any order. Fields are separated by ;
or , and the text is UTF-8 or Windows-1252 (as Excel saves it). Several Cafs
stand in one field, with spaces or | between them:
  identifiant;siret;nom;cafs;home_caf
  direction@esat.example;73282932000074;ESAT Les Tilleuls;921|751;921

JSON Lines: an object a line, under the same keys (here on two lines):
  {\"identifiant\": \"direction@esat.example\", \"siret\": \"73282932000074\",
   \"cafs\": [\"921\", \"751\"]}

Needed: identifiant, siret, cafs. May be left out: nom, home_caf,
password_hash (argon2id), password_changed_at, must_change, status (active or
suspended), provisional, last_sign_in, former_hashes.

All or nothing: when one row is wrong nothing is imported, and all that are
wrong are told. A new account without password_hash gets a provisional
password, shown once. An account that exists is changed; what the file leaves
out stays as it is, and so does a password that its owner changed after the
file's password_changed_at. No account is ever deleted by an import. That of a
gestionnaire neither gives an account a Caf of others nor takes one away.

Exit status: 0 done, 1 refused, 2 used wrongly or the file cannot be read.

Examples:
  octroi account import accounts.csv --dry-run      say what would change
  octroi account import accounts.csv";

const EXPORT_HELP: &str = "\
JSON Lines are for programs; CSV is for spreadsheets (UTF-8, fields separated
by ;). In CSV an apostrophe stands before a field that begins with = + - @ or
an apostrophe, so that no spreadsheet takes it for a formula; the import takes
it away again.

Examples:
  octroi account export --output accounts.jsonl
  octroi account export --output accounts.csv";

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let gateway = args.gateway;
    match args.action {
        Action::Create(new) => gateway.ask(Command::CreateAccount(Box::new(new.into())), view::created),
        Action::List(list) => {
            let (after, is_one_enough) = (list.after.clone(), list.limit.is_some());
            gateway.ask_pages(after, is_one_enough, |after| list.page(after), view::list)
        }
        Action::Show(of) => gateway.ask(Command::ShowAccount(of.identifiant), view::one),
        Action::Import(ImportArgs { file, suspend_gone }) => {
            file.send(&gateway, suspend_gone, Command::ImportAccounts, import_view::accounts)
        }
        Action::Export(file) => file.receive(&gateway, Command::ExportAccounts, true),
        Action::Suspend(of) => gateway.ask(Command::SuspendAccount(of.identifiant), view::suspended),
        Action::Reactivate(of) => gateway.ask(Command::ReactivateAccount(of.identifiant), view::reactivated),
        Action::ResetPassword(of) => gateway.ask(Command::ResetPassword(of.identifiant), view::reset),
        Action::ForceChange(of) => gateway.ask(Command::ForceChange(of.identifiant), view::change_forced),
        Action::Unlock(of) => gateway.ask(Command::UnlockAccount(of.identifiant), view::unlocked),
        Action::Delete(of) => {
            let (name, command) = (of.identifiant.clone(), Command::DeleteAccount(of.identifiant));
            let done = json!({"identifiant": name, "deleted": true});
            gateway.ask_done(command, &done, |out| view::deleted(&name, out))
        }
    }
}

impl From<NewAccountArgs> for NewAccount {
    fn from(args: NewAccountArgs) -> Self {
        Self {
            identifiant: args.identifiant,
            siret: args.siret,
            nom: args.nom,
            cafs: args.cafs,
            home_caf: args.home_caf,
            password_hash: None,
            password_changed_at: None,
            must_change: false,
            status: None,
        }
    }
}

impl ListArgs {
    /// What asks for a page.
    fn page(&self, after: Option<String>) -> Command {
        Command::ListAccounts(AccountQuery {
            caf: self.caf,
            status: self.status.map(|status| match status {
                StatusName::Active => Status::Active,
                StatusName::Suspended => Status::Suspended,
            }),
            expiring_before: self.expiring_before,
            never_signed_in: self.never_signed_in,
            sort: Some(self.sort),
            after,
            limit: self.limit.or(Some(LARGEST_LIMIT)),
        })
    }
}
