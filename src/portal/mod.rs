//! The public endpoints under the portal's prefix: one action a file, HTML and JSON from the same outcome.
//!
//! A request comes in as an [`Action`] and a [`Visit`]; the action's file says what becomes of it (an
//! `Outcome`), `reply` alone turns that into a page, a redirection or JSON. What is only looked at (GET, HEAD) is
//! `look`'s; where one goes next is `way`'s. What goes wrong is a [`Refusal`],
//! which only `gate::problem` turns into a response; it takes along the form to be shown again.

mod action;
mod audited;
mod caf;
mod establishment;
mod fields;
mod forgot;
pub mod french;
mod home;
mod jwks;
mod leave;
mod letters;
mod look;
mod notices;
mod pages;
mod parked;
mod password;
mod refusal;
mod rendering;
mod reply;
mod script;
mod session;
mod sessions;
mod sign_in;
mod sign_out;
mod state;
mod stylesheet;
#[cfg(test)]
pub(crate) mod tests;
mod way;

use std::fmt::Display;
use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::Full;

pub use action::{Action, Route};
pub use fields::{BodyError, FieldFault};
pub use letters::Letters;
pub use pages::{Complaint, Page};
pub use parked::FIELD as PARKED_FIELD;
pub use refusal::{CafContact, Cause, Refusal};
pub use rendering::{Rendering, accepts_html, is_navigation, is_script};

use crate::config::{self, Config};
use crate::domain::{Calendar, Clock, LocalPath, NormalPath, Token};
use crate::entry::{Desk, LostPassword, Signer};
use crate::parking::{Parking, ParkingCookie};
use crate::session::{Session, SessionCookie, Stage, Whence};
use crate::telemetry::audit;
use fields::Fields;
use pages::Site;
use way::Places;

/// The public endpoints, shared by all workers.
pub struct Portal {
    desk: Arc<Desk>,
    signer: Arc<Signer>,
    calendar: Arc<Calendar>,
    clock: Clock,
    cookie: SessionCookie,
    secure: bool,
    lost: Arc<LostPassword>,
    parking: Arc<Parking>,
    parking_cookie: ParkingCookie,
    cafs: Vec<config::Caf>,
    password: config::Password,
    site: Arc<Site>,
    places: Places,
}

/// Who asks, from where, and in which tongue they want their answer.
#[derive(Debug)]
pub struct Visit {
    /// The live session that the request showed.
    pub session: Option<Arc<Session>>,
    /// Whether it showed a cookie that no longer lives.
    pub shown_dead: bool,
    /// Whether a browser says that a person's link or form leads here (Fetch Metadata).
    pub navigates: bool,
    /// Whether this session is the one that a step led to which is asked for a second time.
    pub clicked_twice: bool,
    /// The secret of a form that waits, if it showed one.
    pub parked: Option<Token>,
    /// The client's address.
    pub address: String,
    /// The same, as limits know it.
    pub place: String,
    /// What the browser calls itself, in two words.
    pub agent: Option<String>,
    /// The request's id.
    pub request: String,
    /// HTML or JSON.
    pub rendering: Rendering,
}

impl Portal {
    /// The endpoints that a configuration asks for.
    pub fn new(
        config: &Config,
        desk: Arc<Desk>,
        lost: Arc<LostPassword>,
        parking: Arc<Parking>,
        signer: Arc<Signer>,
        calendar: Arc<Calendar>,
        clock: Clock,
    ) -> Self {
        let secure = config.server.is_secure();
        Self {
            desk,
            signer,
            calendar,
            clock,
            cookie: SessionCookie::new(secure),
            secure,
            lost,
            parking,
            parking_cookie: ParkingCookie::new(secure),
            cafs: config.cafs.clone(),
            password: config.password.clone(),
            site: Arc::new(Site::new(
                &config.portal.prefix,
                config.session.idle_timeout,
                &config.portal.theme,
            )),
            places: Places::new(&config.portal),
        }
    }

    /// What a path asks of the portal.
    pub fn route(&self, path: &NormalPath) -> Route {
        let prefix = &self.site.prefix;
        if !path.is_under(prefix) {
            return Route::Outside;
        }
        let action = path.after(prefix).and_then(Action::at);
        action
            .filter(|action| *action != Action::Logo || self.site.logo.is_some())
            .map_or(Route::Nowhere, Route::Action)
    }

    /// Answers an action. Its idle time, if it counts, was put back to full before.
    pub async fn answer<B>(
        &self,
        action: Action,
        visit: &Visit,
        request: Request<B>,
    ) -> Result<Response<Full<Bytes>>, Refusal>
    where
        B: http_body::Body<Data = Bytes>,
        B::Error: Display,
    {
        if !action.allows(request.method()) {
            return Err(Cause::Method { allowed: action.methods() }.into());
        }
        let stage = visit.stage();
        if !action.open_to(stage) {
            return Err(Refusal::misplaced(visit).leading_to(self.page_of(stage)));
        }
        let retour = self.retour(fields::one(request.uri().query(), &["retour"]).as_deref());
        if request.method() != Method::POST {
            return self.look(action, visit, request, retour).await;
        }
        let written = match action.wanted() {
            [] => {
                fields::pass_over(request.into_body()).await;
                Fields::default()
            }
            wanted => match Fields::read(wanted, request).await {
                Ok(fields) => fields,
                Err(error) => return Err(Refusal::from(error).again(self.form(action, visit, retour))),
            },
        };
        let retour = self.retour(written.peek("retour")).or(retour);
        let asked = audited::Asked::of(self, action, visit, &written).await;
        let now = self.clock.now();
        if asked.as_ref().is_some_and(audited::Asked::may_be_refused) {
            audit::log().check(now).await?;
        }
        let acted = self.act(action, visit, written, retour.clone()).await;
        if let Some(asked) = asked {
            asked.fell(self, now, &acted).await?;
        }
        let outcome = acted.map_err(|refusal| refusal.home(self.page_of(None)))?;
        let retour = self.next_path(action, visit, &outcome, retour).await?;
        Ok(self.reply_to_post(visit, &outcome, retour.as_ref()))
    }

    /// The session that `own` went on as while this very request was under way: the first of two clicks was quicker.
    async fn successor(&self, visit: &Visit, own: &Session) -> Result<Option<Arc<Session>>, Cause> {
        if !visit.navigates {
            return Ok(None);
        }
        Ok(self.desk.sessions.successor(own.id(), visit.whence()).await?)
    }

    async fn act(
        &self,
        action: Action,
        visit: &Visit,
        written: Fields,
        retour: Option<LocalPath>,
    ) -> Result<reply::Outcome, Refusal> {
        match action {
            Action::SignIn => sign_in::post(self, visit, written, retour).await,
            Action::Password => password::post(self, visit, written, retour).await,
            Action::Forgot => forgot::ask(self, visit, written).await,
            Action::Reset => forgot::reset(self, visit, written).await,
            Action::Caf => caf::post(self, visit, written, retour).await,
            Action::Establishment => establishment::post(self, visit, written, retour).await,
            Action::Leave => leave::post(self, visit).await,
            Action::SignOut => sign_out::post(self, visit).await,
            Action::Parked => parked::discard(self, visit).await,
            Action::CloseSessions => sessions::close(self, visit, written).await,
            Action::Session
            | Action::Sessions
            | Action::Continue
            | Action::Jwks
            | Action::Stylesheet
            | Action::Script
            | Action::PageScript
            | Action::Logo => Ok(reply::Outcome::Same),
        }
    }
}

impl Visit {
    fn whence(&self) -> Whence<'_> {
        Whence { address: &self.address, place: &self.place, agent: self.agent.as_deref() }
    }

    fn stage(&self) -> Option<&Stage> {
        self.session.as_deref().map(Session::stage)
    }

    /// The session, for actions that are closed to those without one.
    fn known(&self) -> Result<&Session, Refusal> {
        self.session.as_deref().ok_or_else(|| Refusal::misplaced(self))
    }
}
