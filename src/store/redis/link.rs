//! The connection, and the task that keeps it.

use std::sync::Arc;
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::io::tcp::TcpSettings;
use ::redis::{
    AsyncConnectionConfig, Client, ConnectionInfo, IntoConnectionInfo as _, ProtocolVersion, PushInfo,
    RedisError, RedisResult,
};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::fault::{is_demoted, store_error};
use super::layout::Layout;
use super::voucher::Voucher;
use super::{PATIENCE, SCRIPTS};
use crate::domain::{Clock, StoreError};
use crate::session::SessionCache;

/// How often the server is asked whether it is there.
const HEARTBEAT: Duration = Duration::from_millis(250);

/// How long the server may take to say so. With the heartbeat, below a second.
const PONG: Duration = Duration::from_millis(700);

/// How often the server's clock is read.
const CLOCK: Duration = Duration::from_secs(30);

/// Pauses between two dials: each twice the last, up to the second.
const PAUSE: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));

/// Requests that may wait for the connection to take them.
const QUEUE: usize = 4096;

pub(super) struct Link {
    client: Client,
    layout: Layout,
    clock: Clock,
    cache: Arc<SessionCache>,
    state: watch::Sender<State>,
}

#[derive(Clone)]
enum State {
    Starting,
    Up(Line),
    Down(Arc<str>),
}

/// A connection in use, and what it may vouch for.
#[derive(Clone)]
struct Line {
    connection: MultiplexedConnection,
    voucher: Arc<Voucher>,
}

impl Link {
    pub(super) fn new(
        url: &SecretString,
        layout: Layout,
        clock: Clock,
        cache: Arc<SessionCache>,
    ) -> Result<Self, StoreError> {
        // The client's own words might quote the URL, and with it a password.
        let client = address(url).and_then(Client::open).map_err(|_| {
            StoreError::Unreachable("its URL is none that leads to a Redis server".to_owned())
        })?;
        Ok(Self { client, layout, clock, cache, state: watch::Sender::new(State::Starting) })
    }

    pub(super) fn is_up(&self) -> bool {
        matches!(*self.state.borrow(), State::Up(_))
    }

    /// Waits until the first dial has succeeded or failed.
    pub(super) async fn first_outcome(&self) {
        // This link holds the sender: the channel cannot be closed.
        let _ = self.state.subscribe().wait_for(|state| !matches!(state, State::Starting)).await;
    }

    /// Runs `ask` on the present connection.
    pub(super) async fn once<T, F>(
        &self,
        ask: impl FnOnce(MultiplexedConnection) -> F,
    ) -> Result<T, StoreError>
    where
        F: Future<Output = RedisResult<T>>,
    {
        let line = self.line()?;
        match timeout(PATIENCE, line.ask(ask)).await {
            Ok(outcome) => outcome.map_err(|error| store_error(&error)),
            Err(_) => Err(late()),
        }
    }

    /// Runs `ask` on the present connection and, if that breaks under it, on the next; in one [`PATIENCE`].
    pub(super) async fn twice<T, F>(&self, ask: impl Fn(MultiplexedConnection) -> F) -> Result<T, StoreError>
    where
        F: Future<Output = RedisResult<T>>,
    {
        let line = self.line()?;
        let both = async {
            match line.ask(&ask).await {
                Err(error) if error.is_unrecoverable_error() => {
                    let next = self.line_after(&line).await.ok_or(error)?;
                    next.ask(&ask).await
                }
                outcome => outcome,
            }
        };
        match timeout(PATIENCE, both).await {
            Ok(outcome) => outcome.map_err(|error| store_error(&error)),
            Err(_) => Err(late()),
        }
    }

    fn line(&self) -> Result<Line, StoreError> {
        match &*self.state.borrow() {
            State::Up(line) => Ok(line.clone()),
            State::Down(why) => Err(StoreError::Unreachable(why.to_string())),
            State::Starting => Err(StoreError::Unreachable("not connected yet".to_owned())),
        }
    }

    /// The connection that comes after `broken`.
    async fn line_after(&self, broken: &Line) -> Option<Line> {
        let mut states = self.state.subscribe();
        let next =
            |state: &State| matches!(state, State::Up(line) if !Arc::ptr_eq(&line.voucher, &broken.voucher));
        match &*states.wait_for(next).await.ok()? {
            State::Up(line) => Some(line.clone()),
            _ => None,
        }
    }

    /// Opens a connection, and asks for tracking on it before anything else may use it.
    async fn dial(&self) -> RedisResult<Line> {
        let voucher = Arc::new(Voucher::new(Arc::clone(&self.cache), self.layout.clone()));
        let listener = Arc::clone(&voucher);
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None)
            .set_pipeline_buffer_size(QUEUE)
            .set_push_sender(move |push: PushInfo| -> Result<(), ::redis::aio::SendError> {
                listener.hear(&push);
                Ok(())
            });
        let mut connection = self.client.get_multiplexed_async_connection_with_config(&config).await?;
        ::redis::cmd("CLIENT")
            .arg(&["TRACKING", "ON", "BCAST", "PREFIX", &self.layout.sessions(), "NOLOOP"])
            .exec_async(&mut connection)
            .await?;
        for script in SCRIPTS.all() {
            script.load_async(&mut connection).await?;
        }
        follow(&self.clock, &mut connection).await?;
        Ok(Line { connection, voucher })
    }

    /// Publishes a connection, keeps it for as long as it lives, and retracts it.
    async fn serve(&self, line: Line) {
        tracing::info!("the store is reached");
        self.state.send_replace(State::Up(line.clone()));
        let why = self.keep(&line).await;
        // Retracted first, distrusted next: see `voucher`.
        self.state.send_replace(State::Down(Arc::clone(&why)));
        line.voucher.revoke();
        tracing::warn!(%why, "the store is out of reach");
    }

    /// Vouches for the cache while the server answers; returns why it no longer does.
    async fn keep(&self, line: &Line) -> Arc<str> {
        let mut connection = line.connection.clone();
        let mut clock_read = Instant::now();
        loop {
            let asked = Instant::now();
            match timeout(PONG, ::redis::cmd("PING").exec_async(&mut connection)).await {
                Ok(Ok(())) => line.voucher.vouch(asked),
                Ok(Err(error)) => return error.to_string().into(),
                Err(_) => return "the server went silent".into(),
            }
            tokio::select! {
                () = line.voucher.revoked() => return "the connection broke".into(),
                () = sleep(HEARTBEAT) => {}
            }
            if clock_read.elapsed() >= CLOCK {
                clock_read = Instant::now();
                // A failure is the next heartbeat's to find.
                let _ = timeout(PONG, follow(&self.clock, &mut connection)).await;
            }
        }
    }
}

impl Line {
    async fn ask<T, F>(&self, ask: impl FnOnce(MultiplexedConnection) -> F) -> RedisResult<T>
    where
        F: Future<Output = RedisResult<T>>,
    {
        let outcome = ask(self.connection.clone()).await;
        if outcome.as_ref().is_err_and(is_demoted) {
            self.voucher.revoke();
        }
        outcome
    }
}

/// Dials, publishes, keeps and retracts connections, for ever.
pub(super) async fn supervise(link: Arc<Link>) {
    let mut pause = PAUSE.0;
    let mut known_down = false;
    loop {
        match timeout(PATIENCE, link.dial()).await {
            Ok(Ok(dialled)) => {
                link.serve(dialled).await;
                (pause, known_down) = (PAUSE.0, true);
            }
            failed => {
                let why = failed.map_or_else(|_| "no answer".to_owned(), |dialled| reason(dialled.err()));
                if !known_down {
                    tracing::warn!(%why, "the store is out of reach");
                    known_down = true;
                }
                link.state.send_replace(State::Down(why.into()));
            }
        }
        sleep(pause).await;
        pause = (pause * 2).min(PAUSE.1);
    }
}

fn reason(error: Option<RedisError>) -> String {
    error.map_or_else(String::new, |error| error.to_string())
}

/// Puts the clock where the server's is: what it told, and half the time that its answer took.
async fn follow(clock: &Clock, connection: &mut MultiplexedConnection) -> RedisResult<()> {
    let asked = Instant::now();
    let (seconds, micros): (i64, i64) = ::redis::cmd("TIME").query_async(connection).await?;
    let half = i64::try_from(asked.elapsed().as_millis() / 2).unwrap_or(0);
    clock.follow(seconds * 1000 + micros / 1000 + half);
    Ok(())
}

fn address(url: &SecretString) -> RedisResult<ConnectionInfo> {
    let info = url.expose_secret().into_connection_info()?;
    let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
    Ok(info.set_redis_settings(settings).set_tcp_settings(TcpSettings::default().set_nodelay(true)))
}

fn late() -> StoreError {
    StoreError::Unreachable(format!("no answer within {} ms", PATIENCE.as_millis()))
}
