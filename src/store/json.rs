//! Records as JSON, the same bytes in both stores.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::domain::StoreError;

pub(super) fn encode(value: &impl Serialize) -> Result<Vec<u8>, StoreError> {
    Ok(serde_json::to_vec(value)?)
}

/// Reads a record. The error tells where, not what: serde's own words quote the record, which may hold secrets.
pub(super) fn decode<T: DeserializeOwned>(what: &str, bytes: &[u8]) -> Result<T, StoreError> {
    serde_json::from_slice(bytes).map_err(|error| {
        let (kind, column) = (error.classify(), error.column());
        StoreError::Corrupt(format!("{what}: {kind:?} error in its JSON at column {column}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_is_not_quoted() {
        let error = decode::<u32>("a number", br#""$argon2id$secret""#).expect_err("no number");
        assert!(matches!(&error, StoreError::Corrupt(why) if !why.contains("secret")), "{error}");
        assert!(error.to_string().contains("a number"), "{error}");
    }
}
