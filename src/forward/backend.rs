//! One Caf's backend: which of its instances is asked, on which connection, for how long, and whether another is
//! asked after it.

use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;

use http::{HeaderValue, Response, StatusCode};
use tokio::time::{Instant, Sleep};

use super::cookies::Tag;
use super::error::Reason;
use super::fleet::{Offer, Team};
use super::outgoing::Outgoing;
use super::pool::{Answer, Instance, Lease, Seat, Unanswered};
use super::sticky::Mark;
use super::upload::{Progress, Silence, UploadBody};
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

/// Why an instance did not answer.
struct Failure {
    /// Whether it has nothing of the request, which can be sent elsewhere whatever it is.
    is_unsent: bool,
    reason: Reason,
}

/// What comes of asking one instance.
type Asked<B> = Result<(Response<Answer<B>>, Lease<B>), Failure>;

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

impl<B: UploadBody> Backend<B> {
    /// Sends a request and waits for the head of its answer.
    ///
    /// What was certainly not sent is sent to another instance, whatever it is. What may have been sent is sent a
    /// second time only if that is the same as once (RFC 9110 section 9.2.2), has no body, and the budget allows it.
    pub(super) async fn exchange(
        &self,
        request: &mut Outgoing<B>,
        plan: Plan,
    ) -> Result<(Response<Answer<B>>, Lease<B>), Reason> {
        self.team.budget.pay();
        let may_repeat = self.instances.len() > 1 && self.team.budget.is_some() && request.is_repeatable();
        let mut has_repeated = false;
        let mut tried = Vec::new();
        let mut last = None;
        loop {
            let (place, seat) = match self.seat(plan.marked, &tried).await {
                Ok(seat) => seat,
                // What failed says more than that nobody is left.
                Err(reason) => return Err(last.unwrap_or(reason)),
            };
            let Failure { is_unsent, reason } = match self.ask((place, seat), request, plan).await {
                Ok(answered) => return Ok(answered),
                Err(failure) => failure,
            };
            tried.push(place);
            if !is_unsent {
                let may_again = may_repeat && !has_repeated && reason.may_repeat();
                if !may_again || !self.team.may_retry(&tried) {
                    return Err(reason);
                }
                has_repeated = true;
            }
            last = Some(reason);
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
    async fn ask(&self, (place, seat): (usize, Seat<B>), request: &mut Outgoing<B>, plan: Plan) -> Asked<B> {
        if !request.head.method.is_idempotent() && seat.has_idle() {
            // What can't be sent twice had better not meet a connection that the backend has closed: let
            // the runtime first hear of closed ones.
            tokio::task::yield_now().await;
        }
        let now = Instant::now();
        let seat = match seat.reuse(plan.offer, now) {
            Err(seat) => seat,
            Ok(mut lease) => {
                let may_be_stale =
                    lease.may_be_stale() && self.team.budget.is_some() && request.is_repeatable();
                match self.send(&mut lease, request, plan, now).await {
                    Ok(answer) => return Ok((answer, lease)),
                    Err(Failure { is_unsent: true, .. }) => {}
                    Err(Failure { reason: Reason::Broken(_), .. })
                        if may_be_stale && self.team.may_repeat() => {}
                    Err(failure) => return Err(blame(&lease, failure)),
                }
                lease.into_seat()
            }
        };
        let mut lease = match seat.connect(plan.offer).await {
            Ok(lease) => lease,
            Err(reason) => {
                if let Some(instance) = self.instances.get(place) {
                    self.team.failed(&instance.member, &reason);
                }
                return Err(Failure { is_unsent: true, reason });
            }
        };
        match self.send(&mut lease, request, plan, Instant::now()).await {
            Ok(answer) => Ok((answer, lease)),
            Err(failure) => {
                if failure.is_unsent && lease.is_own() {
                    // It takes connections, and breaks them off before it is asked anything.
                    lease.failed(&failure.reason);
                }
                Err(blame(&lease, failure))
            }
        }
    }

    /// The answer, or why there is none.
    async fn send(
        &self,
        lease: &mut Lease<B>,
        request: &mut Outgoing<B>,
        plan: Plan,
        now: Instant,
    ) -> Result<Response<Answer<B>>, Failure> {
        let progress = request.progress.clone();
        let upload = progress.as_deref();
        let answer = lease.send(request);
        let answer = match self.in_time(answer, lease.timer(), upload, (now, plan.deadline)).await {
            Ok(answer) => answer,
            Err(reason) => {
                if !upload.is_some_and(Progress::is_clients_turn) {
                    lease.failed(&reason);
                }
                return Err(Failure { is_unsent: false, reason });
            }
        };
        match answer {
            Ok(answer) => {
                if says_unwell(answer.status()) {
                    lease.failed(&format_args!("it answers {}", answer.status()));
                }
                Ok(answer)
            }
            Err(Unanswered { is_unsent, error }) => {
                let failure = upload.and_then(Progress::failure);
                Err(Failure { is_unsent, reason: failure.unwrap_or(Reason::Broken(error)) })
            }
        }
    }

    /// Waits for a head until nothing has moved for `backend.first_byte_timeout`.
    async fn in_time<T>(
        &self,
        answer: impl Future<Output = T>,
        mut timer: Pin<&mut Sleep>,
        upload: Option<&Progress>,
        (began, deadline): (Instant, Instant),
    ) -> Result<T, Reason> {
        let limit = self.team.rule.times.first_byte;
        let mut answer = pin!(answer);
        let end = (began + limit).min(deadline);
        // One that ends sooner is put off once it has ended: most answers come long before.
        if !(began..=end).contains(&timer.deadline()) {
            timer.as_mut().reset(end);
        }
        loop {
            tokio::select! {
                biased;
                answer = &mut answer => return Ok(answer),
                () = &mut timer => {}
            }
            let now = Instant::now();
            if deadline <= now {
                return Err(Reason::RequestTimeout);
            }
            let (since, reason) = match upload.map(Progress::silence) {
                None => (began, Reason::FirstByteTimeout),
                // It may have waited for its turn before.
                Some(Silence::Since(moved)) => (moved.max(began), Reason::FirstByteTimeout),
                Some(Silence::OfClient(moved)) => (moved.max(began), Reason::ClientBody),
            };
            if since + limit <= now {
                return Err(reason);
            }
            timer.as_mut().reset((since + limit).min(deadline));
        }
    }
}

/// A connection that broke off once something was sent is the instance's failure.
fn blame<B>(lease: &Lease<B>, failure: Failure) -> Failure {
    if let Failure { is_unsent: false, reason: reason @ Reason::Broken(_) } = &failure {
        lease.failed(reason);
    }
    failure
}

/// Whether an instance that answers says itself that it is not well.
pub(super) fn says_unwell(status: StatusCode) -> bool {
    [StatusCode::BAD_GATEWAY, StatusCode::SERVICE_UNAVAILABLE, StatusCode::GATEWAY_TIMEOUT].contains(&status)
}
