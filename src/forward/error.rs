//! What can go wrong between the permit and the end of the answer, and whose fault it is.

use std::io;

use http::StatusCode;

use super::upload::BoxError;
use crate::domain::CafCode;

/// A request that could not be forwarded, or an answer that could not be given out.
#[derive(Debug, thiserror::Error)]
#[error("Caf {caf}: {reason}")]
pub struct Error {
    caf: CafCode,
    #[source]
    reason: Reason,
}

/// Why.
#[derive(Debug, thiserror::Error)]
pub enum Reason {
    /// No backend is configured for this Caf: nothing was sent.
    #[error("it has no backend")]
    NoBackend,
    /// An operator drains the Caf, or all its instances: nothing was sent.
    #[error("an operator has taken it out of service")]
    Drained,
    /// No instance passes its checks: nothing was sent.
    #[error("none of its instances passes its checks")]
    Unwell,
    /// Too many requests wait for room already: nothing was sent.
    #[error("too many requests wait for the backend already")]
    Full,
    /// No instance had room within `backend.wait_timeout`: nothing was sent.
    #[error("the backend had no room for the request in time")]
    WaitTimeout,
    /// No instance takes connections: nothing was sent.
    #[error("no connection to the backend: {0}")]
    Connect(#[source] io::Error),
    /// No instance took a connection in `backend.connect_timeout`: nothing was sent.
    #[error("the backend takes too long to accept a connection")]
    ConnectTimeout,
    /// Silence for `backend.first_byte_timeout` once the backend had all that the client gave. The
    /// request may have been acted upon.
    #[error("the backend takes too long to answer")]
    FirstByteTimeout,
    /// The exchange took longer than `backend.request_timeout`, however steadily it went on. The request may have been
    /// acted upon.
    #[error("the exchange with the backend takes too long as a whole")]
    RequestTimeout,
    /// Silence for `backend.idle_timeout` within the answer's body, of which a part was given out.
    #[error("the backend stopped in the middle of its answer")]
    IdleTimeout,
    /// The connection failed, was closed, or had no HTTP on it before the answer's head. The request may have been acted upon.
    #[error("the backend broke off: {}", told(.0))]
    Broken(#[source] Break),
    /// The answer's head is none that a gateway may pass on. The request may have been acted upon.
    #[error("the backend's answer is no HTTP that can be passed on: {0}")]
    BadAnswer(&'static str),
    /// The answer names another Caf in `X-Caf-Code`; nothing of it is given out.
    #[error("the answer names another Caf")]
    WrongCaf,
    /// The client's upload broke off, or stopped for `backend.first_byte_timeout`.
    #[error("the client did not send the whole body")]
    ClientBody,
    /// The upload is larger than `limits.body`.
    #[error("the body is too large")]
    BodyTooLarge,
    /// The request cannot be said in HTTP/1.1 without doubt: nothing was sent.
    #[error("the request cannot be forwarded: {0}")]
    BadRequest(&'static str),
}

/// How a connection to a backend failed, in the words of who spoke on it.
#[derive(Debug, thiserror::Error)]
pub enum Break {
    /// The connection failed.
    #[error(transparent)]
    Socket(#[from] io::Error),
    /// The connection was closed before all was said.
    #[error("it closed the connection before its answer was whole")]
    Early,
    /// What came is no HTTP/1.1 (RFC 9112).
    #[error("what it says is no HTTP: {0}")]
    NoHttp(&'static str),
    /// The request's own body cannot be sent: it broke off, or is not as long as was said.
    #[error("the request's body could not be sent: {0}")]
    Body(#[source] BoxError),
    /// HTTP/1.1, on a check's own connection.
    #[error(transparent)]
    Check(#[from] hyper::Error),
    /// HTTP/2; whoever is told of it may want to know the reason.
    #[error("{0}")]
    Http2(#[from] h2::Error),
}

/// An error and what is behind it, which its own words may leave out (a TLS alert, a reset).
pub(super) fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut behind = error.source();
    while let Some(cause) = behind {
        let cause_said = cause.to_string();
        if !text.ends_with(&cause_said) {
            text = format!("{text}: {cause_said}");
        }
        behind = cause.source();
    }
    text
}

impl Reason {
    /// How a connection failed.
    pub(super) fn broken(error: impl Into<Break>) -> Self {
        Self::Broken(error.into())
    }

    /// Its name in metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::NoBackend => "no-backend",
            Self::Drained => "drained",
            Self::Unwell => "unwell",
            Self::Full => "full",
            Self::WaitTimeout => "wait-timeout",
            Self::Connect(_) => "connect",
            Self::ConnectTimeout => "connect-timeout",
            Self::FirstByteTimeout => "first-byte-timeout",
            Self::RequestTimeout => "request-timeout",
            Self::IdleTimeout => "idle-timeout",
            Self::Broken(_) => "broken",
            Self::BadAnswer(_) => "bad-answer",
            Self::WrongCaf => "wrong-caf",
            Self::ClientBody => "client-body",
            Self::BodyTooLarge => "body-too-large",
            Self::BadRequest(_) => "bad-request",
        }
    }

    /// Whether nothing of the request has reached a backend.
    pub fn is_before_sending(&self) -> bool {
        matches!(
            self,
            Self::NoBackend
                | Self::Drained
                | Self::Unwell
                | Self::Full
                | Self::WaitTimeout
                | Self::Connect(_)
                | Self::ConnectTimeout
        )
    }

    /// Whether another instance may do better with the same request.
    pub(super) fn may_repeat(&self) -> bool {
        matches!(self, Self::Broken(_) | Self::FirstByteTimeout)
    }
}

/// Whose fault a failure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The client's.
    Client,
    /// The backend's.
    Backend,
}

impl Error {
    pub(super) fn new(caf: CafCode, reason: Reason) -> Self {
        Self { caf, reason }
    }

    /// An exchange that this program cut short itself.
    pub fn cut_short(caf: CafCode) -> Self {
        Self::new(caf, Reason::BadAnswer("the exchange was cut short"))
    }

    /// The Caf whose backend was asked.
    pub fn caf(&self) -> CafCode {
        self.caf
    }

    /// What went wrong.
    pub fn reason(&self) -> &Reason {
        &self.reason
    }

    /// Whose fault it is.
    pub fn fault(&self) -> Fault {
        match self.reason {
            Reason::ClientBody | Reason::BodyTooLarge | Reason::BadRequest(_) => Fault::Client,
            _ => Fault::Backend,
        }
    }

    /// The status that the client is told: 502 where the backend failed, 503 where there is none to ask,
    /// 504 where it is late; 400 or 413 where the fault is the client's own.
    pub fn status(&self) -> StatusCode {
        match self.reason {
            Reason::NoBackend | Reason::Drained | Reason::Unwell | Reason::Full | Reason::WaitTimeout => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Reason::ConnectTimeout
            | Reason::FirstByteTimeout
            | Reason::RequestTimeout
            | Reason::IdleTimeout => StatusCode::GATEWAY_TIMEOUT,
            Reason::Connect(_) | Reason::Broken(_) | Reason::BadAnswer(_) | Reason::WrongCaf => {
                StatusCode::BAD_GATEWAY
            }
            Reason::ClientBody | Reason::BadRequest(_) => StatusCode::BAD_REQUEST,
            Reason::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        }
    }
}
