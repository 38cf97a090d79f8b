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
mod call;
mod client;
mod framing;
mod ids;
mod link;
mod options;
mod origin;
mod parked;
mod problem;
mod reception;
mod tunnel;

use std::convert::Infallible;
use std::sync::Arc;

use http::header::{ACCEPT, CONNECTION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Version};

pub use body::{Body, Leftover, Sent, Streamed};
pub use client::Peer;
pub use framing::{FIELDS, HEAD_SIZE, Malformed, TARGET_SIZE};
pub use link::{Link, STAND_IN_METHOD, Switch};
pub use problem::Problem;
pub use tunnel::{LiveStream, Tunnels};

use crate::config::{Config, Rate};
use crate::domain::{CafCode, Clock, NormalPath};
use crate::entry::{Gatekeeper, Provenance};
use crate::forward::{Fleet, Forwarder};
use crate::limits::{ClientKey, RateLimiter};
use crate::parking::{Parking, ParkingCookie};
use crate::portal::{Portal, Rendering, is_script};
use crate::session::{Found, Session, SessionCookie, SessionId, Sessions, Shown, Stage};
use crate::telemetry::metrics::{self, Counts};
use call::Call;
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
    /// The Cafs' backends, as all workers know them.
    pub fleet: Arc<Fleet>,
    /// Rate limits.
    pub limits: Limits,
    /// The session's cookie.
    pub cookie: SessionCookie,
    /// Forms that wait for their session.
    pub parking: Arc<Parking>,
    /// Their cookie.
    pub parking_cookie: ParkingCookie,
    /// What lines are dated by: the system's time, also in a rehearsal.
    pub clock: Clock,
}

/// The rate limits of this process.
#[derive(Debug)]
pub struct Limits {
    client: RateLimiter<ClientKey>,
    session: RateLimiter<SessionId>,
    login: RateLimiter<ClientKey>,
    tunnels: Arc<tunnel::Seats>,
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
            tunnels: Gate::seats(limits),
        }
    }
}

/// A worker's gate, with its own connections to the backends.
pub struct Gate {
    shared: Arc<Shared>,
    forwarder: Forwarder<Sent>,
    tunnels: Tunnels,
    counts: Arc<Counts>,
    ids: Ids,
}

/// A request at the gate, as far as it has come. Boxed: it is handed on at every step, and moving it costs more
/// than its place.
struct Arrival {
    request: Request<Sent>,
    provenance: Provenance,
    path: NormalPath,
    client: ClientKey,
    session: Option<Arc<Session>>,
    shown_dead: bool,
    /// Whether its session is the one that a step before led to, which it asks for again.
    clicked_twice: bool,
    /// Where the client can be told something before the answer, or instead of one.
    link: Option<Arc<Link>>,
}

impl Gate {
    /// A gate for one worker.
    pub fn new(shared: Arc<Shared>) -> Self {
        let forwarder = Forwarder::new(&shared.config, &shared.fleet);
        let counts = metrics::worker(shared.config.cafs.iter().map(|caf| caf.code).collect());
        Self { shared, forwarder, tunnels: Tunnels::new(), counts, ids: Ids::new() }
    }

    /// Answers a request, whatever it is, and logs its line.
    pub async fn pass(
        &self,
        request: Request<Sent>,
        peer: Peer,
        link: &Arc<Link>,
    ) -> Result<Response<Body>, Infallible> {
        let provenance = client::provenance(peer, request.headers(), &self.shared.config.server, &self.ids);
        let (method, uri) = (request.method().clone(), request.uri().clone());
        let stands_in = method.as_str() == STAND_IN_METHOD && link.has_guard();
        let mut call = Call::new(self, provenance.request_id.clone(), method, uri, stands_in);
        let version = request.version();
        let is_unread = link.has_guard() && body::is_long(&request);
        let may_switch = tunnel::asks_to_switch(&request);
        let tongue = Tongue::of(request.headers());
        let answer = match self.arrive(request, provenance, link) {
            Ok(Some(arrival)) => self.admit(arrival, &mut call.line).await,
            Ok(None) => Ok(options::answer()),
            Err(problem) => Err(problem),
        };
        let (mut response, code) = match answer {
            Ok(response) => (response, None),
            Err(problem) => {
                let (code, closes) = (problem.code(), problem.closes());
                let response = problem.respond(tongue.rendering(), call.id(), &self.shared.portal);
                let mut response = response.map(Body::from);
                if (closes || is_unread) && version < Version::HTTP_2 {
                    link.close();
                    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                }
                (response, Some(code))
            }
        };
        if may_switch {
            link.answered(response.status() == StatusCode::SWITCHING_PROTOCOLS);
        }
        if link.has_guard() {
            link.until(response.body().deadline());
            if let Body::Live(stream) = response.body_mut() {
                stream.ends(Arc::clone(link));
            }
        }
        call.answered(response.status().as_u16(), code);
        Ok(response)
    }

    /// The way of a request, in order: what needs to know of no session. `None` where it asks about the server.
    fn arrive(
        &self,
        request: Request<Sent>,
        provenance: Provenance,
        link: &Arc<Link>,
    ) -> Result<Option<Box<Arrival>>, Problem> {
        let shared = &*self.shared;
        if request.method().as_str() == STAND_IN_METHOD && link.has_guard() {
            shared.limits.client.check(&ClientKey::from(provenance.client))?;
            let why = link.refusal();
            tracing::debug!(id = ?provenance.request_id, %why, "refused before it was a request");
            return Err(why.into());
        }
        let path = framing::read(&request)?;
        if origin::is_foreign(&request, shared.config.server.public_url.as_ref(), provenance.https) {
            return Err(Problem::foreign_origin());
        }
        let client = ClientKey::from(provenance.client);
        shared.limits.client.check(&client)?;
        // HTTP/1.0 knows nothing that comes before an answer (RFC 9110 section 15.2).
        let link = (request.version() > Version::HTTP_10).then(|| Arc::clone(link));
        let arrival = |path| Arrival {
            request,
            provenance,
            path,
            client,
            session: None,
            shown_dead: false,
            clicked_twice: false,
            link,
        };
        Ok(path.map(|path| Box::new(arrival(path))))
    }

    /// The rest of its way.
    async fn admit(&self, mut arrival: Box<Arrival>, line: &mut Line) -> Result<Response<Body>, Problem> {
        let route = self.shared.portal.route(&arrival.path);
        // What is the same to all asks for nobody: a store that is out of reach keeps no one from it.
        if !route.is_everybodys() {
            (arrival.session, arrival.shown_dead) = self.session(arrival.request.headers()).await?;
        }
        if arrival.shown_dead {
            arrival.clicked_twice = self.follow(&mut arrival).await?;
        }
        if let Some(session) = &arrival.session {
            line.of(session);
            self.shared.limits.session.check(session.id())?;
        }
        self.receive(arrival, route).await
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

/// How a problem would be told. Most requests end in none: what they say of it is kept, and read only then.
enum Tongue {
    Read(Rendering),
    /// All that the request says of it: one `Accept`.
    Unread(HeaderValue),
}

impl Tongue {
    fn of(headers: &HeaderMap) -> Self {
        let mut accepted = headers.get_all(ACCEPT).iter();
        match (accepted.next(), accepted.next()) {
            (None, _) => Self::Read(Rendering::Json),
            _ if is_script(headers) => Self::Read(Rendering::Json),
            (Some(accept), None) if !headers.contains_key(CONTENT_TYPE) => Self::Unread(accept.clone()),
            _ => Self::Read(read_tongue(headers)),
        }
    }

    fn rendering(self) -> Rendering {
        match self {
            Self::Read(rendering) => rendering,
            Self::Unread(accept) => read_tongue(&HeaderMap::from_iter([(ACCEPT, accept)])),
        }
    }
}

/// A problem is a page to one who names HTML and sends no JSON; whoever takes anything is a program, and a page's script
/// is one too.
fn read_tongue(headers: &HeaderMap) -> Rendering {
    Rendering::named(headers).unwrap_or(Rendering::Json)
}
