//! The one place where what went wrong becomes a response: RFC 9457 to a program, a page to a browser.
//!
//! `wording` has a constructor for each code of the contract (those of a Caf are in `caf`), `sources` says which error
//! is which problem.

mod caf;
mod sources;
#[cfg(test)]
mod tests;
mod wording;

use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_LANGUAGE, RETRY_AFTER, SET_COOKIE, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body_util::Full;
use serde_json::{Map, Value, json};

pub(super) use sources::METHODS;

use crate::portal::{Complaint, Page, Portal, Rendering, french};

/// What went wrong with a request, as its client will read it.
#[derive(Debug)]
pub struct Problem(Box<Inner>);

#[derive(Debug)]
struct Inner {
    code: &'static str,
    status: StatusCode,
    title: String,
    detail: String,
    points: Vec<String>,
    retry_after: Option<Duration>,
    allow: Option<&'static str>,
    cookie: Option<HeaderValue>,
    extra: Map<String, Value>,
    suite: Option<String>,
    form: Option<Box<Page>>,
    field: Option<&'static str>,
    closes: bool,
}

impl Problem {
    /// Its code in the contract.
    pub fn code(&self) -> &'static str {
        self.0.code
    }

    /// Its status.
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// Whether nothing more is to be read on the connection: where this request ends may be in doubt too.
    pub fn closes(&self) -> bool {
        self.0.closes
    }

    /// The last answer on its connection.
    #[must_use]
    pub fn closing(mut self) -> Self {
        self.0.closes = true;
        self
    }

    /// With the page to go to.
    #[must_use]
    pub fn leading_to(mut self, page: &str) -> Self {
        self.0.suite = Some(page.to_owned());
        self
    }

    /// With a cookie to be kept.
    #[must_use]
    pub fn setting(mut self, cookie: HeaderValue) -> Self {
        self.0.cookie = Some(cookie);
        self
    }

    /// With the form that reached nobody put back, for so long.
    pub(super) fn still_parked(mut self, left: Duration) -> Self {
        let time = french::wait(left);
        self.0.detail = format!(
            "Votre saisie n’a été reçue par personne. Elle reste gardée {time}\u{a0}: réessayez dans quelques minutes."
        );
        self.with("saisie_gardee", Some(json!({"expire_dans_s": french::seconds(left)})))
    }

    /// The response: the form that was refused or a page to a browser, `application/problem+json` to others.
    pub fn respond(self, wanted: Rendering, request_id: &str, portal: &Portal) -> Response<Full<Bytes>> {
        let (status, allow, retry_after) = (self.0.status, self.0.allow, self.0.retry_after);
        let cookie = self.0.cookie.clone();
        let mut response = match portal.tongue(wanted) {
            Rendering::Json => portal.own(status, "application/problem+json", self.json(request_id)),
            Rendering::Page => self.page(request_id, portal),
        };
        tell(response.headers_mut(), status, allow, retry_after);
        response.headers_mut().extend(cookie.map(|cookie| (SET_COOKIE, cookie)));
        response
    }

    fn json(self, request_id: &str) -> Vec<u8> {
        let problem = *self.0;
        let mut said = problem.extra;
        let detail = std::iter::once(problem.detail).chain(problem.points).collect::<Vec<_>>().join(" ");
        said.extend([
            ("type".to_owned(), json!(format!("urn:octroi:probleme:{}", problem.code))),
            ("title".to_owned(), json!(problem.title)),
            ("detail".to_owned(), json!(detail)),
            ("status".to_owned(), json!(problem.status.as_u16())),
            ("code".to_owned(), json!(problem.code)),
            ("requete".to_owned(), json!(request_id)),
        ]);
        said.extend(problem.suite.map(|suite| ("suite".to_owned(), json!(suite))));
        Value::Object(said).to_string().into_bytes()
    }

    fn page(self, request_id: &str, portal: &Portal) -> Response<Full<Bytes>> {
        let problem = *self.0;
        let complaint = Complaint {
            title: problem.title,
            detail: problem.detail,
            points: problem.points,
            field: problem.field,
            request_id: request_id.to_owned(),
            code: problem.code,
            wait_s: problem.retry_after.map(french::seconds),
            caf: named_caf(&problem.extra),
        };
        portal.problem_page(problem.status, complaint, problem.form.map(|form| *form), problem.suite)
    }
}

/// The Caf that the problem names, and whom to ask there.
fn named_caf(extra: &Map<String, Value>) -> Option<(String, String)> {
    let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
    extra.get("caf").map(|caf| (text(caf.get("nom")), text(extra.get("contact"))))
}

fn tell(
    headers: &mut HeaderMap,
    status: StatusCode,
    allow: Option<&'static str>,
    retry_after: Option<Duration>,
) {
    headers.insert(CONTENT_LANGUAGE, HeaderValue::from_static("fr"));
    if let Some(methods) = allow {
        headers.insert(ALLOW, HeaderValue::from_static(methods));
    }
    if let Some(time) = retry_after {
        headers.insert(RETRY_AFTER, HeaderValue::from(french::seconds(time)));
    }
    if status == StatusCode::UNAUTHORIZED {
        // RFC 9110 section 15.5.2 wants a challenge; no browser opens a window of its own for this one.
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Cookie realm=\"octroi\""));
    }
}
