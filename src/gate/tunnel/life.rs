//! How long what an admitted request opened may stay open: no longer than its session.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use crate::domain::NormalPath;
use crate::gate::Shared;
use crate::session::{Found, Session};

/// How often the session is looked at. It costs no round trip as long as the cache knows it.
const LOOK: Duration = Duration::from_secs(1);
/// How often in a row the store may be out of reach: nobody can tell then whether the session still lives.
const DOUBTS: usize = 3;

/// Why a session no longer carries what it opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::gate) enum Over {
    /// It ended: signed out, expired, revoked, moved on to another Caf.
    Session,
    /// Its volet closed (rule 5).
    Volet,
    /// The store is out of reach.
    Store,
}

/// What an admitted request was admitted for.
#[derive(Clone)]
pub(in crate::gate) struct Cause {
    pub(in crate::gate) session: Arc<Session>,
    pub(in crate::gate) path: NormalPath,
}

/// A session as it was last seen, and the path where it opened something.
#[derive(Clone)]
pub(in crate::gate) struct Life {
    shared: Arc<Shared>,
    session: Rc<RefCell<Arc<Session>>>,
    path: NormalPath,
}

impl Life {
    pub(in crate::gate) fn new(shared: &Arc<Shared>, cause: Cause) -> Self {
        let Cause { session, path } = cause;
        Self { shared: Arc::clone(shared), session: Rc::new(RefCell::new(session)), path }
    }

    /// Its user did something (rule 6); too late, it changes nothing.
    pub(super) fn act(&self) {
        let session = self.session.borrow();
        if self.shared.sessions.is_alive(&session) {
            self.shared.sessions.act(&session);
        }
    }

    /// Waits for its end, as this replica or another saw it.
    pub(in crate::gate) async fn over(&self) -> Over {
        let id = *self.session.borrow().id();
        let mut doubts = 0;
        loop {
            sleep(LOOK).await;
            if self.shared.gatekeeper.calendar().closed(&self.path, self.shared.clock.now()).is_some() {
                return Over::Volet;
            }
            match self.shared.sessions.look_up(&id).await {
                Ok(Found::Live(session)) => {
                    doubts = 0;
                    *self.session.borrow_mut() = session;
                }
                Ok(Found::Expired) => return Over::Session,
                Err(error) => {
                    doubts += 1;
                    tracing::debug!(%error, doubts, "a tunnel's session could not be looked at");
                    if doubts == DOUBTS {
                        return Over::Store;
                    }
                }
            }
        }
    }
}
