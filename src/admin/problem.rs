//! The one place where a refusal becomes a response: `application/problem+json` (RFC 9457), in English.

use axum::Json;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};

use crate::account::{EnrolError, HashError, UpdateError};
use crate::domain::StoreError;
use crate::telemetry::audit::Unaudited;

/// Why nothing was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The status in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What is wrong, in a sentence.
    pub detail: String,
    /// What is wrong with what was sent, line by line.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<BadRow>,
}

/// What is wrong with a line of an import, or with a body of one object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BadRow {
    /// The line's number, from 1, in an import.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// The key whose value is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// What is wrong, and what was expected.
    pub reason: String,
}

impl Problem {
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        let title = status.canonical_reason().unwrap_or("Refused").to_owned();
        Self { title, status: status.as_u16(), detail: detail.into(), errors: Vec::new() }
    }

    pub(super) fn with_errors(self, errors: Vec<BadRow>) -> Self {
        Self { errors, ..self }
    }

    fn busy(detail: &str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, detail)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(self)).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("5"));
        }
        response
    }
}

const MEDIA_TYPE: &str = "application/problem+json";
const JSON: &str = "application/json";

/// Puts a problem in the place of the bare errors of the router and of its layers, keeping their headers.
pub(super) async fn dress(request: Request, next: Next) -> Response {
    let bare = next.run(request).await;
    let status = bare.status();
    let dressed = bare.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == MEDIA_TYPE || kind == JSON);
    if dressed || !(status.is_client_error() || status.is_server_error()) {
        return bare;
    }
    let mut response = Problem::new(status, explanation(status)).into_response();
    for (name, value) in bare.headers() {
        if name != CONTENT_TYPE && name != CONTENT_LENGTH {
            response.headers_mut().insert(name, value.clone());
        }
    }
    response
}

fn explanation(status: StatusCode) -> &'static str {
    match status {
        StatusCode::NOT_FOUND => "there is nothing at this path",
        StatusCode::METHOD_NOT_ALLOWED => "this path does not take that method",
        StatusCode::PAYLOAD_TOO_LARGE => "the body is larger than this path takes",
        StatusCode::SERVICE_UNAVAILABLE => "it took too long and was given up",
        StatusCode::INTERNAL_SERVER_ERROR => "octroi failed; its log says why",
        _ => "the request cannot be understood",
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        tracing::warn!(listener = "admin", %error, "the store failed");
        Self::busy(
            "the store is out of reach or full, as the gateway's log says; a change that was under way may have \
             been made, or not",
        )
    }
}

impl From<Unaudited> for Problem {
    fn from(error: Unaudited) -> Self {
        Self::busy(&error.to_string())
    }
}

impl From<HashError> for Problem {
    fn from(error: HashError) -> Self {
        match error {
            HashError::Busy => Self::busy("too many passwords wait to be hashed; nothing was done"),
            HashError::Failed => Self::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "a password could not be hashed; nothing was done",
            ),
        }
    }
}

impl From<UpdateError> for Problem {
    fn from(error: UpdateError) -> Self {
        match error {
            UpdateError::Unknown => Self::new(StatusCode::NOT_FOUND, error.to_string()),
            UpdateError::Conflict => Self::new(StatusCode::CONFLICT, error.to_string()),
            UpdateError::Hashing(error) => error.into(),
            UpdateError::Store(error) => error.into(),
        }
    }
}

impl From<EnrolError> for Problem {
    fn from(error: EnrolError) -> Self {
        match error {
            EnrolError::Taken(_) | EnrolError::Stale(_) | EnrolError::GivenUp => {
                Self::new(StatusCode::CONFLICT, error.to_string())
            }
            EnrolError::Hash { .. } => Self::new(StatusCode::UNPROCESSABLE_ENTITY, error.to_string()),
            EnrolError::Hashing(error) => error.into(),
            EnrolError::Store(error) => error.into(),
        }
    }
}
