//! Who asks for a change: the name that was proven, and who says they are behind it.
//!
//! A request that reaches a route has an [`Author`] among its extensions; nobody is let in without.

use std::fmt;

use http::{HeaderMap, HeaderName};

use crate::domain::Role;

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Author {
    /// The token's or the certificate's name; on an unprotected local listener, whoever they say they are.
    pub name: String,
    /// Who says they are behind a proven name, where they say so. Proven by nothing.
    pub by: Option<String>,
    /// What they may do.
    pub role: Role,
    /// How they proved their name.
    pub via: Via,
}

/// How a name was proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    /// By reaching a listener that only this machine reaches.
    Local,
    /// By a token of `admin.tokens_file`.
    Token,
    /// By a certificate of `admin.tls.client_ca`.
    Certificate,
}

/// `X-Octroi-By`: who is behind a change, in UTF-8.
pub const BY: HeaderName = HeaderName::from_static("x-octroi-by");

/// What `X-Octroi-By` says is no name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("X-Octroi-By: expected one name of 1 to 100 printable characters")]
pub struct InvalidBy;

const LONGEST_BY: usize = 100;

impl Author {
    /// One who reached a listener that only this machine reaches: an operator.
    pub fn local(by: Option<String>) -> Self {
        let name = by.unwrap_or_else(|| "local".to_owned());
        Self { name, by: None, role: Role::Operator, via: Via::Local }
    }
}

impl Via {
    /// Its word in logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Token => "token",
            Self::Certificate => "certificate",
        }
    }
}

impl fmt::Display for Author {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.by {
            Some(by) => write!(f, "{} (by {by})", self.name),
            None => f.write_str(&self.name),
        }
    }
}

/// Who a request says is behind it.
pub(super) fn said(headers: &HeaderMap) -> Result<Option<String>, InvalidBy> {
    let mut values = headers.get_all(BY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let name = std::str::from_utf8(value.as_bytes()).map_err(|_| InvalidBy)?.trim();
    let printable = |c: char| c == ' ' || c.is_alphanumeric() || c.is_ascii_graphic();
    let right = !name.is_empty() && name.chars().count() <= LONGEST_BY && name.chars().all(printable);
    if right && values.next().is_none() { Ok(Some(name.to_owned())) } else { Err(InvalidBy) }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn by(values: &[&[u8]]) -> Result<Option<String>, InvalidBy> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(BY, HeaderValue::from_bytes(value).expect("a value"));
        }
        said(&headers)
    }

    #[test]
    fn a_name_is_told_or_refused() {
        assert_eq!(by(&[]), Ok(None));
        assert_eq!(by(&[b" marie.dupont "]), Ok(Some("marie.dupont".to_owned())));
        assert_eq!(by(&["Éloïse (nuit)".as_bytes()]), Ok(Some("Éloïse (nuit)".to_owned())));
        let long = "m".repeat(101);
        let hostile: [&[&[u8]]; 7] = [
            &[b""],
            &[b"  "],
            &[b"\xff\xfe"],
            &["a\u{202e}b".as_bytes()],
            &["a\u{85}b".as_bytes()],
            &[long.as_bytes()],
            &[b"a", b"b"],
        ];
        for values in hostile {
            assert_eq!(by(values), Err(InvalidBy), "{values:?}");
        }
    }
}
