//! What one connection may say about the session cache, and until when.
//!
//! The server tells this connection of every change to a session that another made. So the cache may be
//! believed while the connection lives; and since a connection can die in silence, only for [`TRUST`] after
//! the server last answered on it. The order of events makes it hold:
//!
//! - tracking is on before the connection is published, so every read that fills the cache is tracked;
//! - the server's word of a change follows, on the same connection, any read from before the change. The
//!   driver hands it on before anything later, and the cache refuses a read whose stamp is older;
//! - a connection is retracted first and the cache distrusted next: a read that took its stamp after that
//!   finds the connection gone, one that took it before is refused by its stamp;
//! - once broken, a connection never vouches again, even if an answer of it is still on its way.
//!
//! With `NOLOOP` this process is not told of its own changes, which `session` makes in the cache itself. In
//! one turn of the server's loop its change can hide another's to the same key, but a record only ever
//! changes by its removal, which this process then asked for as well.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ::redis::{PushInfo, PushKind, Value};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::layout::Layout;
use crate::session::SessionCache;

/// How long the cache is believed after the server was asked and answered.
const TRUST: Duration = Duration::from_secs(1);

pub(super) struct Voucher {
    cache: Arc<SessionCache>,
    layout: Layout,
    broken: Mutex<bool>,
    told: Notify,
}

impl Voucher {
    pub(super) fn new(cache: Arc<SessionCache>, layout: Layout) -> Self {
        Self { cache, layout, broken: Mutex::new(false), told: Notify::new() }
    }

    /// The server answered what it was asked at `asked`.
    pub(super) fn vouch(&self, asked: Instant) {
        let broken = self.broken.lock().unwrap_or_else(PoisonError::into_inner);
        if !*broken {
            self.cache.trust_for(TRUST.saturating_sub(asked.elapsed()));
        }
    }

    /// The connection is of no more use.
    pub(super) fn revoke(&self) {
        let mut broken = self.broken.lock().unwrap_or_else(PoisonError::into_inner);
        *broken = true;
        self.cache.distrust();
        self.told.notify_one();
    }

    /// Waits until the connection is known to be of no more use.
    pub(super) async fn revoked(&self) {
        self.told.notified().await;
    }

    /// The driver's word, in the order of the connection.
    pub(super) fn hear(&self, push: &PushInfo) {
        match push.kind {
            PushKind::Disconnection => self.revoke(),
            PushKind::Invalidate => self.invalidate(&push.data),
            _ => {}
        }
    }

    fn invalidate(&self, data: &[Value]) {
        match data {
            [Value::Array(keys)] => keys.iter().for_each(|key| self.forget(key)),
            // All keys are gone (FLUSHALL), or it is a word that this program does not know.
            _ => self.cache.distrust(),
        }
    }

    fn forget(&self, key: &Value) {
        let name = match key {
            Value::BulkString(name) => name.as_slice(),
            Value::SimpleString(name) => name.as_bytes(),
            _ => return self.cache.distrust(),
        };
        if let Some(id) = self.layout.session_of(name) {
            self.cache.forget(&id);
        }
    }
}
