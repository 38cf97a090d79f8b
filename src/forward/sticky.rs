//! Bearers of a backend's cookie stay at the instance that set it: the cookie's value is marked with the instance on
//! its way out (`5f3a09c1~VALUE`), and has its mark taken off on the way in.
//!
//! A mark is made of the instance's address, so that it is the same at all replicas and after a restart, and tells
//! nobody where the instance is.

use aws_lc_rs::digest::{SHA256, digest};

/// Hexadecimal digits of a mark.
const LENGTH: usize = 8;
const END: u8 = b'~';

/// An instance's mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark([u8; LENGTH]);

impl Mark {
    /// That of the instance at an address.
    pub(super) fn of(address: &str) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let hash = digest(&SHA256, address.as_bytes());
        let mut mark = [b'0'; LENGTH];
        for (pair, byte) in mark.chunks_exact_mut(2).zip(hash.as_ref()) {
            pair.copy_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
        }
        Self(mark)
    }

    /// The mark of a cookie's `=VALUE`, and the rest of the value; a value without one is left as it is.
    pub(super) fn split(value: &[u8]) -> Option<(Self, &[u8])> {
        let (mark, rest) = value.strip_prefix(b"=")?.split_first_chunk::<LENGTH>()?;
        let own = rest.strip_prefix(&[END])?;
        let is_mark = mark.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        is_mark.then_some((Self(*mark), own))
    }

    /// Writes `=MARK~` and what follows a cookie's name and `=`; a cookie that is taken back has no value to mark.
    pub(super) fn write(self, value: &[u8], out: &mut Vec<u8>) {
        match value.strip_prefix(b"=") {
            Some(own) if !own.trim_ascii().is_empty() => {
                for piece in [b"=".as_slice(), &self.0, &[END], own] {
                    out.extend_from_slice(piece);
                }
            }
            _ => out.extend_from_slice(value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_put_on_and_taken_off() {
        let mark = Mark::of("http://10.0.1.10:8080");
        assert_ne!(mark, Mark::of("http://10.0.1.11:8080"));
        let mut out = Vec::new();
        mark.write(b"=abc~d", &mut out);
        assert_eq!(Mark::split(&out), Some((mark, b"abc~d".as_slice())));
        out.clear();
        mark.write(b"=", &mut out);
        assert_eq!(out, b"=");
        for other in [&b"=abc"[..], b"=", b"", b"=ABCDEF01~x", b"=0123456~x", b"=012345678~x", b"0123456a~x"]
        {
            assert_eq!(Mark::split(other), None, "{other:?}");
        }
    }
}
