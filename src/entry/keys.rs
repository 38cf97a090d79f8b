//! The keys that sign assertions, shared by all replicas through the store.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::domain::{StoreError, Timestamp};

/// A signing key as the store keeps it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredKey {
    /// Its name in the JWKS (`kid`).
    pub id: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// PKCS#8, base64.
    pub pkcs8: String,
}

/// Where signing keys are kept.
#[async_trait]
pub trait SigningKeyStore: Send + Sync {
    /// All keys, the oldest first.
    async fn keys(&self) -> Result<Vec<StoredKey>, StoreError>;

    /// Adds a key if as many are kept as `expected` says (several replicas may start at once), and drops all but
    /// the `keep` latest. All keys, the oldest first.
    async fn add_key(
        &self,
        key: &StoredKey,
        expected: usize,
        keep: usize,
    ) -> Result<Vec<StoredKey>, StoreError>;
}
