//! Who may use the admin API: a token's holder, a certificate's, or, where nothing is demanded, whoever reaches
//! a listener that only this machine reaches.
//!
//! Here a name is proven and the [`Author`] put into the request; what that name may do with each command is
//! decided in `scope`. `/livez` and `/readyz` are open to all: they tell nothing but a word.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State as Shared};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::header::{AUTHORIZATION, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use super::author::{self, Author, InvalidBy, Via};
use super::errand::Errand;
use super::peer::Peer;
use super::tokens::TokensFile;
use super::{Problem, State};
use crate::config::Rate;
use crate::domain::{Grant, Role};
use crate::limits::{ClientKey, RateLimiter, TooMany};
use crate::telemetry::audit;

/// Proofs that are accepted. Without any, whoever can connect is an operator.
#[derive(Debug)]
pub struct Authority {
    tokens: Option<Arc<TokensFile>>,
    clients: Option<Vec<Grant>>,
    failures: RateLimiter<ClientKey>,
}

/// Why nobody was recognised. Whose fault: the client's.
#[derive(Debug, thiserror::Error)]
enum Stranger {
    #[error("a token or a client certificate is needed")]
    Nothing,
    #[error("the Authorization header is not one Bearer token")]
    Unreadable,
    #[error("the token opens nothing")]
    Token,
    #[error("admin.tls.clients gives no role to the certificate's names")]
    Certificate,
    #[error(transparent)]
    By(#[from] InvalidBy),
}

/// Wrong proofs of one address that are looked at and logged, before it is told to wait.
const FAILURES: Rate = Rate { count: TEN, period: Duration::from_mins(1), burst: TEN };
const TEN: NonZeroU32 = NonZeroU32::MIN.saturating_add(9);

impl Authority {
    /// One that accepts these tokens, and the certificates of these names.
    pub fn new(tokens: Option<Arc<TokensFile>>, clients: Option<Vec<Grant>>) -> Self {
        Self { tokens, clients, failures: RateLimiter::new(FAILURES) }
    }

    fn is_open(&self) -> bool {
        self.tokens.is_none() && self.clients.is_none()
    }

    fn author(&self, headers: &HeaderMap, peer: &Peer) -> Result<Author, Stranger> {
        let by = author::said(headers)?;
        if self.is_open() {
            return Ok(Author::local(by));
        }
        let (Grant { name, role }, via) = self.proven(headers, peer)?;
        Ok(Author { name, by, role, via })
    }

    fn proven(&self, headers: &HeaderMap, peer: &Peer) -> Result<(Grant, Via), Stranger> {
        if let (Some(tokens), Some(token)) = (&self.tokens, bearer(headers)?) {
            return tokens.grant(token).map(|grant| (grant, Via::Token)).ok_or(Stranger::Token);
        }
        let Some(clients) = self.clients.as_ref().filter(|_| !peer.names.is_empty()) else {
            return Err(Stranger::Nothing);
        };
        let named = clients.iter().find(|grant| peer.names.contains(&grant.name));
        named.cloned().map(|grant| (grant, Via::Certificate)).ok_or(Stranger::Certificate)
    }

    fn refuse(&self, stranger: &Stranger, peer: &Peer) -> Response {
        if let Some(address) = peer.address
            && let Err(TooMany { retry_after }) = self.failures.check(&ClientKey::from(address))
        {
            return too_many(retry_after);
        }
        let from = peer.address.map(|address| address.to_string());
        tracing::warn!(listener = "admin", from, names = ?peer.names, reason = %stranger, "refused");
        let status = match stranger {
            Stranger::By(_) => StatusCode::BAD_REQUEST,
            Stranger::Certificate => StatusCode::FORBIDDEN,
            Stranger::Nothing | Stranger::Unreadable | Stranger::Token => StatusCode::UNAUTHORIZED,
        };
        let mut response = Problem::new(status, stranger.to_string()).into_response();
        if status == StatusCode::UNAUTHORIZED {
            // RFC 6750 section 3: no error code where no token was shown.
            let challenge = match stranger {
                Stranger::Nothing => r#"Bearer realm="octroi""#,
                _ => r#"Bearer realm="octroi", error="invalid_token""#,
            };
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        response
    }
}

/// Lets in whoever proves a name, and says who it is to all that follows.
pub(super) async fn admit(Shared(state): Shared<Arc<State>>, mut request: Request, next: Next) -> Response {
    if matches!(request.uri().path(), "/livez" | "/readyz") {
        request.extensions_mut().insert(Author { role: Role::Read, ..Author::local(None) });
        return next.run(request).await;
    }
    let peer = request.extensions().get::<Peer>().cloned().unwrap_or_default();
    let author = match state.authority.author(request.headers(), &peer) {
        Ok(author) => author,
        Err(stranger) => {
            let refusal = state.authority.refuse(&stranger, &peer);
            // Whoever guesses on is not given a line for each guess.
            if refusal.status() != StatusCode::TOO_MANY_REQUESTS {
                note_refused(&state, &request, None, "no-proof");
            }
            return refusal;
        }
    };
    let looks = matches!(*request.method(), Method::GET | Method::HEAD);
    if !looks && !author.role.may_change() {
        note_refused(&state, &request, Some(author.to_string()), "role");
        let detail = format!("{} may only look (role read)", author.name);
        return Problem::new(StatusCode::FORBIDDEN, detail).into_response();
    }
    request.extensions_mut().insert(author);
    next.run(request).await
}

/// For the audit log: a change that was refused before it was looked at.
fn note_refused(state: &State, request: &Request, by: Option<String>, reason: &'static str) {
    let errand = request.extensions().get::<Errand>().filter(|_| !request.method().is_safe());
    if let Some(entry) = errand.and_then(|errand| errand.refused(request, by, reason)) {
        audit::log().note(state.clock.now(), entry);
    }
}

/// The token of `Authorization: Bearer TOKEN` (RFC 6750 section 2.1).
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Stranger> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let text = value.to_str().map_err(|_| Stranger::Unreadable)?;
    match (text.split_once(' '), values.next()) {
        (Some((scheme, token)), None) if scheme.eq_ignore_ascii_case("bearer") => Ok(Some(token.trim())),
        _ => Err(Stranger::Unreadable),
    }
}

fn too_many(retry_after: Duration) -> Response {
    let detail = "too many wrong proofs came from this address";
    let mut response = Problem::new(StatusCode::TOO_MANY_REQUESTS, detail).into_response();
    let seconds = retry_after.as_secs().saturating_add(1);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    response
}
