//! What is said on one connection: a request, then its answer, then perhaps the next (RFC 9112).
//!
//! It has no task of its own: whoever waits for the answer drives both directions, since an answer may come before
//! the request's body is sent. What is then left of the body is sent by a task, as long as it takes
//! ([`Dialogue::send_on`]): a client may well send all of it before it reads.

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body::{Frame, SizeHint};
use tokio::task::JoinHandle;

use super::chunks::Piece;
use super::inward::Inward;
use super::outward::Outward;
use crate::forward::error::Break;
use crate::forward::outgoing::Outgoing;
use crate::forward::upload::UploadBody;
use crate::forward::wire::Wire;

/// Interim answers in a row before others have their turn.
const TURN: usize = 4;

/// One connection's end at the gateway.
pub(super) struct Dialogue<B> {
    /// `None` once it is closed.
    wire: Option<Wire>,
    outward: Outward<B>,
    inward: Inward,
    /// Whether the instance waits for more of a request than will come.
    is_broken: bool,
    /// Sends what is left of a body whose answer has begun.
    sender: Option<JoinHandle<()>>,
    /// Why that could not be sent, and who is to hear of it.
    failure: Option<Break>,
    reader: Option<Waker>,
}

impl<B> Dialogue<B> {
    pub(super) fn new(wire: Wire) -> Self {
        let (outward, inward) = (Outward::new(), Inward::new());
        let (sender, failure, reader) = (None, None, None);
        Self { wire: Some(wire), outward, inward, is_broken: false, sender, failure, reader }
    }

    /// Begins with a request; the answer before it is over.
    pub(super) fn begin(&mut self, request: &mut Outgoing<B>) {
        (self.sender, self.failure, self.reader) = (None, None, None);
        self.outward.begin(request);
        self.inward.begin(request.is_head(), request.listener.clone());
    }

    /// Gives the request back, if the instance has nothing of it; whether it is so.
    pub(super) fn take_back(&mut self, request: &mut Outgoing<B>) -> bool {
        self.outward.take_back(request)
    }

    /// Whether a request can begin, and the instance has closed nothing as far as the runtime has heard.
    pub(super) fn is_usable(&mut self) -> bool {
        self.is_free() && self.wire.as_mut().is_some_and(Wire::is_quiet)
    }

    /// Whether the last exchange is over on both sides, and another may follow.
    pub(super) fn is_free(&self) -> bool {
        self.inward.is_free() && self.is_sent() && !self.is_lost()
    }

    /// Whether the instance takes no more.
    pub(super) fn is_lost(&self) -> bool {
        self.is_broken || self.wire.as_ref().is_none_or(Wire::is_deaf)
    }

    /// Whether all of the last request is sent.
    pub(super) fn is_sent(&self) -> bool {
        self.outward.is_sent()
    }

    /// Gives back what large messages took, before a time of rest.
    pub(super) fn rest(&mut self) {
        self.outward.rest();
        self.inward.rest();
    }

    /// Whether all of an answer has been taken.
    pub(super) fn is_over(&self) -> bool {
        self.inward.is_over()
    }

    /// How much of an answer's body is to come.
    pub(super) fn size_hint(&self) -> SizeHint {
        self.inward.size_hint()
    }

    /// The wire and what has come on it already, once another protocol follows.
    pub(super) fn switch(&mut self) -> Option<(Wire, Bytes)> {
        let early = self.inward.early();
        self.wire.take().map(|wire| (wire, early))
    }

    /// Closes the connection, whatever is under way on it.
    pub(super) fn close(&mut self) {
        self.wire = None;
        self.outward.close();
        if let Some(sender) = self.sender.take() {
            sender.abort();
        }
    }

    /// The rest of the request could not be sent.
    fn fail(&mut self, failure: Break) {
        self.failure = Some(failure);
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }
}

impl<B: UploadBody> Dialogue<B> {
    /// Goes on with the request's body by itself, if there is some left once its answer has begun.
    pub(super) fn send_on(this: &Rc<RefCell<Self>>) {
        if this.borrow().is_sent() {
            return;
        }
        let own = Rc::clone(this);
        let sender = tokio::task::spawn_local(async move {
            if let Err(failure) = poll_fn(|cx| own.borrow_mut().poll_send(cx)).await {
                own.borrow_mut().fail(failure);
            }
        });
        this.borrow_mut().sender = Some(sender);
    }

    /// The answer's head; what comes before it is told to the listener.
    pub(super) fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Result<Response<()>, Break>> {
        self.send_some(cx)?;
        let mut told = 0;
        loop {
            let Some(head) = self.inward.head()? else {
                if ready!(self.poll_fill(cx))? == 0 {
                    return Poll::Ready(Err(Break::Early));
                }
                continue;
            };
            let status = head.answer.status();
            if status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS {
                self.inward.tell(&head);
                // It may have been what the body waited for.
                self.send_some(cx)?;
                told += 1;
                if told == TURN {
                    // There may be no end to them: the runtime looks for what has come to others.
                    let _ = pin!(tokio::task::yield_now()).poll(cx);
                    return Poll::Pending;
                }
                continue;
            }
            self.inward.begin_body(&head)?;
            return Poll::Ready(Ok(head.answer));
        }
    }

    /// What comes next of the answer's body.
    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Break>>> {
        if let Some(failure) = self.failure.take() {
            return Poll::Ready(Some(Err(failure)));
        }
        if self.sender.is_some() {
            self.reader = Some(cx.waker().clone());
        }
        match ready!(self.poll_piece(cx)) {
            Ok(frame) => Poll::Ready(frame.map(Ok)),
            Err(failure) => {
                // What came before may have been given out just now: whoever writes it writes it before they hear of this.
                self.failure = Some(failure);
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Frame<Bytes>>, Break>> {
        loop {
            match self.inward.piece()? {
                Piece::Frame(frame) => return Poll::Ready(Ok(Some(frame))),
                Piece::End => return Poll::Ready(Ok(None)),
                Piece::Wait => {}
            }
            if ready!(self.poll_fill(cx))? == 0 {
                let is_whole = self.inward.is_whole_at_the_end();
                return Poll::Ready(if is_whole { Ok(None) } else { Err(Break::Early) });
            }
        }
    }

    /// Ready once all of the request is sent, or cannot be.
    pub(super) fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.sender {
            Some(sender) => {
                ready!(Pin::new(sender).poll(cx)).unwrap_or_default();
                self.sender = None;
                Poll::Ready(())
            }
            None => self.poll_send(cx).map(drop),
        }
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Break>> {
        let wire = self.wire.as_mut().ok_or(Break::Early)?;
        let sent = self.outward.poll_sent(wire, cx);
        self.is_broken |= matches!(sent, Poll::Ready(Err(_)));
        sent
    }

    /// Sends what can be sent now.
    fn send_some(&mut self, cx: &mut Context<'_>) -> Result<(), Break> {
        if self.is_sent() {
            return Ok(());
        }
        match self.poll_send(cx) {
            Poll::Ready(sent) => sent,
            Poll::Pending => Ok(()),
        }
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, Break>> {
        let wire = self.wire.as_mut().ok_or(Break::Early)?;
        self.inward.poll_fill(wire, cx)
    }
}
