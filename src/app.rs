//! Builds the running program from a checked configuration: alone names the concrete stores.
//!
//! Requests are served by the workers' own threads. What is no request's work (password hashing, store
//! upkeep, the admin API, the demonstration) runs on one background runtime.

mod proofs;
mod reload;

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::runtime::{Handle, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::account::{self, Accounts, Breached, BreachedError, HashError, Hasher, Recoveries, Strength};
use crate::admin;
use crate::config::{self, AuditFailure, Config};
use crate::demo::{self, DemoError};
use crate::domain::{Calendar, Clock, PasswordRules, StoreError};
use crate::entry::{Desk, Explainer, Gatekeeper, LostPassword, PostOffice, Registry, Reminders, Signer};
use crate::forward::{self, Fleet};
use crate::gate::{Limits, Shared};
use crate::mail::{MailError, Mailer};
use crate::parking::{Parking, ParkingCookie};
use crate::portal::{Letters, Portal};
use crate::server::{BindError, Certificate, Drain, Listeners, TlsError, Workers};
use crate::session::{self, SessionCache, SessionCookie, Sessions};
use crate::store::embedded::OpenError;
use crate::store::{self, Store};
use crate::telemetry::audit::{self, Audit, Figures, OnFailure};
use proofs::Proofs;
use reload::{Reloader, Source};

/// The program could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address is taken or not ours.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The certificate cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The embedded store's file cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// `[mail]` cannot be used.
    #[error(transparent)]
    Mail(#[from] MailError),
    /// What the Cafs' backends are spoken to with cannot be used.
    #[error(transparent)]
    Backend(#[from] forward::TlsError),
    /// `password.breached_file` is no list of hashes.
    #[error("password.breached_file cannot be used")]
    Breached(#[from] BreachedError),
    /// The audit log cannot be begun.
    #[error(transparent)]
    Audit(#[from] audit::OpenError),
    /// argon2 cannot get its memory.
    #[error(transparent)]
    Hash(#[from] HashError),
    /// The tokens of the admin API cannot be read.
    #[error(transparent)]
    Tokens(#[from] admin::TokensError),
    /// The demonstration cannot be set up.
    #[error(transparent)]
    Demo(#[from] DemoError),
    /// The system refuses a thread, a socket or a signal handler.
    #[error("the system refuses: {0}")]
    System(#[from] io::Error),
}

/// Live sessions remembered by one process; about 1 KiB each.
const CACHED_SESSIONS: usize = 20_000;
/// Passwords that wait for each thread that hashes: some 20 ms each, so that the last waits a second or so.
const WAITING_PASSWORDS: usize = 64;
/// How often what has expired is swept from the store.
const SWEEP: Duration = Duration::from_mins(1);

/// A program that serves.
pub struct App {
    background: Runtime,
    workers: Workers,
    sessions: Arc<Sessions>,
    drain: Drain,
    office: Option<Arc<PostOffice>>,
    admin: AdminTask,
    addresses: Vec<SocketAddr>,
    clock: Clock,
}

/// Where a program's configuration is from.
#[derive(Debug, Clone, Copy)]
pub enum Origin<'a> {
    /// The embedded default, whose accounts are made before anybody is served.
    Demo,
    /// A file, which can be read again.
    File(&'a Path),
}

/// The background runtime of a program that is about to start.
pub fn background() -> io::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(64)
        .thread_name("octroi-background")
        .enable_all()
        .build()
}

/// The operator's listener, and how to end it.
struct AdminTask {
    address: String,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl App {
    /// Opens the store, builds every service, and listens.
    pub fn start(
        background: Runtime,
        config: Config,
        origin: Origin<'_>,
        clock: &Clock,
    ) -> Result<Self, StartError> {
        let source = match origin {
            Origin::Demo => None,
            Origin::File(file) => Some(Source::of(file.to_owned())),
        };
        let config = Arc::new(config);
        if let Some(path) = &config.audit.path {
            let on_failure = match config.audit.on_failure {
                AuditFailure::Refuse => OnFailure::Refuse,
                AuditFailure::Continue => OnFailure::Continue,
            };
            audit::install(Audit::to_file(path.clone(), config.audit.max_size, on_failure, clock)?);
        }
        let cache = Arc::new(SessionCache::new(CACHED_SESSIONS));
        let store = open_store(&background, &config.store, clock, &cache)?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        // A core is left to requests, where there are several.
        let hashing = cores.saturating_sub(1).max(1);
        let hasher = Arc::new(Hasher::new(hashing, WAITING_PASSWORDS * hashing)?);
        let services = Services::build(background.handle(), &config, clock, cache, &store, &hasher)?;
        if let Origin::Demo = origin {
            background.block_on(demo::fill(&services.registry, &hasher, clock))?;
        }

        let listeners = Listeners::bind(&config.server.listen, config.server.workers)?;
        let addresses = listeners.addresses().to_vec();
        let certificate = config.server.tls.as_ref().map(Certificate::load).transpose()?;
        let tls = certificate.as_ref().map(Certificate::server_config);
        let proofs = Proofs::load(&config.admin)?;
        let reloader = Arc::new(Reloader {
            source,
            certificate: certificate.clone(),
            proofs: proofs.clone(),
            fleet: Arc::clone(&services.shared.fleet),
            strength: Arc::clone(&services.strength),
            breached: config.password.breached_file.clone(),
            turn: Mutex::default(),
        });
        let admin = start_admin(&background, &config, clock, &services, proofs, &reloader)?;
        background.spawn(reload_on_hangup(reloader, signal_of(&background, SignalKind::hangup())?));
        if let Err(error) = background.block_on(services.shared.fleet.follow(store.as_ref())) {
            tracing::warn!(%error, "what operators have drained is not known yet");
        }
        let workers = Workers::start(listeners, &services.shared, tls.as_ref())?;
        for address in &addresses {
            tracing::info!(listener = "public", %address, tls = tls.is_some(), "listening");
        }

        let (sessions, signer) = (Arc::clone(&services.sessions), Arc::clone(&services.signer));
        background.spawn(async move { sessions.write_actions().await });
        background.spawn(async move { signer.keep_fresh().await });
        background.spawn(Arc::clone(&services.shared.fleet).watch(store.clone()));
        background.spawn(sweep(store, clock.clone()));
        if let Some(certificate) = certificate {
            background.spawn(certificate.watch());
        }
        let office = services.office.clone();
        if let Some(office) = &office {
            background.spawn(Arc::clone(office).work());
            background.spawn(services.reminders(office, clock).watch());
        }
        let drain = Drain { timeout: config.server.drain_timeout };
        let Services { sessions, .. } = services;
        let clock = clock.clone();
        Ok(Self { background, workers, sessions, drain, office, admin, addresses, clock })
    }

    /// Where the public listeners are.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Where the operator's listener is.
    pub fn admin_address(&self) -> &str {
        &self.admin.address
    }

    /// Serves until SIGTERM or SIGINT, then lets requests end, and writes what is not written yet.
    pub fn run(self) -> io::Result<()> {
        let signal = self.background.block_on(stop_signal())?;
        tracing::info!(signal, "stopping: no connection is accepted any more");
        self.workers.stop(self.drain);
        let (sessions, office, admin) = (self.sessions, self.office, self.admin);
        self.background.block_on(async move {
            let last_writes = tokio::time::timeout(Duration::from_secs(5), sessions.flush()).await;
            if last_writes.is_err() {
                tracing::warn!("the last actions of some sessions were not written");
            }
            if let Some(office) = office {
                office.close(Duration::from_secs(5)).await;
            }
            let _ = admin.stop.send(());
            let _ = tokio::time::timeout(Duration::from_secs(5), admin.task).await;
        });
        // What was under way there may have had something to write down.
        let flushed = self.background.block_on(audit::log().flush(self.clock.now()));
        self.background.shutdown_timeout(Duration::from_secs(5));
        if flushed.is_err() {
            tracing::error!("the last lines of the audit log were not written");
        }
        tracing::info!("stopped");
        Ok(())
    }
}

/// The clock that a configuration asks for.
pub fn clock(config: &Config) -> Clock {
    config.rehearsal.map_or_else(Clock::system, |rehearsal| Clock::frozen_at(rehearsal.now))
}

async fn stop_signal() -> io::Result<&'static str> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    })
}

fn signal_of(background: &Runtime, kind: SignalKind) -> io::Result<Signal> {
    let _inside = background.enter();
    signal(kind)
}

/// Reads files again at each SIGHUP; what came of it is in the log.
async fn reload_on_hangup(reloader: Arc<Reloader>, mut hangups: Signal) {
    while hangups.recv().await.is_some() {
        let reloader = Arc::clone(&reloader);
        if let Ok(Err(admin::Unreadable(lines))) =
            tokio::task::spawn_blocking(move || reloader.reload()).await
        {
            for error in lines {
                tracing::error!(error, "the configuration is wrong; nothing was read again");
            }
        }
    }
}

fn open_store(
    background: &Runtime,
    store: &config::Store,
    clock: &Clock,
    cache: &Arc<SessionCache>,
) -> Result<Arc<dyn Store>, StartError> {
    let embedded = match store {
        config::Store::Redis(url) => {
            let connect = store::redis::Redis::connect(url, clock.clone(), Arc::clone(cache));
            return Ok(background.block_on(connect)?);
        }
        config::Store::Embedded(folder) => store::embedded::Embedded::open(folder)?,
        config::Store::Memory => store::embedded::Embedded::in_memory()?,
    };
    // One process owns the file: nobody else can change what is cached.
    cache.trust_for(Duration::MAX);
    Ok(embedded)
}

/// Sweeps what has expired, for as long as the program runs.
async fn sweep(store: Arc<dyn Store>, clock: Clock) {
    loop {
        tokio::time::sleep(SWEEP).await;
        if let Err(error) = store.sweep(clock.now()).await {
            tracing::error!(%error, "what has expired could not be swept");
        }
    }
}

/// What is built once and shared.
struct Services {
    sessions: Arc<Sessions>,
    signer: Arc<Signer>,
    registry: Arc<Registry>,
    strength: Arc<Strength>,
    explainer: Arc<Explainer>,
    office: Option<Arc<PostOffice>>,
    store: Arc<dyn Store>,
    shared: Arc<Shared>,
}

impl Services {
    fn build(
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

    fn reminders(&self, office: &Arc<PostOffice>, clock: &Clock) -> Reminders {
        let accounts = Arc::clone(&self.registry.accounts);
        Reminders::new(accounts, self.store.clone(), Arc::clone(office), clock.clone())
    }
}

fn start_admin(
    background: &Runtime,
    config: &Config,
    clock: &Clock,
    services: &Services,
    proofs: Proofs,
    reloader: &Arc<Reloader>,
) -> Result<AdminTask, StartError> {
    let reloader = Arc::clone(reloader);
    let listener = background.block_on(admin::Listener::bind(&config.admin.listen))?;
    let address = listener.address();
    let router = admin::router(admin::State {
        registry: Arc::clone(&services.registry),
        explainer: Arc::clone(&services.explainer),
        clock: clock.clone(),
        rehearsal: config.rehearsal.is_some(),
        ready: readiness(&services.store),
        known_cafs: config.cafs.iter().map(|caf| (caf.code, caf.name.clone())).collect(),
        reload: Arc::new(move || reloader.reload()),
        fleet: Arc::clone(&services.shared.fleet),
        drains: services.store.clone(),
        authority: Arc::new(proofs.authority(&config.admin)),
        author: admin::Author::local(None),
    });
    let reception = proofs.reception(&config.admin);
    background.spawn(proofs.watch());
    let (stop, stopped) = oneshot::channel();
    let task = background.spawn(async move {
        let until = async {
            let _ = stopped.await;
        };
        if let Err(error) = admin::serve(listener, router, reception, until).await {
            tracing::error!(%error, "the admin listener failed");
        }
    });
    Ok(AdminTask { address, stop, task })
}

fn readiness(store: &Arc<dyn Store>) -> Arc<admin::Readiness> {
    let store = Arc::clone(store);
    Arc::new(move || {
        let mut health = admin::Health { store_reachable: store.is_reachable(), ..admin::Health::default() };
        if !health.store_reachable {
            health.reasons.push("the store is out of reach".to_owned());
        }
        let audit = audit::log().figures().filter(|figures| figures.is_failing);
        if let Some(Figures { refuses, untold, .. }) = audit {
            let told = if refuses { &mut health.reasons } else { &mut health.notes };
            let lost = if untold > 0 { format!(": {untold} lines are lost") } else { String::new() };
            told.push(format!("the audit log cannot be written{lost}"));
        }
        health
    })
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
