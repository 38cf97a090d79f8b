//! A body that goes out on a stream.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use h2::{Reason, SendStream};
use http_body::Body;
use tokio::time::timeout;

/// Most that is asked room for at once.
const PIECE: usize = 64 * 1024;

/// What any body's error can be made into.
type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why a body was not sent whole.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The peer wants no more, or the connection is gone.
    #[error("the peer takes no more: {0}")]
    Peer(#[from] h2::Error),
    /// The peer has granted no room for as long as it may.
    #[error("the peer takes nothing")]
    Stalled,
    /// Where the body comes from broke off; the peer was told by a reset.
    #[error("the body broke off: {0}")]
    Body(BoxError),
}

/// Sends a body and its trailers. A peer that grants no room for `patience` is given up.
pub async fn send<B>(body: B, stream: &mut SendStream<Bytes>, patience: Duration) -> Result<(), SendError>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    let mut body = pin!(body);
    loop {
        let frame = poll_fn(|cx| match stream.poll_reset(cx) {
            Poll::Ready(reset) => Poll::Ready(Err(reset.map_or_else(|error| error, h2::Error::from))),
            Poll::Pending => body.as_mut().poll_frame(cx).map(Ok),
        });
        let frame = match frame.await? {
            Some(Ok(frame)) => frame,
            Some(Err(error)) => {
                let error = error.into();
                stream.send_reset(reason(&*error));
                return Err(SendError::Body(error));
            }
            None => return Ok(stream.send_data(Bytes::new(), true)?),
        };
        match frame.into_data() {
            Ok(data) => {
                let is_last = body.is_end_stream();
                send_data(data, is_last, stream, patience).await?;
                if is_last {
                    return Ok(());
                }
            }
            Err(frame) => {
                if let Ok(trailers) = frame.into_trailers() {
                    return Ok(stream.send_trailers(trailers)?);
                }
            }
        }
    }
}

/// Why a body broke off: what its own sender said over HTTP/2, unless that would say that all is well.
fn reason(error: &(dyn std::error::Error + 'static)) -> Reason {
    let mut causes = std::iter::successors(Some(error), |error| error.source());
    let said = causes.find_map(|cause| cause.downcast_ref::<h2::Error>()?.reason());
    said.filter(|reason| *reason != Reason::NO_ERROR).unwrap_or(Reason::INTERNAL_ERROR)
}

/// Sends data as the peer grants room for it: what it does not take stays here, where the wait for it has an end.
async fn send_data(
    mut data: Bytes,
    is_last: bool,
    stream: &mut SendStream<Bytes>,
    patience: Duration,
) -> Result<(), SendError> {
    while !data.is_empty() {
        let room = room(data.len().min(PIECE), stream, patience).await?;
        let piece = data.split_to(room.min(data.len()));
        stream.send_data(piece, is_last && data.is_empty())?;
        if data.is_empty() {
            return Ok(());
        }
    }
    Ok(stream.send_data(data, is_last)?)
}

/// Waits until the peer takes something, of `wanted` bytes at most; how many. Room is asked for only once there is
/// something to send: what one stream reserves the others of its connection lack.
async fn room(wanted: usize, stream: &mut SendStream<Bytes>, patience: Duration) -> Result<usize, SendError> {
    stream.reserve_capacity(wanted);
    if stream.capacity() > 0 {
        return Ok(stream.capacity());
    }
    let granted = poll_fn(|cx| stream.poll_capacity(cx));
    match timeout(patience, granted).await {
        Ok(Some(granted)) => Ok(granted?),
        // The stream is over, by a reset or with its connection.
        Ok(None) => Err(h2::Error::from(Reason::STREAM_CLOSED).into()),
        Err(_) => {
            stream.send_reset(Reason::CANCEL);
            Err(SendError::Stalled)
        }
    }
}
