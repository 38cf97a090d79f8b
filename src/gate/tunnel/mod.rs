//! What stays open after a request was admitted: WebSockets, and streams of events or of gRPC's messages. None
//! outlives its session by more than a few seconds, and only what its user sends keeps the session alive: in a WebSocket
//! messages, and neither pings nor pongs, which programs send by themselves.

mod frames;
mod life;
mod pump;
mod seats;
mod stream;

use std::sync::Arc;
use std::time::Duration;

use h2::ext::Protocol;
use http::header::{CONNECTION, CONTENT_TYPE, UPGRADE};
use http::{HeaderMap, Method, Request, Response, Version};
use http_body::Body as _;
use http_body_util::Full;
use hyper::upgrade::OnUpgrade;

pub(super) use life::{Cause, Life, Over};
pub(super) use seats::Seats;
pub use seats::Tunnels;
pub use stream::LiveStream;

use super::{Arrival, Body, Gate, Problem, Sent};
use crate::domain::CafCode;
use crate::forward::Handshake;
use pump::{ClientEnd, Tunnel};

/// When to try again where a session has as many tunnels as it may, or the store is out of reach.
pub(super) const SOON: Duration = Duration::from_secs(5);

/// Whether a request asks for another protocol than HTTP: hyper leaves something with those that do over HTTP/1.1.
pub(super) fn asks_to_switch<B>(request: &Request<B>) -> bool {
    *request.method() == Method::CONNECT || request.extensions().get::<OnUpgrade>().is_some()
}

/// Whether a request over HTTP/2 asks for a WebSocket (RFC 8441).
pub(super) fn is_extended_connect<B>(request: &Request<B>) -> bool {
    request.version() == Version::HTTP_2
        && request.extensions().get::<Protocol>().is_some_and(|protocol| protocol.as_str() == "websocket")
}

/// Whether it asks for a WebSocket, the only protocol that is switched to. Who asks for another one is answered in
/// HTTP (RFC 9110 section 7.8).
pub(super) fn is_handshake(request: &Request<Sent>) -> bool {
    let names = |name, word: &str| names(request.headers(), name, word);
    asks_to_switch(request)
        && request.body().is_end_stream()
        && (is_extended_connect(request)
            || (*request.method() == Method::GET
                && names(&UPGRADE, "websocket")
                && names(&CONNECTION, "upgrade")))
}

/// Whether a head is of a call of gRPC, whose messages may go on for as long as both sides want.
pub(super) fn is_call(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|kind| {
        kind.as_bytes().get(..GRPC.len()).is_some_and(|kind| kind.eq_ignore_ascii_case(GRPC))
    })
}

const GRPC: &[u8] = b"application/grpc";

fn names(headers: &HeaderMap, name: &http::HeaderName, word: &str) -> bool {
    let mut members =
        headers.get_all(name).iter().flat_map(|list| list.as_bytes().split(|byte| *byte == b','));
    members.any(|member| member.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
}

impl ClientEnd {
    fn of(arrival: &mut Arrival) -> Self {
        match &arrival.link {
            Some(link) if arrival.request.version() == Version::HTTP_2 => Self::Http2(link.duplex()),
            _ => Self::Http1(hyper::upgrade::on(&mut arrival.request)),
        }
    }
}

impl Gate {
    /// Opens a WebSocket to the backend of the session's Caf, if the backend agrees.
    pub(super) async fn switch(
        &self,
        caf: CafCode,
        mut arrival: Box<Arrival>,
    ) -> Result<Response<Body>, Problem> {
        let client = ClientEnd::of(&mut arrival);
        let is_passive = self.is_passive(&arrival.path);
        let (link, id) = (arrival.link.take(), arrival.provenance.request_id.clone());
        let (admitted, cause) = self.permit(caf, arrival)?;
        let seat = self.shared.limits.tunnels.take(*cause.session.id());
        let seat = seat.ok_or_else(|| Problem::too_many(SOON))?;
        match self.forwarder.switch(admitted).await {
            Ok(Handshake::Switched(head, backend)) => {
                let (life, open) =
                    (Life::new(&self.shared, cause), self.tunnels.open(link.filter(|link| link.has_guard())));
                let tunnel = Tunnel { caf, id, life, is_passive, open, seat };
                tokio::task::spawn_local(tunnel.run(client, backend));
                Ok(head.map(|()| Body::from(Full::default())))
            }
            Ok(Handshake::Declined(response)) => Ok(self.carry(response, cause)),
            Err(error) => Err(self.blame(caf, &error)),
        }
    }

    /// The tunnels of this worker.
    pub fn tunnels(&self) -> &Tunnels {
        &self.tunnels
    }

    /// Limits the tunnels of all workers together.
    pub(super) fn seats(limits: &crate::config::Limits) -> Arc<Seats> {
        Seats::new(limits.tunnels_per_session)
    }
}
