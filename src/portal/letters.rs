//! The words of letters: one template each, as text and as HTML.

use std::sync::Arc;

use askama::Template;

use super::french;
use crate::account::Account;
use crate::config::{self, Config};
use crate::domain::{Calendar, Clock, PasswordAge, Timestamp, Token};
use crate::entry::{Letter, Stationery};

/// Letters that lead back to this gateway.
pub struct Letters {
    portal: String,
    calendar: Arc<Calendar>,
    clock: Clock,
    max_age: std::time::Duration,
}

#[derive(Template)]
#[template(config = ".askama.toml", path = "lettre.txt")]
struct RecoveryText<'a> {
    nom: &'a str,
    lien: &'a str,
    avant: &'a str,
}

#[derive(Template)]
#[template(config = ".askama.toml", path = "lettre.html")]
struct RecoveryHtml<'a> {
    nom: &'a str,
    lien: &'a str,
    avant: &'a str,
}

#[derive(Template)]
#[template(config = ".askama.toml", path = "rappel.txt")]
struct ExpiryText<'a> {
    nom: &'a str,
    lien: &'a str,
    reste: &'a str,
    expire: &'a str,
}

#[derive(Template)]
#[template(config = ".askama.toml", path = "rappel.html")]
struct ExpiryHtml<'a> {
    nom: &'a str,
    lien: &'a str,
    reste: &'a str,
    expire: &'a str,
}

impl Letters {
    /// Letters of the gateway that a configuration describes.
    pub fn new(config: &Config, calendar: Arc<Calendar>, clock: Clock) -> Self {
        let portal = format!("{}{}", base(&config.server), config.portal.prefix);
        Self { portal, calendar, clock, max_age: config.password.max_age }
    }

    fn moment(&self, at: Timestamp) -> String {
        french::moment(&self.calendar.in_paris(at))
    }
}

// The templates only write into memory: they cannot fail, and an empty part would be seen in tests.
impl Stationery for Letters {
    fn recovery(&self, name: String, account: &Account, token: &Token, until: Timestamp) -> Letter {
        let lien = &*format!("{}/mot-de-passe/reinitialisation?jeton={}", self.portal, token.expose());
        let (nom, avant) = (account.nom.as_str(), &*self.moment(until));
        Letter {
            name,
            to: account.identifiant.clone(),
            subject: "Votre nouveau mot de passe pour l’extranet des ESAT".to_owned(),
            text: RecoveryText { nom, lien, avant }.render().unwrap_or_default(),
            html: RecoveryHtml { nom, lien, avant }.render().unwrap_or_default(),
        }
    }

    fn expiry(&self, name: String, account: &Account, due: Timestamp) -> Letter {
        let age = PasswordAge::new(account.password_changed_at, self.max_age);
        let reste = &*french::plural(age.days_left(self.clock.now()).into(), "jour");
        let (nom, expire) = (account.nom.as_str(), &*self.moment(due));
        let lien = &*format!("{}/mot-de-passe", self.portal);
        Letter {
            name,
            to: account.identifiant.clone(),
            subject: format!("Extranet des ESAT : votre mot de passe expire dans {reste}"),
            text: ExpiryText { nom, lien, reste, expire }.render().unwrap_or_default(),
            html: ExpiryHtml { nom, lien, reste, expire }.render().unwrap_or_default(),
        }
    }
}

/// What the links in letters begin with. Never what a request says of its host: whoever asks for the letter
/// could name their own.
fn base(server: &config::Server) -> String {
    match (&server.public_url, server.listen.first()) {
        (Some(url), _) => format!("{}://{}", if url.https { "https" } else { "http" }, url.authority),
        (None, Some(address)) => {
            format!("{}://{address}", if server.is_secure() { "https" } else { "http" })
        }
        (None, None) => String::new(),
    }
}
