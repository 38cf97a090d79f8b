//! HTTP/2 with clients (RFC 9113): each request has a stream, and a task of its own.

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use h2::server::{Builder, SendResponse};
use h2::{Reason, RecvStream, SendStream};
use http::header::{CONTENT_LENGTH, DATE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body as _;
use http_body_util::{BodyExt as _, Full};
use jiff::fmt::rfc2822::DateTimePrinter;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout, timeout_at};

use super::connection::{HEAD, TAKING};
use super::graceful::Watcher;
use super::streams::{Open, Serving, Streams};
use crate::domain::Clock;
use crate::forward::expects_continue;
use crate::gate::{Body, Gate, Leftover, Link, Peer, Sent, Streamed};
use crate::http2::{self, Duplex, Heard, Received};

/// How HTTP/2 is spoken; one for each worker.
pub(super) struct Http2 {
    gate: Rc<Gate>,
    builder: Builder,
    dates: Dates,
}

/// Most requests at once on a connection.
const STREAMS: u32 = 100;
/// What a client may send of one upload before its backend has taken it, in bytes; of all at once, as much for each.
const UPLOAD: u32 = 128 * 1024;
/// Largest head, as HTTP/2 counts it; beyond it a bare 431. The gate's own limit is lower, and answered as any other.
const HEAD_LIST: u32 = 128 * 1024;
/// A client that is silent for so long is asked whether it is there, and has that long to answer.
const SILENCE: Duration = Duration::from_secs(30);
const PATIENCE: Duration = Duration::from_secs(20);

/// What a client may still send of a request that was answered, before it is told to stop.
const MOST_UNWANTED: usize = 1024 * 1024;
const FAREWELL: Duration = Duration::from_secs(1);

impl Http2 {
    pub(super) fn new(gate: Rc<Gate>) -> Self {
        let mut builder = Builder::new();
        builder
            .max_concurrent_streams(STREAMS)
            .max_header_list_size(HEAD_LIST)
            .header_table_size(4 * 1024)
            .max_frame_size(16 * 1024)
            .initial_window_size(UPLOAD)
            .initial_connection_window_size(STREAMS * UPLOAD)
            .max_send_buffer_size(256 * 1024)
            .max_pending_accept_reset_streams(20)
            .max_local_error_reset_streams(Some(100))
            .enable_connect_protocol();
        Self { gate, builder, dates: Dates::new() }
    }

    /// Serves a connection until either side ends it, `watcher` asks for its end, or nothing is asked on it for long.
    pub(super) async fn serve<S>(
        self: &Rc<Self>,
        stream: S,
        peer: Peer,
        mut watcher: Watcher,
    ) -> Result<(), h2::Error>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let began = Instant::now();
        let (stream, lifeline) = Heard::new(stream);
        let handshake = tokio::select! {
            biased;
            () = watcher.asked() => return Ok(()),
            handshake = timeout_at(began + HEAD, self.builder.handshake(stream)) => handshake,
        };
        let Ok(handshake) = handshake else {
            tracing::debug!("no HTTP/2 came in time");
            return Ok(());
        };
        let mut connection = handshake?;
        let cut = lifeline.cut(connection.ping_pong(), SILENCE, PATIENCE, || true);
        let http2 = Rc::clone(self);
        let answer = move |request, respond, open: Open| {
            let http2 = Rc::clone(&http2);
            tokio::task::spawn_local(async move {
                http2.answer(request, respond, peer).await;
                drop(open);
            });
        };
        let serving = Serving { connection, streams: Streams::new(began), answer };
        serving.serve(watcher, cut, (HEAD, PATIENCE)).await
    }

    /// Answers one request.
    async fn answer(&self, request: Request<RecvStream>, mut respond: SendResponse<Bytes>, peer: Peer) {
        let link = Arc::new(Link::of_stream());
        let leftover = Leftover::default();
        let (head, stream) = request.into_parts();
        let is_head = head.method == Method::HEAD;
        // What comes after a `CONNECT` is the tunnel's, if one opens.
        let (body, tunnel) = if head.method == Method::CONNECT {
            (Sent::Kept(Full::default()), Some(stream))
        } else {
            let waiting = expects_continue(&head.headers).then(|| Arc::clone(&link));
            let body = Streamed::new(Received::new(stream, &head.headers), waiting, Rc::clone(&leftover));
            (Sent::Http2(Box::new(body)), None)
        };
        let request = Request::from_parts(head, body);
        let Some(response) = self.pass(request, peer, &link, &mut respond).await else {
            return tracing::debug!("a client gave its request up");
        };
        let (mut head, body) = response.into_parts();
        let tunnel = tunnel.filter(|_| head.status.is_success());
        self.complete(&mut head.headers, &body, tunnel.is_some());
        let has_none = is_head || matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        let ends = tunnel.is_none() && (has_none || body.is_end_stream());
        let mut outgoing = match respond.send_response(Response::from_parts(head, ()), ends) {
            Ok(outgoing) => outgoing,
            Err(error) => {
                tracing::debug!(%error, "an answer could not be sent");
                return respond.send_reset(Reason::INTERNAL_ERROR);
            }
        };
        match tunnel {
            Some(stream) => {
                let mut duplex = Duplex::new(stream, outgoing);
                let over = duplex.over();
                link.hand_over(duplex);
                drop(respond);
                over.await;
            }
            None if ends => {}
            None => give(body, &mut outgoing).await,
        }
        if let Some(leftover) = leftover.take() {
            read_out(leftover).await;
        }
    }

    /// The gate's answer, after what comes before it; `None` where the client gives its request up meanwhile.
    async fn pass(
        &self,
        request: Request<Sent>,
        peer: Peer,
        link: &Arc<Link>,
        respond: &mut SendResponse<Bytes>,
    ) -> Option<Response<Body>> {
        let mut passing = pin!(self.gate.pass(request, peer, link));
        poll_fn(|cx| {
            link.wakes(cx.waker());
            let passed = passing.as_mut().poll(cx);
            if respond.poll_reset(cx).is_ready() {
                return Poll::Ready(None);
            }
            for interim in link.interim() {
                if let Err(error) = respond.send_informational(interim.into()) {
                    tracing::debug!(%error, "an interim answer could not be sent");
                }
            }
            passed.map(|passed| match passed {
                Ok(response) => Some(response),
                Err(never) => match never {},
            })
        })
        .await
    }

    /// What HTTP/2 wants a head to say, or not.
    fn complete(&self, headers: &mut HeaderMap, body: &Body, is_tunnel: bool) {
        http2::strip_connection_headers(headers);
        headers.entry(DATE).or_insert_with(|| self.dates.now());
        if is_tunnel {
            headers.remove(CONTENT_LENGTH);
        } else if let Some(length) = body.size_hint().exact().filter(|length| *length > 0) {
            headers.entry(CONTENT_LENGTH).or_insert_with(|| length.into());
        }
    }
}

/// Sends an answer's body; one that is to end with its session ends even where its client takes nothing of it.
async fn give(body: Body, outgoing: &mut SendStream<Bytes>) {
    let end = body.end();
    let sent = tokio::select! {
        sent = http2::send(body, outgoing, TAKING) => Some(sent),
        () = end => None,
    };
    match sent {
        Some(Ok(())) => {}
        Some(Err(error)) => tracing::debug!(%error, "an answer was not sent whole"),
        None => outgoing.send_reset(Reason::CANCEL),
    }
}

/// Reads what nobody wanted of a request that was answered: a stream that is given up before its client has sent it all
/// is reset, and some clients take the reset for the answer (curl 7.88 does).
async fn read_out(mut body: Received) {
    let read = async {
        let mut size = 0;
        while let Some(Ok(frame)) = body.frame().await {
            size += frame.data_ref().map_or(0, Bytes::len);
            if size > MOST_UNWANTED {
                break;
            }
        }
    };
    let _ = timeout(FAREWELL, read).await;
}

/// What answers are dated by (RFC 9110 section 6.6.1), written once a second.
struct Dates {
    clock: Clock,
    last: RefCell<(i64, HeaderValue)>,
}

impl Dates {
    fn new() -> Self {
        Self { clock: Clock::system(), last: RefCell::new((i64::MIN, HeaderValue::from_static(""))) }
    }

    fn now(&self) -> HeaderValue {
        let now = self.clock.now();
        let mut last = self.last.borrow_mut();
        if last.0 != now.as_second()
            && let Ok(written) = DateTimePrinter::new().timestamp_to_rfc9110_string(&now)
            && let Ok(value) = HeaderValue::try_from(written)
        {
            *last = (now.as_second(), value);
        }
        last.1.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_written_as_http_wants_it() {
        let instant = "2026-02-28T23:59:07Z".parse().expect("an instant");
        let dates = Dates { clock: Clock::frozen_at(instant), ..Dates::new() };
        assert_eq!(dates.now(), "Sat, 28 Feb 2026 23:59:07 GMT");
        dates.clock.advance(Duration::from_mins(1));
        assert_eq!(dates.now(), "Sun, 01 Mar 2026 00:00:07 GMT");
    }
}
