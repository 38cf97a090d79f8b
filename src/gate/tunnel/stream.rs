//! A stream of events (server-sent) or of messages (gRPC), which ends with its session.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::HeaderName;
use http::{HeaderMap, HeaderValue};
use http_body::{Body, Frame, SizeHint};
use tokio::task::JoinHandle;

use super::is_call;
use super::life::Life;
use crate::forward::{AnswerBody, BoxError};
use crate::gate::{Link, Sent};

/// What gRPC calls a call whose caller is not known (any more): `UNAUTHENTICATED`.
const GRPC_UNAUTHENTICATED: HeaderValue = HeaderValue::from_static("16");

/// A backend's stream, cut where its session ends: the page asks again, and is told that it must sign in; gRPC is
/// told at once, where it reads how calls ended.
pub struct LiveStream {
    stream: AnswerBody<Sent>,
    life: Life,
    over: Pin<Box<dyn Future<Output = ()>>>,
    is_over: bool,
    farewell: Option<HeaderMap>,
    /// Cuts the connection where its client takes nothing, and nobody asks for the stream's end.
    cutter: Option<JoinHandle<()>>,
}

/// How long a stream whose session has ended may take to say so.
const LAST_WORDS: Duration = Duration::from_secs(1);

impl LiveStream {
    /// The stream that the head `headers` begins.
    pub(in crate::gate) fn new(headers: &HeaderMap, stream: AnswerBody<Sent>, life: Life) -> Self {
        let status = (HeaderName::from_static("grpc-status"), GRPC_UNAUTHENTICATED);
        let farewell = is_call(headers).then(|| HeaderMap::from_iter([status]));
        let watched = life.clone();
        let over = Box::pin(async move {
            watched.over().await;
        });
        Self { stream, life, over, is_over: false, farewell, cutter: None }
    }
}

impl LiveStream {
    /// When it must have ended, whatever becomes of what its client has not taken.
    pub(in crate::gate) fn end(&self) -> impl Future<Output = ()> + use<> {
        let life = self.life.clone();
        async move {
            life.over().await;
            tokio::time::sleep(LAST_WORDS).await;
        }
    }

    /// The connection of HTTP/1.1 that it is sent on ends with it.
    pub(in crate::gate) fn ends(&mut self, link: Arc<Link>) {
        let end = self.end();
        self.cutter = Some(tokio::task::spawn_local(async move {
            end.await;
            link.cut();
        }));
    }
}

impl Drop for LiveStream {
    fn drop(&mut self) {
        if let Some(cutter) = &self.cutter {
            cutter.abort();
        }
    }
}

impl Body for LiveStream {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.is_over = self.is_over || self.over.as_mut().poll(cx).is_ready();
        if self.is_over {
            return Poll::Ready(self.farewell.take().map(|trailers| Ok(Frame::trailers(trailers))));
        }
        Pin::new(&mut self.stream).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.is_over && self.farewell.is_none() || self.stream.is_end_stream()
    }

    /// None is promised: the stream may be cut.
    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
