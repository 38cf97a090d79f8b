//! The body of a response: the gateway's own bytes, or a backend's as they come.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::future::Either;
use http::Request;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::time::{Instant, sleep_until};

use super::Link;
use super::tunnel::LiveStream;
use crate::forward::{AnswerBody, BoxError, Interim, Teller as _, expects_continue};
use crate::http2::Received;

/// A request's body on its way to a backend: the client's as it comes, or a form that was kept.
pub enum Sent {
    /// What the client sends over HTTP/1.1.
    Http1(Incoming),
    /// What the client sends over HTTP/2.
    Http2(Box<Streamed>),
    /// What is there already.
    Kept(Full<Bytes>),
}

/// A body on a stream of HTTP/2, whose client may wait to be told that it is wanted (RFC 9110 section 10.1.1). Over
/// HTTP/1.1 hyper tells it.
pub struct Streamed {
    /// Until it is dropped.
    body: Option<Received>,
    waiting: Option<Arc<Link>>,
    leftover: Leftover,
}

/// What nobody read of a body, once nobody will.
pub type Leftover = Rc<Cell<Option<Received>>>;

impl Streamed {
    /// The body, who is told that it is wanted if the client waits for that, and where it goes unread.
    pub fn new(body: Received, waiting: Option<Arc<Link>>, leftover: Leftover) -> Self {
        Self { body: Some(body), waiting, leftover }
    }
}

impl Drop for Streamed {
    fn drop(&mut self) {
        self.leftover.set(self.body.take());
    }
}

/// What is read of a request's body though nobody wants it: it has come with the head, most likely.
const SHORT: u64 = 8 * 1024;

/// Whether a request's body is more than what is read though nobody wants it, or may never come.
pub(super) fn is_long(request: &Request<Sent>) -> bool {
    let body = request.body();
    let is_longer = |size| size > SHORT;
    !body.is_end_stream()
        && (body.size_hint().upper().is_none_or(is_longer) || expects_continue(request.headers()))
}

impl http_body::Body for Sent {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.get_mut() {
            Self::Http1(body) => Pin::new(body).poll_frame(context).map_err(Into::into),
            Self::Http2(streamed) => {
                if let Some(client) = streamed.waiting.take() {
                    client.tell(Interim::go_on());
                }
                let Some(body) = &mut streamed.body else { return Poll::Ready(None) };
                Pin::new(body).poll_frame(context).map_err(Into::into)
            }
            Self::Kept(bytes) => Pin::new(bytes).poll_frame(context).map_err(|never| match never {}),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Http1(body) => body.is_end_stream(),
            Self::Http2(streamed) => streamed.body.as_ref().is_none_or(http_body::Body::is_end_stream),
            Self::Kept(bytes) => bytes.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Http1(body) => body.size_hint(),
            Self::Http2(streamed) => {
                streamed.body.as_ref().map_or_else(SizeHint::default, http_body::Body::size_hint)
            }
            Self::Kept(bytes) => bytes.size_hint(),
        }
    }
}

/// A response's body.
pub enum Body {
    /// A page, a state or a problem.
    Own(Full<Bytes>),
    /// What a backend sends.
    Backend(AnswerBody<Sent>),
    /// What a backend sends for as long as the session lives.
    Live(Box<LiveStream>),
}

impl Body {
    /// Ends when it must have ended, whatever becomes of what its client has not taken; most need not end.
    pub fn end(&self) -> impl Future<Output = ()> + use<> {
        if let Self::Live(stream) = self {
            return Either::Left(stream.end());
        }
        let deadline = self.deadline();
        Either::Right(async move {
            match deadline {
                Some(deadline) => sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        })
    }

    /// When it must have ended, where that is known from the beginning.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Backend(stream) => stream.deadline(),
            Self::Own(_) | Self::Live(_) => None,
        }
    }
}

impl From<Full<Bytes>> for Body {
    fn from(bytes: Full<Bytes>) -> Self {
        Self::Own(bytes)
    }
}

impl From<AnswerBody<Sent>> for Body {
    fn from(stream: AnswerBody<Sent>) -> Self {
        Self::Backend(stream)
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.get_mut() {
            Self::Own(bytes) => Pin::new(bytes).poll_frame(context).map_err(|never| match never {}),
            Self::Backend(stream) => Pin::new(stream).poll_frame(context),
            Self::Live(stream) => Pin::new(stream).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Own(bytes) => bytes.is_end_stream(),
            Self::Backend(stream) => stream.is_end_stream(),
            Self::Live(stream) => stream.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Own(bytes) => bytes.size_hint(),
            Self::Backend(stream) => stream.size_hint(),
            Self::Live(stream) => stream.size_hint(),
        }
    }
}
