//! An open tunnel, until either side or its session ends it.

use std::cell::RefCell;
use std::io;
use std::time::Duration;

use http::HeaderValue;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::frames::{Frames, close, masked_close};
use super::life::{Life, Over};
use super::seats::{Open, Seat};
use crate::domain::CafCode;
use crate::forward::BackendEnd;
use crate::http2::Duplex;

/// The answer that switches must have been given by then.
const OPENING: Duration = Duration::from_secs(10);
/// Once one side has ended, the other has that long.
const LINGER: Duration = Duration::from_secs(5);
/// How long each side has to be told that the tunnel is closed.
const FAREWELL: Duration = Duration::from_secs(1);
const BUFFER: usize = 16 * 1024;

/// A WebSocket between a client and a backend.
pub(super) struct Tunnel {
    pub(super) caf: CafCode,
    /// The request's id, to find its line by.
    pub(super) id: HeaderValue,
    pub(super) life: Life,
    /// Whether its path is one where pages poll by themselves.
    pub(super) is_passive: bool,
    pub(super) open: Open,
    pub(super) seat: Seat,
}

/// The client's end, once its answer is given out.
pub(super) enum ClientEnd {
    Http1(OnUpgrade),
    Http2(oneshot::Receiver<Duplex>),
}

enum Opened {
    Http1(Upgraded),
    Http2(Duplex),
}

impl ClientEnd {
    /// `None` where the client has gone meanwhile.
    async fn open(self) -> Option<Opened> {
        match self {
            Self::Http1(upgrade) => upgrade.await.ok().map(Opened::Http1),
            Self::Http2(duplex) => duplex.await.ok().map(Opened::Http2),
        }
    }
}

/// Why a tunnel ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// One side left.
    Sides,
    Over(Over),
    /// The program ends.
    Drain,
}

/// What one direction has let through: whether all that was read is written, and where frames stand.
#[derive(Default)]
struct Flow {
    frames: Frames,
    is_written: bool,
}

impl Tunnel {
    pub(super) async fn run<B>(mut self, client: ClientEnd, backend: BackendEnd<B>) {
        let Ok(Some(client)) = timeout(OPENING, client.open()).await else {
            return tracing::debug!(caf = %self.caf, "a tunnel did not open");
        };
        let (backend, _lease) = backend.open();
        let end = match client {
            Opened::Http1(client) => self.carry(TokioIo::new(client), backend).await,
            Opened::Http2(client) => self.carry(client, backend).await,
        };
        tracing::info!(caf = %self.caf, id = ?self.id, ?end, "a tunnel ended");
        drop(self.seat);
    }

    async fn carry(
        &mut self,
        client: impl AsyncRead + AsyncWrite,
        backend: impl AsyncRead + AsyncWrite,
    ) -> End {
        let (mut from_client, mut to_client) = tokio::io::split(client);
        let (mut from_backend, mut to_backend) = tokio::io::split(backend);
        let [inward, outward] = [(); 2].map(|()| RefCell::new(Flow { is_written: true, ..Flow::default() }));
        let acts = |saw_data: bool| {
            if saw_data && !self.is_passive {
                self.life.act();
            }
        };
        let end = tokio::select! {
            end = self.open.is_closing() => { let () = end; End::Drain }
            over = self.life.over() => End::Over(over),
            _ = both(
                pump(&mut from_client, &mut to_backend, &inward, acts),
                pump(&mut from_backend, &mut to_client, &outward, |_| ()),
            ) => End::Sides,
        };
        if let Some((code, reason)) = end.said() {
            tokio::join!(
                farewell(&mut from_client, &mut to_client, &outward, close(code, reason)),
                farewell(&mut from_backend, &mut to_backend, &inward, masked_close(1001)),
            );
        }
        end
    }
}

impl End {
    /// What the client is told (RFC 6455 section 7.4.1).
    fn said(self) -> Option<(u16, &'static str)> {
        match self {
            Self::Sides => None,
            Self::Over(Over::Session) => Some((1008, "session terminée")),
            Self::Over(Over::Volet) => Some((1008, "volet fermé")),
            Self::Over(Over::Store) => Some((1013, "service indisponible")),
            Self::Drain => Some((1001, "arrêt du service")),
        }
    }
}

async fn pump(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    flow: &RefCell<Flow>,
    saw: impl Fn(bool),
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let size = from.read(&mut buffer).await?;
        let bytes = buffer.get(..size).unwrap_or_default();
        if bytes.is_empty() {
            return to.shutdown().await;
        }
        flow.borrow_mut().is_written = false;
        let saw_data = flow.borrow_mut().frames.read(bytes);
        saw(saw_data);
        to.write_all(bytes).await?;
        to.flush().await?;
        flow.borrow_mut().is_written = true;
    }
}

/// Both directions: a failure ends both, an end leaves the other a moment to end too.
async fn both(
    inward: impl Future<Output = io::Result<()>>,
    outward: impl Future<Output = io::Result<()>>,
) -> io::Result<()> {
    tokio::pin!(inward, outward);
    let ended = tokio::select! {
        ended = &mut inward => { ended?; timeout(LINGER, outward).await }
        ended = &mut outward => { ended?; timeout(LINGER, inward).await }
    };
    ended.unwrap_or(Ok(()))
}

/// Tells a side that the tunnel is closed, where a frame may begin, and lets it read that before the end.
async fn farewell(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    flow: &RefCell<Flow>,
    frame: Vec<u8>,
) {
    let may_speak = { flow.borrow().is_written && flow.borrow().frames.is_between() };
    let _ = timeout(FAREWELL, async {
        if may_speak {
            to.write_all(&frame).await?;
        }
        to.shutdown().await?;
        tokio::io::copy(from, &mut tokio::io::sink()).await
    })
    .await;
}
