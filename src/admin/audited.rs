//! What the audit log is told of a change: which, of whom, and who asked for it.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;

use super::Command;
use crate::telemetry::audit::Entry;

tokio::task_local! {
    static BY: Option<String>;
}

/// Names the author of a change, in a client's own words (`octroi --by`).
pub const AUTHOR: &str = "x-octroi-by";
/// Longest name of an author, in characters.
const LONGEST: usize = 100;

/// Keeps the author's name for what the request does.
pub(super) async fn author(request: Request, next: Next) -> Response {
    let named = request.headers().get(AUTHOR).and_then(|name| name.to_str().ok()).map(str::trim);
    let by = named.filter(|name| !name.is_empty()).map(|name| name.chars().take(LONGEST).collect());
    BY.scope(by, next.run(request)).await
}

/// The entry of a command, before it has fallen; `None` where it only looks.
pub(super) fn entry(command: &Command) -> Option<Entry> {
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
        Command::SetClock(_) => ("clock-set", None),
        Command::ListAccounts(_)
        | Command::ShowAccount(_)
        | Command::ImportAccounts(_)
        | Command::ListEstablishments
        | Command::ImportEstablishments(_)
        | Command::ExportEstablishments(_)
        | Command::Explain(_)
        | Command::ShowClock => return None,
    };
    let by = BY.try_with(Clone::clone).ok().flatten();
    Some(Entry { what, who, by: Some(by.unwrap_or_else(|| "local".to_owned())), ..Entry::default() })
}
