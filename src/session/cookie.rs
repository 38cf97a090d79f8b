//! The session's cookie (RFC 6265): the only place where a token leaves the process.

use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};

use super::Token;
use crate::domain::cookie_pairs;

/// How the session's cookie is named and kept.
#[derive(Debug, Clone, Copy)]
pub struct SessionCookie {
    secure: bool,
}

/// What a request shows at the door.
#[derive(Debug)]
pub enum Shown {
    /// No cookie of ours.
    Nothing,
    /// One token.
    Token(Token),
    /// A cookie of ours that holds no token: none of our making lives under it.
    Unreadable,
    /// Two that differ: nobody can tell who is asking.
    Several,
}

/// The cookie's name over TLS: browsers take it from no other host, no other path, and no plain HTTP.
pub const SECURE_NAME: &str = "__Host-octroi";
/// The cookie's name over plain HTTP on loopback.
pub const PLAIN_NAME: &str = "octroi";

impl SessionCookie {
    /// The cookie of a gateway that browsers reach over TLS (`secure`), or over plain HTTP on loopback.
    pub fn new(secure: bool) -> Self {
        Self { secure }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        if self.secure { SECURE_NAME } else { PLAIN_NAME }
    }

    /// Reads what a request shows.
    pub fn read(self, headers: &HeaderMap) -> Shown {
        let mut values = headers
            .get_all(COOKIE)
            .iter()
            .flat_map(|header| cookie_pairs(header.as_bytes()))
            .filter_map(|pair| self.value(pair));
        let Some(first) = values.next() else { return Shown::Nothing };
        if values.any(|other| other != first) {
            return Shown::Several;
        }
        let text = std::str::from_utf8(first).unwrap_or_default();
        Token::parse(text).map_or(Shown::Unreadable, Shown::Token)
    }

    /// `Set-Cookie` for a token.
    pub fn set(self, token: &Token) -> HeaderValue {
        self.header(&token.expose(), "")
    }

    /// `Set-Cookie` that takes the cookie away.
    pub fn clear(self) -> HeaderValue {
        self.header("", "; Max-Age=0")
    }

    fn value(self, pair: &[u8]) -> Option<&[u8]> {
        pair.strip_prefix(self.name().as_bytes())?.strip_prefix(b"=")
    }

    fn header(self, value: &str, end: &str) -> HeaderValue {
        let secure = if self.secure { "; Secure" } else { "" };
        let cookie = format!("{}={value}; Path=/; HttpOnly; SameSite=Lax{secure}{end}", self.name());
        let mut header = HeaderValue::try_from(cookie).unwrap_or_else(|_| HeaderValue::from_static(""));
        header.set_sensitive(true);
        header
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(cookies: &[&str]) -> Shown {
        let mut headers = HeaderMap::new();
        for cookie in cookies {
            headers.append(COOKIE, HeaderValue::from_str(cookie).expect("a header"));
        }
        SessionCookie::new(true).read(&headers)
    }

    #[test]
    fn it_comes_back_among_others() {
        let token = Token::random().expect("entropy");
        let ours = format!("__Host-octroi={}", token.expose());
        for cookies in [vec![ours.as_str()], vec!["a=b", &ours], vec![&format!("a=b; {ours};c=d")]] {
            assert!(matches!(shown(&cookies), Shown::Token(read) if read.id() == token.id()), "{cookies:?}");
        }
        assert!(matches!(shown(&[&ours, &ours]), Shown::Token(_)));
    }

    #[test]
    fn what_is_not_ours_or_not_one_is_told_apart() {
        assert!(matches!(shown(&[]), Shown::Nothing));
        assert!(matches!(shown(&["a=b; octroi=x; x__Host-octroi=y"]), Shown::Nothing));
        assert!(matches!(shown(&["__Host-octroi="]), Shown::Unreadable));
        assert!(matches!(shown(&["__Host-octroi=a; __Host-octroi=b"]), Shown::Several));
    }

    #[test]
    fn it_has_the_attributes_of_the_contract() {
        let token = Token::random().expect("entropy");
        let text = |secure| SessionCookie::new(secure).set(&token).to_str().expect("ASCII").to_owned();
        assert!(text(true).starts_with("__Host-octroi="));
        assert!(text(true).ends_with("; Path=/; HttpOnly; SameSite=Lax; Secure"));
        assert!(text(true).len() < 200);
        assert!(text(false).starts_with("octroi=") && !text(false).contains("Secure"));
    }
}
