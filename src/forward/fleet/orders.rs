//! What an operator orders: a Caf or an instance of it gets no new requests, until it is told otherwise. Orders are
//! kept in the store; each gateway follows it.

use std::sync::atomic::{AtomicBool, Ordering};

use super::{CafView, Fleet};
use crate::domain::{CafCode, StoreError};
use crate::drains::{DrainStore, Drained};

/// An order that cannot be carried out.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    /// No such Caf. Whose fault: the operator's.
    #[error("there is no Caf {0}")]
    Caf(CafCode),
    /// No such instance at this Caf. Whose fault: the operator's.
    #[error("Caf {caf} has no instance {wrong}, it has {right}")]
    Instance {
        /// The Caf.
        caf: CafCode,
        /// What was named.
        wrong: String,
        /// What could have been.
        right: String,
    },
    /// It could not be kept; nothing has changed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Fleet {
    /// Drains a Caf, or one of its instances, or undoes it, here at once and at other replicas within a second or two;
    /// what is under way goes on.
    pub async fn drain(
        &self,
        store: &dyn DrainStore,
        caf: CafCode,
        instance: Option<&str>,
        drains: bool,
    ) -> Result<CafView, OrderError> {
        let team = self.team(caf).ok_or(OrderError::Caf(caf))?;
        let instance = instance.map(|named| {
            let is_it = |url: &str| {
                let wanted = named.trim_end_matches('/');
                url == wanted || url.split_once("://").is_some_and(|(_, rest)| rest == wanted)
            };
            let mut urls = team.members.iter().map(|member| member.address.to_string());
            urls.find(|url| is_it(url)).ok_or_else(|| OrderError::Instance {
                caf,
                wrong: named.to_owned(),
                right: team.members.iter().map(|one| one.address.to_string()).collect::<Vec<_>>().join(", "),
            })
        });
        let order = Drained { caf, instance: instance.transpose()? };
        store.set_drained(&order, drains).await?;
        self.orders.fetch_add(1, Ordering::SeqCst);
        self.set(&order, drains);
        Ok(team.view())
    }

    /// Follows what the store says, other replicas' orders included.
    pub async fn follow(&self, store: &dyn DrainStore) -> Result<(), StoreError> {
        let before = self.orders.load(Ordering::SeqCst);
        let drained = store.drained().await?;
        // An order that came meanwhile is newer than what was read.
        if self.orders.load(Ordering::SeqCst) != before {
            return Ok(());
        }
        for team in &self.teams {
            let whole = Drained { caf: team.caf, instance: None };
            self.set(&whole, drained.contains(&whole));
            for member in &team.members {
                let one = Drained { caf: team.caf, instance: Some(member.address.to_string()) };
                self.set(&one, drained.contains(&one));
            }
        }
        Ok(())
    }

    fn set(&self, what: &Drained, drains: bool) {
        let Some(team) = self.team(what.caf) else { return };
        let named = |url: &String| team.members.iter().find(|member| member.address.to_string() == *url);
        let flag: &AtomicBool = match &what.instance {
            None => &team.is_draining,
            Some(url) => match named(url) {
                Some(member) => &member.is_draining,
                None => return,
            },
        };
        if flag.swap(drains, Ordering::Relaxed) != drains {
            let (caf, instance) = (what.caf, what.instance.as_deref().unwrap_or("all"));
            tracing::warn!(%caf, instance, drains, "an operator's order about a backend");
        }
    }
}
