//! The text of a table: UTF-8, or Windows-1252 as a spreadsheet in French saves it.

use std::borrow::Cow;

use super::Charset;

/// A text, and what its encoding is called.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Decoded<'a> {
    pub(super) text: Cow<'a, str>,
    pub(super) name: &'static str,
}

/// Why bytes are no text, and in which line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Undecodable {
    pub(super) line: u64,
    pub(super) reason: &'static str,
}

pub(super) fn decode(bytes: &[u8], charset: Charset) -> Result<Decoded<'_>, Undecodable> {
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        let reason = "this file is in UTF-16: save it as CSV UTF-8";
        return Err(Undecodable { line: 1, reason });
    }
    let (bytes, marked) = match bytes.strip_prefix("\u{feff}".as_bytes()) {
        Some(rest) => (rest, true),
        None => (bytes, false),
    };
    let utf8 = std::str::from_utf8(bytes);
    match (charset, utf8) {
        (Charset::Windows1252, _) if !marked => windows_1252(bytes),
        (_, Ok(text)) => Ok(Decoded { text: Cow::Borrowed(text), name: "UTF-8" }),
        (Charset::Guess, Err(_)) if !marked && !is_partly_utf8(bytes) => windows_1252(bytes),
        (_, Err(error)) => {
            let line = line_of(bytes, error.valid_up_to());
            Err(Undecodable { line, reason: "this line is not UTF-8, unlike the rest of the file" })
        }
    }
}

/// Whether some of it can only be UTF-8: then what is not is a damage, not another encoding. In
/// Windows-1252 such pairs of characters (`Ã©`) make no words.
fn is_partly_utf8(bytes: &[u8]) -> bool {
    bytes.utf8_chunks().any(|chunk| !chunk.valid().is_ascii())
}

fn windows_1252(bytes: &[u8]) -> Result<Decoded<'_>, Undecodable> {
    let undefined =
        |at| Undecodable { line: line_of(bytes, at), reason: "this line is neither UTF-8 nor Windows-1252" };
    let decoded = bytes.iter().enumerate().map(|(at, byte)| character(*byte).ok_or_else(|| undefined(at)));
    Ok(Decoded { text: Cow::Owned(decoded.collect::<Result<_, _>>()?), name: "Windows-1252" })
}

/// The character of a byte (the Encoding Standard's index windows-1252), less those it leaves to control codes.
fn character(byte: u8) -> Option<char> {
    const FROM_80: [char; 32] = [
        '€', '\0', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\0', 'Ž', '\0', '\0', '‘', '’',
        '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\0', 'ž', 'Ÿ',
    ];
    match byte {
        0x80..=0x9f => Some(FROM_80[usize::from(byte - 0x80)]).filter(|defined| *defined != '\0'),
        _ => Some(char::from(byte)),
    }
}

fn line_of(bytes: &[u8], at: usize) -> u64 {
    bytes[..at].split(|byte| *byte == b'\n').count() as u64
}
