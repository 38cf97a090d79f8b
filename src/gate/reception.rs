//! The reception: where each state leads, in one `match`.

use std::sync::Arc;

use http::header::{HeaderName, USER_AGENT};
use http::{HeaderMap, Method, Request, Response};
use http_body::Body as _;

use super::tunnel::{self, Cause, Life, LiveStream, Over, SOON};
use super::{Arrival, Body, Gate, Problem, Sent, Stage, options, parked};
use crate::domain::{CafCode, NormalPath};
use crate::entry::AdmittedRequest;
use crate::forward::{self, AnswerBody, Fault, Teller};
use crate::portal::{Action, Rendering, Route, Visit, is_navigation};
use crate::session::{Session, Shown, Whence, short_agent};
use crate::telemetry::metrics;

pub(super) const X_CAF_CODE: HeaderName = HeaderName::from_static("x-caf-code");
const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");

impl Gate {
    /// Sends a request where its session's state leads (contract, section 1).
    pub(super) async fn receive(
        &self,
        mut arrival: Box<Arrival>,
        route: Route,
    ) -> Result<Response<Body>, Problem> {
        let stage = arrival.session.as_deref().map(Session::stage);
        if let Some(session) = &arrival.session
            && route.counts_as_action(arrival.request.method())
        {
            self.act(session, arrival.request.headers(), &arrival.path);
        }
        match (stage, route) {
            (_, Route::Nowhere) => Err(Problem::not_found()),
            (stage, Route::Action(action)) if action.open_to(stage) => self.visit(action, arrival).await,
            (Some(Stage::Ready(_)), Route::Outside) if options::ends_here(&mut arrival.request) => {
                Ok(options::answer())
            }
            (Some(Stage::Ready(ready)), Route::Outside) if tunnel::is_handshake(&arrival.request) => {
                Box::pin(self.switch(ready.caf(), arrival)).await
            }
            (Some(Stage::Ready(ready)), Route::Outside) if parked::may_be_word(&arrival.request) => {
                Box::pin(self.send_parked(ready.clone(), arrival)).await
            }
            (Some(Stage::Ready(ready)), Route::Outside) => self.forward(ready.caf(), arrival).await,
            (None, Route::Outside) if parked::is_form(&arrival.request) => {
                Err(Box::pin(self.park(arrival)).await)
            }
            (None, _) => {
                let problem =
                    if arrival.shown_dead { Problem::session_expired() } else { Problem::no_session() };
                self.turn(&arrival.request, None, problem)
            }
            (Some(stage @ Stage::MustChangePassword(_)), _) => {
                self.turn(&arrival.request, Some(stage), Problem::must_change_password())
            }
            (Some(stage @ Stage::MustChooseCaf(_)), _) => {
                self.turn(&arrival.request, Some(stage), Problem::must_choose_caf())
            }
            (Some(stage @ Stage::MustIdentifyEstablishment(_)), _) => {
                self.turn(&arrival.request, Some(stage), Problem::must_identify_establishment())
            }
            (Some(stage @ Stage::Ready(_)), Route::Action(_)) => {
                self.turn(&arrival.request, Some(stage), Problem::not_found())
            }
        }
    }

    /// One of the portal's actions.
    async fn visit(&self, action: Action, arrival: Box<Arrival>) -> Result<Response<Body>, Problem> {
        let Arrival { request, provenance, client, session, shown_dead, clicked_twice, .. } = *arrival;
        if action.tries_a_password(request.method()) {
            self.shared.limits.login.check(&client)?;
        }
        let (place, rendering) = (client.to_string(), Rendering::of(request.method(), request.headers()));
        let address = provenance.client.to_string();
        let parked = self.shared.parking_cookie.read(request.headers());
        let request_id = provenance.request_id.to_str().unwrap_or("-").to_owned();
        let (agent, navigates) = (agent(request.headers()), navigates(request.headers()));
        let visit = Visit {
            session,
            shown_dead,
            navigates,
            clicked_twice,
            parked,
            address,
            place,
            agent,
            request: request_id,
            rendering,
        };
        // Boxed, so that the way of those who are only forwarded has no place for it.
        let response = Box::pin(self.shared.portal.answer(action, &visit, request)).await?;
        Ok(response.map(Body::from))
    }

    /// Finds the session of a form that a person sends a second time, its step having been taken a moment ago under
    /// the token that it shows. Whether there is one.
    pub(super) async fn follow(&self, arrival: &mut Arrival) -> Result<bool, Problem> {
        let headers = arrival.request.headers();
        let route = self.shared.portal.route(&arrival.path);
        if arrival.request.method() != Method::POST
            || !matches!(route, Route::Action(action) if action.is_followed())
            || !navigates(headers)
        {
            return Ok(false);
        }
        let Shown::Token(token) = self.shared.cookie.read(headers) else { return Ok(false) };
        let (place, agent) = (arrival.client.to_string(), agent(headers));
        let address = arrival.provenance.client.to_string();
        let from = Whence { address: &address, place: &place, agent: agent.as_deref() };
        arrival.session = self.shared.sessions.successor(&token.id(), from).await?;
        arrival.shown_dead = arrival.session.is_none();
        Ok(arrival.session.is_some())
    }

    /// To the backend of the session's Caf, and to no other (rule 8).
    pub(super) async fn forward(
        &self,
        caf: CafCode,
        mut arrival: Box<Arrival>,
    ) -> Result<Response<Body>, Problem> {
        let teller = arrival.link.take().map(|link| link as Arc<dyn Teller>);
        let is_call = !arrival.request.body().is_end_stream() && tunnel::is_call(arrival.request.headers());
        let (admitted, cause) = self.permit(caf, arrival)?;
        let forwarding = self.forwarder.forward_telling(admitted, teller);
        let answer =
            if is_call { Box::pin(self.as_long_as(&cause, forwarding)).await? } else { forwarding.await };
        match answer {
            Ok(response) => Ok(self.carry(response, cause)),
            Err(error) => Err(self.blame(caf, &error)),
        }
    }

    /// What a call of gRPC, whose messages may come before any answer, is answered while its session lives.
    async fn as_long_as<T>(&self, cause: &Cause, forwarding: impl Future<Output = T>) -> Result<T, Problem> {
        let life = Life::new(&self.shared, cause.clone());
        tokio::select! {
            biased;
            answer = forwarding => Ok(answer),
            over = life.over() => Err(match (over, self.shared.gatekeeper.admit(&cause.session, &cause.path)) {
                (Over::Volet, Err(closed)) => closed.into(),
                (Over::Store, _) => Problem::unavailable(SOON),
                _ => Problem::session_expired(),
            }),
        }
    }

    /// Gives an answer out; one that goes on for as long as the page is open goes no further than the session.
    pub(super) fn carry(&self, response: Response<AnswerBody<Sent>>, cause: Cause) -> Response<Body> {
        if !response.body().is_stream() || response.body().is_end_stream() {
            return response.map(Body::from);
        }
        let (head, stream) = response.into_parts();
        let stream = LiveStream::new(&head.headers, stream, Life::new(&self.shared, cause));
        Response::from_parts(head, Body::Live(Box::new(stream)))
    }

    /// What a backend's failure is to the client, and its line for the operator.
    pub(super) fn blame(&self, caf: CafCode, error: &forward::Error) -> Problem {
        if error.fault() == Fault::Backend {
            tracing::warn!(%caf, %error, "a backend did not answer");
            metrics::backend_error(caf, error.reason().name());
        } else {
            tracing::debug!(%caf, %error, "a client's request could not be forwarded whole");
        }
        Problem::of_backend(error, &self.shared.config)
    }

    pub(super) fn permit(
        &self,
        caf: CafCode,
        arrival: Box<Arrival>,
    ) -> Result<(AdmittedRequest<Sent>, Cause), Problem> {
        let Some(session) = arrival.session else { return Err(Problem::no_session()) };
        let headers = arrival.request.headers();
        let mut named = headers.get_all(X_CAF_CODE).iter();
        if named.any(|code| code.as_bytes() != caf.as_str().as_bytes()) {
            let problem = Problem::other_caf(self.shared.config.caf(caf));
            return Err(problem.leading_to(self.shared.portal.choice()));
        }
        let permit = self.shared.gatekeeper.admit(&session, &arrival.path)?;
        self.act(&session, headers, &arrival.path);
        let cause = Cause { session, path: arrival.path };
        Ok((permit.escort(arrival.request, arrival.provenance), cause))
    }

    /// Idle time is back to full, unless it is a page that asks by itself (rule 6).
    fn act(&self, session: &Arc<Session>, headers: &HeaderMap, path: &NormalPath) {
        if !is_sub_resource(headers) && !self.is_passive(path) {
            self.shared.sessions.act(session);
        }
    }

    /// Whether pages poll there by themselves.
    pub(super) fn is_passive(&self, path: &NormalPath) -> bool {
        self.shared.config.session.passive_paths.iter().any(|prefix| path.is_under(prefix))
    }

    /// A person is led to the page that their state calls for; a program is told the problem.
    fn turn<B>(
        &self,
        request: &Request<B>,
        stage: Option<&Stage>,
        problem: Problem,
    ) -> Result<Response<Body>, Problem> {
        if !is_navigation(request.method(), request.headers()) {
            return Err(problem.leading_to(self.shared.portal.page_of(stage)));
        }
        Ok(self.shared.portal.lead(stage, request.uri()).map(Body::from))
    }
}

/// Whether a browser says that a person's link or form leads here (Fetch Metadata).
fn navigates(headers: &HeaderMap) -> bool {
    headers.get("sec-fetch-mode").is_some_and(|mode| mode == "navigate")
}

/// What the browser calls itself, in two words.
fn agent(headers: &HeaderMap) -> Option<String> {
    headers.get(USER_AGENT).and_then(|agent| agent.to_str().ok()).and_then(short_agent)
}

/// What a page loads by itself (Fetch Metadata).
fn is_sub_resource(headers: &HeaderMap) -> bool {
    let dest = headers.get(SEC_FETCH_DEST).map(http::HeaderValue::as_bytes);
    matches!(
        dest,
        Some(b"image" | b"style" | b"script" | b"font" | b"audio" | b"video" | b"track" | b"manifest")
    )
}
