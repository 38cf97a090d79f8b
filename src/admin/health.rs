//! Whether the program lives, and whether it should get traffic.

use std::collections::HashSet;

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
        Ok(text) if open => ([(CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Ok(text) => ([(CONTENT_TYPE, TEXT)], for_older_readers(&text)).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// What older readers call it.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The text as it was before `OpenMetrics`, where a counter is described under the name of its samples, `_total`
/// included; what else is new in it is a comment.
fn for_older_readers(text: &str) -> String {
    let counter = |line: &str| Some(line.strip_prefix("# TYPE ")?.strip_suffix(" counter")?.to_owned());
    let counters: HashSet<String> = text.lines().filter_map(counter).collect();
    let mut older = String::with_capacity(text.len() + 32 * counters.len());
    for line in text.lines() {
        let described = line.strip_prefix("# HELP ").or_else(|| line.strip_prefix("# TYPE "));
        let name = described.and_then(|rest| rest.split(' ').next()).filter(|name| counters.contains(*name));
        match name {
            Some(name) => {
                let (before, after) = line.split_at("# HELP ".len() + name.len());
                older.extend([before, "_total", after, "\n"]);
            }
            None => older.extend([line, "\n"]),
        }
    }
    older
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_described_as_older_readers_know_them() {
        let text = "# HELP a Of a.\n# TYPE a counter\na_total{x=\"y\"} 1\n# HELP b Of b.\n# TYPE b gauge\nb 2\n# EOF\n";
        let older = "# HELP a_total Of a.\n# TYPE a_total counter\na_total{x=\"y\"} 1\n# HELP b Of b.\n# TYPE b gauge\nb 2\n# EOF\n";
        assert_eq!(for_older_readers(text), older);
    }
}
