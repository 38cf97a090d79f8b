//! The line of a request: who was let where, and how long it took. Never a query, a cookie or a body.

use std::time::Duration;

use crate::domain::CafCode;

/// What is told of a request once its response's head is known.
#[derive(Debug)]
pub struct Access<'a> {
    /// Its id, as the backend and the user's error page have it.
    pub id: &'a str,
    /// GET, POST …
    pub method: &'a str,
    /// The path without its query, or `-` where it could not be read.
    pub path: &'a str,
    /// The session's state; `anonyme` where there is none.
    pub etat: &'static str,
    /// The session's Caf.
    pub caf: Option<CafCode>,
    /// The response's status.
    pub status: u16,
    /// The problem that was answered, if one was.
    pub code: Option<&'static str>,
    /// From the request's head to the response's.
    pub time: Duration,
}

/// Logs the line.
pub fn record(access: &Access<'_>) {
    tracing::info!(
        target: "octroi::access",
        id = access.id,
        method = access.method,
        path = access.path,
        etat = access.etat,
        caf = access.caf.as_ref().map(CafCode::as_str),
        status = access.status,
        code = access.code,
        time_us = u64::try_from(access.time.as_micros()).unwrap_or(u64::MAX),
        "request"
    );
}
