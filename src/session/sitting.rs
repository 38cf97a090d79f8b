//! The public name of a sitting: from signing in to the end, whatever tokens come and go in between.
//!
//! It opens nothing and tells nothing of a token. It begins with the instant at which the sitting ends at the
//! latest, so that names are in the order in which people signed in, and old ones can be swept together.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::rand;
use serde::{Deserialize, Serialize};

use crate::domain::{NoEntropy, Timestamp};

/// The public name of a sitting: 32 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Sitting(u128);

/// The text is no sitting's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a session's public name: 32 hexadecimal digits")]
pub struct InvalidSitting;

const CHANCE: u32 = 80;

impl Sitting {
    /// A new name, for a sitting that ends at `ends_at` at the latest.
    pub fn new(ends_at: Timestamp) -> Result<Self, NoEntropy> {
        let mut bits = [0; 16];
        rand::fill(&mut bits).map_err(|_| NoEntropy)?;
        Ok(Self(Self::first_of(ends_at).0 | (u128::from_be_bytes(bits) >> (128 - CHANCE))))
    }

    /// What all names of sittings that end at `ends_at` or later stand at or behind.
    pub fn first_of(ends_at: Timestamp) -> Self {
        let time = u128::try_from(ends_at.as_millisecond().max(0)).unwrap_or_default();
        Self(time << CHANCE)
    }
}

impl fmt::Display for Sitting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl FromStr for Sitting {
    type Err = InvalidSitting;

    fn from_str(text: &str) -> Result<Self, InvalidSitting> {
        let plain =
            text.len() == 32 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if !plain {
            return Err(InvalidSitting);
        }
        u128::from_str_radix(text, 16).map(Self).map_err(|_| InvalidSitting)
    }
}

impl TryFrom<String> for Sitting {
    type Error = InvalidSitting;

    fn try_from(text: String) -> Result<Self, InvalidSitting> {
        text.parse()
    }
}

impl From<Sitting> for String {
    fn from(sitting: Sitting) -> Self {
        sitting.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_in_the_order_of_their_ends_and_survive_their_text() {
        let at = |ms: i64| Timestamp::from_millisecond(1_796_000_000_000 + ms).expect("an instant");
        let names: Vec<Sitting> = (0..50).map(|ms| Sitting::new(at(ms)).expect("entropy")).collect();
        assert!(
            names.is_sorted() && names[7] > Sitting::first_of(at(7)) && names[7] < Sitting::first_of(at(8))
        );
        let texts: Vec<String> = names.iter().map(ToString::to_string).collect();
        assert!(texts.is_sorted());
        assert_eq!(texts[3].parse(), Ok(names[3]));
    }

    #[test]
    fn what_is_no_name_is_none() {
        let right = "0".repeat(32);
        for wrong in [
            "",
            "0",
            &right[1..],
            &format!("{right}0"),
            &"A".repeat(32),
            &format!("+{}", &right[1..]),
            &"é".repeat(16),
        ] {
            assert_eq!(wrong.parse::<Sitting>(), Err(InvalidSitting), "{wrong}");
        }
    }
}
