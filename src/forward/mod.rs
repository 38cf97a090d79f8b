//! The forwarder: an admitted request goes to the backend of its permit's Caf, and the answer comes back.
//!
//! One [`Forwarder`] a worker, and nothing shared: its pools are plain cells. It spawns local tasks, so
//! it must be used inside a `tokio::runtime::LocalRuntime` (or a `LocalSet`, which costs more).
//!
//! A request's way: `headers` edits the head in place, `word` is what the gateway adds, `upload` counts and watches the body, both are `outgoing`;
//! `backend` asks one instance, or a second one, `pool` lends a connection, `answer` judges the head that comes
//! back, `body` carries the answer's body and gives the connection back, `inject` writes the session's warning
//! into pages; `switch` opens WebSockets. The backend is looked up by the permit alone.
//!
//! What all workers must agree on is in [`Fleet`]: which instances are well, how busy they are, which of them
//! takes the next request, and how they are spoken to.

mod answer;
mod backend;
mod body;
mod cookies;
mod error;
mod fleet;
mod headers;
mod inject;
mod interim;
mod names;
mod outgoing;
mod pool;
mod sticky;
mod switch;
mod upload;
mod wire;
mod word;

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Response, StatusCode};
use tokio::time::Instant;

use self::backend::{Backend, Plan};
use self::body::Hold;
use self::fleet::Offer;
use self::inject::Injector;
use self::outgoing::Outgoing;
use self::pool::{Answer, Lease};
use self::upload::Progress;
use crate::config::Config;
use crate::domain::CafCode;
use crate::entry::AdmittedRequest;

pub use self::body::BackendBody;
pub use self::error::{Error, Fault, Reason};
pub use self::fleet::{CafView, Fleet, InstanceState, InstanceView, LastError, OrderError, TlsError};
pub use self::inject::AnswerBody;
pub use self::interim::{Interim, Teller, expects_continue};
pub use self::switch::{BackendEnd, Handshake};
pub use self::upload::{BoxError, UploadBody};

/// Forwards admitted requests whose bodies are `B`. Clones share their connections.
pub struct Forwarder<B>(Rc<Inner<B>>);

/// Whom a request is sent to, the request, and how it is sent.
type Prepared<'a, B> = (&'a Backend<B>, Box<Outgoing<B>>, Plan);

struct Inner<B> {
    /// Sorted by code.
    backends: Vec<Backend<B>>,
    max_body: u64,
    injector: Injector,
    /// Never held across an await.
    desk: RefCell<word::Desk>,
}

impl<B> Forwarder<B> {
    /// A worker's forwarder, without any connection yet.
    pub fn new(config: &Config, fleet: &Fleet) -> Self {
        Self::with(fleet, config.limits.body, Injector::new(config))
    }

    fn with(fleet: &Fleet, max_body: u64, injector: Injector) -> Self {
        let backends = fleet.teams().iter().map(Backend::new).collect();
        Self(Rc::new(Inner { backends, max_body, injector, desk: RefCell::default() }))
    }
}

impl<B: UploadBody> Forwarder<B> {
    /// Forwards one request to the backend of its permit's Caf.
    ///
    /// Dropping the future, or the answer's body before its end, closes the backend's connection.
    pub fn forward(
        &self,
        admitted: AdmittedRequest<B>,
    ) -> impl Future<Output = Result<Response<AnswerBody<B>>, Error>> {
        self.0.forward(admitted, None)
    }

    /// The same, with someone who takes interim answers (1xx) to the client.
    pub fn forward_telling(
        &self,
        admitted: AdmittedRequest<B>,
        teller: Option<Arc<dyn Teller>>,
    ) -> impl Future<Output = Result<Response<AnswerBody<B>>, Error>> {
        self.0.forward(admitted, teller)
    }
}

impl<B: UploadBody> Inner<B> {
    /// The request is put together before the future is, and boxed: futures within futures would move it at
    /// every step.
    fn forward(
        &self,
        mut admitted: AdmittedRequest<B>,
        teller: Option<Arc<dyn Teller>>,
    ) -> impl Future<Output = Result<Response<AnswerBody<B>>, Error>> {
        let caf = admitted.caf();
        let wish = self.injector.ask(&mut admitted);
        let prepared = self.prepare(admitted, teller);
        async move {
            let blame = |reason| Error::new(caf, reason);
            let (backend, mut request, plan) = prepared.map_err(blame)?;
            let upload = request.progress.clone();
            let (answer, lease) = backend.exchange(&mut request, plan).await.map_err(blame)?;
            let answer = self.give_out(backend, answer, (lease, upload), plan);
            Ok(self.injector.dress(answer.map_err(blame)?, wish))
        }
    }

    /// What is sent, and to whom: nothing of it looks at where the client wanted to go.
    fn prepare(
        &self,
        admitted: AdmittedRequest<B>,
        teller: Option<Arc<dyn Teller>>,
    ) -> Result<Prepared<'_, B>, Reason> {
        let backend = self.backend(admitted.caf()).ok_or(Reason::NoBackend)?;
        let (permit, request, from) = admitted.into_parts();
        let (mut head, body) = request.into_parts();
        let authority = backend.authority().ok_or(Reason::NoBackend)?;
        let desk = &mut self.desk.borrow_mut();
        let ready = headers::prepare(&mut head, &body, permit, from, authority, &backend.tag, desk)?;
        let marked = ready.marked;
        let said = (ready.word, ready.length);
        let request = Box::new(Outgoing::new(head, said, body, self.max_body, teller)?);
        let deadline = Instant::now() + backend.team.rule.times.request;
        Ok((backend, request, Plan { marked, offer: Offer::All, deadline }))
    }

    /// What the client gets; an answer that is refused is dropped, and its connection with it.
    fn give_out(
        &self,
        backend: &Backend<B>,
        answer: Response<Answer<B>>,
        (lease, upload): (Lease<B>, Option<Rc<Progress>>),
        plan: Plan,
    ) -> Result<Response<BackendBody<B>>, Reason> {
        let is_well = !backend::says_unwell(answer.status());
        let hold = Hold { lease, upload, is_well };
        let (mut head, body) = answer.into_parts();
        let scratch = &mut self.desk.borrow_mut().scratch;
        let mark = hold.lease.member().mark;
        let accepted = if head.status == StatusCode::SWITCHING_PROTOCOLS {
            Err(Reason::BadAnswer("an upgrade that nobody asked for"))
        } else {
            answer::accept(&mut head, backend.caf, &backend.tag, mark, scratch)
        };
        let is_stream = match accepted {
            Ok(is_stream) => is_stream,
            Err(reason) => {
                hold.lease.failed(&reason);
                return Err(reason);
            }
        };
        let idle = backend.team.rule.times.idle;
        if is_stream && is_well {
            // It may have no end that could show it.
            hold.lease.member().health.succeeded();
        }
        let deadline = (!is_stream).then_some(plan.deadline);
        Ok(Response::from_parts(head, BackendBody::new(body, hold, backend.caf, idle, deadline)))
    }
}

impl<B> Inner<B> {
    fn backend(&self, caf: CafCode) -> Option<&Backend<B>> {
        let place = self.backends.binary_search_by_key(&caf, |backend| backend.caf).ok()?;
        self.backends.get(place)
    }
}

impl<B> Clone for Forwarder<B> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<B: UploadBody> tower::Service<AdmittedRequest<B>> for Forwarder<B> {
    type Response = Response<AnswerBody<B>>;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Error>>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    /// As [`forward`](Forwarder::forward), which costs an allocation less.
    fn call(&mut self, admitted: AdmittedRequest<B>) -> Self::Future {
        let inner = Rc::clone(&self.0);
        Box::pin(async move { inner.forward(admitted, None).await })
    }
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
