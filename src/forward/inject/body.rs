//! An answer's body: as the backend sends it, or a page that the warning's script is written into.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use lol_html::AsciiCompatibleEncoding;
use tokio::time::Instant;

use super::coding::{Coder, Coding};
use super::scribe::Scribe;
use crate::forward::body::BackendBody;
use crate::forward::upload::{BoxError, UploadBody};

/// The body of an answer on its way to the client.
pub enum AnswerBody<B: 'static> {
    /// As the backend sends it.
    AsIs(BackendBody<B>),
    /// HTML with the warning's script.
    Page(Box<Page<B>>),
}

/// HTML that is written into as it comes.
pub struct Page<B: 'static> {
    inner: BackendBody<B>,
    scribe: Scribe,
    coder: Coder,
    /// What the scribe settled; empty between polls.
    plain: Vec<u8>,
    /// Whether the coder was given something since its last flush.
    is_unflushed: bool,
    /// None while the page goes on.
    end: Option<End>,
}

impl<B: UploadBody> AnswerBody<B> {
    /// Whether it goes on for as long as both ends want: events, or messages of gRPC.
    pub fn is_stream(&self) -> bool {
        matches!(self, Self::AsIs(body) if body.is_stream())
    }

    /// When it must have ended, even where its client takes nothing of it.
    pub fn deadline(&self) -> Option<Instant> {
        match self {
            Self::AsIs(body) => body.deadline(),
            Self::Page(page) => page.inner.deadline(),
        }
    }
}

enum End {
    Trailers(HeaderMap),
    Over,
}

/// What is sent at once where more is ready.
const PIECE: usize = 32 << 10;

impl<B: UploadBody> Page<B> {
    pub(super) fn new(
        inner: BackendBody<B>,
        encoding: AsciiCompatibleEncoding,
        tag: String,
        coding: Option<Coding>,
    ) -> Self {
        let (scribe, coder) = (Scribe::new(encoding, tag), Coder::new(coding));
        Self { inner, scribe, coder, plain: Vec::new(), is_unflushed: false, end: None }
    }

    /// What can be sent now that `data` came.
    fn pass(&mut self, data: Bytes) -> Result<Option<Bytes>, BoxError> {
        if self.scribe.is_done() && self.coder.is_identity() && self.coder.ready() == 0 {
            return Ok(Some(data));
        }
        if self.scribe.is_done() {
            self.coder.write(&data)?;
        } else {
            self.scribe.write(&data, &mut self.plain);
            self.coder.write(&self.plain)?;
            self.plain.clear();
        }
        self.is_unflushed = true;
        Ok((self.coder.ready() >= PIECE).then(|| self.coder.take()))
    }

    fn finish(&mut self, trailers: Option<HeaderMap>) -> Result<Option<Bytes>, BoxError> {
        self.end = Some(trailers.map_or(End::Over, End::Trailers));
        self.scribe.end(&mut self.plain);
        self.coder.write(&self.plain)?;
        let last = self.coder.finish()?;
        Ok((!last.is_empty()).then_some(last))
    }

    /// What waits in the coder, now that nothing more is at hand.
    fn flush(&mut self) -> Result<Option<Bytes>, BoxError> {
        if !std::mem::take(&mut self.is_unflushed) {
            return Ok(None);
        }
        self.coder.flush()?;
        let ready = self.coder.take();
        Ok((!ready.is_empty()).then_some(ready))
    }

    fn poll_page(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        loop {
            match self.end.take() {
                None => {}
                Some(End::Trailers(trailers)) => {
                    self.end = Some(End::Over);
                    return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
                }
                Some(End::Over) => {
                    self.end = Some(End::Over);
                    return Poll::Ready(None);
                }
            }
            let (step, pending) = match Pin::new(&mut self.inner).poll_frame(cx) {
                Poll::Pending => (self.flush(), true),
                Poll::Ready(None) => (self.finish(None), false),
                Poll::Ready(Some(Err(error))) => (Err(error), false),
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => (self.pass(data), false),
                    Err(frame) => (self.finish(frame.into_trailers().ok()), false),
                },
            };
            match step {
                Ok(Some(bytes)) => return Poll::Ready(Some(Ok(Frame::data(bytes)))),
                Ok(None) if pending => return Poll::Pending,
                Ok(None) => {}
                Err(error) => {
                    // Not finished: the client must see that the page broke off.
                    self.end = Some(End::Over);
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
    }
}

impl<B: UploadBody> Body for AnswerBody<B> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.get_mut() {
            Self::AsIs(body) => Pin::new(body).poll_frame(cx),
            Self::Page(page) => page.poll_page(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::AsIs(body) => body.is_end_stream(),
            Self::Page(page) => matches!(page.end, Some(End::Over)),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::AsIs(body) => body.size_hint(),
            Self::Page(_) => SizeHint::default(),
        }
    }
}
