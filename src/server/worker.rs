//! Workers: one thread each, with its own listeners, runtime and connections to the backends, so that a
//! request stays on one core.

use std::io;
use std::net::TcpListener;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{AcquireError, Semaphore, SemaphorePermit, watch};

use super::Listeners;
use super::connection::Speaker;
use super::descriptors;
use super::graceful::Graceful;
use crate::gate::{Gate, Shared};
use crate::telemetry::metrics::OpenConnection;

/// The threads that serve requests.
#[derive(Debug)]
pub struct Workers {
    threads: Vec<JoinHandle<()>>,
    drain: watch::Sender<Option<Drain>>,
}

/// An order to stop: no connection is accepted any more, and requests under way have that long to end.
#[derive(Debug, Clone, Copy)]
pub struct Drain {
    /// How long.
    pub timeout: Duration,
}

impl Workers {
    /// Starts a thread for each worker of `listeners`.
    pub fn start(
        listeners: Listeners,
        shared: &Arc<Shared>,
        tls: Option<&Arc<rustls::ServerConfig>>,
    ) -> io::Result<Self> {
        let (drain, orders) = watch::channel(None);
        let mut threads = Vec::new();
        let server = &shared.config.server;
        let room = descriptors::clients(server.max_connections).div_ceil(server.workers);
        for (number, listeners) in listeners.into_workers().into_iter().enumerate() {
            let (shared, tls, orders) = (Arc::clone(shared), tls.cloned(), orders.clone());
            let worker = Worker { listeners, room, shared, tls, orders };
            let thread = std::thread::Builder::new().name(format!("octroi-worker-{number}"));
            threads.push(thread.spawn(move || worker.run())?);
        }
        Ok(Self { threads, drain })
    }

    /// Stops accepting, lets requests end, and waits for it.
    pub fn stop(self, order: Drain) {
        let _ = self.drain.send(Some(order));
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a worker had panicked");
            }
        }
    }
}

struct Worker {
    listeners: Vec<TcpListener>,
    /// Most connections at once.
    room: usize,
    shared: Arc<Shared>,
    tls: Option<Arc<rustls::ServerConfig>>,
    orders: watch::Receiver<Option<Drain>>,
}

impl Worker {
    fn run(self) {
        let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
        match runtime {
            Ok(runtime) => runtime.block_on(self.work()),
            Err(error) => tracing::error!(%error, "a worker could not start"),
        }
    }

    async fn work(self) {
        let server = self.shared.config.server.clone();
        let room = Rc::new(Semaphore::new(self.room));
        let gate = Rc::new(Gate::new(self.shared));
        let speaker = Rc::new(Speaker::new(Rc::clone(&gate), server, self.tls));
        let graceful = Rc::new(Graceful::new());
        let accepting: Vec<_> = self
            .listeners
            .into_iter()
            .map(|listener| {
                let (room, speaker, graceful) = (Rc::clone(&room), Rc::clone(&speaker), Rc::clone(&graceful));
                tokio::task::spawn_local(accept(listener, room, speaker, graceful))
            })
            .collect();
        let mut orders = self.orders;
        let order = orders.wait_for(Option::is_some).await.ok().and_then(|order| *order);
        for task in accepting {
            task.abort();
            let _ = task.await;
        }
        let timeout = order.map_or(Duration::ZERO, |order| order.timeout);
        let ended = async {
            if let Some(graceful) = Rc::into_inner(graceful) {
                graceful.shutdown().await;
            }
            gate.tunnels().ended().await;
        };
        if tokio::time::timeout(timeout, ended).await.is_err() {
            let tunnels = gate.tunnels().count();
            tracing::warn!(tunnels, "requests under way were cut at the end of server.drain_timeout");
            gate.tunnels().close();
            let _ = tokio::time::timeout(FAREWELL, gate.tunnels().ended()).await;
        }
    }
}

/// How long tunnels have to tell both their sides that they are closed.
const FAREWELL: Duration = Duration::from_secs(2);

/// Accepts connections until it is aborted. Those beyond the worker's room wait in the kernel's queue until
/// others end.
async fn accept(listener: TcpListener, room: Rc<Semaphore>, speaker: Rc<Speaker>, graceful: Rc<Graceful>) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "a listener could not start"),
    };
    loop {
        let Ok(place_taken) = place(&room).await else { return };
        match listener.accept().await {
            Ok((stream, address)) => {
                let _ = stream.set_nodelay(true);
                place_taken.forget();
                let (room, speaker, watcher) = (Rc::clone(&room), Rc::clone(&speaker), graceful.watcher());
                tokio::task::spawn_local(async move {
                    let _leaving = (Leaving(room), OpenConnection::new());
                    speaker.serve(stream, address, watcher).await;
                });
            }
            Err(error) => {
                // No file descriptor is left, most likely: those in use must end first.
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// Waits for room for one more connection.
async fn place(room: &Semaphore) -> Result<SemaphorePermit<'_>, AcquireError> {
    if let Ok(place) = room.try_acquire() {
        return Ok(place);
    }
    tracing::warn!("server.max_connections is reached: new connections wait until others end");
    room.acquire().await
}

/// Gives a connection's place back, however its task ends.
struct Leaving(Rc<Semaphore>);

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.add_permits(1);
    }
}
