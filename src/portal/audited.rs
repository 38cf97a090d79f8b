//! What the audit log is told of an action: who, from where, and how it fell.

use serde_json::{Map, Value};

use super::reply::Outcome;
use super::{Action, Cause, Fields, Refusal, Visit};
use crate::domain::Identifiant;
use crate::session::{Session, Stage};
use crate::telemetry::audit::Entry;

/// An action that is a decision, before it is taken.
pub(super) struct Asked {
    what: &'static str,
    entry: Entry,
}

impl Asked {
    /// `None` where there is nothing to be decided. Of what was typed in the place of an identifiant only what has
    /// the form of one is told: people type passwords there.
    pub(super) fn of(action: Action, visit: &Visit, written: &Fields) -> Option<Self> {
        let what = match action {
            Action::SignIn => "sign-in",
            Action::Password => "password-change",
            Action::Forgot => "password-reset-asked",
            Action::Reset => "password-reset",
            Action::Caf => "caf-choice",
            Action::Establishment => "establishment",
            Action::Leave => "leave",
            Action::SignOut => "session-end",
            Action::Parked => "parked-form-dropped",
            Action::CloseSessions => "session-revoke",
            _ => return None,
        };
        let typed = written.peek("identifiant").and_then(|typed| typed.parse::<Identifiant>().ok());
        let own = visit.session.as_deref().map(|session| session.stage().holder().account().clone());
        let caf = match action {
            Action::Caf => written.peek("caf").and_then(|code| code.parse().ok()),
            _ => visit.session.as_deref().and_then(|session| session.stage().caf()),
        };
        let who = if action == Action::SignIn { typed } else { own.or(typed) };
        let entry = Entry {
            who: who.map(String::from),
            caf,
            from: Some(visit.place.clone()),
            request: Some(visit.request.clone()),
            ..Entry::default()
        };
        Some(Self { what, entry })
    }

    /// The entry, once it has fallen.
    pub(super) fn fell(self, acted: &Result<Outcome, Refusal>) -> Entry {
        let entry = Entry { what: self.what, ..self.entry };
        match acted {
            Ok(Outcome::Entered(entered)) => entered_as(entry, &entered.session),
            Ok(Outcome::Left) => {
                let reason = if entry.what == "leave" { "left" } else { "signed-out" };
                Entry { what: "session-end", outcome: "ok", reason: Some(reason), ..entry }
            }
            Ok(_) => Entry { outcome: "ok", ..entry },
            Err(refusal) => {
                let (outcome, reason) = refused(&refusal.cause);
                Entry { outcome, reason: Some(reason), ..entry }
            }
        }
    }
}

/// Where the person stands now: a single Caf is entered with the sign-in itself.
fn entered_as(entry: Entry, session: &Session) -> Entry {
    let stage = session.stage();
    let by = match stage {
        Stage::Ready(ready) if ready.identifiant_communication().is_some() => "identifiant-communication",
        Stage::Ready(_) => "siret",
        _ => stage.name(),
    };
    let detail =
        Map::from_iter([("etat".to_owned(), Value::from(stage.name())), ("by".to_owned(), by.into())]);
    let who = Some(stage.holder().account().to_string());
    Entry { outcome: "ok", who, caf: stage.caf().or(entry.caf), detail, ..entry }
}

fn refused(cause: &Cause) -> (&'static str, &'static str) {
    match cause {
        Cause::Credentials => ("refused", "identifiants-invalides"),
        Cause::Locked { .. } => ("locked", "trop-d-essais"),
        Cause::Rules { .. } => ("refused", "mot-de-passe-refuse"),
        Cause::NotGranted(_) => ("refused", "caf-non-habilitee"),
        Cause::Unknown { .. } => ("refused", "etablissement-inconnu"),
        Cause::Barred { .. } => ("barred", "trop-d-essais"),
        Cause::DeadToken | Cause::Body(_) | Cause::Method { .. } => ("refused", "requete-invalide"),
        Cause::NoSession | Cause::Gone => ("refused", "session-expiree"),
        Cause::PasswordDue => ("refused", "mot-de-passe-a-changer"),
        Cause::NoCaf => ("refused", "caf-a-choisir"),
        Cause::NoEstablishment => ("refused", "etablissement-a-identifier"),
        Cause::Busy | Cause::Machine | Cause::Store(_) | Cause::Unaudited(_) => {
            ("error", "service-indisponible")
        }
    }
}
