//! An answer's body on its way to a client, as it comes; with its last byte the connection is free.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

use super::answer;
use super::error::{Break, Error, Reason, told};
use super::pool::{Answer, Lease};
use super::upload::{BoxError, Progress, Silence, UploadBody};
use crate::domain::CafCode;
use crate::telemetry::metrics;

/// A client that asks for no more for so long has kept the instance waiting.
const STALL: Duration = Duration::from_secs(1);
/// An answer of so many bytes fits between an instance and its gateway: no client can keep the instance waiting.
const SMALL: u64 = 16 * 1024;

/// The body of a backend's answer. Dropped before its end, it closes the backend's connection.
pub struct BackendBody<B: 'static> {
    body: Answer<B>,
    /// Until the body ends.
    hold: Option<Hold<B>>,
    caf: CafCode,
    idle_timeout: Duration,
    /// When it must have ended, unless it is a stream of events.
    deadline: Option<Instant>,
    /// Only ever made for a body that keeps one waiting.
    timer: Option<Pin<Box<Sleep>>>,
    is_waiting: bool,
    /// Since when the client could have asked for more, while it did not.
    given: Option<Instant>,
    /// Whether the client has kept the instance waiting at some time.
    has_stalled: bool,
}

/// What an answer under way keeps.
pub(super) struct Hold<B: 'static> {
    pub(super) lease: Lease<B>,
    pub(super) upload: Option<Rc<Progress>>,
    /// Whether the instance is well once it has said all of it.
    pub(super) is_well: bool,
}

impl<B: UploadBody> BackendBody<B> {
    pub(super) fn new(
        body: Answer<B>,
        hold: Hold<B>,
        caf: CafCode,
        idle_timeout: Duration,
        deadline: Option<Instant>,
    ) -> Self {
        let is_small = body.size_hint().upper().is_some_and(|size| size <= SMALL);
        let given = (!is_small).then(Instant::now);
        let (timer, is_waiting, has_stalled) = (None, false, false);
        let hold = Some(hold);
        let mut this =
            Self { body, hold, caf, idle_timeout, deadline, timer, is_waiting, given, has_stalled };
        this.settle();
        this
    }

    /// Notes that the client asks for more.
    fn asked(&mut self, now: Instant) {
        self.has_stalled |= self.given.take().is_some_and(|given| given + STALL <= now);
    }

    /// Whether it goes on for as long as both ends want.
    pub fn is_stream(&self) -> bool {
        self.deadline.is_none()
    }

    /// When it must have ended, even where its client takes nothing of it; none for a stream of events, or where all
    /// of it is there.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline.filter(|_| self.hold.is_some())
    }

    /// Frees the connection if the body has ended.
    fn settle(&mut self) {
        if self.body.is_over() {
            self.end();
        }
    }

    fn end(&mut self) {
        if let Some(hold) = self.hold.take() {
            // Another answer may follow on the connection, which is none of this one's.
            self.body = Answer::Over;
            hold.release();
        }
    }

    fn note(&mut self, frame: Option<Result<Frame<Bytes>, Break>>) -> Option<Result<Frame<Bytes>, BoxError>> {
        self.is_waiting = false;
        match frame {
            Some(Ok(mut frame)) => {
                if let Some(trailers) = frame.trailers_mut() {
                    answer::strip_trailers(trailers);
                }
                self.settle();
                if self.hold.is_some() {
                    let now = Instant::now();
                    self.asked(now);
                    self.given = Some(now);
                }
                Some(Ok(frame))
            }
            Some(Err(error)) => {
                self.asked(Instant::now());
                if self.has_stalled {
                    tracing::debug!(caf = %self.caf, %error, "a backend did not wait for a client that stopped reading");
                    self.hold = None;
                }
                self.fail("broken-answer", &format_args!("its answer broke off: {}", told(&error)));
                Some(Err(error.into()))
            }
            None => {
                self.end();
                None
            }
        }
    }

    /// The client has a part of the answer, and can only be told by the connection's end: this line is all that tells
    /// of it. Whoever breaks off their own upload is no failure of the instance's, and one that has said that it is
    /// unwell has been counted.
    fn fail(&mut self, name: &'static str, what: &dyn std::fmt::Display) {
        let Some(hold) = self.hold.take() else { return };
        if hold.upload.as_ref().is_some_and(|upload| upload.failure().is_some()) {
            return;
        }
        if hold.is_well {
            hold.lease.failed(what);
        }
        tracing::warn!(caf = %self.caf, %what, "a backend did not end its answer");
        metrics::backend_error(self.caf, name);
    }

    /// Ready once the backend or the client has been silent for too long, or the whole has taken too long; which it
    /// is.
    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<Reason> {
        let (limit, deadline) = (self.idle_timeout, self.deadline);
        let by = |end: Instant| deadline.map_or(end, |deadline| end.min(deadline));
        if !std::mem::replace(&mut self.is_waiting, true) {
            let now = Instant::now();
            self.asked(now);
            let end = by(now + limit);
            self.timer.get_or_insert_with(|| Box::pin(sleep_until(end))).as_mut().reset(end);
        }
        let Some(timer) = &mut self.timer else { return Poll::Pending };
        loop {
            ready!(timer.as_mut().poll(cx));
            if self.deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                return Poll::Ready(Reason::RequestTimeout);
            }
            // A backend that reads an upload is not silent.
            let upload = self.hold.as_ref().and_then(|hold| hold.upload.as_ref());
            let Some(upload) = upload.filter(|upload| upload.is_open()) else {
                return Poll::Ready(Reason::IdleTimeout);
            };
            let (moved, reason) = match upload.silence() {
                Silence::Since(moved) => (moved, Reason::IdleTimeout),
                Silence::OfClient(moved) => (moved, Reason::ClientBody),
            };
            if moved + limit <= Instant::now() {
                return Poll::Ready(reason);
            }
            timer.as_mut().reset(by(moved + limit));
        }
    }
}

impl<B: UploadBody> Hold<B> {
    fn release(self) {
        if self.is_well {
            self.lease.member().health.succeeded();
        }
        match &self.upload {
            Some(upload) if upload.is_held() => {}
            Some(upload) if upload.is_open() => self.lease.give_back_later(),
            _ => self.lease.give_back(),
        }
    }
}

impl<B: UploadBody> Body for BackendBody<B> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Poll::Ready(frame) = self.body.poll_frame(cx) {
            return Poll::Ready(self.note(frame));
        }
        if self.hold.is_none() {
            return Poll::Pending;
        }
        let reason = ready!(self.poll_silence(cx));
        let upload = self.hold.as_ref().and_then(|hold| hold.upload.as_ref());
        match reason {
            Reason::ClientBody => self.hold = None,
            Reason::RequestTimeout
                if self.has_stalled || upload.is_some_and(|upload| upload.is_clients_turn()) =>
            {
                self.hold = None;
            }
            _ => self.fail(reason.name(), &reason),
        }
        Poll::Ready(Some(Err(Error::new(self.caf, reason).into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_over()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
