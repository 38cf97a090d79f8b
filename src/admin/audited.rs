//! What the audit log is told of a change: which, of whom, and who asked for it.

use super::{Author, Command};
use crate::telemetry::audit::Entry;

/// The entry of a command, before it has fallen; `None` where it only looks.
pub(super) fn entry(command: &Command, author: &Author) -> Option<Entry> {
    let (what, who) = match command {
        Command::CreateAccount(new) => ("account-create", Some(new.identifiant.to_string())),
        Command::ImportAccounts(file) if !file.dry_run => ("account-import", None),
        // It holds every password hash.
        Command::ExportAccounts(_) => ("account-export", None),
        Command::SuspendAccount(of) => ("account-suspend", Some(of.to_string())),
        Command::ReactivateAccount(of) => ("account-reactivate", Some(of.to_string())),
        Command::ResetPassword(of) => ("account-reset-password", Some(of.to_string())),
        Command::ForceChange(of) => ("account-force-change", Some(of.to_string())),
        Command::UnlockAccount(of) => ("account-unlock", Some(of.to_string())),
        Command::DeleteAccount(of) => ("account-delete", Some(of.to_string())),
        Command::ImportEstablishments(file) if !file.dry_run => ("establishment-import", None),
        Command::RevokeSession(_) => ("session-revoke", None),
        Command::RevokeSessions(of) => ("session-revoke", Some(of.to_string())),
        Command::DrainCaf(_) => ("caf-drain", None),
        Command::UndrainCaf(_) => ("caf-undrain", None),
        Command::SetClock(_) => ("clock-set", None),
        Command::ListAccounts(_)
        | Command::ShowAccount(_)
        | Command::ImportAccounts(_)
        | Command::ListEstablishments
        | Command::ImportEstablishments(_)
        | Command::ExportEstablishments(_)
        | Command::ListSessions(_)
        | Command::ListCafs
        | Command::ShowCaf(_)
        | Command::Explain(_)
        | Command::ShowClock => return None,
    };
    let caf = match command {
        Command::DrainCaf(order) | Command::UndrainCaf(order) => Some(order.caf),
        _ => None,
    };
    Some(Entry { what, who, caf, by: Some(author.to_string()), ..Entry::default() })
}
