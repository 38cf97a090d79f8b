//! What the system tells a running program.

use std::io;
use std::sync::Arc;

use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::reload::Reloader;
use crate::admin;

/// Waits for the order to stop; its name.
pub(super) async fn stop_signal() -> io::Result<&'static str> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    })
}

/// A signal, as the background runtime hears of it.
pub(super) fn signal_of(background: &Runtime, kind: SignalKind) -> io::Result<Signal> {
    let _inside = background.enter();
    signal(kind)
}

/// Reads files again at each SIGHUP; what came of it is in the log.
pub(super) async fn reload_on_hangup(reloader: Arc<Reloader>, mut hangups: Signal) {
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
