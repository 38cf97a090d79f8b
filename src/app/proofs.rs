//! What the operator's side accepts as proof of a name: tokens and certificates, read again when they change.

use std::sync::Arc;
use std::time::Duration;

use super::StartError;
use crate::admin::{Authority, Reception, TokensFile};
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

    /// Reads what is watched again: what had changed, and what cannot be used and so stays as it was.
    pub(super) fn renew(&self) -> (Vec<&'static str>, Vec<String>) {
        let (mut changed, mut wrong) = (Vec::new(), Vec::new());
        if let Some(tokens) = &self.tokens {
            match tokens.renew() {
                Ok(new) => changed.extend(new.then_some("admin.tokens_file")),
                Err(error) => wrong.push(error.to_string()),
            }
        }
        if let Some(tls) = &self.tls {
            match tls.renew() {
                Ok(new) => changed.extend(new.then_some("admin.tls")),
                Err(error) => wrong.push(error.to_string()),
            }
        }
        (changed, wrong)
    }

    /// Looks at the files for as long as the program runs.
    pub(super) async fn watch(self) {
        let mut last_wrong = Vec::new();
        loop {
            tokio::time::sleep(LOOK).await;
            let (changed, wrong) = self.renew();
            for file in changed {
                tracing::info!(listener = "admin", file, "read again");
            }
            for error in wrong.iter().filter(|error| !last_wrong.contains(*error)) {
                tracing::error!(listener = "admin", %error, "cannot be used; what was read before stays");
            }
            last_wrong = wrong;
        }
    }
}
