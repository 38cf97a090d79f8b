//! The identifiant: the e-mail address that names an account.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// An account's name: an e-mail address, lower-cased, at most 254 bytes (RFC 5321 section 4.5.3.1).
///
/// Only the shape that RFC 5321 calls a dot-string is taken: no quoted local part, no address literal,
/// no comment. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Identifiant(Arc<str>);

/// The text is not an e-mail address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an identifiant is an e-mail address, such as direction@esat.example")]
pub struct InvalidIdentifiant;

impl Identifiant {
    /// The address, in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Identifiant {
    type Err = InvalidIdentifiant;

    fn from_str(text: &str) -> Result<Self, InvalidIdentifiant> {
        let address = text.trim().to_ascii_lowercase();
        let (local, domain) = address.rsplit_once('@').ok_or(InvalidIdentifiant)?;
        let fits = address.len() <= 254 && (1..=64).contains(&local.len());
        if fits && dot_separated(local, is_atom) && is_domain(domain) {
            Ok(Self(address.into()))
        } else {
            Err(InvalidIdentifiant)
        }
    }
}

fn dot_separated(text: &str, part: fn(&str) -> bool) -> bool {
    text.split('.').all(part)
}

/// RFC 5322 section 3.2.3.
fn is_atom(part: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&b);
    !part.is_empty() && part.bytes().all(allowed)
}

fn is_domain(domain: &str) -> bool {
    domain.contains('.') && dot_separated(domain, is_label)
}

fn is_label(label: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    let edge = |c| label.starts_with(c) || label.ends_with(c);
    (1..=63).contains(&label.len()) && label.bytes().all(inner) && !edge('-')
}

impl TryFrom<String> for Identifiant {
    type Error = InvalidIdentifiant;

    fn try_from(text: String) -> Result<Self, InvalidIdentifiant> {
        text.parse()
    }
}

impl From<Identifiant> for String {
    fn from(identifiant: Identifiant) -> Self {
        identifiant.as_str().to_owned()
    }
}

impl fmt::Display for Identifiant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Identifiant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identifiant({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_and_outer_spaces_do_not_count() {
        let typed: Identifiant = "  Direction@ESAT.example ".parse().expect("an address");
        assert_eq!(typed.as_str(), "direction@esat.example");
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let long = format!("{}@esat.example", "a".repeat(65));
        let wrong = [
            "",
            "a",
            "a@",
            "@b.fr",
            "a@b",
            "a b@c.fr",
            "a@b..fr",
            "a.@b.fr",
            ".a@b.fr",
            "a@-b.fr",
            "a@b.fr\r\nX: y",
            "a@b.fr\0",
            "é@b.fr",
            "a@@b.fr",
            long.as_str(),
        ];
        for text in wrong {
            assert_eq!(text.parse::<Identifiant>(), Err(InvalidIdentifiant), "{text:?}");
        }
    }
}
