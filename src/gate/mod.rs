//! The gate: what a request passes on its way in, in order, and the one place where an error becomes a response.
//!
//! The order is `Gate::admit`, from top to bottom; nothing looks back:
//!
//! 1. **provenance**: the request's id and trace, the client's address, so that whatever follows can be told.
//! 2. **framing**: one path, one host, or nothing at all; every later decision reads this one path.
//! 3. **origin**: unsafe methods from another site end here, before anything is looked up or counted.
//! 4. **client's rate**: the cheapest refusal of a flood.
//! 5. **session**: who is asking; from the cache or the store.
//! 6. **session's rate**: one person's share.
//! 7. **reception**: the one `match` on the state, to the portal or to the forwarder.

mod body;
mod client;
mod framing;
mod ids;
mod origin;
mod problem;
mod reception;

use std::sync::Arc;

use http::header::{ACCEPT, CONNECTION};
use http::{HeaderMap, HeaderValue, Request, Response, Version};
use hyper::body::Incoming;
use tokio::time::Instant;

pub use body::Body;
pub use client::Peer;
pub use framing::Malformed;
pub use problem::Problem;

use crate::config::{Config, Rate};
use crate::domain::{CafCode, NormalPath};
use crate::entry::{Gatekeeper, Provenance};
use crate::forward::Forwarder;
use crate::limits::{ClientKey, RateLimiter};
use crate::portal::{Portal, Rendering};
use crate::session::{Found, Session, SessionCookie, SessionId, Sessions, Shown, Stage};
use crate::telemetry::{self, Access};
use ids::Ids;

/// What all workers share.
pub struct Shared {
    /// The configuration.
    pub config: Arc<Config>,
    /// Sessions.
    pub sessions: Arc<Sessions>,
    /// Who lets through to a backend.
    pub gatekeeper: Arc<Gatekeeper>,
    /// The public endpoints.
    pub portal: Arc<Portal>,
    /// Rate limits.
    pub limits: Limits,
    /// The session's cookie.
    pub cookie: SessionCookie,
}

/// The rate limits of this process.
#[derive(Debug)]
pub struct Limits {
    client: RateLimiter<ClientKey>,
    session: RateLimiter<SessionId>,
    login: RateLimiter<ClientKey>,
}

impl Limits {
    /// The limits of the configuration.
    pub fn new(limits: &crate::config::Limits) -> Self {
        fn of<K: std::hash::Hash + Eq + Clone>(rate: Rate) -> RateLimiter<K> {
            RateLimiter::new(rate)
        }
        Self {
            client: of(limits.per_client),
            session: of(limits.per_session),
            login: of(limits.login_per_client),
        }
    }
}

/// A worker's gate, with its own connections to the backends.
pub struct Gate {
    shared: Arc<Shared>,
    forwarder: Forwarder,
    ids: Ids,
}

/// A request at the gate, as far as it has come.
struct Arrival {
    provenance: Provenance,
    path: NormalPath,
    client: ClientKey,
    session: Option<Arc<Session>>,
    shown_dead: bool,
}

impl Gate {
    /// A gate for one worker.
    pub fn new(shared: Arc<Shared>) -> Self {
        let forwarder = Forwarder::new(&shared.config);
        Self { shared, forwarder, ids: Ids::new() }
    }

    /// Answers a request, whatever it is, and logs its line.
    pub async fn pass(&self, request: Request<Incoming>, peer: Peer) -> Response<Body> {
        let began = Instant::now();
        let provenance = client::provenance(peer, request.headers(), &self.shared.config.server, &self.ids);
        let request_id = provenance.request_id.clone();
        let method = request.method().clone();
        let uri = request.uri().clone();
        let version = request.version();
        let rendering = tongue(request.headers());
        let mut line = Line::default();
        let answer = self.admit(request, provenance, &mut line).await;
        let id = request_id.to_str().unwrap_or("-");
        let (response, code) = match answer {
            Ok(response) => (response, None),
            Err(problem) => {
                let (code, closes) = (problem.code(), problem.closes());
                let mut response = problem.respond(rendering, id, &self.shared.portal).map(Body::from);
                if closes && version < Version::HTTP_2 {
                    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                }
                (response, Some(code))
            }
        };
        telemetry::record(&Access {
            id,
            method: method.as_str(),
            path: uri.path(),
            etat: line.etat,
            caf: line.caf,
            status: response.status().as_u16(),
            code,
            time: began.elapsed(),
        });
        response
    }

    /// Answers what came in the place of a request, and logs its line. The connection is closed after it.
    pub fn refuse(&self, why: Malformed, peer: Peer) -> Response<Body> {
        let provenance = client::provenance(peer, &HeaderMap::new(), &self.shared.config.server, &self.ids);
        let id = provenance.request_id.to_str().unwrap_or("-");
        let limited = self.shared.limits.client.check(&ClientKey::from(provenance.client));
        let problem = limited.err().map_or_else(|| Problem::from(why), Problem::from);
        let code = Some(problem.code());
        let response = problem.respond(Rendering::Json, id, &self.shared.portal).map(Body::from);
        tracing::debug!(id, %why, "refused unread");
        let status = response.status().as_u16();
        let (method, path, time) = ("-", "-", std::time::Duration::ZERO);
        telemetry::record(&Access { id, method, path, etat: "anonyme", caf: None, status, code, time });
        response
    }

    /// The way of a request, in order.
    async fn admit(
        &self,
        request: Request<Incoming>,
        provenance: Provenance,
        line: &mut Line,
    ) -> Result<Response<Body>, Problem> {
        let shared = &*self.shared;
        let path = framing::read(&request)?;
        if origin::is_foreign(&request, shared.config.server.public_url.as_ref(), provenance.https) {
            return Err(Problem::foreign_origin());
        }
        let client = ClientKey::from(provenance.client);
        shared.limits.client.check(&client)?;
        let (session, shown_dead) = self.session(request.headers()).await?;
        if let Some(session) = &session {
            line.of(session);
            shared.limits.session.check(session.id())?;
        }
        self.receive(request, Arrival { provenance, path, client, session, shown_dead }).await
    }

    /// Who is asking, and whether they show a cookie that no longer lives.
    async fn session(&self, headers: &HeaderMap) -> Result<(Option<Arc<Session>>, bool), Problem> {
        match self.shared.cookie.read(headers) {
            Shown::Nothing => Ok((None, false)),
            Shown::Unreadable => Ok((None, true)),
            Shown::Several => Err(Problem::several_sessions()),
            Shown::Token(token) => match self.shared.sessions.find(&token).await? {
                Found::Live(session) => Ok((Some(session), false)),
                Found::Expired => Ok((None, true)),
            },
        }
    }
}

/// What the request's line tells of its session.
struct Line {
    etat: &'static str,
    caf: Option<CafCode>,
}

impl Default for Line {
    fn default() -> Self {
        Self { etat: "anonyme", caf: None }
    }
}

impl Line {
    fn of(&mut self, session: &Session) {
        self.etat = session.stage().name();
        self.caf = session.stage().caf();
    }
}

/// A problem is a page to one who names HTML and sends no JSON; whoever takes anything is a program.
fn tongue(headers: &HeaderMap) -> Rendering {
    let names_html = headers
        .get_all(ACCEPT)
        .iter()
        .any(|accept| accept.as_bytes().windows(9).any(|part| part.eq_ignore_ascii_case(b"text/html")));
    if names_html { Rendering::of(headers) } else { Rendering::Json }
}
