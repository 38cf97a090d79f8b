//! A request's body on its way to a backend: counted, watched, and held back while the backend has yet
//! to say whether it wants it.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep};

use super::error::Reason;
use super::headers;

/// What any body's error can be made into.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A request's body, as whoever forwards it wants it.
pub trait UploadBody: Body<Data = Bytes, Error: Into<BoxError>> + Unpin + 'static {}

impl<B: Body<Data = Bytes, Error: Into<BoxError>> + Unpin + 'static> UploadBody for B {}

/// How long the body waits for a `100 Continue` that the client asked for (RFC 9110 section 10.1.1: not
/// for ever, since old servers never send one).
const CONTINUE_WAIT: Duration = Duration::from_secs(1);

pin_project! {
    /// The client's body, as a backend's connection reads it.
    pub struct Upload<B> {
        #[pin]
        body: B,
        left: u64,
        progress: Rc<Progress>,
        gate: Option<Gate>,
    }
}

/// How far an upload is: what the request's task knows of a body that may be sent elsewhere.
#[derive(Debug)]
pub(super) struct Progress {
    stage: Cell<Stage>,
    /// Since when nothing moved.
    since: Cell<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Until the backend wants it.
    Held,
    /// The backend may take more of what the client gave.
    Flowing,
    /// The client is to give more.
    Starved,
    Done,
    Failed,
    TooLarge,
}

/// What is to be done about a silence.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Silence {
    /// Nothing moved since then.
    Since(Instant),
    /// It is the client that gives nothing.
    OfClient(Instant),
}

impl<B: Body> Upload<B> {
    /// Wraps the body of a request, of which at most `limit` bytes may come; `None` where there is none.
    pub(super) fn new(body: B, limit: u64) -> Result<Option<Self>, Reason> {
        if body.size_hint().lower() > limit {
            return Err(Reason::BodyTooLarge);
        }
        let has_one = !body.is_end_stream();
        Ok(has_one.then(|| Self { body, left: limit, progress: Rc::new(Progress::new()), gate: None }))
    }
}

impl<B> Upload<B> {
    /// Holds the body of a request that says `Expect: 100-continue` back, until the backend says so too and what is
    /// returned is opened.
    pub(super) fn hold(&mut self) -> Rc<Opening> {
        self.progress.stage.set(Stage::Held);
        let opening = Rc::new(Opening::default());
        let patience = Box::pin(tokio::time::sleep(CONTINUE_WAIT));
        self.gate = Some(Gate { opening: Rc::clone(&opening), patience });
        opening
    }

    /// How far it is, to be asked while a connection has it.
    pub(super) fn progress(&self) -> Rc<Progress> {
        Rc::clone(&self.progress)
    }
}

impl<B: UploadBody> Body for Upload<B> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.project();
        if let Some(gate) = this.gate {
            ready!(gate.poll_open(cx));
            *this.gate = None;
        }
        let mut body = this.body;
        let (stage, item) = match body.as_mut().poll_frame(cx) {
            Poll::Pending => (Stage::Starved, Poll::Pending),
            Poll::Ready(None) => (Stage::Done, Poll::Ready(None)),
            Poll::Ready(Some(Err(error))) => (Stage::Failed, Poll::Ready(Some(Err(error.into())))),
            Poll::Ready(Some(Ok(frame))) => match pass(frame, this.left) {
                Some(frame) if body.is_end_stream() => (Stage::Done, Poll::Ready(Some(Ok(frame)))),
                Some(frame) => (Stage::Flowing, Poll::Ready(Some(Ok(frame)))),
                None => (Stage::TooLarge, Poll::Ready(Some(Err("the body is too large".into())))),
            },
        };
        this.progress.note(stage);
        item
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The frame that goes on, unless it is more than what may come.
fn pass(mut frame: Frame<Bytes>, left: &mut u64) -> Option<Frame<Bytes>> {
    if let Some(data) = frame.data_ref() {
        *left = left.checked_sub(data.len() as u64)?;
    } else if let Some(trailers) = frame.trailers_mut() {
        headers::strip_trailers(trailers);
    }
    Some(frame)
}

impl Progress {
    fn new() -> Self {
        Self { stage: Cell::new(Stage::Flowing), since: Cell::new(Instant::now()) }
    }

    fn note(&self, stage: Stage) {
        if self.stage.replace(stage) != Stage::Starved || stage != Stage::Starved {
            self.since.set(Instant::now());
        }
    }

    /// Whether more is to be sent.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.stage.get(), Stage::Held | Stage::Flowing | Stage::Starved)
    }

    /// Whether nothing of the body was asked of the client.
    pub(super) fn is_held(&self) -> bool {
        self.stage.get() == Stage::Held
    }

    /// Why the upload ended too early, if it did.
    pub(super) fn failure(&self) -> Option<Reason> {
        match self.stage.get() {
            Stage::Failed => Some(Reason::ClientBody),
            Stage::TooLarge => Some(Reason::BodyTooLarge),
            _ => None,
        }
    }

    /// Whether the client is to say more: what does not go on then is not the instance's doing.
    pub(super) fn is_clients_turn(&self) -> bool {
        self.stage.get() == Stage::Starved
    }

    /// Who is silent, and since when.
    pub(super) fn silence(&self) -> Silence {
        match self.stage.get() {
            Stage::Starved => Silence::OfClient(self.since.get()),
            _ => Silence::Since(self.since.get()),
        }
    }
}

/// What keeps a body back.
struct Gate {
    opening: Rc<Opening>,
    patience: Pin<Box<Sleep>>,
}

/// Opened by whoever hears that the backend wants the body.
#[derive(Default)]
pub(super) struct Opening {
    is_open: Cell<bool>,
    waiting: RefCell<Option<Waker>>,
}

impl Gate {
    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.opening.is_open.get() {
            return Poll::Ready(());
        }
        self.opening.waiting.replace(Some(cx.waker().clone()));
        self.patience.as_mut().poll(cx)
    }
}

impl Opening {
    pub(super) fn open(&self) {
        self.is_open.set(true);
        if let Some(waiting) = self.waiting.take() {
            waiting.wake();
        }
    }
}
