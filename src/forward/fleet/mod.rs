//! The instances of all Cafs' backends, as all workers know them: who is well, how busy each is, who is drained.
//!
//! Workers have connections of their own (`pool`); what they must agree on is here, in atomics behind an `Arc`. A
//! mutex is only taken where something has failed, or where an operator looks.
//!
//! [`Fleet`] holds a [`Team`] for each Caf, a team a [`Member`] for each instance. `room` counts a member's requests
//! and lets others wait, `health` says who gets requests, `choice` who gets the next one, `budget` how many may be
//! sent twice, `resolve`, `tls` and `dial` how members are spoken to; `check` asks them now and then, `orders` is what an
//! operator says, `view` what an operator sees.

mod budget;
mod check;
mod choice;
mod dial;
mod health;
mod orders;
mod resolve;
mod room;
mod tls;
mod view;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::HeaderValue;

use self::budget::Budget;
use self::health::Health;
use self::resolve::Addresses;
use self::room::Room;
use self::tls::Secured;
use super::sticky::Mark;
use crate::config::{self, Config, Protocol};
use crate::domain::{CafCode, Clock, Timestamp};
use crate::drains::DrainStore;

pub(super) use self::dial::{Socket, Version};
pub use self::orders::OrderError;
pub(super) use self::tls::Offer;
pub use self::tls::TlsError;
pub use self::view::{CafView, InstanceState, InstanceView, LastError};

/// Every Caf's instances. One for the whole process.
#[derive(Debug)]
pub struct Fleet {
    /// Sorted by code.
    teams: Vec<Arc<Team>>,
    /// Orders that were given here: what was read before one of them is older than it.
    orders: AtomicU64,
}

/// The instances of one Caf. Nobody chooses among those of two.
#[derive(Debug)]
pub(super) struct Team {
    pub(super) caf: CafCode,
    name: String,
    pub(super) rule: config::Backend,
    protocol: Protocol,
    pub(super) sticky_cookie: Option<String>,
    check: Option<config::Check>,
    /// In the configuration's order.
    pub(super) members: Vec<Arc<Member>>,
    pub(super) budget: Budget,
    tls: Option<Secured>,
    is_draining: AtomicBool,
    /// Requests that were sent a second time.
    retries: AtomicU64,
    clock: Clock,
}

/// One instance.
#[derive(Debug)]
pub(super) struct Member {
    address: config::BackendAddress,
    /// What its name stands for.
    addresses: Addresses,
    /// Host and port, as a `Host` header.
    pub(super) authority: HeaderValue,
    /// What its sticky cookies are marked with.
    pub(super) mark: Mark,
    weight: u32,
    pub(super) health: Health,
    pub(super) room: Room,
    is_draining: AtomicBool,
    /// Whether it chose HTTP/2 the last time it was asked.
    pub(super) prefers_http2: AtomicBool,
    /// How often it was left alone.
    ejections: AtomicU64,
    last_error: Mutex<Option<(Timestamp, String)>>,
}

/// How often files and orders are looked at. Contents of files are compared, not times: some deployments change a link
/// several folders above.
const LOOK: Duration = Duration::from_secs(1);

impl Fleet {
    /// All that the configuration names. `clock` is for what operators read.
    pub fn new(config: &Config, clock: &Clock) -> Result<Arc<Self>, TlsError> {
        Self::of(&config.cafs, &config.backend, clock)
    }

    pub(super) fn of(
        cafs: &[config::Caf],
        backend: &config::Backend,
        clock: &Clock,
    ) -> Result<Arc<Self>, TlsError> {
        let teams = cafs.iter().map(|caf| Team::new(caf, backend, clock).map(Arc::new));
        let mut teams = teams.collect::<Result<Vec<_>, _>>()?;
        teams.sort_by_key(|team| team.caf);
        Ok(Arc::new(Self { teams, orders: AtomicU64::new(0) }))
    }

    /// The backends of no Caf.
    #[cfg(test)]
    pub(crate) fn empty() -> Arc<Self> {
        Arc::new(Self { teams: Vec::new(), orders: AtomicU64::new(0) })
    }

    /// Checks the instances that are to be, follows operators' orders, and re-reads certificates, for as long as the
    /// program runs.
    pub async fn watch(self: Arc<Self>, orders: Arc<dyn DrainStore>) {
        for team in &self.teams {
            if let Some(check) = &team.check {
                for member in &team.members {
                    tokio::spawn(check::go_on(Arc::clone(team), Arc::clone(member), check.clone()));
                }
            }
        }
        loop {
            tokio::time::sleep(LOOK).await;
            // A store out of reach is told of by those who need it: the last orders stay.
            let _ = self.follow(orders.as_ref()).await;
            for team in &self.teams {
                if let Some(tls) = &team.tls {
                    tls.look_again();
                }
            }
        }
    }

    /// Reads the certificates towards the backends again; by Caf, whether they had changed. What cannot be used changes
    /// nothing.
    pub fn renew(&self) -> Vec<(CafCode, Result<bool, TlsError>)> {
        let secured = self.teams.iter().filter_map(|team| Some((team.caf, team.tls.as_ref()?)));
        secured.map(|(caf, tls)| (caf, tls.renew())).collect()
    }

    pub(super) fn teams(&self) -> &[Arc<Team>] {
        &self.teams
    }

    fn team(&self, caf: CafCode) -> Option<&Arc<Team>> {
        let place = self.teams.binary_search_by_key(&caf, |team| team.caf).ok()?;
        self.teams.get(place)
    }
}

impl Team {
    fn new(caf: &config::Caf, backend: &config::Backend, clock: &Clock) -> Result<Self, TlsError> {
        let rule = caf.overrides.over(backend);
        let member = |(address, weight): (&config::BackendAddress, &u32)| {
            let member = Member::new(address.clone(), *weight, &rule);
            member.prefers_http2.store(caf.protocol == Protocol::Http2, Ordering::Relaxed);
            Arc::new(member)
        };
        Ok(Self {
            caf: caf.code,
            name: caf.name.clone(),
            protocol: caf.protocol,
            sticky_cookie: caf.sticky_cookie.clone(),
            check: caf.check.clone(),
            members: caf.backends.iter().zip(&caf.weights).map(member).collect(),
            budget: Budget::new(rule.retry_budget),
            tls: Secured::load(caf)?,
            is_draining: AtomicBool::new(false),
            retries: AtomicU64::new(0),
            clock: clock.clone(),
            rule,
        })
    }

    fn is_draining(&self) -> bool {
        self.is_draining.load(Ordering::Relaxed)
    }

    /// Notes a failure of an instance's, and leaves the instance alone for a while if it is one too many. The last
    /// one that is well is never left alone: something is better than nothing.
    pub(super) fn failed(&self, member: &Member, what: &dyn std::fmt::Display) {
        member.note(self.clock.running(), what.to_string());
        let others_up = || {
            let mut others = self.members.iter().filter(|other| !std::ptr::eq(other.as_ref(), member));
            others.any(|other| !other.is_draining() && other.health.is_up())
        };
        if let Some(time) = member.health.failed(&self.rule, others_up) {
            member.ejections.fetch_add(1, Ordering::Relaxed);
            let (caf, instance, time_s) = (self.caf, &member.address, time.as_secs_f32());
            tracing::warn!(%caf, %instance, time_s, %what, "an instance is left alone for a while");
        }
    }
}

impl Member {
    fn new(address: config::BackendAddress, weight: u32, rule: &config::Backend) -> Self {
        let authority = HeaderValue::from_str(&address.authority()).unwrap_or(HeaderValue::from_static(""));
        let mark = Mark::of(&address.to_string());
        Self {
            address,
            addresses: Addresses::default(),
            authority,
            mark,
            weight,
            health: Health::new(),
            room: Room::new(rule.max_connections, rule.max_waiting),
            is_draining: AtomicBool::new(false),
            prefers_http2: AtomicBool::new(false),
            ejections: AtomicU64::new(0),
            last_error: Mutex::new(None),
        }
    }

    fn is_draining(&self) -> bool {
        self.is_draining.load(Ordering::Relaxed)
    }

    fn note(&self, at: Timestamp, what: String) {
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = Some((at, what));
    }
}
