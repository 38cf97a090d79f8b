//! Whether the program lives, and whether it should get traffic.

use axum::Json;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use serde_json::json;

use super::State;

/// `GET /livez`: the program answers.
pub(super) async fn live() -> Response {
    Json(json!({"status": "ok"})).into_response()
}

/// `GET /readyz`: it should get traffic, or why not.
pub(super) fn ready(state: &State) -> Response {
    let reasons = (state.ready)();
    if reasons.is_empty() {
        return Json(json!({"status": "ok"})).into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, Json(json!({"status": "unready", "reasons": reasons}))).into_response()
}
