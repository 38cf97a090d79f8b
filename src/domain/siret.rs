//! The SIRET, by which a Caf knows an ESAT.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An establishment's SIRET: 14 digits whose Luhn key is right. Spaces in the text are ignored.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Siret([u8; 14]);

/// Why a text is no SIRET.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSiret {
    /// Not 14 digits.
    #[error("a SIRET is 14 digits")]
    Length,
    /// A digit was mistyped: the key does not match.
    #[error("the SIRET's key is wrong: one of its digits is mistyped")]
    Key,
}

/// La Poste's SIREN: its establishments' numbers follow a key of their own (INSEE).
const LA_POSTE: &[u8] = b"356000000";

impl Siret {
    /// The 14 digits.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl FromStr for Siret {
    type Err = InvalidSiret;

    fn from_str(text: &str) -> Result<Self, InvalidSiret> {
        let compact: Vec<u8> = text.bytes().filter(|b| *b != b' ').collect();
        let digits: [u8; 14] = compact.try_into().map_err(|_| InvalidSiret::Length)?;
        if !digits.iter().all(u8::is_ascii_digit) {
            return Err(InvalidSiret::Length);
        }
        let la_poste = digits.starts_with(LA_POSTE) && plain_sum(&digits).is_multiple_of(5);
        if la_poste || luhn_sum(&digits).is_multiple_of(10) {
            Ok(Self(digits))
        } else {
            Err(InvalidSiret::Key)
        }
    }
}

fn plain_sum(digits: &[u8]) -> u32 {
    digits.iter().map(|d| u32::from(d - b'0')).sum()
}

/// The sum of ISO/IEC 7812-1 annex B: every second digit from the right is doubled.
fn luhn_sum(digits: &[u8]) -> u32 {
    let doubled = |value: u32| if value > 4 { value * 2 - 9 } else { value * 2 };
    let weigh = |(place, digit): (usize, &u8)| {
        let value = u32::from(digit - b'0');
        if place.is_multiple_of(2) { value } else { doubled(value) }
    };
    digits.iter().rev().enumerate().map(weigh).sum()
}

impl TryFrom<String> for Siret {
    type Error = InvalidSiret;

    fn try_from(text: String) -> Result<Self, InvalidSiret> {
        text.parse()
    }
}

impl From<Siret> for String {
    fn from(siret: Siret) -> Self {
        siret.as_str().to_owned()
    }
}

impl fmt::Display for Siret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Siret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Siret({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_checked() {
        assert!("73282932000074".parse::<Siret>().is_ok());
        assert!("732 829 320 00074".parse::<Siret>().is_ok());
        assert_eq!("73282932000075".parse::<Siret>(), Err(InvalidSiret::Key));
        assert_eq!("7328293200007".parse::<Siret>(), Err(InvalidSiret::Length));
        assert_eq!("7328293200007x".parse::<Siret>(), Err(InvalidSiret::Length));
    }

    #[test]
    fn la_poste_counts_its_own_way() {
        assert!("35600000000048".parse::<Siret>().is_ok(), "its seat has the usual key");
        assert!(
            "35600000049837".parse::<Siret>().is_ok(),
            "the sum of an office's digits is a multiple of five"
        );
        assert_eq!("35600000049838".parse::<Siret>(), Err(InvalidSiret::Key));
        // Nobody else may.
        assert_eq!("35600001049836".parse::<Siret>(), Err(InvalidSiret::Key));
    }
}
