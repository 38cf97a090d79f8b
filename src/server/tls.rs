//! The certificate that clients see, read again when its file changes.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::SignedDuration;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::config::Tls;
use crate::domain::{Clock, Timestamp};

/// A certificate or its key cannot be used. Whose fault: the configuration's.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{}: {why}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        why: io::Error,
    },
    /// A file holds no PEM of the kind expected.
    #[error("{}: {why}", path.display())]
    Pem {
        /// Which.
        path: PathBuf,
        /// Why.
        why: rustls::pki_types::pem::Error,
    },
    /// The certificate and the key do not fit together, or rustls takes neither.
    #[error("{}: {why}", path.display())]
    Pair {
        /// The certificate's file.
        path: PathBuf,
        /// Why.
        why: rustls::Error,
    },
}

/// The certificate in use; [`Certificate::watch`] puts a newer one in its place.
#[derive(Debug)]
pub struct Certificate {
    files: Tls,
    current: ArcSwap<Loaded>,
}

#[derive(Debug)]
struct Loaded {
    bytes: (Vec<u8>, Vec<u8>),
    key: Arc<CertifiedKey>,
    /// When it expires, where that can be read.
    ends: Option<Timestamp>,
}

/// How often the files are compared with what was read. Contents are compared, not times: some deployments
/// change a link several folders above.
const LOOK: Duration = Duration::from_secs(2);

/// How long before its end a certificate is told of, each day.
const NOTICE: SignedDuration = SignedDuration::from_hours(14 * 24);
const DAY: SignedDuration = SignedDuration::from_hours(24);

impl Certificate {
    /// Reads the certificate and its key.
    pub fn load(files: &Tls) -> Result<Arc<Self>, TlsError> {
        let loaded = read(files)?;
        Ok(Arc::new(Self { files: files.clone(), current: ArcSwap::from_pointee(loaded) }))
    }

    /// TLS 1.2 and 1.3, with HTTP/2 and HTTP/1.1 by ALPN (RFC 7301).
    pub fn server_config(self: &Arc<Self>) -> Arc<ServerConfig> {
        let resolver: Arc<dyn ResolvesServerCert> = Arc::<Self>::clone(self);
        let mut config = ServerConfig::builder().with_no_client_auth().with_cert_resolver(resolver);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Arc::new(config)
    }

    /// TLS 1.2 and 1.3, with HTTP/1.1 alone, to clients that `verifier` is content with.
    pub(super) fn config_for(self: &Arc<Self>, verifier: Arc<dyn ClientCertVerifier>) -> Arc<ServerConfig> {
        let resolver: Arc<dyn ResolvesServerCert> = Arc::<Self>::clone(self);
        let mut config =
            ServerConfig::builder().with_client_cert_verifier(verifier).with_cert_resolver(resolver);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Arc::new(config)
    }

    /// Reads the files again; whether they had changed. What cannot be used changes nothing.
    pub fn renew(&self) -> Result<bool, TlsError> {
        let new = read(&self.files)?;
        let changed = new.bytes != self.current.load().bytes;
        if changed {
            self.current.store(Arc::new(new));
            tracing::info!(certificate = %self.files.certificate.display(), "new certificate in use");
        }
        Ok(changed)
    }

    /// When it expires, where that is within 14 days of `now` or past.
    pub fn ends_soon(&self, now: Timestamp) -> Option<Timestamp> {
        self.current.load().ends.filter(|ends| ends.duration_since(now) <= NOTICE)
    }

    /// Logs when it expires, where that is within 14 days of `now` or past.
    pub fn tell_end(&self, now: Timestamp) {
        let Some(expires) = self.ends_soon(now) else { return };
        let certificate = self.files.certificate.display();
        if expires < now {
            tracing::warn!(%certificate, %expires, "the certificate has expired: clients refuse it");
        } else {
            tracing::warn!(%certificate, %expires, "the certificate expires soon");
        }
    }

    /// Looks at the files for as long as the program runs. What cannot be used is logged, and what was in use stays.
    /// Each day, an end that is near is told.
    pub async fn watch(self: Arc<Self>, clock: Clock) {
        let (mut last_failure, mut told) = (None, clock.now());
        loop {
            tokio::time::sleep(LOOK).await;
            let (renewed, now) = (self.renew(), clock.now());
            if matches!(renewed, Ok(true)) || now.duration_since(told) >= DAY {
                self.tell_end(now);
                told = now;
            }
            match renewed {
                Ok(_) => last_failure = None,
                Err(error) => {
                    let failure = error.to_string();
                    if last_failure.as_ref() != Some(&failure) {
                        tracing::error!(%error, "the certificate cannot be used; the last one stays");
                        last_failure = Some(failure);
                    }
                }
            }
        }
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.load().key))
    }
}

fn read(files: &Tls) -> Result<Loaded, TlsError> {
    let file = |path: &Path| fs::read(path).map_err(|why| TlsError::File { path: path.to_owned(), why });
    let bytes = (file(&files.certificate)?, file(&files.key)?);
    let pem = |path: &Path, why| TlsError::Pem { path: path.to_owned(), why };
    let chain = CertificateDer::pem_slice_iter(&bytes.0)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|why| pem(&files.certificate, why))?;
    let key = PrivateKeyDer::from_pem_slice(&bytes.1).map_err(|why| pem(&files.key, why))?;
    let pair = |why| TlsError::Pair { path: files.certificate.clone(), why };
    let signing = aws_lc_rs::sign::any_supported_type(&key).map_err(pair)?;
    let certified = CertifiedKey::new(chain, signing);
    certified.keys_match().map_err(pair)?;
    let ends = certified.cert.first().and_then(|own| end(own));
    Ok(Loaded { bytes, key: Arc::new(certified), ends })
}

/// The last instant of a certificate's validity (RFC 5280 section 4.1.2.5).
fn end(certificate: &[u8]) -> Option<Timestamp> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    Timestamp::from_second(certificate.validity().not_after.timestamp()).ok()
}
