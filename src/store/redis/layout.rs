//! The names of the keys.

use crate::domain::{Identifiant, TokenHash};
use crate::session::SessionId;

/// Key names under a prefix.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    prefix: String,
}

impl Layout {
    pub(super) fn new(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned() }
    }

    pub(super) fn accounts(&self) -> String {
        format!("{}:accounts", self.prefix)
    }

    pub(super) fn establishments(&self) -> String {
        format!("{}:establishments", self.prefix)
    }

    /// What the names of all sessions begin with.
    pub(super) fn sessions(&self) -> String {
        format!("{}:session:", self.prefix)
    }

    pub(super) fn session(&self, id: &SessionId) -> String {
        format!("{}:session:{}", self.prefix, id.to_text())
    }

    /// A session's last action.
    pub(super) fn action(&self, id: &SessionId) -> String {
        format!("{}:action:{}", self.prefix, id.to_text())
    }

    /// The session of a key; none when the key is no session's.
    pub(super) fn session_of(&self, key: &[u8]) -> Option<SessionId> {
        let id = std::str::from_utf8(key).ok()?.strip_prefix(&self.prefix)?.strip_prefix(":session:")?;
        SessionId::parse(id)
    }

    pub(super) fn sessions_of(&self, account: &Identifiant) -> String {
        format!("{}:sessions-of:{account}", self.prefix)
    }

    /// The register of sittings by their public names.
    pub(super) fn sittings(&self) -> String {
        format!("{}:sittings", self.prefix)
    }

    pub(super) fn attempts(&self, key: &str) -> String {
        format!("{}:attempts:{key}", self.prefix)
    }

    pub(super) fn recovery(&self, id: &TokenHash) -> String {
        format!("{}:recovery:{}", self.prefix, id.to_text())
    }

    /// Letters that wait.
    pub(super) fn outbox(&self) -> String {
        format!("{}:outbox", self.prefix)
    }

    pub(super) fn parked(&self, id: &TokenHash) -> String {
        format!("{}:parked:{}", self.prefix, id.to_text())
    }

    /// What operators have taken out of service.
    pub(super) fn drained(&self) -> String {
        format!("{}:drained", self.prefix)
    }

    pub(super) fn signing_keys(&self) -> String {
        format!("{}:signing-keys", self.prefix)
    }
}
