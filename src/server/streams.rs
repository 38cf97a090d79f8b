//! The streams of a connection over HTTP/2: each begins as it is asked for, and a connection without any is closed.

use std::cell::Cell;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use h2::RecvStream;
use h2::server::{Connection, SendResponse};
use http::Request;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep_until};

use super::graceful::Watcher;

/// How many streams of a connection are open, and since when none is.
#[derive(Debug)]
pub(super) struct Streams {
    open: Cell<usize>,
    unused_since: Cell<Instant>,
}

/// An open stream; dropped, it is over.
#[derive(Debug)]
pub(super) struct Open(Rc<Streams>);

/// A connection, and who answers what is asked on it.
pub(super) struct Serving<S, A> {
    pub(super) connection: Connection<S, Bytes>,
    pub(super) streams: Rc<Streams>,
    pub(super) answer: A,
}

impl Streams {
    /// None yet, since `began`.
    pub(super) fn new(began: Instant) -> Rc<Self> {
        Rc::new(Self { open: Cell::new(0), unused_since: Cell::new(began) })
    }

    fn open(self: &Rc<Self>) -> Open {
        self.open.set(self.open.get() + 1);
        Open(Rc::clone(self))
    }

    /// Ends once none was open for `limit`.
    async fn unused(&self, limit: Duration) {
        loop {
            let now = Instant::now();
            let since = if self.open.get() > 0 { now } else { self.unused_since.get() };
            if since + limit <= now {
                return;
            }
            sleep_until(since + limit).await;
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.set(self.0.open.get().saturating_sub(1));
        if self.0.open.get() == 0 {
            self.0.unused_since.set(Instant::now());
        }
    }
}

impl<S, A> Serving<S, A>
where
    S: AsyncRead + AsyncWrite + Unpin,
    A: FnMut(Request<RecvStream>, SendResponse<Bytes>, Open) + Unpin,
{
    /// Serves until either side ends it, `watcher` asks for its end, no stream was open for `idle`, or `gone` says that
    /// nobody is there. A client that does not close what is over has `patience` for it.
    pub(super) async fn serve(
        mut self,
        mut watcher: Watcher,
        gone: impl Future<Output = ()>,
        (idle, patience): (Duration, Duration),
    ) -> Result<(), h2::Error> {
        let (streams, mut gone) = (Rc::clone(&self.streams), pin!(gone));
        tokio::select! {
            biased;
            ended = &mut self => return ended,
            () = watcher.asked() => {}
            () = streams.unused(idle) => tracing::debug!("nothing was asked for long"),
            () = &mut gone => {
                tracing::debug!("the client is gone without a word");
                return Ok(());
            }
        }
        self.connection.graceful_shutdown();
        tokio::select! {
            ended = &mut self => return ended,
            () = streams.unused(idle + patience) => tracing::debug!("the client kept a connection that is over"),
            () = gone => tracing::debug!("the client is gone without a word"),
        }
        Ok(())
    }
}

impl<S, A> Future for Serving<S, A>
where
    S: AsyncRead + AsyncWrite + Unpin,
    A: FnMut(Request<RecvStream>, SendResponse<Bytes>, Open) + Unpin,
{
    type Output = Result<(), h2::Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        while let Some((request, respond)) = ready!(this.connection.poll_accept(cx)).transpose()? {
            (this.answer)(request, respond, this.streams.open());
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use http::Response;
    use tokio::task::{LocalSet, spawn_local};

    use super::super::graceful::Graceful;
    use super::*;

    const IDLE: Duration = Duration::from_millis(300);

    /// Asks once, is answered after `thinking`, and then only answers pings; how long it was served after that.
    async fn served_after_its_answer(thinking: Duration) -> Duration {
        let (near, far) = tokio::io::duplex(1 << 16);
        let (client, server) = tokio::join!(h2::client::handshake(near), h2::server::handshake(far));
        let ((client, mut theirs), connection) = (client.unwrap(), server.unwrap());
        let mut pings = theirs.ping_pong().unwrap();
        let theirs = spawn_local(theirs);
        let pinging = spawn_local(async move {
            while pings.ping(h2::Ping::opaque()).await.is_ok() {
                tokio::time::sleep(IDLE / 10).await;
            }
        });
        let answer = move |_, mut respond: SendResponse<Bytes>, open: Open| {
            spawn_local(async move {
                tokio::time::sleep(thinking).await;
                respond.send_response(Response::new(()), true).unwrap();
                drop(open);
            });
        };
        let serving = Serving { connection, streams: Streams::new(Instant::now()), answer };
        let graceful = Graceful::new();
        let watcher = graceful.watcher();
        let ours = spawn_local(serving.serve(watcher, std::future::pending(), (IDLE, IDLE)));
        let mut client = client.ready().await.unwrap();
        let (answered, _) = client.send_request(Request::get("http://a/").body(()).unwrap(), true).unwrap();
        assert_eq!(answered.await.unwrap().status(), 200);
        let began = Instant::now();
        // The client may be the first to close.
        drop(ours.await.unwrap());
        let time = began.elapsed();
        drop(theirs.await.unwrap());
        let told = client.ready().await.expect_err("a connection that is over");
        assert!(told.is_go_away() && told.reason() == Some(h2::Reason::NO_ERROR), "{told}");
        pinging.await.unwrap();
        time
    }

    #[tokio::test]
    async fn a_connection_without_a_stream_is_closed_though_its_client_answers_pings() {
        for thinking in [Duration::ZERO, 2 * IDLE] {
            let served = LocalSet::new().run_until(served_after_its_answer(thinking)).await;
            assert!(served >= IDLE.mul_f32(0.9) && served < 10 * IDLE, "{served:?} after {thinking:?}");
        }
    }

    #[tokio::test]
    async fn a_client_that_keeps_what_is_over_is_given_up() {
        let (mut near, far) = tokio::io::duplex(1 << 16);
        // Its preface and settings, and no word on what it is asked then.
        let hello = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
        tokio::io::AsyncWriteExt::write_all(&mut near, hello).await.unwrap();
        let connection = h2::server::handshake(far).await.unwrap();
        let serving = Serving { connection, streams: Streams::new(Instant::now()), answer: |_, _, _| {} };
        let graceful = Graceful::new();
        let served = serving.serve(graceful.watcher(), std::future::pending(), (IDLE, IDLE));
        tokio::time::timeout(10 * IDLE, served).await.expect("an end").expect("no error");
    }
}
