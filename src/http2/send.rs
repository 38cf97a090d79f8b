//! A body that goes out on a stream.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use h2::{Reason, SendStream};
use http_body::Body;
use tokio::time::timeout;

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
                if !data.is_empty() {
                    room(stream, patience).await?;
                }
                stream.send_data(data, is_last)?;
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

/// Waits until the peer takes something. Room is asked for once there is something to send, and for no more than a
/// byte: what one stream reserves the others of its connection lack.
async fn room(stream: &mut SendStream<Bytes>, patience: Duration) -> Result<(), SendError> {
    stream.reserve_capacity(1);
    if stream.capacity() > 0 {
        return Ok(());
    }
    let granted = poll_fn(|cx| stream.poll_capacity(cx));
    match timeout(patience, granted).await {
        Ok(Some(granted)) => Ok(granted.map(drop)?),
        // The stream is over, by a reset or with its connection.
        Ok(None) => Err(h2::Error::from(Reason::STREAM_CLOSED).into()),
        Err(_) => {
            stream.send_reset(Reason::CANCEL);
            Err(SendError::Stalled)
        }
    }
}
