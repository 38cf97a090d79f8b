//! What the audit log is told of an action: who, from where, and how it fell.

use serde_json::{Map, Value};

use super::reply::Outcome;
use super::{Action, Cause, Fields, Portal, Refusal, Visit};
use crate::domain::{CafCode, Identifiant, Timestamp, Token};
use crate::session::{End, Session, Stage};
use crate::telemetry::audit::{self, Entry, Unaudited};

/// An action that is a decision, before it is taken.
pub(super) struct Asked {
    action: Action,
    /// The Caf that the session was at before.
    at: Option<CafCode>,
    entry: Entry,
}

impl Asked {
    /// `None` where there is nothing to be decided, or no log of it. Of what was typed in the place of an identifiant only what has
    /// the form of one is told: people type passwords there. A session that a browser happens to show is not
    /// whose password is asked for or replaced.
    pub(super) async fn of(portal: &Portal, action: Action, visit: &Visit, written: &Fields) -> Option<Self> {
        let what = word(action).filter(|_| audit::log().is_kept())?;
        let typed = || written.peek("identifiant").and_then(|typed| typed.parse::<Identifiant>().ok());
        let shown = visit.session.as_deref().map(Session::stage);
        let own = || shown.map(|stage| stage.holder().account().clone());
        let at = shown.and_then(Stage::caf);
        let (who, caf) = match action {
            Action::SignIn | Action::Forgot => (typed(), None),
            Action::Reset => (whose(portal, written).await, None),
            Action::Caf => (own(), written.peek("caf").and_then(|code| code.trim().parse().ok())),
            _ => (own().or_else(typed), at),
        };
        let entry = Entry {
            what,
            who: who.map(String::from),
            caf,
            from: Some(visit.address.clone()),
            request: Some(visit.request.clone()),
            ..Entry::default()
        };
        Some(Self { action, at, entry })
    }

    /// Whether it must wait until the log can be written. Who leaves is not kept in.
    pub(super) fn may_be_refused(&self) -> bool {
        self.action != Action::SignOut
    }

    /// Writes down how it fell. A session that could not be written down is not given out; what cannot be taken
    /// back is answered as it is, and its line is owed.
    pub(super) async fn fell(
        self,
        portal: &Portal,
        now: Timestamp,
        acted: &Result<Outcome, Refusal>,
    ) -> Result<(), Refusal> {
        let entries = self.entries(acted);
        let entries = with_cafs(portal, self.action, entries, acted).await;
        match acted {
            Ok(Outcome::Entered(entered)) if self.action != Action::Password => {
                if let Err(error) = audit::log().record(now, entries).await {
                    let ended = portal.desk.sign_out(&entered.session, End::Unaudited).await;
                    ended.map_err(|error| portal.cause(error))?;
                    return Err(error.into());
                }
                Ok(())
            }
            Ok(_) => {
                audit::log().settle(now, entries).await;
                Ok(())
            }
            Err(_) => audit::log().record(now, entries).await.map_err(|error: Unaudited| error.into()),
        }
    }

    fn entries(&self, acted: &Result<Outcome, Refusal>) -> Vec<Entry> {
        let entry = self.entry.clone();
        vec![match acted {
            Ok(Outcome::Entered(entered)) => return self.entered(&entered.session),
            Ok(Outcome::Left) => {
                let reason = if self.action == Action::Leave { "left" } else { "signed-out" };
                Entry { what: "session-end", outcome: "ok", reason: Some(reason), ..entry }
            }
            Ok(_) => Entry { outcome: "ok", ..entry },
            Err(refusal) => {
                let (outcome, reason) = refused(&refusal.cause);
                Entry { outcome, reason: Some(reason), ..entry }
            }
        }]
    }

    /// The action's own line, and one for each step that it took the person further: a single Caf is entered with
    /// the sign-in itself, and an ESAT that it knows by its SIRET with the Caf.
    fn entered(&self, session: &Session) -> Vec<Entry> {
        let stage = session.stage();
        let who = Some(stage.holder().account().to_string());
        let entry = Entry { who, outcome: "ok", caf: stage.caf(), ..self.entry.clone() };
        let words = [("etat", stage.name().to_owned()), ("session", session.sitting().to_string())];
        let detail = words.map(|(name, word)| (name.to_owned(), Value::from(word)));
        let own = Entry { detail: Map::from_iter(detail), ..entry.clone() };
        match (self.action, stage.caf()) {
            (Action::Caf, None) => {
                let (caf, reason) = (self.entry.caf, Some("mot-de-passe-a-changer"));
                vec![Entry { outcome: "refused", reason, caf, ..own }]
            }
            (Action::Caf, Some(_)) => vec![own, looked_up(entry, stage)],
            (Action::Establishment, _) => vec![Entry { detail: by(stage), ..own }],
            (Action::SignIn | Action::Password, Some(_))
                if self.action == Action::SignIn || self.at.is_none() =>
            {
                let choice = Entry { what: "caf-choice", ..entry.clone() };
                vec![own, choice, looked_up(entry, stage)]
            }
            _ => vec![Entry { caf: stage.caf().or(self.entry.caf), ..own }],
        }
    }
}

fn word(action: Action) -> Option<&'static str> {
    Some(match action {
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
    })
}

/// Of one who is at no Caf, their Cafs: those who look after the account are to find it. Asking for a letter takes
/// the same time for any name: nothing is looked up for it. Nor is a store asked again that just failed.
async fn with_cafs(
    portal: &Portal,
    action: Action,
    mut entries: Vec<Entry>,
    acted: &Result<Outcome, Refusal>,
) -> Vec<Entry> {
    if action == Action::Forgot || is_of_the_store(acted) {
        return entries;
    }
    for entry in entries.iter_mut().filter(|entry| entry.caf.is_none()) {
        if let Ok(Outcome::Entered(entered)) = acted {
            entry.cafs = entered.session.stage().holder().cafs().to_vec();
        } else if let Some(who) = entry.who.as_ref().and_then(|who| who.parse::<Identifiant>().ok()) {
            let found = portal.desk.accounts.find(&who).await.ok().flatten();
            entry.cafs = found.map(|account| account.cafs).unwrap_or_default();
        }
    }
    entries
}

fn is_of_the_store(acted: &Result<Outcome, Refusal>) -> bool {
    matches!(acted, Err(refusal) if matches!(refusal.cause, Cause::Store(_)))
}

async fn whose(portal: &Portal, written: &Fields) -> Option<Identifiant> {
    portal.lost.whose(&Token::parse(written.peek("jeton")?)?).await
}

/// Whether the Caf that was just entered knows the ESAT by its SIRET (rule 4).
fn looked_up(entry: Entry, stage: &Stage) -> Entry {
    let entry = Entry { what: "establishment", detail: by(stage), ..entry };
    match stage {
        Stage::Ready(_) => Entry { outcome: "ok", ..entry },
        _ => Entry { outcome: "barred", reason: Some("etablissement-a-identifier"), ..entry },
    }
}

fn by(stage: &Stage) -> Map<String, Value> {
    let by = match stage {
        Stage::Ready(ready) if ready.identifiant_communication().is_some() => "identifiant-communication",
        _ => "siret",
    };
    Map::from_iter([("by".to_owned(), by.into())])
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
