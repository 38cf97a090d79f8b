//! The connections to one instance, as one worker has them.
//!
//! A [`Seat`] is a request's place at the instance, counted by all workers together; a [`Lease`] is a seat with what
//! the request is sent on: a connection of its own (`http1`), or a stream of a shared one (`http2`).

mod http1;
mod http2;

use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::Either;
use http::Response;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep, timeout};

use self::http1::{Connection, Hearing};
use self::http2::Stream;
use super::error::{Break, Reason};
use super::fleet::{Member, Offer, Team, Version};
use super::outgoing::Outgoing;
use super::upload::UploadBody;
use super::wire::Wire;
use crate::http2::Received;

/// How long an upload may still take once the answer to it has ended.
const LINGER: Duration = Duration::from_secs(5);

/// One instance, and its connections.
pub(super) struct Instance<B> {
    team: Arc<Team>,
    pub(super) member: Arc<Member>,
    own: http1::Idle<B>,
    shared: http2::Shared,
}

/// A request's place at an instance, from before it has a connection.
pub(super) struct Seat<B>(Rc<Instance<B>>);

/// A request's place, with what it is sent on: given back, or dropped and thereby closed.
pub(super) struct Lease<B> {
    seat: Seat<B>,
    link: Link<B>,
}

enum Link<B> {
    Own(Connection<B>),
    Shared(Stream),
}

/// An answer's head, or why there is none.
type Sent<B> = Result<Response<Answer<B>>, Unanswered>;

/// An answer's body, as it comes.
pub(super) enum Answer<B> {
    Http1(Hearing<B>),
    Http2(Box<Received>),
    /// All of it was taken.
    Over,
}

/// Why a request was not answered.
pub(super) struct Unanswered {
    /// Whether the instance has nothing of it, and its body is as it was.
    pub(super) is_unsent: bool,
    pub(super) error: Break,
}

impl<B> Instance<B> {
    pub(super) fn new(team: &Arc<Team>, member: &Arc<Member>) -> Rc<Self> {
        Rc::new(Self {
            team: Arc::clone(team),
            member: Arc::clone(member),
            own: http1::Idle::default(),
            shared: http2::Shared::default(),
        })
    }

    /// A place for a request, if there is one.
    pub(super) fn seat_now(self: &Rc<Self>) -> Option<Seat<B>> {
        self.member.room.enter().then(|| Seat(Rc::clone(self)))
    }

    /// A place for a request, in turn, within `limit`.
    pub(super) async fn seat(self: &Rc<Self>, limit: Duration) -> Result<Seat<B>, Reason> {
        self.member.room.wait(limit).await?;
        Ok(Seat(Rc::clone(self)))
    }
}

impl<B> Drop for Seat<B> {
    fn drop(&mut self) {
        self.0.member.room.leave();
    }
}

impl<B> Seat<B> {
    /// Whether an unused connection is at hand.
    pub(super) fn has_idle(&self) -> bool {
        self.0.own.is_any()
    }

    /// A connection that was used before, if one can be used again.
    pub(super) fn reuse(self, offer: Offer, now: Instant) -> Result<Lease<B>, Self> {
        let link = match self.0.shared.stream().filter(|_| offer == Offer::All) {
            Some(stream) => Some(Link::Shared(stream)),
            None => self.0.own.take(self.0.team.rule.keep_alive, now).map(Link::Own),
        };
        match link {
            Some(link) => Ok(Lease { seat: self, link }),
            None => Err(self),
        }
    }
}

impl<B: UploadBody> Seat<B> {
    /// A new connection.
    pub(super) async fn connect(self, offer: Offer) -> Result<Lease<B>, Reason> {
        let instance = Rc::clone(&self.0);
        let is_shared = instance.member.prefers_http2.load(Ordering::Relaxed) && offer == Offer::All;
        let limit = instance.team.rule.times.connect;
        // Where a connection is shared, one is opened at a time: those that come meanwhile share it, and wait no longer
        // than if they had opened one themselves.
        let turn = async { if is_shared { Some(instance.shared.turn().await) } else { None } };
        let _turn = timeout(limit, turn).await.map_err(|_| Reason::ConnectTimeout)?;
        if let Some(stream) = instance.shared.stream().filter(|_| is_shared) {
            return Ok(Lease { seat: self, link: Link::Shared(stream) });
        }
        let (socket, version) = instance.team.dial(&instance.member, offer).await?;
        if offer == Offer::All {
            instance.member.prefers_http2.store(version == Version::Http2, Ordering::Relaxed);
        }
        let link = match version {
            Version::Http1 => Link::Own(Connection::new(socket)),
            Version::Http2 => {
                let handshake = timeout(limit, instance.shared.open(socket, &instance.team.rule));
                let stream = handshake.await.map_err(|_| Reason::ConnectTimeout)??;
                http2::sweep(&instance);
                Link::Shared(stream)
            }
        };
        Ok(Lease { seat: self, link })
    }
}

impl<B: UploadBody> Lease<B> {
    /// Sends a request; the answer's head is waited for.
    pub(super) fn send<'a>(
        &self,
        request: &'a mut Outgoing<B>,
    ) -> impl Future<Output = Sent<B>> + use<'a, B> {
        match &self.link {
            Link::Own(connection) => Either::Left(connection.send(request)),
            Link::Shared(stream) => Either::Right(stream.send(request)),
        }
    }
}

impl<B> Answer<B> {
    /// Whether all of it was taken.
    pub(super) fn is_over(&self) -> bool {
        match self {
            Self::Http1(body) => body.is_over(),
            Self::Http2(body) => body.is_end_stream(),
            Self::Over => true,
        }
    }

    /// How much of it is to come.
    pub(super) fn size_hint(&self) -> SizeHint {
        match self {
            Self::Http1(body) => body.size_hint(),
            Self::Http2(body) => body.size_hint(),
            Self::Over => SizeHint::with_exact(0),
        }
    }
}

impl<B: UploadBody> Answer<B> {
    /// What comes next of it.
    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Break>>> {
        match self {
            Self::Http1(body) => body.poll_frame(cx),
            Self::Http2(body) => Pin::new(body).poll_frame(cx).map_err(Break::from),
            Self::Over => Poll::Ready(None),
        }
    }
}

impl<B> Lease<B> {
    /// The instance that is asked.
    pub(super) fn member(&self) -> &Arc<Member> {
        &self.seat.0.member
    }

    /// Whether the instance may be closing the connection at this very moment, having waited long enough.
    pub(super) fn may_be_stale(&self) -> bool {
        matches!(&self.link, Link::Own(connection) if connection.is_rested())
    }

    /// Notes that the instance failed this request.
    pub(super) fn failed(&self, what: &dyn std::fmt::Display) {
        self.seat.0.team.failed(self.member(), what);
    }

    /// Whether no other request is sent on the same connection.
    pub(super) fn is_own(&self) -> bool {
        matches!(self.link, Link::Own(_))
    }

    /// The bytes of another protocol, once the answer says that it follows, and those that have come already.
    pub(super) fn switch(&self) -> Option<(Wire, Bytes)> {
        match &self.link {
            Link::Own(connection) => connection.switch(),
            Link::Shared(_) => None,
        }
    }

    /// The request's place, without what it was sent on.
    pub(super) fn into_seat(self) -> Seat<B> {
        self.seat
    }

    /// For whoever waits: putting a timer off costs less than making one.
    pub(super) fn timer(&mut self) -> Pin<&mut Sleep> {
        match &mut self.link {
            Link::Own(connection) => connection.timer.as_mut(),
            Link::Shared(stream) => stream.timer.as_mut(),
        }
    }
}

impl<B: UploadBody> Lease<B> {
    /// Gives the connection back for the next request.
    pub(super) fn give_back(self) {
        let is_sent = match &self.link {
            Link::Own(connection) => connection.is_sent(),
            Link::Shared(stream) => !stream.is_uploading(),
        };
        match self {
            late if !is_sent => late.give_back_later(),
            Self { seat, link: Link::Own(connection) } => http1::keep(&seat.0, connection),
            Self { link: Link::Shared(_), .. } => {}
        }
    }

    /// Gives the connection back once the request's upload ends too, if that is soon.
    pub(super) fn give_back_later(self) {
        let Self { seat, link } = self;
        if matches!(&link, Link::Own(connection) if connection.is_lost()) {
            return;
        }
        tokio::task::spawn_local(async move {
            match link {
                Link::Own(connection) => {
                    if timeout(LINGER, connection.sent()).await.is_ok() {
                        http1::keep(&seat.0, connection);
                    }
                }
                // The seat is taken for as long: the instance still reads.
                Link::Shared(stream) => drop(timeout(LINGER, stream.uploaded()).await),
            }
        });
    }
}

/// When something unused since `since` is too old.
fn end_of(since: Instant, keep_alive: Duration) -> Instant {
    since + keep_alive
}
