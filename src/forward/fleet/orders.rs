//! What an operator orders: a Caf or an instance of it gets no new requests, until it is told otherwise.

use std::sync::atomic::Ordering;

use super::{CafView, Fleet};
use crate::domain::CafCode;

/// An order that names nothing that is there. Whose fault: the operator's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// No such Caf.
    #[error("there is no Caf {0}")]
    Caf(CafCode),
    /// No such instance at this Caf.
    #[error("Caf {caf} has no instance {wrong}, it has {right}")]
    Instance {
        /// The Caf.
        caf: CafCode,
        /// What was named.
        wrong: String,
        /// What could have been.
        right: String,
    },
}

impl Fleet {
    /// Drains a Caf, or one of its instances, or undoes it; what is under way goes on. It is forgotten when the
    /// process ends.
    pub fn drain(&self, caf: CafCode, instance: Option<&str>, drains: bool) -> Result<CafView, OrderError> {
        let team = self.team(caf).ok_or(OrderError::Caf(caf))?;
        let Some(named) = instance else {
            team.is_draining.store(drains, Ordering::Relaxed);
            tracing::info!(%caf, drains, "an operator's order for the whole Caf");
            return Ok(team.view());
        };
        let wanted = named.trim_end_matches('/');
        let is_it =
            |url: &str| url == wanted || url.split_once("://").is_some_and(|(_, rest)| rest == wanted);
        let found = team.members.iter().find(|member| is_it(&member.address.to_string()));
        let member = found.ok_or_else(|| OrderError::Instance {
            caf,
            wrong: named.to_owned(),
            right: team.members.iter().map(|one| one.address.to_string()).collect::<Vec<_>>().join(", "),
        })?;
        member.is_draining.store(drains, Ordering::Relaxed);
        tracing::info!(%caf, instance = %member.address, drains, "an operator's order for an instance");
        Ok(team.view())
    }
}
