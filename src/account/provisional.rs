//! Passwords that are made for an account's owner, to be changed at the first sign-in.

use aws_lc_rs::rand;
use secrecy::SecretString;

use super::HashError;

/// Three groups of four that can be read over the phone: no letter that looks like a digit.
pub(super) fn provisional_password() -> Result<SecretString, HashError> {
    const LETTERS: &[u8] = b"abcdefghjkmnpqrstuvwxyz";
    const DIGITS: &[u8] = b"23456789";
    let mut bits = zeroize::Zeroizing::new([0_u8; 12]);
    loop {
        rand::fill(bits.as_mut()).map_err(|_| HashError::Failed)?;
        let pick = |(place, byte): (usize, &u8)| {
            let set = if place % 4 == 3 { DIGITS } else { LETTERS };
            // Bytes beyond the last whole multiple would favour the first letters.
            let fair = u8::MAX - u8::MAX % u8::try_from(set.len()).unwrap_or(1);
            (*byte < fair).then(|| char::from(set[usize::from(*byte) % set.len()]))
        };
        let drawn: Option<String> = bits.iter().enumerate().map(pick).collect();
        if let Some(drawn) = drawn {
            let drawn = zeroize::Zeroizing::new(drawn);
            return Ok(format!("{}-{}-{}", &drawn[..4], &drawn[4..8], &drawn[8..]).into());
        }
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;
    use crate::domain::PasswordRules;

    #[test]
    fn a_provisional_password_can_be_dictated_and_obeys_the_rules() {
        let one = provisional_password().expect("a password");
        let other = provisional_password().expect("a password");
        let text = one.expose_secret();
        assert_eq!(PasswordRules { min_length: 12 }.broken_by(text, "a@b.fr"), []);
        assert!(!text.contains(['o', 'i', 'l', '0', '1']), "{text}");
        assert_ne!(text, other.expose_secret());
    }
}
