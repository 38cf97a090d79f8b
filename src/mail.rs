//! Letters: by SMTP, or into a folder.
//!
//! A letter leaves this machine encrypted or not at all: by STARTTLS (`smtp://`, RFC 3207) or TLS from the start
//! (`smtps://`, RFC 8314 section 3.3). Only to a server on this very machine may it go in the clear.

use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use lettre::message::{Mailbox, MultiPart};
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::transport::smtp::{AsyncSmtpTransportBuilder, Error as SmtpError};
use lettre::{AsyncFileTransport, AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};
use rustls::pki_types::pem::PemObject as _;
use secrecy::ExposeSecret as _;

use crate::config::{Mail, MailCarrier};
use crate::entry::{Letter, Post, PostError};

/// A carrier of letters, and whom they are from.
pub struct Mailer {
    from: Mailbox,
    carrier: Carrier,
}

enum Carrier {
    Smtp(AsyncSmtpTransport<Tokio1Executor>),
    Folder(AsyncFileTransport<Tokio1Executor>),
}

/// `[mail]` cannot be used as it stands. Whose fault: the configuration's.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// The sender is no address.
    #[error("mail.from: {0}")]
    From(#[from] lettre::address::AddressError),
    /// The server's URL cannot be used; it is not quoted, since it may hold a password.
    #[error("mail.url cannot be used")]
    Url,
    /// The folder cannot be made.
    #[error("mail.url: {0}")]
    Folder(#[source] std::io::Error),
    /// The authorities that vouch for the server cannot be read.
    #[error("mail.ca: {0}")]
    Authorities(String),
}

/// The longest that the server may take to accept a connection, or to answer a command.
const PATIENCE: Duration = Duration::from_secs(10);

impl Mailer {
    /// The carrier that a configuration names.
    pub fn new(mail: &Mail) -> Result<Self, MailError> {
        let carrier = match &mail.carrier {
            MailCarrier::Smtp(url) => {
                let transport = transport(url.expose_secret(), mail.ca.as_deref())?;
                Carrier::Smtp(transport.timeout(Some(PATIENCE)).build())
            }
            MailCarrier::Folder(folder) => {
                std::fs::create_dir_all(folder).map_err(MailError::Folder)?;
                Carrier::Folder(AsyncFileTransport::new(folder))
            }
        };
        Ok(Self { from: mail.from.parse()?, carrier })
    }

    fn message(&self, letter: Letter) -> Result<Message, PostError> {
        let failed = |error: &dyn std::fmt::Display| PostError::Refused(error.to_string());
        let to = letter.to.as_str().parse().map_err(|error: lettre::address::AddressError| failed(&error))?;
        Message::builder()
            .message_id(Some(format!("<{}@{}>", letter.name, self.from.email.domain())))
            .from(self.from.clone())
            .to(Mailbox::new(None, to))
            .subject(letter.subject)
            .multipart(MultiPart::alternative_plain_html(letter.text, letter.html))
            .map_err(|error| failed(&error))
    }
}

#[async_trait]
impl Post for Mailer {
    async fn send(&self, letter: Letter) -> Result<(), PostError> {
        let message = self.message(letter)?;
        match &self.carrier {
            Carrier::Smtp(smtp) => smtp.send(message).await.map(drop).map_err(|error| judged(&error)),
            Carrier::Folder(folder) => {
                let failed = |error: lettre::transport::file::Error| PostError::Failed(error.to_string());
                folder.send(message).await.map(drop).map_err(failed)
            }
        }
    }
}

/// What a server's refusal means. Some replies are about the letter's address (RFC 5321 section 4.2.3), and stay
/// the same; all others may be about the server, its certificate or its accounts, which somebody will mend.
fn judged(error: &SmtpError) -> PostError {
    let said = error.to_string();
    match error.status().map(u16::from) {
        Some(550 | 551 | 553 | 556) => PostError::Refused(said),
        _ => PostError::Failed(said),
    }
}

/// The way to a server; with `ca`, only its authorities vouch for the server, and TLS is a must.
fn transport(url: &str, ca: Option<&Path>) -> Result<AsyncSmtpTransportBuilder, MailError> {
    let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(&with_tls(url, ca.is_some()))
        .map_err(|_| MailError::Url)?;
    let Some(ca) = ca else { return Ok(transport) };
    let pem = std::fs::read(ca).map_err(|error| MailError::Authorities(error.to_string()))?;
    let authorities = rustls::pki_types::CertificateDer::pem_slice_iter(&pem);
    let unread = |_| MailError::Authorities("expected certificates in PEM".to_owned());
    let mut tls = TlsParameters::builder(host(url).to_owned()).certificate_store(CertificateStore::None);
    for authority in authorities {
        let der = authority.map_err(|_| MailError::Authorities("expected certificates in PEM".to_owned()))?;
        tls = tls.add_root_certificate(Certificate::from_der(der.to_vec()).map_err(unread)?);
    }
    let tls = tls.build_rustls().map_err(unread)?;
    Ok(transport.tls(if url.starts_with("smtps:") { Tls::Wrapper(tls) } else { Tls::Required(tls) }))
}

/// The host of a URL, without the port, or the brackets of an IPv6 address.
fn host(url: &str) -> &str {
    let authority = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = authority.rsplit('@').next().unwrap_or(authority).trim_end_matches('/');
    match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => authority.split(':').next().unwrap_or(authority),
    }
}

/// `smtp://` means STARTTLS or nothing, but for a server on this very machine.
fn with_tls(url: &str, even_here: bool) -> String {
    let authority = url.strip_prefix("smtp://").map(|rest| rest.rsplit('@').next().unwrap_or(rest));
    let local = |host: &str| ["127.", "localhost", "[::1]"].iter().any(|name| host.starts_with(name));
    match authority {
        Some(host) if (even_here || !local(host)) && !url.contains('?') => {
            format!("{}?tls=required", url.trim_end_matches('/'))
        }
        _ => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_leave_this_machine_encrypted() {
        let with_tls = |url| with_tls(url, false);
        assert_eq!(with_tls("smtp://mail.example:587"), "smtp://mail.example:587?tls=required");
        assert_eq!(with_tls("smtp://u:p@mail.example/"), "smtp://u:p@mail.example?tls=required");
        assert_eq!(with_tls("smtps://mail.example"), "smtps://mail.example");
        assert_eq!(with_tls("smtp://127.0.0.1:2525"), "smtp://127.0.0.1:2525");
        assert_eq!(with_tls("smtp://u:p@127.0.0.1:2525"), "smtp://u:p@127.0.0.1:2525");
        assert_eq!(with_tls("smtp://127.0.0.1@mail.example"), "smtp://127.0.0.1@mail.example?tls=required");
        assert_eq!(super::with_tls("smtp://127.0.0.1:2525", true), "smtp://127.0.0.1:2525?tls=required");
    }

    #[test]
    fn a_certificate_is_asked_for_the_host_alone() {
        for (url, expected) in [
            ("smtps://mail.example", "mail.example"),
            ("smtp://u:p%40x@mail.example:587/", "mail.example"),
            ("smtp://[::1]:25", "::1"),
            ("smtps://127.0.0.1:465", "127.0.0.1"),
        ] {
            assert_eq!(host(url), expected, "{url}");
        }
    }
}
