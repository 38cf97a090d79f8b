//! The three-digit code of a Caf.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A Caf's code: three digits, the department and the office (`921` is Hauts-de-Seine).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CafCode([u8; 3]);

/// The text is not three ASCII digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a Caf code is three digits, such as 921")]
pub struct InvalidCafCode;

impl CafCode {
    /// The code as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl FromStr for CafCode {
    type Err = InvalidCafCode;

    fn from_str(text: &str) -> Result<Self, InvalidCafCode> {
        let digits: [u8; 3] = text.as_bytes().try_into().map_err(|_| InvalidCafCode)?;
        if digits.iter().all(u8::is_ascii_digit) { Ok(Self(digits)) } else { Err(InvalidCafCode) }
    }
}

impl TryFrom<String> for CafCode {
    type Error = InvalidCafCode;

    fn try_from(text: String) -> Result<Self, InvalidCafCode> {
        text.parse()
    }
}

impl From<CafCode> for String {
    fn from(code: CafCode) -> Self {
        code.as_str().to_owned()
    }
}

impl fmt::Display for CafCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for CafCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CafCode({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_digits_and_nothing_else() {
        assert_eq!("921".parse::<CafCode>().map(|c| c.to_string()), Ok("921".to_owned()));
        for wrong in ["", "92", "9211", "92a", "٩٢١", " 21", "92\n"] {
            assert_eq!(wrong.parse::<CafCode>(), Err(InvalidCafCode), "{wrong:?}");
        }
    }
}
