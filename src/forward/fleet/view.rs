//! What an operator sees of the instances.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use serde::{Deserialize, Serialize};

use super::{Fleet, Member, Team};
use crate::domain::{CafCode, Timestamp};
use crate::telemetry::metrics::{Backends, Instance};

/// One Caf.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CafView {
    /// Its code.
    pub code: CafCode,
    /// Its name.
    pub name: String,
    /// Whether an operator keeps new requests from all of it.
    pub draining: bool,
    /// Requests that were sent a second time since the program started.
    pub retries: u64,
    /// Its instances, in the configuration's order.
    pub instances: Vec<InstanceView>,
}

/// One instance.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct InstanceView {
    /// Its URL.
    pub instance: String,
    /// Whether it gets requests, and why not.
    pub state: InstanceState,
    /// Until when it is left alone, where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ejected_until: Option<Timestamp>,
    /// Its share, beside the others'.
    pub weight: u32,
    /// Requests under way.
    pub outstanding: usize,
    /// Requests that wait for room.
    pub waiting: usize,
    /// Failures in a row.
    pub failures: u32,
    /// How often it was left alone since the program started.
    pub ejections: u64,
    /// What failed last, if anything did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<LastError>,
}

/// Whether an instance gets requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InstanceState {
    /// It does.
    Up,
    /// It failed too often, and is left alone for a while.
    Ejected,
    /// It does not pass its checks.
    Failing,
    /// An operator drains it.
    Draining,
}

/// What failed last.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LastError {
    /// When.
    pub at: Timestamp,
    /// What, in words.
    pub what: String,
}

impl Fleet {
    /// What is counted of them.
    pub fn counts(&self) -> Backends {
        let instances = self.teams.iter().flat_map(|team| {
            team.members.iter().enumerate().map(|(place, member)| Instance {
                caf: team.caf,
                number: place + 1,
                is_up: member.state(team) == InstanceState::Up,
                requests: member.room.busy(),
                waiting: member.room.waiting(),
                ejections: member.ejections.load(Ordering::Relaxed),
            })
        });
        let retries = self.teams.iter().map(|team| (team.caf, team.retries.load(Ordering::Relaxed)));
        Backends { instances: instances.collect(), retries: retries.collect() }
    }

    /// All Cafs, by code.
    pub fn view(&self) -> Vec<CafView> {
        self.teams.iter().map(|team| team.view()).collect()
    }
}

impl Team {
    pub(super) fn view(&self) -> CafView {
        CafView {
            code: self.caf,
            name: self.name.clone(),
            draining: self.is_draining(),
            retries: self.retries.load(Ordering::Relaxed),
            instances: self.members.iter().map(|member| member.view(self)).collect(),
        }
    }
}

impl Member {
    fn state(&self, team: &Team) -> InstanceState {
        match self.health.ejected_for() {
            _ if self.is_draining() || team.is_draining() => InstanceState::Draining,
            _ if self.health.fails_checks() => InstanceState::Failing,
            Some(_) => InstanceState::Ejected,
            None => InstanceState::Up,
        }
    }

    fn view(&self, team: &Team) -> InstanceView {
        let (state, ejected_for) = (self.state(team), self.health.ejected_for());
        let last_error = self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone();
        InstanceView {
            instance: self.address.to_string(),
            state,
            ejected_until: ejected_for.and_then(|left| team.clock.running().checked_add(left).ok()),
            weight: self.weight,
            outstanding: self.room.busy(),
            waiting: self.room.waiting(),
            failures: self.health.failures(),
            ejections: self.ejections.load(Ordering::Relaxed),
            last_error: last_error.map(|(at, what)| LastError { at, what }),
        }
    }
}
