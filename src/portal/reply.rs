//! An outcome becomes a response: a page or a redirection to a browser, the state to a program. The
//! security headers of all that the gateway itself says stand here.

use bytes::Bytes;
use http::header::{
    self, CACHE_CONTROL, CONTENT_LANGUAGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, LOCATION,
    REFERRER_POLICY, SET_COOKIE, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body_util::Full;
use serde::Serialize;

use super::pages::{Complaint, Frame, ProblemPage};
use super::{CafContact, Page, Portal, Rendering, Visit, forgot};
use crate::config;
use crate::domain::{CafCode, LocalPath};
use crate::entry::Entered;
use crate::session::{Session, Token};

/// What came of an action.
pub(super) enum Outcome {
    /// The session goes on under a new token.
    Entered(Entered),
    /// The session ended.
    Left,
    /// A forgotten password was replaced; whoever was signed in in this browser no longer is.
    Reset,
    /// A letter was asked for.
    Asked,
    /// A form that waited is dropped; the secret of another that still does.
    Dropped(Option<Token>),
    /// Sessions elsewhere were ended.
    Closed,
    /// Nothing changed.
    Same,
}

const CONTENT_POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; script-src 'self'; \
                              connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";
const PERMISSIONS: &str = "camera=(), geolocation=(), microphone=(), payment=(), usb=()";
const PERMISSIONS_POLICY: HeaderName = HeaderName::from_static("permissions-policy");

impl Portal {
    /// What a POST is answered: 303 to a browser, the new state to a program.
    pub(super) fn reply_to_post(
        &self,
        visit: &Visit,
        outcome: &Outcome,
        retour: Option<&LocalPath>,
    ) -> Response<Full<Bytes>> {
        let (session, cookie) = match outcome {
            Outcome::Entered(entered) => (Some(&*entered.session), Some(self.cookie.set(&entered.token))),
            Outcome::Left | Outcome::Reset => (None, Some(self.cookie.clear())),
            Outcome::Dropped(held) => {
                let cookie = self.parking_cookie;
                let cookie = held.as_ref().map_or_else(|| cookie.clear(), |held| cookie.set(held));
                (visit.session.as_deref(), Some(cookie))
            }
            Outcome::Asked | Outcome::Closed | Outcome::Same => (visit.session.as_deref(), None),
        };
        let state = self.state(session, retour);
        let asked = matches!(outcome, Outcome::Asked);
        let mut response = match self.tongue(visit.rendering) {
            Rendering::Page if asked => self.page(&forgot::page(self, String::new(), true)),
            Rendering::Json => self.json(&state),
            Rendering::Page if matches!(outcome, Outcome::Closed) => {
                self.redirection(&format!("{}/sessions", self.site.prefix))
            }
            Rendering::Page => self.redirection(&self.way(session.map(Session::stage), retour)),
        };
        if asked {
            *response.status_mut() = StatusCode::ACCEPTED;
        }
        if let Some(cookie) = cookie {
            response.headers_mut().insert(SET_COOKIE, cookie);
        }
        response
    }

    /// JSON, as it stands now.
    pub(super) fn json(&self, value: &impl Serialize) -> Response<Full<Bytes>> {
        match serde_json::to_vec(value) {
            Ok(json) => self.own(StatusCode::OK, "application/json", json),
            Err(error) => {
                tracing::error!(%error, "a state could not be written");
                self.own(StatusCode::INTERNAL_SERVER_ERROR, "application/json", "{}")
            }
        }
    }

    /// A page.
    pub(super) fn page(&self, page: &Page) -> Response<Full<Bytes>> {
        self.html(StatusCode::OK, page.html())
    }

    /// To another page, with GET.
    pub(super) fn redirection(&self, location: &str) -> Response<Full<Bytes>> {
        let mut response = self.own(StatusCode::SEE_OTHER, "text/plain; charset=utf-8", "");
        let location = HeaderValue::try_from(location).unwrap_or_else(|_| HeaderValue::from_static("/"));
        response.headers_mut().insert(LOCATION, location);
        response
    }

    /// The form that was refused, or a page of its own, with what went wrong.
    pub fn problem_page(
        &self,
        status: StatusCode,
        complaint: Complaint,
        form: Option<Page>,
        suite: Option<String>,
    ) -> Response<Full<Bytes>> {
        let html = if let Some(form) = form {
            form.complaining(complaint).html()
        } else {
            let frame = Frame { complaint: Some(complaint), ..self.frame(None, None) };
            ProblemPage { frame, suite }.html()
        };
        self.html(status, html)
    }

    /// A text of the gateway's own, with the headers that all of them have.
    pub fn own(
        &self,
        status: StatusCode,
        content_type: &'static str,
        body: impl Into<Bytes>,
    ) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(body.into()));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        self.secure(headers);
        response
    }

    pub(super) fn frame(&self, who: Option<&str>, retour: Option<LocalPath>) -> Frame {
        Frame {
            site: self.site.clone(),
            who: who.map(str::to_owned),
            retour,
            complaint: None,
            notices: Vec::new(),
        }
    }

    pub(super) fn caf(&self, code: CafCode) -> Option<&config::Caf> {
        self.cafs.iter().find(|caf| caf.code == code)
    }

    pub(super) fn contact(&self, code: CafCode) -> CafContact {
        CafContact::of(code, self.caf(code))
    }

    fn html(&self, status: StatusCode, html: String) -> Response<Full<Bytes>> {
        let mut response = self.own(status, "text/html; charset=utf-8", html);
        response.headers_mut().insert(CONTENT_LANGUAGE, HeaderValue::from_static("fr"));
        response
    }

    fn secure(&self, headers: &mut HeaderMap) {
        let mut say = |name, value| headers.insert(name, HeaderValue::from_static(value));
        say(CONTENT_SECURITY_POLICY, CONTENT_POLICY);
        say(X_CONTENT_TYPE_OPTIONS, "nosniff");
        say(REFERRER_POLICY, "same-origin");
        say(PERMISSIONS_POLICY, PERMISSIONS);
        say(header::X_FRAME_OPTIONS, "DENY");
        if self.secure {
            say(STRICT_TRANSPORT_SECURITY, "max-age=31536000");
        }
    }
}
