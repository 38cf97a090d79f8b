//! TLS towards one Caf's instances: whose certificates are believed, who is shown to them, and reading both again
//! when their files change.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error as RustlsError, RootCertStore,
    SignatureScheme,
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::config::{self, BackendTls, Pin, Protocol};
use crate::domain::CafCode;

/// What a Caf's `ca`, `certificate` or `key` holds cannot be used. Whose fault: the configuration's.
#[derive(Debug, thiserror::Error)]
#[error("Caf {caf}: {}: {why}", path.display())]
pub struct TlsError {
    caf: CafCode,
    path: PathBuf,
    why: String,
}

/// The versions of HTTP that an instance may choose from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::forward) enum Offer {
    /// What the configuration allows.
    All,
    /// HTTP/1.1 alone: a WebSocket's handshake is HTTP/1.1's.
    Http1,
}

/// How a Caf's instances are spoken to.
#[derive(Debug)]
pub(super) struct Secured {
    caf: CafCode,
    files: BackendTls,
    protocol: Protocol,
    current: ArcSwap<Current>,
    last_failure: Mutex<Option<String>>,
}

#[derive(Debug)]
struct Current {
    /// The contents of the files.
    read: Files,
    all: Arc<ClientConfig>,
    http1: Arc<ClientConfig>,
}

#[derive(PartialEq, Eq)]
struct Files {
    ca: Vec<u8>,
    own: Option<(Vec<u8>, zeroize::Zeroizing<Vec<u8>>)>,
}

impl Secured {
    /// Reads a Caf's files, if one of its instances speaks TLS.
    pub(super) fn load(caf: &config::Caf) -> Result<Option<Self>, TlsError> {
        if !caf.backends.iter().any(|backend| backend.https) {
            return Ok(None);
        }
        let (files, protocol) = (caf.tls.clone(), caf.protocol);
        let current = read(&files, protocol).map_err(|(path, why)| TlsError { caf: caf.code, path, why })?;
        let current = ArcSwap::from_pointee(current);
        Ok(Some(Self { caf: caf.code, files, protocol, current, last_failure: Mutex::new(None) }))
    }

    /// Puts TLS on a connection to `host`.
    pub(super) async fn connect(
        &self,
        stream: TcpStream,
        host: &str,
        offer: Offer,
    ) -> io::Result<TlsStream<TcpStream>> {
        let name = self.files.server_name.as_deref().unwrap_or(host).to_owned();
        let name = ServerName::try_from(name).map_err(io::Error::other)?;
        let current = self.current.load();
        let config = match offer {
            Offer::All => &current.all,
            Offer::Http1 => &current.http1,
        };
        TlsConnector::from(Arc::clone(config)).connect(name, stream).await
    }

    /// Reads the files again; whether they had changed. What cannot be used changes nothing.
    pub(super) fn renew(&self) -> Result<bool, TlsError> {
        let caf = self.caf;
        let new = read(&self.files, self.protocol).map_err(|(path, why)| TlsError { caf, path, why })?;
        let changed = new.read != self.current.load().read;
        if changed {
            self.current.store(Arc::new(new));
            tracing::info!(%caf, "new certificates towards its backend in use");
        }
        Ok(changed)
    }

    /// Reads the files again. What cannot be used is logged once.
    pub(super) fn look_again(&self) {
        let (caf, failure) = (self.caf, self.renew().err().map(|error| error.to_string()));
        let mut last = self.last_failure.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(error) = failure.as_ref().filter(|_| *last != failure) {
            tracing::error!(%caf, %error, "certificates towards its backend cannot be used; the last ones stay");
        }
        *last = failure;
    }
}

type Unusable = (PathBuf, String);

fn read(files: &BackendTls, protocol: Protocol) -> Result<Current, Unusable> {
    let contents = |path: &Path| fs::read(path).map_err(|why| (path.to_owned(), why.to_string()));
    let ca = files.ca.as_deref().map(contents).transpose()?.unwrap_or_default();
    let own = match &files.own {
        Some(own) => Some((contents(&own.certificate)?, contents(&own.key)?.into())),
        None => None,
    };
    let read = Files { ca, own };
    let all = match protocol {
        Protocol::Auto => client(files, &read, &[b"h2", b"http/1.1"])?,
        Protocol::Http1 => client(files, &read, &[b"http/1.1"])?,
        Protocol::Http2 => client(files, &read, &[b"h2"])?,
    };
    let http1 = client(files, &read, &[b"http/1.1"])?;
    Ok(Current { read, all, http1 })
}

fn client(files: &BackendTls, read: &Files, alpn: &[&[u8]]) -> Result<Arc<ClientConfig>, Unusable> {
    let ca = files.ca.clone().unwrap_or_default();
    let wrong = |path: &Path, why: &dyn std::fmt::Display| (path.to_owned(), why.to_string());
    let mut roots = RootCertStore::empty();
    for authority in CertificateDer::pem_slice_iter(&read.ca) {
        roots.add(authority.map_err(|why| wrong(&ca, &why))?).map_err(|why| wrong(&ca, &why))?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|why| wrong(&ca, &why))?;
    let builder = if files.pins.is_empty() {
        ClientConfig::builder().with_webpki_verifier(verifier)
    } else {
        let pinned = Pinned { chain: verifier, pins: files.pins.clone() };
        ClientConfig::builder().dangerous().with_custom_certificate_verifier(Arc::new(pinned))
    };
    let mut config = match (&files.own, &read.own) {
        (Some(paths), Some((certificate, key))) => {
            let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate).collect();
            let chain = chain.map_err(|why| wrong(&paths.certificate, &why))?;
            let key = PrivateKeyDer::from_pem_slice(key).map_err(|why| wrong(&paths.key, &why))?;
            builder.with_client_auth_cert(chain, key).map_err(|why| wrong(&paths.certificate, &why))?
        }
        _ => builder.with_no_client_auth(),
    };
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    Ok(Arc::new(config))
}

/// Believes a certificate whose chain and name are right, if its public key is one of those named besides.
#[derive(Debug)]
struct Pinned {
    chain: Arc<WebPkiServerVerifier>,
    pins: Vec<Pin>,
}

impl Pinned {
    fn has(&self, certificate: &CertificateDer<'_>) -> bool {
        let Ok((_, parsed)) = X509Certificate::from_der(certificate) else { return false };
        let key = parsed.tbs_certificate.subject_pki.raw;
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, key);
        self.pins.iter().any(|pin| pin.0 == digest.as_ref())
    }
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, RustlsError> {
        let verified =
            self.chain.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)?;
        if self.has(end_entity) {
            return Ok(verified);
        }
        // What an operator reads must not be mistaken for a name or a chain that is wrong.
        tracing::error!(server = ?server_name, "the backend's public key is none of the Caf's pins");
        Err(CertificateError::ApplicationVerificationFailure.into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, RustlsError> {
        self.chain.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, RustlsError> {
        self.chain.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}

impl std::fmt::Debug for Files {
    /// Without the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Files").finish_non_exhaustive()
    }
}
