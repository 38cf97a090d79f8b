//! The certificate that clients see, read again when its file changes.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::config::Tls;

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
}

/// How often the files are compared with what was read. Contents are compared, not times: some deployments
/// change a link several folders above.
const LOOK: Duration = Duration::from_secs(2);

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

    /// Looks at the files for as long as the program runs. What cannot be used is logged, and what was in use stays.
    pub async fn watch(self: Arc<Self>) {
        let mut last_failure = None;
        loop {
            tokio::time::sleep(LOOK).await;
            match self.renew() {
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
    Ok(Loaded { bytes, key: Arc::new(certified) })
}
