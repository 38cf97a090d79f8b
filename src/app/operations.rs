//! The operator's side: the admin listener, and what it says of the program's health.

use std::sync::Arc;

use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::StartError;
use super::proofs::Proofs;
use super::reload::Reloader;
use super::services::Services;
use crate::admin;
use crate::config::Config;
use crate::domain::Clock;
use crate::store::Store;
use crate::telemetry::audit::{self, Figures};

/// The operator's listener, and how to end it.
pub(super) struct AdminTask {
    pub(super) address: String,
    pub(super) stop: oneshot::Sender<()>,
    pub(super) task: JoinHandle<()>,
}

pub(super) fn start_admin(
    background: &Runtime,
    config: &Config,
    clock: &Clock,
    services: &Services,
    proofs: Proofs,
    reloader: &Arc<Reloader>,
) -> Result<AdminTask, StartError> {
    let reloader = Arc::clone(reloader);
    let bound = background.block_on(admin::Listener::bind(&config.admin.listen));
    let listener = bound.map_err(|why| StartError::Admin { at: config.admin.listen.clone(), why })?;
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
