//! TLS files: whether a certificate and a key are what they should be, told at start and not at the first client.

use std::path::Path;

use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::{Error, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error as TlsError, InconsistentKeys};

use super::reader::Part;
use super::source;

/// The certificates of a PEM file; at least one.
pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let text = read(path)?;
    let chain: Result<Vec<_>, Error> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    match chain {
        Ok(chain) if !chain.is_empty() => Ok(chain),
        _ => Err("expected a file with a certificate in PEM (BEGIN CERTIFICATE)".to_owned()),
    }
}

/// The private key of a PEM file.
fn key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    let text = zeroize::Zeroizing::new(read(path)?);
    PrivateKeyDer::from_pem_slice(text.as_bytes())
        .map_err(|_| "expected a file with an unencrypted private key in PEM (BEGIN PRIVATE KEY)".to_owned())
}

/// Whether the key is the certificate's.
fn check_pair(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Result<(), String> {
    match CertifiedKey::from_der(chain, key, &default_provider()) {
        Ok(_) => Ok(()),
        Err(TlsError::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
            Err("which is not the key of the certificate".to_owned())
        }
        Err(error) => Err(format!("which cannot serve TLS with the certificate: {error}")),
    }
}

/// Notes what is wrong with a section's `certificate` and `key`.
pub(super) fn check(part: &Part<'_>, certificate: Option<&Path>, secret: Option<&Path>) {
    let (chain, secret) = (certificate.map(certificates), secret.map(key));
    if let Some(Err(reason)) = &chain {
        part.refuse("certificate", reason);
    }
    if let Some(Err(reason)) = &secret {
        part.refuse("key", reason);
    }
    if let (Some(Ok(chain)), Some(Ok(secret))) = (chain, secret)
        && let Err(reason) = check_pair(chain, secret)
    {
        part.refuse("key", &reason);
    }
}

fn read(path: &Path) -> Result<String, String> {
    source::read(path).map_err(|reason| format!("which {reason}"))
}
