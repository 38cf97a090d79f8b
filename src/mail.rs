//! Letters: by SMTP, or into a folder.

use async_trait::async_trait;
use lettre::message::{Mailbox, MultiPart};
use lettre::{AsyncFileTransport, AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};
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
    Folder(#[from] std::io::Error),
}

impl Mailer {
    /// The carrier that a configuration names.
    pub fn new(mail: &Mail) -> Result<Self, MailError> {
        let carrier = match &mail.carrier {
            MailCarrier::Smtp(url) => {
                let transport =
                    AsyncSmtpTransport::<Tokio1Executor>::from_url(&with_tls(url.expose_secret()));
                Carrier::Smtp(transport.map_err(|_| MailError::Url)?.build())
            }
            MailCarrier::Folder(folder) => {
                std::fs::create_dir_all(folder)?;
                Carrier::Folder(AsyncFileTransport::new(folder))
            }
        };
        Ok(Self { from: mail.from.parse()?, carrier })
    }

    fn message(&self, letter: Letter) -> Result<Message, PostError> {
        let failed = |error: &dyn std::fmt::Display| PostError(error.to_string());
        let to = letter.to.as_str().parse().map_err(|error: lettre::address::AddressError| failed(&error))?;
        Message::builder()
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
            Carrier::Smtp(smtp) => {
                smtp.send(message).await.map(drop).map_err(|error| PostError(error.to_string()))
            }
            Carrier::Folder(folder) => {
                folder.send(message).await.map(drop).map_err(|error| PostError(error.to_string()))
            }
        }
    }
}

/// `smtp://` means STARTTLS or nothing, but for a server on this very machine.
fn with_tls(url: &str) -> String {
    let authority = url.strip_prefix("smtp://").map(|rest| rest.rsplit('@').next().unwrap_or(rest));
    let local = |host: &str| ["127.", "localhost", "[::1]"].iter().any(|name| host.starts_with(name));
    match authority {
        Some(host) if !local(host) && !url.contains('?') => {
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
        assert_eq!(with_tls("smtp://mail.example:587"), "smtp://mail.example:587?tls=required");
        assert_eq!(with_tls("smtp://u:p@mail.example/"), "smtp://u:p@mail.example?tls=required");
        assert_eq!(with_tls("smtps://mail.example"), "smtps://mail.example");
        assert_eq!(with_tls("smtp://127.0.0.1:2525"), "smtp://127.0.0.1:2525");
        assert_eq!(with_tls("smtp://u:p@127.0.0.1:2525"), "smtp://u:p@127.0.0.1:2525");
        assert_eq!(with_tls("smtp://127.0.0.1@mail.example"), "smtp://127.0.0.1@mail.example?tls=required");
    }
}
