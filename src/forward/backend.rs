//! One Caf's backend: which of its instances is asked, on which connection, and for how long.

use std::cell::Cell;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Response};
use http_body::Body;
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};

use super::Prepared;
use super::cookies::Tag;
use super::error::Reason;
use super::pool::{Instance, Lease, Seat};
use super::upload::{BoxError, Progress, Silence};
use crate::config;
use crate::domain::CafCode;

/// A Caf's backend, as one worker sees it.
pub(super) struct Backend<B> {
    pub(super) caf: CafCode,
    pub(super) tag: Tag,
    connect_timeout: Duration,
    first_byte_timeout: Duration,
    instances: Vec<Rc<Instance<B>>>,
    /// Where the search for an instance begins, so that equals take turns.
    turn: Cell<usize>,
}

impl<B> Backend<B> {
    pub(super) fn new(caf: &config::Caf, backend: &config::Backend) -> Self {
        let instance = |address: &config::BackendAddress| Instance::new(address.clone(), backend.keep_alive);
        Self {
            caf: caf.code,
            tag: Tag::new(caf.code),
            connect_timeout: backend.connect_timeout,
            first_byte_timeout: backend.first_byte_timeout,
            instances: caf.backends.iter().map(instance).collect(),
            turn: Cell::new(0),
        }
    }

    /// What to call the backend towards itself, for a client that named no host.
    pub(super) fn authority(&self) -> Option<&HeaderValue> {
        self.instances.first().map(|instance| instance.authority())
    }

    /// The instance with the fewest requests under way; `attempt` later ones are its neighbours.
    fn seat(&self, first: usize, attempt: usize) -> Result<Seat<B>, Reason> {
        let count = self.instances.len();
        let place = (first + attempt).checked_rem(count).ok_or(Reason::NoBackend)?;
        self.instances.get(place).map(Instance::seat).ok_or(Reason::NoBackend)
    }

    fn least_loaded(&self) -> usize {
        let count = self.instances.len();
        if count < 2 {
            return 0;
        }
        let turn = self.turn.get();
        self.turn.set((turn + 1) % count);
        let places = (0..count).map(|step| (turn + step) % count);
        places.min_by_key(|place| self.instances.get(*place).map(|instance| instance.busy())).unwrap_or(0)
    }
}

impl<B> Backend<B>
where
    B: Body<Data = Bytes> + 'static,
    B::Error: Into<BoxError>,
{
    /// Sends a request and waits for the head of its answer. Only what was certainly not sent is sent
    /// again: a request that a dying connection gave back, or one that found no connection.
    pub(super) async fn exchange(
        &self,
        mut request: Prepared<B>,
        upload: Option<&Progress>,
    ) -> Result<(Response<Incoming>, Lease<B>), Reason> {
        let first = self.least_loaded();
        let pooled = self.pooled(first, request.method()).await?;
        if let Ok(mut lease) = pooled {
            match self.send(&mut lease, request, upload).await {
                Ok(answer) => return Ok((answer, lease)),
                Err((Some(unsent), _)) => request = unsent,
                Err((None, reason)) => return Err(reason),
            }
        }
        let mut attempt = 0;
        loop {
            let mut lease = self.connect(first, &mut attempt).await?;
            match self.send(&mut lease, request, upload).await {
                Ok(answer) => return Ok((answer, lease)),
                Err((Some(unsent), _)) if attempt < self.instances.len() => request = unsent,
                Err((_, reason)) => return Err(reason),
            }
        }
    }

    /// A connection that was used before, if one is left.
    async fn pooled(&self, first: usize, method: &Method) -> Result<Result<Lease<B>, Seat<B>>, Reason> {
        let seat = self.seat(first, 0)?;
        if !method.is_idempotent() && seat.has_idle() {
            // What can't be sent twice had better not meet a connection that the backend has closed: let
            // the runtime first hear of closed ones.
            tokio::task::yield_now().await;
        }
        Ok(seat.reuse())
    }

    /// A new connection, to the first instance that takes one.
    async fn connect(&self, first: usize, attempt: &mut usize) -> Result<Lease<B>, Reason> {
        loop {
            let seat = self.seat(first, *attempt)?;
            *attempt += 1;
            match seat.connect(self.connect_timeout).await {
                Err(_) if *attempt < self.instances.len() => {}
                other => return other,
            }
        }
    }

    /// The answer; or why there is none, with the request if nothing of it was sent.
    async fn send(
        &self,
        lease: &mut Lease<B>,
        request: Prepared<B>,
        upload: Option<&Progress>,
    ) -> Result<Response<Incoming>, (Option<Prepared<B>>, Reason)> {
        let answer = lease.connection.sender.try_send_request(*request);
        let timer = lease.connection.timer.as_mut();
        let answer = self.in_time(answer, timer, upload).await.map_err(|reason| (None, reason))?;
        answer.map_err(|mut error| {
            let unsent = error.take_message().map(Box::new);
            let failure = upload.and_then(Progress::failure);
            (unsent, failure.unwrap_or_else(|| Reason::Broken(error.into_error())))
        })
    }

    /// Waits for a head until nothing has moved for `backend.first_byte_timeout`.
    async fn in_time<T>(
        &self,
        answer: impl Future<Output = T>,
        mut timer: Pin<&mut Sleep>,
        upload: Option<&Progress>,
    ) -> Result<T, Reason> {
        let mut answer = pin!(answer);
        timer.as_mut().reset(Instant::now() + self.first_byte_timeout);
        loop {
            tokio::select! {
                biased;
                answer = &mut answer => return Ok(answer),
                () = &mut timer => {}
            }
            let (since, reason) = match upload.map(Progress::silence) {
                None => return Err(Reason::FirstByteTimeout),
                Some(Silence::Since(moved)) => (moved, Reason::FirstByteTimeout),
                Some(Silence::OfClient(moved)) => (moved, Reason::ClientBody),
            };
            if since + self.first_byte_timeout <= Instant::now() {
                return Err(reason);
            }
            timer.as_mut().reset(since + self.first_byte_timeout);
        }
    }
}
