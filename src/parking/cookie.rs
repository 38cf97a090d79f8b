//! The cookie of a form that waits: its secret, for as long as it is kept.

use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};

use super::KEPT_FOR;
use crate::domain::{Token, cookie_pairs};

/// How the cookie is named and kept.
#[derive(Debug, Clone, Copy)]
pub struct ParkingCookie {
    secure: bool,
}

impl ParkingCookie {
    /// The cookie of a gateway that browsers reach over TLS (`secure`), or over plain HTTP on loopback.
    pub fn new(secure: bool) -> Self {
        Self { secure }
    }

    /// The secret that a request shows, if it shows one.
    pub fn read(self, headers: &HeaderMap) -> Option<Token> {
        let pairs = headers.get_all(COOKIE).iter().flat_map(|header| cookie_pairs(header.as_bytes()));
        let mut values =
            pairs.filter_map(|pair| pair.strip_prefix(self.name().as_bytes())?.strip_prefix(b"="));
        Token::parse(std::str::from_utf8(values.next()?).ok()?)
    }

    /// `Set-Cookie` for a secret.
    pub fn set(self, token: &Token) -> HeaderValue {
        self.header(&token.expose(), KEPT_FOR.as_secs())
    }

    /// `Set-Cookie` that takes the cookie away.
    pub fn clear(self) -> HeaderValue {
        self.header("", 0)
    }

    fn name(self) -> &'static str {
        if self.secure { "__Host-octroi-attente" } else { "octroi-attente" }
    }

    fn header(self, value: &str, max_age: u64) -> HeaderValue {
        let secure = if self.secure { "; Secure" } else { "" };
        let name = self.name();
        let cookie = format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={max_age}{secure}");
        let mut header = HeaderValue::try_from(cookie).unwrap_or_else(|_| HeaderValue::from_static(""));
        header.set_sensitive(true);
        header
    }
}
