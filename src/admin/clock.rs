//! The clock of a rehearsal, by which the calendar is tried before its dates.

use axum::response::Response;
use http::StatusCode;

use super::{ClockView, Problem, State, answer};
use crate::domain::Timestamp;

pub(super) fn show(state: &State) -> Result<Response, Problem> {
    require_rehearsal(state)?;
    Ok(answer::ok(ClockView { now: state.clock.now() }))
}

pub(super) fn set(state: &State, now: Timestamp) -> Result<Response, Problem> {
    require_rehearsal(state)?;
    state.clock.set(now);
    tracing::info!(listener = "admin", %now, "the rehearsal's clock was moved");
    show(state)
}

fn require_rehearsal(state: &State) -> Result<(), Problem> {
    let refusal = "this gateway lives at the present time: only a [rehearsal] has a clock of its own";
    if state.rehearsal { Ok(()) } else { Err(Problem::new(StatusCode::CONFLICT, refusal)) }
}
