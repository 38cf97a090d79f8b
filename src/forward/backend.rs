//! One Caf's backend: which of its instances is asked, on which connection, for how long, and whether another is
//! asked after it.

use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body::Body;
use tokio::time::{Instant, Sleep};

use super::Prepared;
use super::cookies::Tag;
use super::error::Reason;
use super::fleet::{Offer, Team};
use super::pool::{Answer, Instance, Lease, Seat};
use super::sticky::Mark;
use super::upload::{BoxError, Progress, Silence, Upload};
use crate::domain::CafCode;

/// A Caf's backend, as one worker sees it.
pub(super) struct Backend<B> {
    pub(super) caf: CafCode,
    pub(super) tag: Tag,
    pub(super) team: Arc<Team>,
    /// In the order of the team's members.
    instances: Vec<Rc<Instance<B>>>,
}

/// How a request is to be sent.
#[derive(Clone, Copy)]
pub(super) struct Plan {
    /// The instance that its cookie is marked with.
    pub(super) marked: Option<Mark>,
    pub(super) offer: Offer,
    /// When the whole exchange must have ended.
    pub(super) deadline: Instant,
}

/// Why an instance did not answer, with the request if nothing of it was sent.
type Failure<B> = (Option<Prepared<B>>, Reason);

impl<B> Backend<B> {
    pub(super) fn new(team: &Arc<Team>) -> Self {
        let tag = Tag::new(team.caf, team.sticky_cookie.as_deref());
        let instances = team.members.iter().map(|member| Instance::new(team, member)).collect();
        Self { caf: team.caf, tag, team: Arc::clone(team), instances }
    }

    /// What to call the backend towards itself, for a client that named no host.
    pub(super) fn authority(&self) -> Option<&HeaderValue> {
        self.instances.first().map(|instance| &instance.member.authority)
    }
}

impl<B> Backend<B>
where
    B: Body<Data = Bytes> + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    /// Sends a request and waits for the head of its answer.
    ///
    /// What was certainly not sent is sent to another instance, whatever it is. What may have been sent is sent a
    /// second time only if that is the same as once (RFC 9110 section 9.2.2), has no body, and the budget allows it.
    pub(super) async fn exchange(
        &self,
        mut request: Prepared<B>,
        upload: Option<&Progress>,
        plan: Plan,
    ) -> Result<(Response<Answer>, Lease<B>), Reason> {
        self.team.budget.pay();
        let may_repeat = self.instances.len() > 1 && self.team.budget.is_some();
        let mut copy = if may_repeat { copy(&request) } else { None };
        let mut tried = Vec::new();
        let mut last = None;
        loop {
            let (place, seat) = match self.seat(plan.marked, &tried).await {
                Ok(seat) => seat,
                // What failed says more than that nobody is left.
                Err(reason) => return Err(last.unwrap_or(reason)),
            };
            let (unsent, reason) = match self.ask((place, seat), request, upload, plan).await {
                Ok(answered) => return Ok(answered),
                Err(failure) => failure,
            };
            tried.push(place);
            let repeated = || copy.take().filter(|_| reason.may_repeat() && self.team.may_retry(&tried));
            let Some(again) = unsent.or_else(repeated) else { return Err(reason) };
            (request, last) = (again, Some(reason));
        }
    }

    /// A place at an instance: at the one whose turn it is, at another that has room at once, or there in turn. Whom an
    /// operator takes out of service while one waits in its line gives the place to nobody: another is looked for.
    async fn seat(&self, marked: Option<Mark>, tried: &[usize]) -> Result<(usize, Seat<B>), Reason> {
        let instance = |place: usize| self.instances.get(place).ok_or(Reason::NoBackend);
        let mut left = self.team.rule.wait_timeout;
        loop {
            let place = self.team.choose(marked, tried)?;
            if let Some(seat) = instance(place)?.seat_now() {
                return Ok((place, seat));
            }
            for other in self.team.others(place, tried) {
                if let Some(seat) = instance(other)?.seat_now() {
                    return Ok((other, seat));
                }
            }
            let began = Instant::now();
            let seat = instance(place)?.seat(left).await?;
            if self.team.still_takes(&instance(place)?.member, marked) {
                return Ok((place, seat));
            }
            left = left.saturating_sub(began.elapsed());
        }
    }

    /// Asks one instance, on a connection that was used before if there is one, then on a new one: also where the instance
    /// closes the former as it is used, and asking twice is the same as once.
    async fn ask(
        &self,
        (place, seat): (usize, Seat<B>),
        mut request: Prepared<B>,
        upload: Option<&Progress>,
        plan: Plan,
    ) -> Result<(Response<Answer>, Lease<B>), Failure<B>> {
        if !request.method().is_idempotent() && seat.has_idle() {
            // What can't be sent twice had better not meet a connection that the backend has closed: let
            // the runtime first hear of closed ones.
            tokio::task::yield_now().await;
        }
        let seat = match seat.reuse(plan.offer) {
            Err(seat) => seat,
            Ok(mut lease) => {
                let is_stale = lease.may_be_stale() && self.team.budget.is_some();
                let spare = if is_stale { copy(&request) } else { None };
                request = match (self.send(&mut lease, request, upload, plan).await, spare) {
                    (Ok(answer), _) => return Ok((answer, lease)),
                    (Err((Some(unsent), _)), _) => unsent,
                    (Err((None, Reason::Broken(_))), Some(again)) if self.team.may_repeat() => again,
                    (Err(failure), _) => return Err(blame(&lease, failure)),
                };
                lease.into_seat()
            }
        };
        let mut lease = match seat.connect(plan.offer).await {
            Ok(lease) => lease,
            Err(reason) => {
                if let Some(instance) = self.instances.get(place) {
                    self.team.failed(&instance.member, &reason);
                }
                return Err((Some(request), reason));
            }
        };
        match self.send(&mut lease, request, upload, plan).await {
            Ok(answer) => Ok((answer, lease)),
            Err(failure) => Err(blame(&lease, failure)),
        }
    }

    /// The answer; or why there is none, with the request if nothing of it was sent.
    async fn send(
        &self,
        lease: &mut Lease<B>,
        request: Prepared<B>,
        upload: Option<&Progress>,
        plan: Plan,
    ) -> Result<Response<Answer>, Failure<B>> {
        let answer = lease.send(*request);
        let answer = match self.in_time(answer, lease.timer(), upload, plan.deadline).await {
            Ok(answer) => answer,
            Err(reason) => {
                if !upload.is_some_and(Progress::is_clients_turn) {
                    lease.failed(&reason);
                }
                return Err((None, reason));
            }
        };
        match answer {
            Ok(answer) => {
                if says_unwell(answer.status()) {
                    lease.failed(&format_args!("it answers {}", answer.status()));
                }
                Ok(answer)
            }
            Err(unsent) => {
                if let Some(failure) = upload.and_then(Progress::failure) {
                    return Err((unsent.request, failure));
                }
                Err((unsent.request, Reason::Broken(unsent.error)))
            }
        }
    }

    /// Waits for a head until nothing has moved for `backend.first_byte_timeout`.
    async fn in_time<T>(
        &self,
        answer: impl Future<Output = T>,
        mut timer: Pin<&mut Sleep>,
        upload: Option<&Progress>,
        deadline: Instant,
    ) -> Result<T, Reason> {
        let limit = self.team.rule.times.first_byte;
        let mut answer = pin!(answer);
        timer.as_mut().reset((Instant::now() + limit).min(deadline));
        loop {
            tokio::select! {
                biased;
                answer = &mut answer => return Ok(answer),
                () = &mut timer => {}
            }
            if deadline <= Instant::now() {
                return Err(Reason::RequestTimeout);
            }
            let (since, reason) = match upload.map(Progress::silence) {
                None => return Err(Reason::FirstByteTimeout),
                Some(Silence::Since(moved)) => (moved, Reason::FirstByteTimeout),
                Some(Silence::OfClient(moved)) => (moved, Reason::ClientBody),
            };
            if since + limit <= Instant::now() {
                return Err(reason);
            }
            timer.as_mut().reset((since + limit).min(deadline));
        }
    }
}

/// A connection that broke off once something was sent is the instance's failure.
fn blame<B>(lease: &Lease<B>, failure: Failure<B>) -> Failure<B> {
    if let (None, reason @ Reason::Broken(_)) = &failure {
        lease.failed(reason);
    }
    failure
}

/// Whether an instance that answers says itself that it is not well.
pub(super) fn says_unwell(status: StatusCode) -> bool {
    [StatusCode::BAD_GATEWAY, StatusCode::SERVICE_UNAVAILABLE, StatusCode::GATEWAY_TIMEOUT].contains(&status)
}

/// A request to send a second time, if that is the same as once (RFC 9110 section 9.2.2) and there is no body that
/// would be gone.
fn copy<B: Body<Data = Bytes>>(request: &Request<Upload<B>>) -> Option<Prepared<B>> {
    if !request.method().is_idempotent() || request.body().progress().is_some() {
        return None;
    }
    let mut copy = Request::new(request.body().without_body());
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.version_mut() = request.version();
    *copy.headers_mut() = request.headers().clone();
    *copy.extensions_mut() = request.extensions().clone();
    Some(Box::new(copy))
}
