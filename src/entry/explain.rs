//! Why a request would be let through at an instant, or not: the decisions of signing in, entering a Caf and
//! forwarding, replayed one by one.
//!
//! Nothing is decided here: each step asks the code that decides when a person is at the door. Nothing is
//! counted, changed or forwarded.

use std::sync::Arc;
use std::time::Duration;

use http::uri::PathAndQuery;
use serde::{Deserialize, Serialize};

use super::desk;
use crate::account::{Account, Accounts, GrantError};
use crate::domain::{CafCode, Calendar, Clock, Identifiant, NormalPath, StoreError, Timestamp};
use crate::establishment::{self, EstablishmentStore};
use crate::limits::Counters;

/// What is asked: would this account be let through to this path at this Caf?
#[derive(Debug, Clone)]
pub struct Question {
    /// Who.
    pub account: Identifiant,
    /// At which Caf.
    pub caf: CafCode,
    /// Path as it would be sent, with or without a query.
    pub path: String,
    /// When; the present instant where it is not told.
    pub at: Option<Timestamp>,
    /// From which address, to look at the lock of that place too.
    pub from: Option<String>,
    /// Whether the Caf's backend takes requests, and why (not), as who forwards sees it now.
    pub backend: Result<String, String>,
}

/// The answer, step by step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// Who.
    pub account: Identifiant,
    /// At which Caf.
    pub caf: CafCode,
    /// The path.
    pub path: String,
    /// The instant it is about.
    pub at: Timestamp,
    /// Whether the request would reach the Caf's backend as things stand.
    pub forwarded: bool,
    /// The problem that the first step that does not pass would answer; none where all pass, or the gateway answers.
    pub code: Option<String>,
    /// All steps, in the order in which they are met; those after one that stops are told too.
    pub steps: Vec<Step>,
}

/// One decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Which.
    pub step: Topic,
    /// How it falls.
    pub outcome: Outcome,
    /// The problem's code where it stops or asks (contract's table).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Why, in words for an operator.
    pub reason: String,
}

/// What a step is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Topic {
    /// Whether wrong passwords locked it.
    Lock,
    /// Whether the account may be used (rule 1).
    SignIn,
    /// Whether the password must be changed (rule 2).
    Password,
    /// Whether the Caf is one of its own (rule 3).
    Caf,
    /// Whether the Caf knows the ESAT (rule 4).
    Establishment,
    /// Whether the path is one that is forwarded.
    Path,
    /// Whether the path's volet is open (rule 5).
    Calendar,
    /// Whether the Caf's backend takes requests; told of the present alone.
    Backend,
}

/// How a step falls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// On to the next.
    Passes,
    /// On, once the person has given what is asked.
    Asks,
    /// No further.
    Stops,
}

/// An instant less than that away from now is the present: it is told in whole minutes.
const PRESENT: Duration = Duration::from_mins(1);

/// Replays decisions.
pub struct Explainer {
    /// Accounts, which decide on signing in and on Cafs.
    pub accounts: Arc<Accounts>,
    /// What Cafs know.
    pub establishments: Arc<dyn EstablishmentStore>,
    /// Shared counters, which bar those who type too many wrong identifiants.
    pub counters: Arc<dyn Counters>,
    /// The calendar that decides.
    pub calendar: Arc<Calendar>,
    /// Under which the gateway answers itself.
    pub portal_prefix: String,
    /// Longest target of a request, in bytes.
    pub longest_target: usize,
    /// The time.
    pub clock: Clock,
}

impl Explainer {
    /// The explanation; `None` where there is no such account.
    pub async fn explain(&self, question: &Question) -> Result<Option<Explanation>, StoreError> {
        let Some(account) = self.accounts.find(&question.account).await? else { return Ok(None) };
        let now = self.clock.now();
        let at = question.at.unwrap_or(now);
        let mut steps = vec![self.lock(&account, question.from.as_deref(), at).await?];
        steps.push(self.sign_in(&account, at));
        steps.extend([self.password(&account, at), Self::caf(&account, question.caf)]);
        steps.push(self.establishment(&account, question.caf, at).await?);
        let is_now = at.duration_since(now).unsigned_abs() < PRESENT;
        steps.extend(self.on_the_way(&question.path, at, is_now.then_some(&question.backend)));
        let stop = steps.iter().find(|step| step.outcome != Outcome::Passes);
        Ok(Some(Explanation {
            account: account.identifiant,
            caf: question.caf,
            path: question.path.clone(),
            at,
            forwarded: stop.is_none(),
            code: stop.and_then(|step| step.code.clone()),
            steps,
        }))
    }

    fn sign_in(&self, account: &Account, at: Timestamp) -> Step {
        let lapsed = self.accounts.provisional_until(account).filter(|until| *until <= at);
        let reason = match lapsed {
            _ if !account.may_sign_in() => "the account is suspended".to_owned(),
            Some(until) => format!("the provisional password expired on {}", self.paris(until)),
            None => return Topic::SignIn.passes("the account is active".to_owned()),
        };
        Topic::SignIn
            .stops("identifiants-invalides", format!("{reason}: it is answered as a wrong password is"))
    }

    /// Where it is not told from where, a lock of any place is one: who asks is most likely there.
    async fn lock(&self, account: &Account, from: Option<&str>, at: Timestamp) -> Result<Step, StoreError> {
        let locks = self.accounts.locks(account, from, self.clock.now()).await?;
        let (everywhere, one_place) = (self.lasting(locks.everywhere, at), self.lasting(locks.one_place, at));
        let stops = |until: Timestamp, where_: &str| {
            Topic::Lock.stops("trop-d-essais", format!("locked until {}, {where_}", self.paris(until)))
        };
        Ok(match (everywhere, one_place, from) {
            (Some(until), _, _) => stops(until, "everywhere"),
            (None, Some(until), Some(_)) => stops(until, "for that address"),
            (None, Some(until), None) => stops(until, "for some addresses (see --from)"),
            (None, None, Some(_)) => Topic::Lock.passes("not locked, there nor everywhere".to_owned()),
            (None, None, None) => Topic::Lock.passes("not locked".to_owned()),
        })
    }

    /// The end of a lock that still stands at an instant.
    fn lasting(&self, left: Option<Duration>, at: Timestamp) -> Option<Timestamp> {
        left.and_then(|left| self.clock.now().checked_add(left).ok()).filter(|until| at < *until)
    }

    fn password(&self, account: &Account, at: Timestamp) -> Step {
        let age = self.accounts.password_age(account.password_changed_at);
        let due = self.paris(age.due());
        if account.must_change {
            let reason = "it is provisional, or its change was asked for".to_owned();
            return Topic::Password.stops("mot-de-passe-a-changer", reason);
        }
        if self.accounts.must_change(account, at) {
            let reason = format!("it fell due on {due}: it only opens its own change");
            return Topic::Password.stops("mot-de-passe-a-changer", reason);
        }
        let days = age.days_left(at);
        Topic::Password
            .passes(format!("good until {due}, {days} day{} left", if days == 1 { "" } else { "s" }))
    }

    fn caf(account: &Account, caf: CafCode) -> Step {
        let own: Vec<&str> = account.cafs.iter().map(CafCode::as_str).collect();
        if let Err(GrantError::NotGranted) = Accounts::may_choose(account, caf) {
            let reason = format!("Caf {caf} is not one of the account's: {}", own.join(", "));
            return Topic::Caf.stops("caf-non-habilitee", reason);
        }
        Topic::Caf.passes(if own.len() > 1 {
            format!("one of the account's: {}", own.join(", "))
        } else {
            "the account's only Caf, entered without a choice".to_owned()
        })
    }

    async fn establishment(
        &self,
        account: &Account,
        caf: CafCode,
        at: Timestamp,
    ) -> Result<Step, StoreError> {
        if establishment::look_up(&*self.establishments, caf, &account.siret).await?.is_some() {
            return Ok(Topic::Establishment.passes(format!("Caf {caf} knows the SIRET {}", account.siret)));
        }
        let left = desk::barred(&*self.counters, &account.identifiant, caf, self.clock.now()).await?;
        Ok(match self.lasting(left, at) {
            Some(until) => {
                let reason = format!("too many unknown identifiants: barred until {}", self.paris(until));
                Topic::Establishment.stops("trop-d-essais", reason)
            }
            None => Step {
                step: Topic::Establishment,
                outcome: Outcome::Asks,
                code: Some("etablissement-a-identifier".to_owned()),
                reason: format!(
                    "Caf {caf} does not know the SIRET {}: the ESAT types its identifiant de communication",
                    account.siret
                ),
            },
        })
    }

    /// What is decided of a request's path, at each request.
    fn on_the_way(&self, sent: &str, at: Timestamp, backend: Option<&Result<String, String>>) -> Vec<Step> {
        let path = match self.path(sent) {
            Ok(path) => path,
            Err(reason) => return vec![Topic::Path.stops("requete-invalide", format!("refused: {reason}"))],
        };
        if path.is_under(&self.portal_prefix) {
            let reason = "the gateway's own: answered here, never forwarded".to_owned();
            return vec![Step { outcome: Outcome::Stops, code: None, ..Topic::Path.passes(reason) }];
        }
        let mut steps =
            vec![Topic::Path.passes("forwarded as it is sent".to_owned()), self.season(&path, at)];
        steps.extend(backend.cloned().map(|state| match state {
            Ok(reason) => Topic::Backend.passes(reason),
            Err(reason) => Topic::Backend.stops("caf-indisponible", reason),
        }));
        steps
    }

    /// The path that decisions are made on, of what a request could hold.
    fn path(&self, sent: &str) -> Result<NormalPath, String> {
        if sent.len() > self.longest_target {
            return Err(format!("it is longer than {} bytes", self.longest_target));
        }
        let path = NormalPath::parse(sent.split(['?', '#']).next().unwrap_or_default());
        let path = path.map_err(|error| error.to_string())?;
        // A fragment would be left out.
        if sent.contains('#') || PathAndQuery::try_from(sent).is_err() {
            return Err("a character that no request may hold there: a program sends it escaped".to_owned());
        }
        Ok(path)
    }

    fn season(&self, path: &NormalPath, at: Timestamp) -> Step {
        let day = self.calendar.day(at);
        if let Some((volet, state)) = self.calendar.closed(path, at) {
            let opens = state.days.map(|(opens, closes)| format!("; next open from {opens} to {closes}"));
            let reason = format!("volet {} is closed on {day}{}", volet.name, opens.unwrap_or_default());
            return Topic::Calendar.stops("volet-ferme", reason);
        }
        let open = self.calendar.of_path(path).map(|volet| match volet.on(day).days {
            Some((_, closes)) => format!("volet {} is open on {day}, until {closes}", volet.name),
            None => format!("volet {} is open all year", volet.name),
        });
        let open: Vec<String> = open.collect();
        Topic::Calendar.passes(if open.is_empty() {
            "the path belongs to no volet: always open".to_owned()
        } else {
            open.join("; ")
        })
    }

    fn paris(&self, at: Timestamp) -> String {
        let shown = self.calendar.in_paris(at).strftime("%Y-%m-%d %H:%M:%S").to_string();
        format!("{shown} in Paris")
    }
}

impl Topic {
    fn passes(self, reason: String) -> Step {
        Step { step: self, outcome: Outcome::Passes, code: None, reason }
    }

    fn stops(self, code: &str, reason: String) -> Step {
        Step { step: self, outcome: Outcome::Stops, code: Some(code.to_owned()), reason }
    }
}
