//! The identifiant de communication: what a Caf calls an ESAT it knows under no SIRET.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

const LENGTH: usize = 11;

/// Eleven letters and digits, upper-cased and completed with zeros on the left (rule 4).
///
/// The same ESAT has a different one at each Caf.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct IdentifiantCommunication([u8; LENGTH]);

/// The text is not 1 to 11 letters and digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an identifiant de communication is 1 to 11 letters and digits")]
pub struct InvalidCommunication;

impl IdentifiantCommunication {
    /// The eleven characters.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl FromStr for IdentifiantCommunication {
    type Err = InvalidCommunication;

    fn from_str(text: &str) -> Result<Self, InvalidCommunication> {
        let typed = text.trim().as_bytes();
        if !(1..=LENGTH).contains(&typed.len()) || !typed.iter().all(u8::is_ascii_alphanumeric) {
            return Err(InvalidCommunication);
        }
        let mut padded = [b'0'; LENGTH];
        padded[LENGTH - typed.len()..].copy_from_slice(typed);
        padded.make_ascii_uppercase();
        Ok(Self(padded))
    }
}

impl TryFrom<String> for IdentifiantCommunication {
    type Error = InvalidCommunication;

    fn try_from(text: String) -> Result<Self, InvalidCommunication> {
        text.parse()
    }
}

impl From<IdentifiantCommunication> for String {
    fn from(identifiant: IdentifiantCommunication) -> Self {
        identifiant.as_str().to_owned()
    }
}

impl fmt::Display for IdentifiantCommunication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for IdentifiantCommunication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IdentifiantCommunication({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_ones_are_completed_with_zeros_on_the_left() {
        let parse = |text: &str| text.parse::<IdentifiantCommunication>();
        assert_eq!(parse("12345678"), parse("00012345678"));
        assert_eq!(parse(" ab12 "), parse("0000000AB12"));
        assert_ne!(parse("12345678"), parse("12345678000"));
    }

    #[test]
    fn what_is_none_is_refused() {
        for text in ["", " ", "123456789012", "12 34", "12-34", "é", "1\0"] {
            assert_eq!(text.parse::<IdentifiantCommunication>(), Err(InvalidCommunication), "{text:?}");
        }
    }
}
