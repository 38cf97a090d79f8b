//! The permit: a request that was not admitted cannot reach the forwarder, by construction.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use http::{HeaderValue, Request};

use crate::domain::CafCode;

/// A permit to forward one request to one Caf's backend. Only [`Gatekeeper::admit`](super::Gatekeeper::admit) makes one.
///
/// It cannot be put together elsewhere:
///
/// ```compile_fail,E0451
/// use octroi::entry::Admitted;
/// let _ = |papers| Admitted { papers };
/// ```
///
/// Nor be used for two requests:
///
/// ```compile_fail,E0382
/// use octroi::entry::{Admitted, Provenance};
/// let _ = |permit: Admitted, a: http::Request<()>, b: http::Request<()>, from: Provenance| {
///     let first = permit.escort(a, from.clone());
///     let second = permit.escort(b, from);
/// };
/// ```
#[derive(Debug)]
pub struct Admitted {
    papers: Arc<Papers>,
}

/// What a backend is told of a session, ready to be put into a request; the same for as long as its assertion is used.
#[derive(Debug)]
pub struct Papers {
    /// The Caf.
    pub caf: CafCode,
    /// `X-Caf-Code`.
    pub caf_code: HeaderValue,
    /// `X-Esat-Compte`.
    pub compte: HeaderValue,
    /// `X-Esat-Siret`.
    pub siret: HeaderValue,
    /// `X-Esat-Identifiant-Communication`, where entry was by it.
    pub identifiant_communication: Option<HeaderValue>,
    /// `X-Octroi-Volets`: the open volets, comma separated.
    pub volets: HeaderValue,
    /// `X-Octroi-Assertion`: the same facts, signed.
    pub assertion: HeaderValue,
    /// All of it as it goes over the wire, once somebody has written it.
    lines: OnceLock<Vec<u8>>,
}

impl Papers {
    /// What a backend is told of a session at a Caf; `communication` where entry was by it.
    pub fn new(
        caf: CafCode,
        [caf_code, compte, siret, volets, assertion]: [HeaderValue; 5],
        communication: Option<HeaderValue>,
    ) -> Self {
        let (identifiant_communication, lines) = (communication, OnceLock::new());
        Self { caf, caf_code, compte, siret, identifiant_communication, volets, assertion, lines }
    }

    /// All of it as it goes over the wire: what `write` makes of it, once.
    pub fn lines(&self, write: impl FnOnce(&Self) -> Vec<u8>) -> &[u8] {
        self.lines.get_or_init(|| write(self))
    }
}

/// Where a request comes from, as far as the gateway believes it.
#[derive(Debug, Clone)]
pub struct Provenance {
    /// The client's address.
    pub client: IpAddr,
    /// Whether the client used TLS, with this gateway or with a trusted proxy.
    pub https: bool,
    /// Whether the peer is a trusted proxy, whose `Forwarded` and `X-Forwarded-*` are kept.
    pub by_trusted_proxy: bool,
    /// `X-Request-Id`.
    pub request_id: HeaderValue,
    /// `traceparent`.
    pub traceparent: HeaderValue,
}

/// A request with its permit: all that the forwarder accepts.
///
/// There is none without a permit:
///
/// ```compile_fail,E0451
/// use octroi::entry::AdmittedRequest;
/// let _ = |permit, request: http::Request<()>, provenance| AdmittedRequest { permit, request, provenance };
/// ```
#[derive(Debug)]
pub struct AdmittedRequest<B> {
    permit: Admitted,
    request: Request<B>,
    provenance: Provenance,
}

impl Admitted {
    pub(super) fn new(papers: Arc<Papers>) -> Self {
        Self { papers }
    }

    /// A permit that nothing stands behind, to test what uses permits.
    #[cfg(test)]
    pub(crate) fn for_tests(papers: Arc<Papers>) -> Self {
        Self::new(papers)
    }

    /// The Caf whose backend the request belongs to.
    pub fn caf(&self) -> CafCode {
        self.papers.caf
    }

    /// What a backend is told of the session.
    pub fn papers(&self) -> &Papers {
        &self.papers
    }

    /// Gives the permit up for one request.
    pub fn escort<B>(self, request: Request<B>, provenance: Provenance) -> AdmittedRequest<B> {
        AdmittedRequest { permit: self, request, provenance }
    }
}

impl<B> AdmittedRequest<B> {
    /// The Caf whose backend it goes to.
    pub fn caf(&self) -> CafCode {
        self.permit.caf()
    }

    /// Whether the client used TLS.
    pub fn is_https(&self) -> bool {
        self.provenance.https
    }

    /// The request, before it leaves.
    pub fn request_mut(&mut self) -> &mut Request<B> {
        &mut self.request
    }

    /// The permit, the request, and where it comes from.
    pub fn into_parts(self) -> (Admitted, Request<B>, Provenance) {
        (self.permit, self.request, self.provenance)
    }
}
