//! A request to the operator's side as its answer, the log and the audit log name it, and where it comes from.

use aws_lc_rs::rand;
use axum::extract::Request;
use http::{HeaderName, HeaderValue};

use super::peer::Peer;

/// One request; it is among the request's extensions.
#[derive(Debug, Clone, Default)]
pub(super) struct Errand {
    /// Its id: 32 hexadecimal digits.
    pub(super) request: String,
    /// The other end's address, or `unix`.
    pub(super) from: String,
}

/// The header that tells it.
pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

impl Errand {
    /// Names a request. The caller's own name for it is not taken: an audit log must not say what it is told.
    pub(super) fn of(request: &Request) -> Self {
        let mut bits = [0; 16];
        // Without entropy names repeat, nothing worse: they are no secrets.
        let _ = rand::fill(&mut bits);
        let address = request.extensions().get::<Peer>().and_then(|peer| peer.address);
        let from = address.map_or_else(|| "unix".to_owned(), |address| address.to_string());
        Self { request: format!("{:032x}", u128::from_be_bytes(bits)), from }
    }

    pub(super) fn header(&self) -> HeaderValue {
        HeaderValue::try_from(&self.request).unwrap_or_else(|_| HeaderValue::from_static("-"))
    }
}
