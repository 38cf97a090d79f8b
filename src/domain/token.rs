//! A secret that opens something once it is shown (a session's cookie, a link in a letter), and the name under
//! which the store knows it.

use std::fmt;

use aws_lc_rs::{digest, hkdf, rand};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

/// 256 random bits that only their holder and, for the time of a request, this process know.
#[derive(Clone)]
pub struct Token(Zeroizing<[u8; 32]>);

/// The name of what a token opens: the token's SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TokenHash([u8; 32]);

/// The system could not give random bytes.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the system gives no random bytes")]
pub struct NoEntropy;

impl Token {
    /// A new token.
    pub fn random() -> Result<Self, NoEntropy> {
        let mut bits = Zeroizing::new([0; 32]);
        rand::fill(bits.as_mut()).map_err(|_| NoEntropy)?;
        Ok(Self(bits))
    }

    /// Reads the text of a token: 43 characters of base64url, nothing else.
    pub fn parse(text: &str) -> Option<Self> {
        let mut bits = Zeroizing::new([0; 32]);
        let written = URL_SAFE_NO_PAD.decode_slice(text, bits.as_mut()).ok()?;
        (written == 32).then_some(Self(bits))
    }

    /// A token of bits that were made from another's.
    pub fn from_bits(bits: Zeroizing<[u8; 32]>) -> Self {
        Self(bits)
    }

    /// Bits that only its holder can make, for one purpose alone (HKDF-SHA256, RFC 5869).
    pub fn derive(&self, purpose: &str) -> Zeroizing<[u8; 32]> {
        let mut bits = Zeroizing::new([0; 32]);
        let secret = hkdf::Salt::new(hkdf::HKDF_SHA256, &[]).extract(self.0.as_ref());
        let purpose = [purpose.as_bytes()];
        // 32 bytes can always be made of SHA-256, whatever the purpose.
        let made = secret.expand(&purpose, hkdf::HKDF_SHA256).and_then(|okm| okm.fill(bits.as_mut()));
        debug_assert!(made.is_ok());
        bits
    }

    /// The token as text.
    pub fn expose(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0.as_ref())
    }

    /// The name in the store of what it opens.
    pub fn id(&self) -> TokenHash {
        let hash = digest::digest(&digest::SHA256, self.0.as_ref());
        let mut id = [0; 32];
        id.copy_from_slice(hash.as_ref());
        TokenHash(id)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

impl TokenHash {
    /// A name as the store gives it back.
    pub fn from_bytes(hash: [u8; 32]) -> Self {
        Self(hash)
    }

    /// The bytes of the hash.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The hash as 43 characters of base64url.
    pub fn to_text(self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    /// Reads what [`TokenHash::to_text`] wrote.
    pub fn parse(text: &str) -> Option<Self> {
        let mut hash = [0; 32];
        let written = URL_SAFE_NO_PAD.decode_slice(text, &mut hash).ok()?;
        (written == 32).then_some(Self(hash))
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenHash({})", &self.to_text()[..8])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_survives_its_text_and_shows_nowhere_else() {
        let token = Token::random().expect("entropy");
        let read = Token::parse(&token.expose()).expect("a token");
        assert_eq!(read.id(), token.id());
        assert_eq!(format!("{token:?}"), "Token(…)");
        assert_ne!(token.id().to_text(), token.expose());
        assert_eq!(TokenHash::parse(&token.id().to_text()), Some(token.id()));
    }

    #[test]
    fn what_is_no_token_is_none() {
        let token = Token::random().expect("entropy").expose();
        for wrong in ["", "a", &token[1..], &format!("{token}A"), &"é".repeat(22), &"+".repeat(43)] {
            assert!(Token::parse(wrong).is_none(), "{wrong:?}");
        }
    }
}
