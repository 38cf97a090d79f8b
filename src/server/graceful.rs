//! How connections end when the program does: each is told, and all are waited for.

use std::pin::{Pin, pin};

use tokio::sync::watch;

/// Tells connections to end.
#[derive(Debug)]
pub(super) struct Graceful(watch::Sender<()>);

/// A connection's ear; the end waits for it to be dropped.
#[derive(Debug)]
pub(super) struct Watcher(watch::Receiver<()>);

impl Graceful {
    pub(super) fn new() -> Self {
        Self(watch::channel(()).0)
    }

    pub(super) fn watcher(&self) -> Watcher {
        Watcher(self.0.subscribe())
    }

    /// Tells every connection, and waits for all to end.
    pub(super) async fn shutdown(self) {
        let _ = self.0.send(());
        self.0.closed().await;
    }
}

impl Watcher {
    /// Waits until the program is to end.
    pub(super) async fn asked(&mut self) {
        let _ = self.0.changed().await;
    }

    /// Drives a connection to its end, which `wind_down` asks for once the program is to end.
    pub(super) async fn watch<C: Future>(
        mut self,
        connection: C,
        wind_down: impl FnOnce(Pin<&mut C>),
    ) -> C::Output {
        let mut connection = pin!(connection);
        tokio::select! {
            biased;
            ended = connection.as_mut() => return ended,
            () = self.asked() => {}
        }
        wind_down(connection.as_mut());
        connection.await
    }
}
