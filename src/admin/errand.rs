//! A request to the operator's side as its answer, the log and the audit log name it, and where it comes from.

use aws_lc_rs::rand;
use axum::extract::{MatchedPath, Request};
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderName, HeaderValue};

use super::peer::Peer;
use crate::telemetry::audit::Entry;

/// One request; it is among the request's extensions.
#[derive(Debug, Clone, Default)]
pub(super) struct Errand {
    /// Its id: 32 hexadecimal digits.
    pub(super) request: String,
    /// The other end's address, or `unix`.
    pub(super) from: String,
}

/// The header that tells it.
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Names a request, and its answer.
pub(super) async fn name(mut request: Request, next: Next) -> Response {
    let errand = Errand::of(&request);
    let header = errand.header();
    request.extensions_mut().insert(errand);
    let mut response = next.run(request).await;
    response.headers_mut().insert(X_REQUEST_ID, header);
    response
}

impl Errand {
    /// Names a request. The caller's own name for it is not taken: an audit log must not say what it is told.
    fn of(request: &Request) -> Self {
        let mut bits = [0; 16];
        // Without entropy names repeat, nothing worse: they are no secrets.
        let _ = rand::fill(&mut bits);
        let address = request.extensions().get::<Peer>().and_then(|peer| peer.address);
        let from = address.map_or_else(|| "unix".to_owned(), |address| address.to_string());
        Self { request: format!("{:032x}", u128::from_be_bytes(bits)), from }
    }

    /// The entry of a change that was asked for at a route, refused before it was looked at.
    pub(super) fn refused(
        &self,
        request: &Request,
        by: Option<String>,
        reason: &'static str,
    ) -> Option<Entry> {
        let route = request.extensions().get::<MatchedPath>()?.as_str();
        let asked = [("method", request.method().as_str()), ("route", route)];
        let detail = asked.map(|(name, word)| (name.to_owned(), word.into()));
        Some(Entry {
            what: "admin-change",
            outcome: "refused",
            reason: Some(reason),
            by,
            from: Some(self.from.clone()),
            request: Some(self.request.clone()),
            detail: detail.into_iter().collect(),
            ..Entry::default()
        })
    }

    fn header(&self) -> HeaderValue {
        HeaderValue::try_from(&self.request).unwrap_or_else(|_| HeaderValue::from_static("-"))
    }
}
