//! What is looked at: a GET or HEAD, which changes nothing.

use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response, Uri};
use http_body_util::Full;

use super::way::{keeping, local};
use super::{
    Action, Page, Portal, Refusal, Rendering, Visit, caf, establishment, fields, forgot, home, is_navigation,
    jwks, leave, parked, password, script, session, sessions, stylesheet,
};
use crate::domain::LocalPath;

impl Portal {
    /// What an action shows. The state is JSON but to a browser that goes there: that sees the state's page.
    pub(super) async fn look<B>(
        &self,
        action: Action,
        visit: &Visit,
        request: Request<B>,
        retour: Option<LocalPath>,
    ) -> Result<Response<Full<Bytes>>, Refusal> {
        let (asked, _) = request.into_parts();
        let is_page = self.tongue(visit.rendering) == Rendering::Page;
        let goes_there = is_page && is_navigation(&asked.method, &asked.headers);
        if self.shows_elsewhere(action, visit, &asked) {
            return Ok(self.send_elsewhere(action, &asked.uri, retour));
        }
        let shown = match action {
            Action::Session if goes_there => session::page_of(visit.stage()),
            action => action,
        };
        match shown {
            Action::Session => session::get(self, visit).await,
            Action::Sessions => sessions::get(self, visit).await,
            Action::Parked => parked::get(self, visit).await,
            Action::SignIn if is_page && visit.session.is_some() => home::get(self, visit, retour).await,
            Action::Reset if is_page => {
                let token = fields::one(asked.uri.query(), &["jeton"]).unwrap_or_default();
                forgot::get(self, &token).await
            }
            _ => Ok(self.show(shown, visit, retour)),
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
            Action::SignIn if self.tongue(visit.rendering) == Rendering::Json => {
                home::json(self, visit, retour.as_ref())
            }
            _ if self.tongue(visit.rendering) == Rendering::Json => {
                self.json(&self.state(visit.session.as_deref(), retour.as_ref()))
            }
            _ => match self.form(action, visit, retour) {
                Some(page) => self.page(&page),
                None => self.json(&self.state(visit.session.as_deref(), None)),
            },
        }
    }

    /// Whether a browser asks for a page, and pages are another program's.
    fn shows_elsewhere(&self, action: Action, visit: &Visit, asked: &Parts) -> bool {
        let is_page = match action {
            Action::SignIn
            | Action::Password
            | Action::Forgot
            | Action::Reset
            | Action::Caf
            | Action::Establishment
            | Action::Leave => true,
            Action::Parked | Action::Sessions => is_navigation(&asked.method, &asked.headers),
            _ => false,
        };
        is_page && self.places.elsewhere && visit.rendering == Rendering::Page
    }

    /// A browser that meets no pages here is sent where they are, with the one that it asked for.
    fn send_elsewhere(
        &self,
        action: Action,
        target: &Uri,
        retour: Option<LocalPath>,
    ) -> Response<Full<Bytes>> {
        let wanted = match action {
            // The page it is sent to is that one.
            Action::SignIn => retour,
            // It holds the letter's token.
            Action::Reset => local(target),
            _ => self.first_asked(target),
        };
        let page = &self.places.anonymous;
        self.redirection(&wanted.map_or_else(|| page.clone(), |wanted| keeping(page, &wanted)))
    }

    /// The page of an action, its form empty.
    pub(super) fn form(&self, action: Action, visit: &Visit, retour: Option<LocalPath>) -> Option<Page> {
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
