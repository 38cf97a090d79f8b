//! Why a request would be let through, or not.

use axum::response::Response;
use http::StatusCode;

use super::{ExplainQuery, Problem, State, answer};
use crate::domain::CafCode;
use crate::entry::Question;
use crate::forward::InstanceState;

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
    let question = Question { account, caf, path, at: at.map(|at| at.0), from, backend: backend(state, caf) };
    match state.explainer.explain(&question).await? {
        Some(explanation) => Ok(answer::ok(explanation)),
        None => Err(Problem::new(StatusCode::NOT_FOUND, format!("there is no account {}", question.account))),
    }
}

/// Whether a Caf's backend takes requests now: what is asked where nobody is well is asked too.
fn backend(state: &State, caf: CafCode) -> Result<String, String> {
    let Some(view) = state.fleet.view().into_iter().find(|view| view.code == caf) else {
        return Err(format!("Caf {caf} has no backend"));
    };
    let count = |state| view.instances.iter().filter(|instance| instance.state == state).count();
    let all = view.instances.len();
    let (up, ejected) = (count(InstanceState::Up), count(InstanceState::Ejected));
    if view.draining {
        Err(format!("all of Caf {caf} is drained: it gets no request"))
    } else if up > 0 {
        Ok(format!("{up} of {all} instances up"))
    } else if ejected > 0 {
        Ok(format!("{ejected} of {all} instances failed lately, and asked all the same: none is up"))
    } else {
        let (drained, failing) = (count(InstanceState::Draining), count(InstanceState::Failing));
        Err(format!("none of {all} instances is up: {drained} drained, {failing} failing checks"))
    }
}
