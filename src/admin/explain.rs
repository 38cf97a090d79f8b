//! Why a request would be let through, or not.

use axum::response::Response;
use http::StatusCode;

use super::{ExplainQuery, Problem, State, answer};
use crate::entry::Question;

pub(super) async fn show(state: &State, query: ExplainQuery) -> Result<Response, Problem> {
    if !state.knows(query.caf) {
        let detail = format!("the configuration has no Caf {}", query.caf);
        return Err(Problem::new(StatusCode::NOT_FOUND, detail));
    }
    if !query.path.starts_with('/') {
        return Err(Problem::new(StatusCode::BAD_REQUEST, "path: expected one that begins with /"));
    }
    let ExplainQuery { account, caf, path, at, from } = query;
    let from = from.map(|address| crate::limits::ClientKey::from(address).to_string());
    let question = Question { account, caf, path, at: at.map(|at| at.0), from };
    match state.explainer.explain(&question).await? {
        Some(explanation) => Ok(answer::ok(explanation)),
        None => Err(Problem::new(StatusCode::NOT_FOUND, format!("there is no account {}", question.account))),
    }
}
