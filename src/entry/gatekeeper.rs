//! The one who lets a request through: calendar, papers, assertion.

use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption};
use http::HeaderValue;
use quick_cache::sync::Cache;
use serde::Serialize;

use super::{Admitted, Papers, Signer};
use crate::domain::{Calendar, Clock, IdentifiantCommunication, NormalPath, VoletState};
use crate::session::{Ready, Session, SessionId, Stage};

/// Decides whether a request of a session may go to its Caf's backend, and makes its permit.
pub struct Gatekeeper {
    calendar: Arc<Calendar>,
    signer: Arc<Signer>,
    clock: Clock,
    issuer: String,
    folders: Cache<SessionId, Arc<ArcSwap<Signed>>>,
    today: ArcSwapOption<Today>,
}

/// Why a request was not admitted.
#[derive(Debug, thiserror::Error)]
pub enum NotAdmitted {
    /// The session is not at a Caf.
    #[error("the session is not at a Caf")]
    NotReady,
    /// The path belongs to a volet that is closed (rule 5).
    #[error("volet {volet} is closed")]
    Closed {
        /// Its name.
        volet: String,
        /// Its days.
        state: VoletState,
    },
    /// No signing key could be read from the store yet. Whose fault: the store's.
    #[error("no signing key yet")]
    NoKey,
}

/// A session's papers, as they were signed last.
struct Signed {
    papers: Arc<Papers>,
    at_ms: i64,
    day: Arc<Today>,
}

/// The open volets, from one midnight in Paris to the next.
struct Today {
    from_ms: i64,
    until_ms: i64,
    names: Vec<String>,
    header: HeaderValue,
}

/// What an assertion says (RFC 7519 section 4.1 and the facts of the identity headers).
#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: &'a str,
    iat: i64,
    exp: i64,
    siret: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    identifiant_communication: Option<&'a str>,
    caf: &'a str,
    volets: &'a [String],
}

/// An assertion lives a minute and is used for two thirds of it, so that a backend has time to look at it.
const LIFE_S: i64 = 60;
const USED_FOR_MS: i64 = 40_000;

impl Gatekeeper {
    /// A gatekeeper whose assertions are issued in the name of `issuer`.
    pub fn new(
        calendar: Arc<Calendar>,
        signer: Arc<Signer>,
        clock: Clock,
        issuer: String,
        sessions: usize,
    ) -> Self {
        let folders = Cache::new(sessions);
        Self { calendar, signer, clock, issuer, folders, today: ArcSwapOption::empty() }
    }

    /// Admits a request of `session` for `path`, or says why not.
    pub fn admit(&self, session: &Session, path: &NormalPath) -> Result<Admitted, NotAdmitted> {
        let Stage::Ready(ready) = session.stage() else { return Err(NotAdmitted::NotReady) };
        let now = self.clock.now();
        if let Some((volet, state)) = self.calendar.closed(path, now) {
            return Err(NotAdmitted::Closed { volet: volet.name.clone(), state });
        }
        let today = self.today(now.as_millisecond());
        let folder = match self.folders.get(session.id()) {
            Some(folder) => folder,
            None => self.open_folder(session.id(), ready, &today, now.as_millisecond())?,
        };
        Ok(Admitted::new(self.papers(&folder, ready, &today, now.as_millisecond())?))
    }

    /// The calendar that decides.
    pub fn calendar(&self) -> &Calendar {
        &self.calendar
    }

    fn open_folder(
        &self,
        id: &SessionId,
        ready: &Ready,
        today: &Arc<Today>,
        now_ms: i64,
    ) -> Result<Arc<ArcSwap<Signed>>, NotAdmitted> {
        let signed = self.sign(ready, today, now_ms)?;
        let folder = Arc::new(ArcSwap::from_pointee(signed));
        self.folders.insert(*id, Arc::clone(&folder));
        Ok(folder)
    }

    fn papers(
        &self,
        folder: &ArcSwap<Signed>,
        ready: &Ready,
        today: &Arc<Today>,
        now_ms: i64,
    ) -> Result<Arc<Papers>, NotAdmitted> {
        let last = folder.load();
        let age = now_ms - last.at_ms;
        if (0..USED_FOR_MS).contains(&age) && Arc::ptr_eq(&last.day, today) {
            return Ok(Arc::clone(&last.papers));
        }
        let fresh = self.sign(ready, today, now_ms)?;
        let papers = Arc::clone(&fresh.papers);
        folder.store(Arc::new(fresh));
        Ok(papers)
    }

    fn sign(&self, ready: &Ready, today: &Arc<Today>, now_ms: i64) -> Result<Signed, NotAdmitted> {
        let holder = ready.holder();
        let issued = now_ms.div_euclid(1_000);
        let (caf, communication) = (ready.caf(), ready.identifiant_communication());
        let claims = Claims {
            iss: &self.issuer,
            aud: caf.as_str(),
            sub: holder.account().as_str(),
            iat: issued,
            exp: issued + LIFE_S,
            siret: holder.siret().as_str(),
            identifiant_communication: communication.as_ref().map(IdentifiantCommunication::as_str),
            caf: caf.as_str(),
            volets: &today.names,
        };
        let token = self.signer.sign(&claims).ok_or(NotAdmitted::NoKey)?;
        let facts = [caf.as_str(), holder.account().as_str(), holder.siret().as_str()];
        let [caf_code, compte, siret] = facts.map(header);
        let facts = [caf_code, compte, siret, today.header.clone(), header(&token)];
        let papers = Papers::new(caf, facts, communication.map(|idc| header(idc.as_str())));
        Ok(Signed { papers: Arc::new(papers), at_ms: now_ms, day: Arc::clone(today) })
    }

    fn today(&self, now_ms: i64) -> Arc<Today> {
        if let Some(today) = self.today.load_full()
            && (today.from_ms..today.until_ms).contains(&now_ms)
        {
            return today;
        }
        let now = self.clock.now();
        let open = self.calendar.at(now).filter(|(_, state)| state.open);
        let names: Vec<String> = open.map(|(volet, _)| volet.name.clone()).collect();
        let today = Arc::new(Today {
            from_ms: now.as_millisecond(),
            until_ms: self.calendar.next_midnight(now).as_millisecond(),
            header: header(&names.join(",")),
            names,
        });
        self.today.store(Some(Arc::clone(&today)));
        today
    }
}

/// Parsed values hold visible ASCII alone, and volets' names are checked with the configuration.
fn header(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}
