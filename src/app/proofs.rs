//! What the operator's side accepts as proof of a name: tokens and certificates, read again when they change.

use std::sync::Arc;
use std::time::Duration;

use super::StartError;
use super::reload::part;
use crate::admin::{Authority, Outcome, Part, Reception, TokensFile};
use crate::config;
use crate::server::MutualTls;

/// The files that proofs come from.
#[derive(Debug, Clone)]
pub(super) struct Proofs {
    tokens: Option<Arc<TokensFile>>,
    tls: Option<Arc<MutualTls>>,
}

/// How often the files are compared with what was read.
const LOOK: Duration = Duration::from_secs(1);

impl Proofs {
    pub(super) fn load(admin: &config::Admin) -> Result<Self, StartError> {
        let tokens = admin.tokens_file.as_deref().map(TokensFile::load).transpose()?;
        let needed = tokens.is_none();
        let tls = admin.tls.as_ref().map(|tls| MutualTls::load(tls, needed)).transpose()?;
        Ok(Self { tokens: tokens.map(Arc::new), tls: tls.map(Arc::new) })
    }

    pub(super) fn authority(&self, admin: &config::Admin) -> Authority {
        let clients = admin.tls.as_ref().and_then(|tls| tls.client_ca.as_ref().map(|_| tls.clients.clone()));
        Authority::new(self.tokens.clone(), clients)
    }

    pub(super) fn reception(&self, admin: &config::Admin) -> Reception {
        let tls = self.tls.clone().map(|tls| Arc::new(move || tls.config()) as _);
        Reception { tls, max_connections: admin.max_connections }
    }

    /// Reads the files again; what came of each.
    pub(super) fn parts(&self) -> Vec<Part> {
        let tokens = self.tokens.iter().map(|tokens| part("admin.tokens_file", tokens.renew()));
        tokens.chain(self.tls.iter().map(|tls| part("admin.tls", tls.renew()))).collect()
    }

    /// Looks at the files for as long as the program runs.
    pub(super) async fn watch(self) {
        let mut last_wrong = Vec::new();
        loop {
            tokio::time::sleep(LOOK).await;
            let parts = self.parts();
            for part in parts.iter().filter(|part| part.outcome == Outcome::Changed) {
                tracing::info!(listener = "admin", file = part.part, "read again");
            }
            let wrong: Vec<String> = parts.into_iter().filter_map(|part| part.reason).collect();
            for error in wrong.iter().filter(|error| !last_wrong.contains(*error)) {
                tracing::error!(listener = "admin", %error, "cannot be used; what was read before stays");
            }
            last_wrong = wrong;
        }
    }
}
