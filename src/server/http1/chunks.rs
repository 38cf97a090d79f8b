//! Where a body in chunks ends (RFC 9112 section 7.1), read in one way or not at all.

use super::head::{is_text, is_token};
use crate::gate::Malformed;

/// Follows the chunks of one body.
#[derive(Debug, Clone)]
pub(super) struct Chunks {
    at: At,
    size: u64,
    digits: u8,
    /// What may still come that is no data: extensions and trailers.
    spare: u32,
}

/// Bytes of extensions and trailers that a body may have.
const SPARE: u32 = 8 * 1024;
/// Digits of a size; what they can count to fits.
const DIGITS: u8 = 15;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Size,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    LineStart,
    Name,
    Value,
    LineLf,
    EndLf,
    End,
}

impl Chunks {
    pub(super) fn new() -> Self {
        Self { at: At::Size, size: 0, digits: 0, spare: SPARE }
    }

    /// Reads on; how many of `bytes` are the body's, and whether it ends there.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Result<(usize, bool), Malformed> {
        let mut used = 0;
        while let Some(byte) = bytes.get(used) {
            if self.at == At::Data {
                let left = usize::try_from(self.size).unwrap_or(usize::MAX).min(bytes.len() - used);
                used += left;
                self.size -= left as u64;
                if self.size == 0 {
                    self.at = At::DataCr;
                }
                continue;
            }
            used += 1;
            match self.step(*byte) {
                Some(At::End) => return Ok((used, true)),
                Some(next) => self.at = next,
                None => return Err(Malformed::Head("chunks that cannot be read")),
            }
        }
        Ok((used, false))
    }

    /// Where a byte leads; `None` where it has no place.
    fn step(&mut self, byte: u8) -> Option<At> {
        Some(match (self.at, byte) {
            (At::Size, b'\r') if self.digits > 0 => At::SizeLf,
            (At::Size, b';') if self.digits > 0 => At::Extension,
            (At::Size, digit) => self.digit(digit)?,
            (At::Extension, b'\r') => At::SizeLf,
            (At::Extension, text) if is_text(text) => self.spend(At::Extension)?,
            (At::SizeLf, b'\n') => {
                self.digits = 0;
                if self.size == 0 { At::LineStart } else { At::Data }
            }
            (At::DataCr, b'\r') => At::DataLf,
            (At::DataLf, b'\n') => At::Size,
            (At::LineStart, b'\r') => At::EndLf,
            (At::LineStart | At::Name, token) if is_token(token) => self.spend(At::Name)?,
            (At::Name, b':') => At::Value,
            (At::Value, b'\r') => At::LineLf,
            (At::Value, text) if is_text(text) => self.spend(At::Value)?,
            (At::LineLf, b'\n') => At::LineStart,
            (At::EndLf, b'\n') => At::End,
            _ => return None,
        })
    }

    fn digit(&mut self, digit: u8) -> Option<At> {
        let value = char::from(digit).to_digit(16).filter(|_| self.digits < DIGITS)?;
        self.size = self.size * 16 + u64::from(value);
        self.digits += 1;
        Some(At::Size)
    }

    fn spend(&mut self, next: At) -> Option<At> {
        self.spare = self.spare.checked_sub(1)?;
        Some(next)
    }
}
