//! The operator's side: health, and the habilitations as those who manage them see them.
//!
//! Every operation is one variant of [`Command`]. A client turns it into a request with
//! [`Command::into_request`]; the routes here turn that request back into the same variant and execute it.
//! What is answered is told by the types of `answer`, what is refused by [`Problem`].

mod account;
mod account_import;
mod answer;
mod audited;
pub mod author;
mod authority;
mod caf;
mod certificate;
mod clock;
mod command;
mod errand;
mod establishment;
mod explain;
mod export;
#[cfg(test)]
pub(crate) mod fakes;
mod guard;
mod health;
mod import;
mod listen;
mod listing;
mod openapi;
mod peer;
mod problem;
mod reload;
mod route;
mod scope;
mod serve;
mod session;
#[cfg(test)]
mod tests;
mod tokens;

use std::sync::Arc;
use std::time::Duration;

use crate::domain::{CafCode, Clock};
use crate::drains::DrainStore;
use crate::entry::{Explainer, Registry};
use crate::forward::Fleet;

pub use answer::{
    AccountView, AccountsPage, ClockView, Difference, DifferenceIs, EstablishmentsPage, FieldDifference,
    GoneAre, ImportDone, Provisional,
};
pub use author::Author;
pub use authority::Authority;
pub use caf::{CafsList, Drain};
pub use command::{AccountQuery, Command, EstablishmentQuery, ExplainQuery, SessionQuery};
pub use export::ExportFormat;
pub use import::{Charset, Format, Import, Stage, Step};
pub use listen::Listener;
pub use listing::{LARGEST_LIMIT, Moment, Sort};
pub use problem::{BadRow, Problem};
pub use reload::{Outcome, Part, Reload, Reloaded, Unreadable};
pub use route::router;
pub use serve::{Reception, serve};
pub use session::{SessionView, SessionsEnded, SessionsPage};
pub use tokens::{TokensError, TokensFile, new_token};

/// Largest import, in bytes.
pub const IMPORT_LIMIT: usize = 64 * 1024 * 1024;

/// Longest that an import may take: provisional passwords cost some 20 ms of a core each to hash.
pub const IMPORT_TIMEOUT: Duration = Duration::from_mins(30);

/// Longest that anything else may take.
pub const TIMEOUT: Duration = Duration::from_secs(30);

/// How the gateway does now.
pub type Readiness = dyn Fn() -> Health + Send + Sync;

/// How the gateway does.
#[derive(Debug, Clone, Default)]
pub struct Health {
    /// Whether the store is in reach.
    pub store_reachable: bool,
    /// Why it should get no traffic, in words for an operator; nothing when it is ready.
    pub reasons: Vec<String>,
    /// What an operator should know all the same.
    pub notes: Vec<String>,
}

/// What the operator's side works with.
#[derive(Clone)]
pub struct State {
    /// All habilitations.
    pub registry: Arc<Registry>,
    /// What replays decisions.
    pub explainer: Arc<Explainer>,
    /// The time, which a rehearsal may move.
    pub clock: Clock,
    /// Whether this is a rehearsal.
    pub rehearsal: bool,
    /// Whether the gateway is ready for traffic.
    pub ready: Arc<Readiness>,
    /// Codes and names of the Cafs of the configuration.
    pub known_cafs: Vec<(CafCode, String)>,
    /// What reads files again.
    pub reload: Arc<Reload>,
    /// The Cafs' backends.
    pub fleet: Arc<Fleet>,
    /// What of them is out of service.
    pub drains: Arc<dyn DrainStore>,
    /// Who may use the API.
    pub authority: Arc<Authority>,
    /// Who asks, and so how much is seen. Each request works with a state of its own author's.
    pub author: Author,
}

impl State {
    fn knows(&self, caf: CafCode) -> bool {
        self.known_cafs.iter().any(|(code, _)| *code == caf)
    }
}
