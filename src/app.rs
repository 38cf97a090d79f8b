//! Builds the running program from a checked configuration: alone names the concrete stores.
//!
//! Requests are served by the workers' own threads. What is no request's work (password hashing, store
//! upkeep, the admin API, the demonstration) runs on one background runtime.

mod operations;
mod proofs;
mod reload;
mod services;
mod signals;
mod upkeep;

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::signal::unix::SignalKind;

use crate::account::{BreachedError, HashError, Hasher};
use crate::admin;
use crate::config::{AdminListen, AuditFailure, Config};
use crate::demo::{self, DemoError};
use crate::domain::{Clock, StoreError};
use crate::entry::PostOffice;
use crate::forward;
use crate::mail::MailError;
use crate::server::{BindError, Certificate, Drain, Listeners, TlsError, Workers};
use crate::session::{SessionCache, Sessions};
use crate::store::embedded::OpenError;
use crate::telemetry::audit::{self, Audit, OnFailure};
use operations::{AdminTask, start_admin};
use proofs::Proofs;
use reload::{Reloader, Source};
use services::{CACHED_SESSIONS, Services};
use signals::{reload_on_hangup, signal_of, stop_signal};
use upkeep::{open_store, sweep};

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
    /// The operator's listener cannot be opened. Whose fault: the configuration's or this machine's.
    #[error("cannot listen on {at} for operators: {why}")]
    Admin {
        /// Where.
        at: AdminListen,
        /// Why.
        why: io::Error,
    },
    /// The system refuses a thread, a socket or a signal handler.
    #[error("the system refuses a thread or a signal handler")]
    System(#[from] io::Error),
}

/// Passwords that wait for each thread that hashes: some 20 ms each, so that the last waits a second or so.
const WAITING_PASSWORDS: usize = 64;

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

impl App {
    /// Opens the store, builds every service, and listens.
    pub fn start(
        background: Runtime,
        config: Config,
        origin: Origin<'_>,
        clock: &Clock,
    ) -> Result<Self, StartError> {
        // What was built is given up inside the runtime where something after it fails: a mailer's pool needs it.
        let handle = background.handle().clone();
        let _entered = handle.enter();
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
        background.spawn(sweep(store, Arc::clone(&services.sessions), clock.clone()));
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
