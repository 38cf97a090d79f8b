//! The other end of a connection to the operator's listener.

use std::net::IpAddr;
use std::sync::Arc;

/// Who connected; each request of theirs carries it.
#[derive(Debug, Clone, Default)]
pub(super) struct Peer {
    /// Their address; none on a unix socket.
    pub(super) address: Option<IpAddr>,
    /// The names in the certificate that they showed and TLS verified.
    pub(super) names: Arc<[String]>,
}
