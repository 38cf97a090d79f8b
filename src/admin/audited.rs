//! What the audit log is told of a change: which, of whom, who asked for it, and from where.
//!
//! A line about an account tells its Cafs, so that each Caf finds it among its own. An import has a line for each
//! account that it made or changed, behind the one that tells of it as a whole.

use std::sync::Arc;

use axum::response::Response;
use serde_json::{Map, Value};

use super::errand::Errand;
use super::import::Teller;
use super::{Command, Problem, State};
use crate::domain::Identifiant;
use crate::session::{Session, Sitting, Stage};
use crate::telemetry::audit::{self, Entry};

/// Carries a command out. A change is not begun while it could not be written down; once it is made it is answered
/// as it is, with the passwords that nobody will see again, even if its line has to wait.
pub(super) async fn carry_out(
    state: &State,
    command: Command,
    errand: Errand,
    tell: &Teller,
) -> Result<Response, Problem> {
    let demand = command.demand();
    let revoked = if let Command::RevokeSession(of) = &command { Some(*of) } else { None };
    let Some(entry) = entry(&command) else {
        demand.permit(state).await?;
        return command.execute(state, tell).await;
    };
    let now = state.clock.now();
    audit::log().check(now).await?;
    let (by, from, request) = (Some(state.author.to_string()), Some(errand.from), Some(errand.request));
    let entry = Entry { from, by, request, ..with_cafs(state, whose(state, revoked, entry).await).await };
    let mut done = match demand.permit(state).await {
        Ok(()) => command.execute(state, tell).await,
        Err(refusal) => Err(refusal),
    };
    let told = done.as_mut().ok().and_then(|done| done.extensions_mut().remove::<Told>()).unwrap_or_default();
    audit::log().settle(now, lines(fell(entry, &done), &told)).await;
    done
}

/// What a command did that its answer does not say as the audit log wants it; among the answer's extensions.
#[derive(Debug, Clone, Default)]
pub(super) struct Told {
    /// Numbers of the whole.
    pub(super) detail: Map<String, Value>,
    /// Each single change, without who asked for it.
    pub(super) each: Arc<[Entry]>,
}

impl Told {
    /// Puts it beside an answer.
    pub(super) fn beside(self, mut answer: Response) -> Response {
        answer.extensions_mut().insert(self);
        answer
    }
}

/// A command's line, and those of the single changes that it made.
fn lines(mut whole: Entry, told: &Told) -> Vec<Entry> {
    whole.detail.extend(told.detail.clone());
    let each = told.each.iter().map(|one| Entry {
        outcome: whole.outcome,
        from: whole.from.clone(),
        by: whole.by.clone(),
        request: whole.request.clone(),
        ..one.clone()
    });
    let each: Vec<Entry> = each.collect();
    std::iter::once(whole).chain(each).collect()
}

fn fell(mut entry: Entry, done: &Result<Response, Problem>) -> Entry {
    entry.outcome = match done {
        Ok(_) => "ok",
        Err(problem) if problem.status >= 500 => "error",
        Err(_) => "refused",
    };
    if let Err(problem) = done {
        entry.detail.insert("status".to_owned(), problem.status.into());
    }
    entry
}

/// The entry of a command, before it has fallen; `None` where it only looks.
fn entry(command: &Command) -> Option<Entry> {
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
        Command::Reload => ("reload", None),
        Command::SetClock(_) => ("clock-set", None),
        Command::ListAccounts(_)
        | Command::ShowAccount(_)
        | Command::ImportAccounts(_)
        | Command::ListEstablishments(_)
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
    let cafs = if let Command::CreateAccount(new) = command { new.cafs.clone() } else { Vec::new() };
    Some(Entry { what, who, caf, cafs, ..Entry::default() })
}

/// A change of an account is its Cafs' business.
async fn with_cafs(state: &State, entry: Entry) -> Entry {
    let who = entry.who.as_ref().filter(|_| entry.caf.is_none() && entry.cafs.is_empty());
    let Some(who) = who.and_then(|who| who.parse::<Identifiant>().ok()) else { return entry };
    let found = state.registry.accounts.find(&who).await.ok().flatten();
    Entry { cafs: found.map(|account| account.cafs).unwrap_or_default(), ..entry }
}

/// A session is asked for by its name: whose it is has to be looked up while it lives.
async fn whose(state: &State, revoked: Option<Sitting>, entry: Entry) -> Entry {
    let Some(of) = revoked else { return entry };
    let found = state.registry.sessions.of_sitting(of).await.ok().flatten();
    let at = found.as_deref().map(Session::stage);
    Entry {
        who: at.map(|stage| stage.holder().account().to_string()),
        caf: at.and_then(Stage::caf),
        detail: Map::from_iter([("session".to_owned(), Value::from(of.to_string()))]),
        ..entry
    }
}
