//! Forms that come when their session has ended: kept, and sent later in the place of the word that asks for it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, SET_COOKIE, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use http_body_util::{BodyExt as _, Full};

use super::reception::X_CAF_CODE;
use super::{Arrival, Body, Gate, Problem, Sent};
use crate::domain::{StoreError, Token};
use crate::entry::AdmittedRequest;
use crate::forward;
use crate::parking::{self, Form, KEPT_FOR, MOST, Owner, Parked, ParkingError, Taken};
use crate::portal::{PARKED_FIELD, accepts_html, is_script};
use crate::session::{Ready, Shown, Stage};

/// What is read of a form that is too long to be kept, in bytes.
const MOST_READ: usize = 32 << 20;
/// A form has that long to come in: 1 MiB, over a line of 256 kbit/s.
const PATIENCE: Duration = Duration::from_mins(1);
/// One that will not be kept is heard out for less.
const SHORT_PATIENCE: Duration = Duration::from_secs(10);
/// Length of a body that asks for a form to be sent: the field, `=`, and 43 characters.
const WORD_LENGTH: usize = PARKED_FIELD.len() + 1 + 43;

/// Whether a body asks for a form to be sent, whichever it is: nothing that a backend should ever see.
fn is_word(body: &[u8]) -> bool {
    let value = body.strip_prefix(PARKED_FIELD.as_bytes()).and_then(|rest| rest.strip_prefix(b"="));
    body.len() == WORD_LENGTH
        && value
            .is_some_and(|word| word.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(byte)))
}

/// What became of a form that came too late.
enum Late {
    Kept(Token),
    Lost,
    /// It was none, but asked for one that may wait still.
    Word,
}

/// Whether it is a person's form, as a browser sends it: what a program sends, it can send again.
pub(super) fn is_form<B>(request: &Request<B>) -> bool {
    let headers = request.headers();
    let is_told = headers.contains_key("sec-fetch-mode");
    // Nor does a page's form name a Caf.
    let is_page =
        !is_script(headers) && !headers.contains_key(X_CAF_CODE) && (is_told || accepts_html(headers));
    request.method() == Method::POST && is_page && content_type(headers).is_some_and(Form::is_one)
}

fn content_type(headers: &HeaderMap) -> Option<&str> {
    headers.get(CONTENT_TYPE)?.to_str().ok()
}

/// Whether a request may ask for a form to be sent: few do, and those are looked into.
pub(super) fn may_be_word<B>(request: &Request<B>) -> bool {
    let length = || request.headers().get(CONTENT_LENGTH)?.to_str().ok()?.parse::<usize>().ok();
    request.method() == Method::POST && length() == Some(WORD_LENGTH)
}

impl Gate {
    /// Keeps the form of a session that has run out; what its browser is told.
    pub(super) async fn park(&self, arrival: Box<Arrival>) -> Problem {
        let shown_dead = arrival.shown_dead;
        let expired = || if shown_dead { Problem::session_expired() } else { Problem::no_session() };
        let lost = || expired().with_a_lost_form();
        let problem = match self.keep(arrival).await {
            Ok(Late::Kept(token)) => {
                Problem::session_expired_form_kept(KEPT_FOR).setting(self.shared.parking_cookie.set(&token))
            }
            Ok(Late::Word) => expired(),
            Ok(Late::Lost) => lost(),
            Err(error) => {
                tracing::warn!(%error, "a form of an ended session was not kept");
                lost()
            }
        };
        problem.leading_to(self.shared.portal.page_of(None))
    }

    async fn keep(&self, arrival: Box<Arrival>) -> Result<Late, ParkingError> {
        let Arrival { request, client, .. } = *arrival;
        let (head, body) = request.into_parts();
        let (id, former) = match self.shared.cookie.read(&head.headers) {
            Shown::Token(token) => (Some(token.id()), self.shared.sessions.former(&token.id()).await),
            _ => (None, Ok(None)),
        };
        // Held only where it may be kept, and there is room: of anybody else's, nothing is. It is read in any case, even
        // where the store failed: a browser that is still sending shows no answer.
        let may_be_kept = matches!(former, Ok(Some(Stage::Ready(_))));
        let seat = if may_be_kept { self.shared.parking.seat() } else { None };
        let (most, patience) = if seat.is_some() { (MOST, PATIENCE) } else { (WORD_LENGTH, SHORT_PATIENCE) };
        let body = collect(body, most, patience).await;
        if body.as_deref().is_some_and(is_word) {
            return Ok(Late::Word);
        }
        let body = body.filter(|_| seat.is_some());
        let (Some(id), Some(Stage::Ready(stage)), Some(body)) = (id, former?, body) else {
            return Ok(Late::Lost);
        };
        let (Some(kind), Some(target)) = (content_type(&head.headers), head.uri.path_and_query()) else {
            return Ok(Late::Lost);
        };
        let Some(form) = Form::read(kind, body).await else { return Ok(Late::Lost) };
        let parking = &self.shared.parking;
        let shown = self.shared.parking_cookie.read(&head.headers);
        let label = parking.label(Owner::from(&stage), target.to_string(), &form);
        parking.keep(&id, &client.to_string(), shown.as_ref(), label, form).await.map(Late::Kept)
    }

    /// Sends a form that waits, once, as a request like any other; or the request itself, which asked for no such
    /// thing.
    pub(super) async fn send_parked(
        &self,
        stage: Ready,
        mut arrival: Box<Arrival>,
    ) -> Result<Response<Body>, Problem> {
        let body = std::mem::replace(arrival.request.body_mut(), Sent::Kept(Full::default()));
        let Some(body) = collect(body, WORD_LENGTH, SHORT_PATIENCE).await else {
            return Err(Problem::bad_request("Le corps de la demande n’est pas arrivé en entier."));
        };
        if !is_word(&body) {
            *arrival.request.body_mut() = Sent::Kept(Full::new(body));
            return self.forward(stage.caf(), arrival).await;
        }
        let last = self.shared.parking_cookie.read(arrival.request.headers());
        let last = last.ok_or_else(Problem::nothing_parked)?;
        let owner = Owner::from(&stage);
        let waiting = self.shared.parking.look_at(&last, &owner).await?;
        let token = waiting.as_ref().map_or(&last, |(token, _)| token).clone();
        if body != format!("{PARKED_FIELD}={}", parking::word(&token)) {
            return Err(Problem::nothing_parked());
        }
        let target = arrival.request.uri().path_and_query().map_or("", |target| target.as_str());
        let Some((_, parked)) = waiting.filter(|(_, parked)| parked.label.target == target) else {
            return Err(Problem::nothing_parked());
        };
        dress(&mut arrival.request, &parked);
        // Before it is taken: what may not pass now, since its volet is closed, goes on waiting.
        let (admitted, _) =
            self.permit(stage.caf(), arrival).map_err(|problem| self.still_waiting(problem))?;
        match self.deliver(admitted, last, token, owner).await {
            Ok((mut answered, held)) => {
                let cookie = self.shared.parking_cookie;
                let cookie = held.map_or_else(|| cookie.clear(), |held| cookie.set(&held));
                answered.headers_mut().append(SET_COOKIE, cookie);
                Ok(answered)
            }
            Err(Undelivered::Gone) => Err(Problem::nothing_parked()),
            Err(Undelivered::Store(error)) => Err(error.into()),
            Err(Undelivered::Failed(error, None)) => Err(self.blame(stage.caf(), &error)),
            Err(Undelivered::Failed(error, Some(left))) => {
                Err(self.blame(stage.caf(), &error).still_parked(left))
            }
        }
    }

    /// Where a volet has closed, the form's own page says so, and drops it.
    fn still_waiting(&self, problem: Problem) -> Problem {
        if problem.code() == "volet-ferme" {
            problem.leading_to(&self.shared.portal.parked())
        } else {
            problem
        }
    }

    /// Takes a form and sends it, even if the client goes away meanwhile, as the first of two clicks does: from the
    /// moment that it is taken, nobody else has it. What certainly reached nobody is put back. The answer, and the secret
    /// of another form that waits.
    async fn deliver(
        &self,
        admitted: AdmittedRequest<Sent>,
        last: Token,
        token: Token,
        owner: Owner,
    ) -> Result<(Response<Body>, Option<Token>), Undelivered> {
        let (forwarder, parking) = (self.forwarder.clone(), Arc::clone(&self.shared.parking));
        let caf = admitted.caf();
        let sending = tokio::task::spawn_local(async move {
            let out = parking.take(&last, &token, &owner).await?;
            let Taken { parked, held } = out.ok_or(Undelivered::Gone)?;
            match forwarder.forward(admitted).await {
                Ok(answered) => Ok((answered.map(Body::from), held)),
                Err(error) if never_sent(&error) => match parking.put_back(&token, &parked).await {
                    Ok(()) => Err(Undelivered::Failed(error, Some(parking.left(&parked)))),
                    Err(failed) => {
                        tracing::error!(%caf, error = %failed, "a form that reached nobody could not be put back");
                        Err(Undelivered::Failed(error, None))
                    }
                },
                Err(error) => Err(Undelivered::Failed(error, None)),
            }
        });
        let cut_short = || Undelivered::Failed(forward::Error::cut_short(caf), None);
        sending.await.unwrap_or_else(|_| Err(cut_short()))
    }
}

/// Why a form that waited was not sent, or not answered.
enum Undelivered {
    /// Another request took it.
    Gone,
    Store(StoreError),
    /// The backend failed; the time that it still waits, where it was put back.
    Failed(forward::Error, Option<Duration>),
}

impl From<StoreError> for Undelivered {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// The form in the place of the word.
fn dress(request: &mut Request<Sent>, parked: &Parked) {
    let length = HeaderValue::from(parked.body.len());
    let headers = request.headers_mut();
    headers.remove(TRANSFER_ENCODING);
    headers.insert(CONTENT_LENGTH, length);
    if let Ok(kind) = HeaderValue::from_str(&parked.label.content_type) {
        headers.insert(CONTENT_TYPE, kind);
    }
    *request.body_mut() = Sent::Kept(Full::new(parked.body.clone()));
}

/// Whether the backend cannot have seen any of it.
fn never_sent(error: &forward::Error) -> bool {
    error.reason().is_before_sending()
}

/// A body of at most so many bytes, that comes in time and in whole. Of a longer one nothing is kept, but the rest is
/// read up to a limit.
async fn collect(mut body: Sent, most: usize, patience: Duration) -> Option<Bytes> {
    let collecting = async {
        let (mut whole, mut length) = (Vec::new(), 0_usize);
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.ok()?.into_data() else { continue };
            length = length.saturating_add(data.len());
            match length {
                _ if length <= most => whole.extend_from_slice(&data),
                _ if length <= MOST_READ => whole = Vec::new(),
                _ => return None,
            }
        }
        (length <= most).then(|| whole.into())
    };
    tokio::time::timeout(patience, collecting).await.ok()?
}
