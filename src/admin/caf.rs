//! `/v1/cafs`: the Cafs' backends as this gateway sees them, and taking one out of service.

use axum::Json;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::{Problem, State};
use crate::domain::{CafCode, Role};
use crate::forward::{CafView, OrderError};

/// Every Caf that its reader may see, by code.
#[derive(Debug, Serialize, Deserialize)]
pub struct CafsList {
    /// The Cafs.
    pub cafs: Vec<CafView>,
}

/// What a drain is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drain {
    /// The Caf.
    pub caf: CafCode,
    /// One of its instances, by its URL; all of it without.
    pub instance: Option<String>,
}

/// `GET /v1/cafs`.
pub(super) fn list(state: &State) -> Response {
    let mut cafs = state.fleet.view();
    if let role @ Role::Gestionnaire(_) = &state.author.role {
        cafs.retain(|caf| role.covers(caf.code));
    }
    Json(CafsList { cafs }).into_response()
}

/// `GET /v1/cafs/{code}`.
pub(super) fn show(state: &State, caf: CafCode) -> Result<Response, Problem> {
    let found = state.fleet.view().into_iter().find(|view| view.code == caf);
    Ok(Json(found.ok_or(OrderError::Caf(caf))?).into_response())
}

/// `POST` and `DELETE /v1/cafs/{code}/drain`.
pub(super) async fn drain(state: &State, order: &Drain, drains: bool) -> Result<Response, Problem> {
    let instance = order.instance.as_deref();
    Ok(Json(state.fleet.drain(state.drains.as_ref(), order.caf, instance, drains).await?).into_response())
}

impl From<OrderError> for Problem {
    fn from(error: OrderError) -> Self {
        match error {
            OrderError::Store(error) => error.into(),
            wrong => Self::new(StatusCode::NOT_FOUND, wrong.to_string()),
        }
    }
}
