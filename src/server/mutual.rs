//! TLS where both sides show a certificate: the operator's listener. Read again when its files change.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig};

use super::{Certificate, TlsError};
use crate::config::AdminTls;

/// The certificates in use.
#[derive(Debug)]
pub struct MutualTls {
    certificate: Arc<Certificate>,
    client_ca: Option<PathBuf>,
    certificates_needed: bool,
    current: ArcSwap<Current>,
}

#[derive(Debug)]
struct Current {
    authorities: Vec<u8>,
    config: Arc<ServerConfig>,
}

impl MutualTls {
    /// Reads the files. Whoever shows no certificate is turned away already by TLS where `certificates_needed`.
    pub fn load(tls: &AdminTls, certificates_needed: bool) -> Result<Self, TlsError> {
        let certificate = Certificate::load(&tls.own)?;
        let client_ca = tls.client_ca.clone();
        let current = read(&certificate, client_ca.as_ref(), certificates_needed)?;
        Ok(Self { certificate, client_ca, certificates_needed, current: ArcSwap::from_pointee(current) })
    }

    /// What a new connection is spoken to with.
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.load().config)
    }

    /// Reads the files again; whether one had changed. What cannot be used changes nothing.
    pub fn renew(&self) -> Result<bool, TlsError> {
        let own = self.certificate.renew()?;
        let new = read(&self.certificate, self.client_ca.as_ref(), self.certificates_needed)?;
        let others = new.authorities != self.current.load().authorities;
        if others {
            // A configuration of its own also forgets the TLS sessions that former authorities vouched for.
            self.current.store(Arc::new(new));
        }
        Ok(own || others)
    }
}

fn read(own: &Arc<Certificate>, client_ca: Option<&PathBuf>, needed: bool) -> Result<Current, TlsError> {
    let Some(path) = client_ca else {
        let config = own.config_for(WebPkiClientVerifier::no_client_auth());
        return Ok(Current { authorities: Vec::new(), config });
    };
    let authorities = fs::read(path).map_err(|why| TlsError::File { path: path.clone(), why })?;
    let mut roots = RootCertStore::empty();
    for authority in CertificateDer::pem_slice_iter(&authorities) {
        let authority = authority.map_err(|why| TlsError::Pem { path: path.clone(), why })?;
        roots.add(authority).map_err(|why| TlsError::Pair { path: path.clone(), why })?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    let verifier = if needed { verifier } else { verifier.allow_unauthenticated() };
    let verifier: Arc<dyn ClientCertVerifier> = verifier
        .build()
        .map_err(|why| TlsError::Pair { path: path.clone(), why: rustls::Error::General(why.to_string()) })?;
    Ok(Current { authorities, config: own.config_for(verifier) })
}
