//! The connection's life, and with it the honesty of the session cache.
//!
//! Redis tells this connection of every session that another one writes (`CLIENT TRACKING … BCAST`), in
//! the order of its answers; the word is heard by the connection's own task, before any later answer. A new
//! connection is published only once it is tracked, so that whatever is read is read under watch. When it
//! breaks, the cache is emptied by that same task. And since a broken wire may be silent, the cache is trusted
//! for a second at a time, each renewed by a heartbeat on this very connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use redis::{
    AsyncConnectionConfig, Client, IntoConnectionInfo as _, ProtocolVersion, PushInfo, PushKind, RedisResult,
    Value,
};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::{Instant, sleep};

use super::{Line, Redis, sessions};
use crate::domain::{Clock, StoreError};
use crate::session::{SessionCache, SessionId};

/// An operation that takes longer has failed.
const PATIENCE: Duration = Duration::from_millis(800);
/// Pause between two tries to connect.
const RETRY: Duration = Duration::from_millis(200);
/// Pause between two heartbeats.
const BEAT: Duration = Duration::from_millis(250);
/// How long a heartbeat vouches for the cache.
const TRUST: Duration = Duration::from_secs(1);
/// Heartbeats between two looks at the server's clock.
const CLOCK_EVERY: u32 = 120;

pub(super) struct Link {
    client: Client,
    store: Arc<Redis>,
    clock: Clock,
    cache: Arc<SessionCache>,
}

impl Link {
    pub(super) fn new(
        url: &SecretString,
        store: Arc<Redis>,
        clock: Clock,
        cache: Arc<SessionCache>,
    ) -> Result<Self, StoreError> {
        // The error's text may hold the URL, and the URL a password.
        let unusable = |_| StoreError::Unreachable("store.url is no Redis URL".to_owned());
        let info = url.expose_secret().into_connection_info().map_err(unusable)?;
        let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        let tcp = TcpSettings::default().set_nodelay(true);
        let info = info.set_redis_settings(settings).set_tcp_settings(tcp);
        let client = Client::open(info).map_err(unusable)?;
        Ok(Self { client, store, clock, cache })
    }

    /// Connects, and connects again, for as long as the program runs.
    pub(super) async fn run(self) {
        let mut told = false;
        loop {
            match self.live(&mut told).await {
                Ok(()) => {}
                Err(error) if told => tracing::debug!(%error, "redis is still out of reach"),
                Err(error) => {
                    tracing::error!(%error, "redis is out of reach");
                    told = true;
                }
            }
            self.store.retract();
            self.cache.distrust();
            sleep(RETRY).await;
        }
    }

    /// One connection, from its first word to its break.
    async fn live(&self, told: &mut bool) -> RedisResult<()> {
        let broken = Arc::new(AtomicBool::new(false));
        let config = self.config(Arc::clone(&broken));
        let mut connection = self.client.get_multiplexed_async_connection_with_config(&config).await?;
        self.ask_tracking(&mut connection).await?;
        self.read_clock(&mut connection).await?;
        self.store.publish(Line { connection: connection.clone(), broken });
        tracing::info!("redis is reached");
        *told = false;
        for beat in 1_u32.. {
            let asked = Instant::now();
            redis::cmd("PING").query_async::<Value>(&mut connection).await?;
            self.cache.trust_for(TRUST.saturating_sub(asked.elapsed()));
            if beat.is_multiple_of(CLOCK_EVERY) {
                self.read_clock(&mut connection).await?;
            }
            sleep(BEAT).await;
        }
        Ok(())
    }

    fn config(&self, broken: Arc<AtomicBool>) -> AsyncConnectionConfig {
        let cache = Arc::clone(&self.cache);
        AsyncConnectionConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE))
            .set_pipeline_buffer_size(1024)
            .set_push_sender(move |push: PushInfo| -> Result<(), ()> {
                if push.kind == PushKind::Disconnection {
                    broken.store(true, Ordering::Release);
                }
                hear(&cache, &push);
                Ok(())
            })
    }

    async fn ask_tracking(&self, connection: &mut MultiplexedConnection) -> RedisResult<()> {
        redis::cmd("CLIENT")
            .arg(&["TRACKING", "ON", "BCAST", "PREFIX", sessions::PREFIX, "NOLOOP"])
            .query_async::<Value>(connection)
            .await
            .map(drop)
    }

    /// Replicas agree by the server's clock.
    async fn read_clock(&self, connection: &mut MultiplexedConnection) -> RedisResult<()> {
        let asked = Instant::now();
        let (seconds, micros): (i64, i64) = redis::cmd("TIME").query_async(connection).await?;
        let way = i64::try_from(asked.elapsed().as_millis() / 2).unwrap_or(0);
        self.clock.follow(seconds * 1_000 + micros / 1_000 + way);
        Ok(())
    }
}

fn hear(cache: &SessionCache, push: &PushInfo) {
    match push.kind {
        PushKind::Disconnection => cache.distrust(),
        PushKind::Invalidate => match push.data.first() {
            Some(Value::Array(keys)) => keys.iter().for_each(|key| forget(cache, key)),
            // Without keys it means all of them (FLUSHALL).
            _ => cache.forget_all(),
        },
        _ => {}
    }
}

fn forget(cache: &SessionCache, key: &Value) {
    let name = match key {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).unwrap_or_default(),
        Value::SimpleString(text) => text,
        _ => "",
    };
    match name.strip_prefix(sessions::PREFIX).and_then(SessionId::parse) {
        Some(id) => cache.forget(&id),
        None => cache.forget_all(),
    }
}
