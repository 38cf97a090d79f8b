//! An event stream (server-sent events), which ends with its session.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};
use http_body::{Body, Frame, SizeHint};

use super::life::Life;
use crate::forward::{AnswerBody, BoxError};
use crate::gate::Sent;

/// Whether an answer is a stream of events, which a page leaves open for as long as it is.
pub(in crate::gate) fn is_event_stream(headers: &HeaderMap) -> bool {
    const NAME: &[u8] = b"text/event-stream";
    let is_named = |value: &HeaderValue| {
        value.as_bytes().get(..NAME.len()).is_some_and(|start| start.eq_ignore_ascii_case(NAME))
    };
    headers.get(CONTENT_TYPE).is_some_and(is_named)
}

/// A backend's event stream, cut where its session ends: the page asks again, and is told that it must sign in.
pub struct EventStream {
    stream: AnswerBody<Sent>,
    over: Pin<Box<dyn Future<Output = ()>>>,
    is_over: bool,
}

impl EventStream {
    pub(in crate::gate) fn new(stream: AnswerBody<Sent>, life: Life) -> Self {
        let over = Box::pin(async move {
            life.over().await;
        });
        Self { stream, over, is_over: false }
    }
}

impl Body for EventStream {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.is_over = self.is_over || self.over.as_mut().poll(cx).is_ready();
        if self.is_over {
            return Poll::Ready(None);
        }
        Pin::new(&mut self.stream).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.is_over || self.stream.is_end_stream()
    }

    /// None is promised: the stream may be cut.
    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
