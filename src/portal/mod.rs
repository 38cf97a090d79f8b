//! The public endpoints under the portal's prefix: one action a file, HTML and JSON from the same outcome.
//!
//! A request comes in as an [`Action`] and a [`Visit`]; the action's file says what becomes of it (an
//! `Outcome`), `reply` alone turns that into a page, a redirection or JSON. What goes wrong is a [`Refusal`],
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

use std::fmt::Display;
use std::sync::Arc;

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{Method, Request, Response, Uri};
use http_body_util::Full;

pub use action::{Action, Route};
pub use fields::{BodyError, FieldFault};
pub use letters::Letters;
pub use pages::{Complaint, Page};
pub use parked::FIELD as PARKED_FIELD;
pub use refusal::{CafContact, Cause, Refusal};
pub use rendering::{Rendering, accepts_html, is_navigation, is_script};

use crate::config::{self, Config, Pages};
use crate::domain::{Calendar, Clock, LocalPath, NormalPath, Token};
use crate::entry::{Desk, LostPassword, Signer};
use crate::parking::{Parking, ParkingCookie};
use crate::session::{Session, SessionCookie, Stage, Whence};
use crate::telemetry::audit;
use fields::Fields;
use pages::Site;

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

/// The pages that states lead to.
struct Places {
    anonymous: String,
    password: String,
    caf: String,
    establishment: String,
    elsewhere: bool,
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
            if action == Action::Sessions {
                return sessions::get(self, visit).await;
            }
            let is_page = self.tongue(visit.rendering) == Rendering::Page;
            if action == Action::SignIn && is_page && stage.is_some() {
                return home::get(self, visit, retour).await;
            }
            if action == Action::Parked {
                return parked::get(self, visit).await;
            }
            if action == Action::Session {
                if self.places.elsewhere || !is_navigation(request.method(), request.headers()) {
                    return session::get(self, visit).await;
                }
                return Ok(self.show(session::page_of(stage), visit, retour));
            }
            if action == Action::Reset && is_page {
                let token = fields::one(request.uri().query(), &["jeton"]).unwrap_or_default();
                return forgot::get(self, &token).await;
            }
            return Ok(self.show(action, visit, retour));
        }
        let written = match action.wanted() {
            [] => Fields::default(),
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

    /// Where to go first: to a form that waits, or to what is to be known.
    async fn next_path(
        &self,
        action: Action,
        visit: &Visit,
        outcome: &reply::Outcome,
        retour: Option<LocalPath>,
    ) -> Result<Option<LocalPath>, Refusal> {
        let session = match outcome {
            reply::Outcome::Entered(entered) => &entered.session,
            reply::Outcome::Same => match &visit.session {
                Some(session) => session,
                None => return Ok(retour),
            },
            _ => return Ok(retour),
        };
        if let Some(form) = parked::waiting(self, visit, session).await? {
            return Ok(Some(form));
        }
        let told = (action == Action::SignIn).then(|| self.first_told(session, retour.as_ref())).flatten();
        Ok(told.or(retour))
    }

    /// The page that a state leads to; the root, once admitted.
    pub fn page_of(&self, stage: Option<&Stage>) -> &str {
        match stage {
            None => &self.places.anonymous,
            Some(Stage::MustChangePassword(_)) => &self.places.password,
            Some(Stage::MustChooseCaf(_)) => &self.places.caf,
            Some(Stage::MustIdentifyEstablishment(_)) => &self.places.establishment,
            Some(Stage::Ready(_)) => "/",
        }
    }

    /// Where a browser goes next from a state: the page of the state, which keeps in mind the path first
    /// asked for; once admitted, that path itself.
    pub fn way(&self, stage: Option<&Stage>, retour: Option<&LocalPath>) -> String {
        let page = self.page_of(stage);
        match (stage, retour) {
            (Some(Stage::Ready(_)), Some(retour)) => retour.to_string(),
            (_, None) => page.to_owned(),
            (_, Some(retour)) => keeping(page, retour),
        }
    }

    /// Leads a browser that asked for `target` from where its state has no business to [`Portal::way`].
    pub fn lead(&self, stage: Option<&Stage>, target: &Uri) -> Response<Full<Bytes>> {
        self.redirection(&self.way(stage, self.first_asked(target).as_ref()))
    }

    /// Where one wanted to go: a page of ours that one was led to has it in its query.
    fn first_asked(&self, target: &Uri) -> Option<LocalPath> {
        let ours = NormalPath::parse(target.path()).is_ok_and(|path| path.is_under(&self.site.prefix));
        let before = ours.then(|| self.retour(fields::one(target.query(), &["retour"]).as_deref())).flatten();
        before.or_else(|| LocalPath::parse(target.path_and_query().map_or("/", PathAndQuery::as_str)))
    }

    /// HTML or JSON for a problem: JSON alone where the pages are another program's.
    pub fn tongue(&self, wanted: Rendering) -> Rendering {
        if self.places.elsewhere { Rendering::Json } else { wanted }
    }

    /// A path that one may be sent back to; the portal's own pages are none.
    fn retour(&self, text: Option<&str>) -> Option<LocalPath> {
        let retour = LocalPath::parse(text?)?;
        let path = retour.as_str().split(['?', '#']).next().unwrap_or_default();
        let ours = NormalPath::parse(path).ok()?.is_under(&self.site.prefix);
        (!ours).then_some(retour)
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

    /// What an action shows when it is only looked at.
    fn show(&self, action: Action, visit: &Visit, retour: Option<LocalPath>) -> Response<Full<Bytes>> {
        match action {
            Action::Jwks => jwks::get(self),
            Action::Stylesheet => stylesheet::get(self),
            Action::Script => script::get(self),
            Action::PageScript => stylesheet::script(self),
            Action::Logo => stylesheet::logo(self),
            _ if self.tongue(visit.rendering) == Rendering::Json => {
                self.show_elsewhere(action, visit, retour.as_ref())
            }
            _ => match self.form(action, visit, retour) {
                Some(page) => self.page(&page),
                None => self.json(&self.state(visit.session.as_deref(), None)),
            },
        }
    }

    /// A browser that meets no pages here is sent where they are; a program reads the state.
    fn show_elsewhere(
        &self,
        action: Action,
        visit: &Visit,
        retour: Option<&LocalPath>,
    ) -> Response<Full<Bytes>> {
        match (visit.rendering, action) {
            (Rendering::Page, _) => {
                let page = &self.places.anonymous;
                self.redirection(&retour.map_or_else(|| page.clone(), |retour| keeping(page, retour)))
            }
            (Rendering::Json, Action::SignIn) => home::json(self, visit, retour),
            (Rendering::Json, _) => self.json(&self.state(visit.session.as_deref(), retour)),
        }
    }

    /// The page of an action, its form empty.
    fn form(&self, action: Action, visit: &Visit, retour: Option<LocalPath>) -> Option<Page> {
        match action {
            Action::SignIn => Some(home::page(self, visit, retour)),
            Action::Password => Some(password::page(self, visit, retour)),
            Action::Forgot => Some(forgot::page(self, String::new(), false)),
            Action::Reset => Some(forgot::reset_page(self, None)),
            Action::Caf => Some(caf::page(self, visit.session.as_deref()?, retour)),
            Action::Establishment => establishment::page(self, visit.session.as_deref()?, retour),
            Action::Leave => Some(leave::page(self, visit.session.as_deref()?)),
            _ => None,
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

impl Places {
    fn new(portal: &config::Portal) -> Self {
        match &portal.pages {
            Pages::BuiltIn => {
                let page = |name| format!("{}{name}", portal.prefix);
                Self {
                    anonymous: page("/connexion"),
                    password: page("/mot-de-passe"),
                    caf: page("/caf"),
                    establishment: page("/etablissement"),
                    elsewhere: false,
                }
            }
            Pages::Off { sign_in_url } => {
                let page = || sign_in_url.clone();
                Self {
                    anonymous: page(),
                    password: page(),
                    caf: page(),
                    establishment: page(),
                    elsewhere: true,
                }
            }
        }
    }
}

/// A page that keeps in mind where one wanted to go; it may be another program's, with a query and a fragment.
fn keeping(page: &str, retour: &LocalPath) -> String {
    let (page, fragment) = page.find('#').map_or((page, ""), |at| page.split_at(at));
    let mark = if page.contains('?') { '&' } else { '?' };
    format!("{page}{mark}retour={}{fragment}", encoded(retour.as_str()))
}

fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}
