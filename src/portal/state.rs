//! The state of a session as clients read it (contract, section 2).

use std::collections::BTreeMap;

use serde::Serialize;

use super::Portal;
use crate::account::Before;
use crate::domain::{CafCode, LocalPath, Timestamp};
use crate::session::{Session, Stage};

/// A session's state; what it does not have is left out.
#[derive(Debug, Default, Serialize)]
pub(super) struct State {
    etat: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    identifiant: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    siret: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    caf: Option<Caf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cafs: Option<Vec<Caf>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<Ends>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mot_de_passe: Option<PasswordState>,
    #[serde(skip_serializing_if = "Option::is_none")]
    derniere_connexion: Option<LastSignIn>,
    #[serde(skip_serializing_if = "Option::is_none")]
    volets: Option<BTreeMap<String, VoletDays>>,
    suite: String,
}

#[derive(Debug, Serialize)]
struct Caf {
    code: String,
    nom: String,
}

/// In seconds, a begun one counting whole.
#[derive(Debug, Serialize)]
struct Ends {
    expire_dans_s: i64,
    alerte_dans_s: i64,
    /// Told where it is so: nothing that its user does makes it last longer.
    #[serde(skip_serializing_if = "Option::is_none")]
    prolongeable: Option<bool>,
}

#[derive(Debug, Serialize)]
struct PasswordState {
    expire_le: String,
    jours_restants: u32,
    /// Told where it is so.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    expire_pendant_la_campagne: bool,
}

#[derive(Debug, Serialize)]
struct LastSignIn {
    #[serde(skip_serializing_if = "Option::is_none")]
    le: Option<String>,
    echecs_depuis: u32,
}

#[derive(Debug, Serialize)]
struct VoletDays {
    ouvert: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    ouvre_le: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ferme_le: Option<String>,
}

impl Portal {
    /// The state of a session, or of nobody's.
    pub(super) fn state(&self, session: Option<&Session>, retour: Option<&LocalPath>) -> State {
        let stage = session.map(Session::stage);
        let suite = self.way(stage, retour);
        let Some((session, stage)) = session.zip(stage) else {
            return State { etat: "anonyme", suite, ..State::default() };
        };
        let now = self.clock.now();
        let holder = stage.holder();
        let beyond = !matches!(stage, Stage::MustChangePassword(_));
        State {
            etat: stage.name(),
            identifiant: Some(holder.account().to_string()),
            siret: Some(holder.siret().as_str().to_owned()),
            caf: stage.caf().map(|code| self.named(code)),
            cafs: beyond.then(|| self.open_cafs(holder.cafs())),
            session: Some(self.ends(session, now)),
            mot_de_passe: self.password_state(stage, now),
            derniere_connexion: last_sign_in(holder.before()),
            volets: beyond.then(|| self.volets(now)),
            suite,
        }
    }

    /// Codes and names of the Cafs that this gateway leads to, among those of an account.
    pub(super) fn known_cafs(&self, codes: &[CafCode]) -> Vec<(CafCode, String)> {
        let known = |code: &CafCode| self.caf(*code).map(|caf| (*code, caf.name.clone()));
        codes.iter().filter_map(known).collect()
    }

    fn open_cafs(&self, codes: &[CafCode]) -> Vec<Caf> {
        let known = self.known_cafs(codes).into_iter();
        known.map(|(code, nom)| Caf { code: code.to_string(), nom }).collect()
    }

    fn named(&self, code: CafCode) -> Caf {
        Caf { code: code.to_string(), nom: self.contact(code).name }
    }

    fn ends(&self, session: &Session, now: Timestamp) -> Ends {
        let policy = self.desk.sessions.policy();
        let left_ms = session.ends_at(policy).as_millisecond() - now.as_millisecond();
        let warning_ms = i64::try_from(policy.warning.as_millis()).unwrap_or(i64::MAX);
        Ends {
            expire_dans_s: whole(left_ms),
            alerte_dans_s: whole(left_ms.saturating_sub(warning_ms)),
            prolongeable: session.is_at_its_limit(policy).then_some(false),
        }
    }

    /// A provisional password has an age that does not count.
    fn password_state(&self, stage: &Stage, now: Timestamp) -> Option<PasswordState> {
        let age = self.desk.accounts.password_age(stage.holder().password_changed_at());
        if matches!(stage, Stage::MustChangePassword(_)) && !age.is_due(now) {
            return None;
        }
        let due = Timestamp::from_second(age.due().as_second()).unwrap_or(Timestamp::MAX);
        Some(PasswordState {
            expire_le: due.to_string(),
            jours_restants: age.days_left(now),
            expire_pendant_la_campagne: self.calendar.campaign_of(age.due(), now).is_some(),
        })
    }

    fn volets(&self, now: Timestamp) -> BTreeMap<String, VoletDays> {
        let volets = self.calendar.at(now).map(|(volet, state)| {
            let (opens, closes) = state.days.unzip();
            let text = |day: jiff::civil::Date| day.to_string();
            let days =
                VoletDays { ouvert: state.open, ouvre_le: opens.map(text), ferme_le: closes.map(text) };
            (volet.name.clone(), days)
        });
        volets.collect()
    }
}

/// The sign-in before the present one, and what failed in between; nothing at the very first.
fn last_sign_in(before: Before) -> Option<LastSignIn> {
    let at = before.at.map(|at| Timestamp::from_second(at.as_second()).unwrap_or(at));
    (before != Before::default())
        .then(|| LastSignIn { le: at.map(|at| at.to_string()), echecs_depuis: before.failures })
}

/// Milliseconds to seconds, rounded up; never negative.
fn whole(milliseconds: i64) -> i64 {
    milliseconds.max(0).saturating_add(999) / 1_000
}
