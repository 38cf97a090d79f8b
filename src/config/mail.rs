//! `[mail]`: how messages leave (a forgotten password's link).

use std::path::PathBuf;

use secrecy::SecretString;
use serde_json::{Value as Json, json};

use super::declare::{Key, Section};
use super::pem;
use super::reader::Reader;
use super::url::host_and_port;
use super::value::{Refusal, Word};

/// `[mail]`.
#[derive(Debug, Clone)]
pub struct Mail {
    /// Who carries messages.
    pub carrier: MailCarrier,
    /// Who they are from: `octroi@example.fr`, or `Extranet ESAT <octroi@example.fr>`.
    pub from: String,
    /// PEM file of the authorities that vouch for the mail server; the system's, without one.
    pub ca: Option<PathBuf>,
}

/// Who carries messages.
#[derive(Debug, Clone)]
pub enum MailCarrier {
    /// A mail server, by its `smtp://` or `smtps://` URL (which may hold a password).
    Smtp(SecretString),
    /// A folder into which each message is written as a file.
    Folder(PathBuf),
}

pub(super) static MAIL: Section = Section {
    name: "mail",
    many: false,
    help: "How messages leave; without this section none does.",
    keys: &[
        Key::optional::<MailCarrier>(
            "url",
            "smtp://[user:password@]host[:port] (STARTTLS), smtps:// (TLS), or file:FOLDER.",
        ),
        Key::optional::<PathBuf>("url_file", "A file that holds the URL, instead of url."),
        Key::required::<Sender>("from", "Who messages are from."),
        Key::optional::<PathBuf>(
            "ca",
            "PEM file of the authorities that vouch for the mail server. Default: the system's.",
        ),
    ],
};

impl Mail {
    pub(super) fn read(reader: &Reader<'_>) -> Option<Self> {
        let part = reader.part(&MAIL);
        if !part.is_written() {
            return None;
        }
        if !part.has("url") && !part.has("url_file") {
            part.amiss("url", "is missing, expected it or url_file".to_owned());
        }
        let carrier = part.read_secret("url", "url_file");
        let from = part.read::<Sender>("from");
        let ca = part.read::<PathBuf>("ca");
        if let Some(Err(reason)) = ca.as_deref().map(pem::certificates) {
            part.refuse("ca", &reason);
        }
        if ca.is_some() && matches!(carrier, Some(MailCarrier::Folder(_))) {
            part.refuse("ca", "expected none with file:, which needs no TLS");
        }
        Some(Self { carrier: carrier?, from: from?.0, ca })
    }
}

impl Word for MailCarrier {
    const SECRET: bool = true;

    fn expected() -> String {
        "smtp://host, smtps://host or file:FOLDER".to_owned()
    }

    fn parse(text: &str) -> Result<Self, Refusal> {
        let (scheme, rest) = text.split_once(':').ok_or(Refusal::Unlike)?;
        match scheme {
            "file" if !rest.is_empty() && !rest.starts_with("//") && !rest.contains('\0') => {
                Ok(Self::Folder(PathBuf::from(rest)))
            }
            "smtp" | "smtps" if rest.strip_prefix("//").is_some_and(is_server) => {
                Ok(Self::Smtp(SecretString::from(text)))
            }
            "smtp" | "smtps" => {
                let form = format!("expected {scheme}://[user:password@]host[:port]");
                Err(Refusal::Because(format!("{form}, with %XX for @ / : ? # in a password")))
            }
            _ => Err(Refusal::Unlike),
        }
    }

    fn schema() -> Json {
        json!({"type": "string", "pattern": "^(smtps?://.|file:.)"})
    }
}

fn is_server(text: &str) -> bool {
    let text = text.strip_suffix('/').unwrap_or(text);
    let (user, host) = text.rsplit_once('@').unwrap_or(("", text));
    let plain = user.bytes().all(|b| b.is_ascii_graphic()) && !user.contains(['@', '/', '?', '#']);
    plain && user.matches(':').count() <= 1 && host_and_port(host).is_some()
}

struct Sender(String);

impl Word for Sender {
    fn expected() -> String {
        "an address such as octroi@example.fr or Extranet ESAT <octroi@example.fr>".to_owned()
    }

    fn parse(text: &str) -> Result<Self, Refusal> {
        let address = match text.strip_suffix('>').and_then(|text| text.rsplit_once('<')) {
            Some((name, address)) if !name.contains(['<', '>', '"', '@', ',']) => address,
            Some(_) => return Err(Refusal::Unlike),
            None => text,
        };
        let (local, domain) = address.split_once('@').ok_or(Refusal::Unlike)?;
        let plain = |c: char| c.is_ascii_graphic() && !"@<>,;:\"()[]\\".contains(c);
        let right = [local, domain].iter().all(|part| !part.is_empty() && part.chars().all(plain));
        let one_line = !text.contains(char::is_control) && text.len() <= 320;
        if right && one_line { Ok(Self(text.to_owned())) } else { Err(Refusal::Unlike) }
    }

    fn schema() -> Json {
        json!({"type": "string", "pattern": "@"})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn senders() {
        for text in ["a@b.fr", "Extranet ESAT <a@b.fr>", "Été <a@b.fr>"] {
            assert!(Sender::parse(text).is_ok(), "{text}");
        }
        for text in
            ["", "a", "@b", "a@", "a@b@c", "a b@c", "x <a@b", "a@b\r\nBcc: c@d", "a@b, c@d", "<a@b>, <c@d>"]
        {
            assert!(Sender::parse(text).is_err(), "{text}");
        }
    }
}
