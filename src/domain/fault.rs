//! What goes wrong behind the gateway and is nobody's fault at its door.

/// The store could not do what was asked. Whose fault: the store's. What was asked may or may not have
/// been done; reads and the removal of a session may be tried again.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// It did not answer in time, or the connection broke.
    #[error("the store is out of reach: {0}")]
    Unreachable(String),
    /// It answered with something that this program cannot read.
    #[error("the store holds what cannot be read: {0}")]
    Corrupt(String),
}

impl From<serde_json::Error> for StoreError {
    fn from(error: serde_json::Error) -> Self {
        Self::Corrupt(error.to_string())
    }
}
