//! `octroi account`: habilitations.

use std::process::ExitCode;

use clap::{Subcommand, ValueEnum};

use super::account_view as view;
use super::ask::Gateway;
use super::import::ImportFile;
use crate::account::{NewAccount, Status};
use crate::admin::{AccountQuery, Command};
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
    /// Show accounts, by name
    #[command(after_help = "Example:\n  octroi account list --caf 921 --status suspended")]
    List(ListArgs),
    /// Show one account
    #[command(after_help = "Example:\n  octroi account show direction@esat.example")]
    Show(One),
    /// Make the accounts of a file, all or none
    #[command(after_help = IMPORT_HELP)]
    Import(ImportFile),
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
    /// Page
    #[arg(long, default_value_t = 1)]
    page: usize,
    /// Most accounts on a page
    #[arg(long, default_value_t = 100)]
    limit: usize,
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

const CREATE_HELP: &str = "\
Example:
  octroi account create --identifiant direction@esat.example --siret 73282932000074 \\
      --nom \"ESAT Les Tilleuls\" --caf 921 --caf 751 --home-caf 921";

const IMPORT_HELP: &str = "\
Each line is an object; identifiant, siret and cafs are needed, the rest may be missing:
  {\"identifiant\": \"direction@esat.example\", \"siret\": \"73282932000074\",
   \"nom\": \"ESAT Les Tilleuls\", \"cafs\": [\"921\"], \"home_caf\": \"921\",
   \"password_hash\": \"$argon2id$…\", \"password_changed_at\": \"2026-09-01T08:00:00Z\",
   \"must_change\": false, \"status\": \"active\"}
(shown here on four lines). Nothing is imported when one line is wrong; all that are wrong are told.
Without password_hash a provisional password is made, and shown once.

Example:
  octroi account import accounts.jsonl --dry-run";

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let gateway = args.gateway;
    match args.action {
        Action::Create(new) => gateway.ask(Command::CreateAccount(Box::new(new.into())), view::created),
        Action::List(list) => gateway.ask(Command::ListAccounts(list.into()), view::list),
        Action::Show(of) => gateway.ask(Command::ShowAccount(of.identifiant), view::one),
        Action::Import(file) => {
            let command = Command::ImportAccounts { rows: file.rows()?, dry_run: file.dry_run };
            gateway.ask(command, view::imported)
        }
        Action::Suspend(of) => gateway.ask(Command::SuspendAccount(of.identifiant), view::suspended),
        Action::Reactivate(of) => gateway.ask(Command::ReactivateAccount(of.identifiant), view::reactivated),
        Action::ResetPassword(of) => gateway.ask(Command::ResetPassword(of.identifiant), view::reset),
        Action::ForceChange(of) => gateway.ask(Command::ForceChange(of.identifiant), view::change_forced),
        Action::Unlock(of) => gateway.ask(Command::UnlockAccount(of.identifiant), view::unlocked),
        Action::Delete(of) => {
            let name = of.identifiant.clone();
            gateway.ask(Command::DeleteAccount(of.identifiant), |(): &(), out| view::deleted(&name, out))
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

impl From<ListArgs> for AccountQuery {
    fn from(args: ListArgs) -> Self {
        let status = args.status.map(|status| match status {
            StatusName::Active => Status::Active,
            StatusName::Suspended => Status::Suspended,
        });
        Self { caf: args.caf, status, page: Some(args.page), limit: Some(args.limit) }
    }
}
