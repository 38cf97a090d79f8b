//! Whether the program lives, and whether it should get traffic.

use axum::Json;
use axum::response::{IntoResponse as _, Response};
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::json;

use super::{Health, State};
use crate::telemetry::metrics;

/// `GET /livez`: the program answers.
pub(super) async fn live() -> Response {
    Json(json!({"status": "ok"})).into_response()
}

/// `GET /readyz`: it should get traffic, or why not.
pub(super) fn ready(state: &State) -> Response {
    let Health { reasons, notes, .. } = (state.ready)();
    let status = if reasons.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let mut told = json!({"status": if reasons.is_empty() { "ok" } else { "unready" }});
    for (name, words) in [("reasons", reasons), ("notes", notes)] {
        if !words.is_empty() {
            told[name] = words.into();
        }
    }
    (status, Json(told)).into_response()
}

/// `GET /metrics`: what was counted, in the text format of `OpenMetrics`, which Prometheus reads.
pub(super) fn metrics(state: &State, headers: &HeaderMap) -> Response {
    let accepts = |accept: &HeaderValue| accept.as_bytes().starts_with(b"application/openmetrics-text");
    let open = headers.get(ACCEPT).is_some_and(accepts);
    match metrics::text((state.ready)().store_reachable, state.fleet.counts()) {
        Ok(text) => ([(CONTENT_TYPE, if open { OPEN_METRICS } else { TEXT })], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// What older readers call it; to them the few lines that are `OpenMetrics`' own are comments.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
