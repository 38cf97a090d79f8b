//! Who asks a gateway for something: a token, a certificate, a name; and whom its own certificate is believed from.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use axum::body::Body;
use http::header::AUTHORIZATION;
use http::{HeaderValue, Request};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use zeroize::Zeroizing;

use super::Misuse;
use super::client::Endpoint;
use crate::admin::author::BY;

#[derive(Debug, Default, clap::Args)]
pub(super) struct Credentials {
    #[arg(
        long,
        global = true,
        env = "OCTROI_ADMIN_TOKEN_FILE",
        hide_env_values = true,
        help = "File of the token to show, as octroi admin-token writes it",
        value_name = "FILE"
    )]
    token_file: Option<PathBuf>,
    /// Send the token without https to another machine, on a network that is trusted with it
    #[arg(long, global = true, requires = "token_file")]
    token_in_clear: bool,
    /// For https: file of the authorities (PEM) that the gateway's certificate is from
    #[arg(long, global = true, env = "OCTROI_ADMIN_CA", hide_env_values = true, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// For https: file of the certificate (PEM) to show
    #[arg(
        long,
        global = true,
        env = "OCTROI_ADMIN_CERT",
        hide_env_values = true,
        value_name = "FILE",
        requires = "key"
    )]
    cert: Option<PathBuf>,
    /// For https: file of that certificate's key (PEM)
    #[arg(
        long,
        global = true,
        env = "OCTROI_ADMIN_KEY",
        hide_env_values = true,
        value_name = "FILE",
        requires = "cert"
    )]
    key: Option<PathBuf>,
    /// Who asks, as the gateway notes it down beside each change [default: this system's user]
    #[arg(long, global = true, value_name = "NAME")]
    by: Option<String>,
}

/// Longest token file that is read: a token takes 51 bytes.
const LONGEST_TOKEN: u64 = 1024;

impl Credentials {
    /// Puts all of it into a request to `gateway`.
    pub(super) fn prove(
        &self,
        mut request: Request<Body>,
        gateway: &Endpoint,
    ) -> anyhow::Result<Request<Body>> {
        let by = self.by.clone().or_else(user);
        if let Some(by) = by {
            let value = HeaderValue::from_bytes(by.as_bytes())
                .with_context(|| Misuse("--by: expected a printable name".to_owned()))?;
            request.headers_mut().insert(BY, value);
        }
        if let Some(file) = &self.token_file {
            anyhow::ensure!(
                self.token_in_clear || !gateway.is_readable_on_the_way(),
                "the token is not sent to {gateway}, others could read it on the way: use https, \
                 or --token-in-clear on a network that is trusted with it"
            );
            request.headers_mut().insert(AUTHORIZATION, bearer(file)?);
        }
        if gateway.is_https() {
            request.extensions_mut().insert(Arc::new(self.tls()?));
        }
        Ok(request)
    }

    fn tls(&self) -> anyhow::Result<ClientConfig> {
        let ca = self.ca.as_deref().context(
            "https needs --ca FILE: whom the gateway's certificate is from \
             (/etc/ssl/certs/ca-certificates.crt where it is a public authority)",
        )?;
        let mut roots = RootCertStore::empty();
        for authority in certificates(ca)? {
            roots.add(authority).with_context(|| ca.display().to_string())?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let builder = builder.with_root_certificates(roots);
        let (Some(cert), Some(key)) = (&self.cert, &self.key) else {
            return Ok(builder.with_no_client_auth());
        };
        let text = Zeroizing::new(fs::read(key).with_context(|| key.display().to_string())?);
        let secret = PrivateKeyDer::from_pem_slice(&text)
            .with_context(|| format!("{}: expected an unencrypted private key in PEM", key.display()))?;
        builder.with_client_auth_cert(certificates(cert)?, secret).with_context(|| cert.display().to_string())
    }
}

fn certificates(path: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let expected = || format!("{}: expected certificates in PEM", path.display());
    let text = fs::read(path).with_context(|| path.display().to_string())?;
    let chain =
        CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>().with_context(expected)?;
    anyhow::ensure!(!chain.is_empty(), expected());
    Ok(chain)
}

fn bearer(file: &Path) -> anyhow::Result<HeaderValue> {
    let mut text = Zeroizing::new(String::new());
    let unreadable = || Misuse(format!("{} cannot be read", file.display()));
    let opened = fs::File::open(file).with_context(unreadable)?;
    opened.take(LONGEST_TOKEN).read_to_string(&mut text).with_context(unreadable)?;
    let header = Zeroizing::new(format!("Bearer {}", text.trim()));
    let wrong = || format!("{}: expected one token, as octroi admin-token writes it", file.display());
    let mut value = HeaderValue::try_from(header.as_str()).with_context(wrong)?;
    anyhow::ensure!(!text.trim().is_empty() && !text.trim().contains(char::is_whitespace), wrong());
    value.set_sensitive(true);
    Ok(value)
}

/// Who works here: behind sudo, the person rather than root.
fn user() -> Option<String> {
    let named = |name| std::env::var(name).ok().filter(|user| !user.trim().is_empty());
    let by_number = || Some(format!("uid {}", fs::metadata("/proc/self").ok()?.uid()));
    named("SUDO_USER").or_else(|| named("USER")).or_else(|| named("LOGNAME")).or_else(by_number)
}
