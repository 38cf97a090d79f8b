//! The services that requests, operators and the upkeep share, each built once.

use std::sync::Arc;

use tokio::runtime::Handle;

use super::StartError;
use crate::account::{self, Accounts, Breached, BreachedError, Hasher, Recoveries, Strength};
use crate::config::Config;
use crate::domain::{Calendar, Clock, PasswordRules};
use crate::entry::{Desk, Explainer, Gatekeeper, LostPassword, PostOffice, Registry, Reminders, Signer};
use crate::forward::Fleet;
use crate::gate::{Limits, Shared, TARGET_SIZE};
use crate::mail::Mailer;
use crate::parking::{Parking, ParkingCookie};
use crate::portal::{Letters, Portal};
use crate::session::{self, SessionCache, SessionCookie, Sessions};
use crate::store::Store;

/// Live sessions remembered by one process; about 1 KiB each.
pub(super) const CACHED_SESSIONS: usize = 20_000;

/// What is built once and shared.
pub(super) struct Services {
    pub(super) sessions: Arc<Sessions>,
    pub(super) signer: Arc<Signer>,
    pub(super) registry: Arc<Registry>,
    pub(super) strength: Arc<Strength>,
    pub(super) explainer: Arc<Explainer>,
    pub(super) office: Option<Arc<PostOffice>>,
    pub(super) store: Arc<dyn Store>,
    pub(super) shared: Arc<Shared>,
}

impl Services {
    pub(super) fn build(
        background: &Handle,
        config: &Arc<Config>,
        clock: &Clock,
        cache: Arc<SessionCache>,
        store: &Arc<dyn Store>,
        hasher: &Arc<Hasher>,
    ) -> Result<Self, StartError> {
        let strength = strength(config)?;
        let accounts = Arc::new(Accounts::new(
            store.clone(),
            store.clone(),
            Arc::clone(hasher),
            clock.clone(),
            account_policy(config, Arc::clone(&strength)),
        ));
        let sessions = Arc::new(Sessions::new(
            store.clone(),
            store.clone(),
            store.clone(),
            cache,
            clock.clone(),
            session_policy(config),
        ));
        let signer = Arc::new(Signer::new(store.clone(), clock.clone()));
        let calendar = Arc::new(Calendar::new(config.volets.clone()));
        let gatekeeper = Arc::new(Gatekeeper::new(
            Arc::clone(&calendar),
            Arc::clone(&signer),
            clock.clone(),
            issuer(config),
            CACHED_SESSIONS,
        ));
        let desk = Arc::new(Desk {
            accounts: Arc::clone(&accounts),
            sessions: Arc::clone(&sessions),
            establishments: store.clone(),
            counters: store.clone(),
            clock: clock.clone(),
        });
        // The carrier's pool of connections lives on the background runtime.
        let entered = background.enter();
        let mailer = config.mail.as_ref().map(Mailer::new).transpose()?;
        drop(entered);
        let recoveries = Arc::new(Recoveries::new(Arc::clone(&accounts), store.clone(), store.clone()));
        let office = mailer.map(|mailer| {
            Arc::new(PostOffice::new(
                store.clone(),
                Arc::clone(&accounts),
                Arc::clone(&recoveries),
                Arc::new(mailer),
                Arc::new(Letters::new(config, Arc::clone(&calendar), clock.clone())),
                clock.clone(),
            ))
        });
        let lost = Arc::new(LostPassword {
            recoveries,
            sessions: Arc::clone(&sessions),
            outbox: store.clone(),
            office: office.clone(),
            clock: clock.clone(),
        });
        let explainer = Arc::new(Explainer {
            accounts: Arc::clone(&accounts),
            establishments: store.clone(),
            counters: store.clone(),
            calendar: Arc::clone(&calendar),
            portal_prefix: config.portal.prefix.clone(),
            longest_target: TARGET_SIZE,
            clock: clock.clone(),
        });
        let parking = Arc::new(Parking::new(store.clone(), store.clone(), clock.clone()));
        let keys = Arc::clone(&signer);
        let portal =
            Arc::new(Portal::new(config, desk, lost, Arc::clone(&parking), keys, calendar, clock.clone()));
        let registry =
            Arc::new(Registry { accounts, sessions: Arc::clone(&sessions), establishments: store.clone() });
        let shared = Arc::new(Shared {
            config: Arc::clone(config),
            sessions: Arc::clone(&sessions),
            gatekeeper,
            portal,
            fleet: Fleet::new(config, &Clock::system())?,
            limits: Limits::new(&config.limits),
            cookie: SessionCookie::new(config.server.is_secure()),
            parking,
            parking_cookie: ParkingCookie::new(config.server.is_secure()),
            clock: Clock::system(),
        });
        Ok(Self { sessions, signer, registry, strength, explainer, office, store: store.clone(), shared })
    }

    pub(super) fn reminders(&self, office: &Arc<PostOffice>, clock: &Clock) -> Reminders {
        let accounts = Arc::clone(&self.registry.accounts);
        Reminders::new(accounts, self.store.clone(), Arc::clone(office), clock.clone())
    }
}

/// What is too easy to guess, with the list of stolen passwords where there is one.
fn strength(config: &Config) -> Result<Arc<Strength>, BreachedError> {
    let breached = config.password.breached_file.as_deref().map(Breached::open).transpose()?;
    let cafs = config.cafs.iter().map(|caf| (caf.code, caf.name.clone())).collect();
    let breached = breached.map(Arc::new).into();
    Ok(Arc::new(Strength { min: config.password.min_strength, cafs, breached }))
}

fn account_policy(config: &Config, strength: Arc<Strength>) -> account::Policy {
    account::Policy {
        max_age: config.password.max_age,
        provisional_max_age: config.password.provisional_max_age,
        rules: PasswordRules { min_length: config.password.min_length },
        strength,
        history: config.password.history,
        max_failures: config.login.max_failures,
        lockout: config.login.lockout,
        max_failures_per_account: config.login.max_failures_per_account,
    }
}

fn session_policy(config: &Config) -> session::Policy {
    session::Policy {
        idle_timeout: config.session.idle_timeout,
        warning: config.session.warning,
        absolute_timeout: config.session.absolute_timeout,
        max_per_account: config.session.max_per_account,
    }
}

/// Who assertions are issued by: the public URL where it is told.
fn issuer(config: &Config) -> String {
    config.server.public_url.as_ref().map_or_else(
        || "octroi".to_owned(),
        |url| format!("{}://{}", if url.https { "https" } else { "http" }, url.authority),
    )
}
