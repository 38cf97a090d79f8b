//! What the client says went wrong, as the program sees it.

use ::redis::{ErrorKind, RedisError, ServerErrorKind};

use crate::domain::StoreError;

/// An answer that cannot be read, or a key of another type than ours, is corruption; all else is a server
/// that cannot serve now (broken, loading, read-only, full, refusing us).
pub(super) fn store_error(error: &RedisError) -> StoreError {
    let unreadable = matches!(error.kind(), ErrorKind::Parse | ErrorKind::UnexpectedReturnType);
    // A script that stumbles over what a key holds answers plain `ERR`, and its own place; one that a full server stops
    // names its place too.
    let stumbled =
        error.code() == Some("ERR") && error.detail().is_some_and(|detail| detail.contains("user_script"));
    let foreign = matches!(error.code(), Some("CORRUPT" | "WRONGTYPE"));
    if unreadable && !error.is_unrecoverable_error() || foreign || stumbled {
        StoreError::Corrupt(error.to_string())
    } else {
        StoreError::Unreachable(error.to_string())
    }
}

/// Whether the server behind the connection is no longer the one to talk to: it was made a replica.
pub(super) fn is_demoted(error: &RedisError) -> bool {
    matches!(error.kind(), ErrorKind::Server(ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown))
}
