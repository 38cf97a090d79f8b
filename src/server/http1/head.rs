//! One reading of a request's head, line by line (RFC 9112 sections 2 to 6), or none.

use http::Uri;

use crate::gate::{FIELDS, HEAD_SIZE, Malformed, STAND_IN_METHOD, TARGET_SIZE};

/// What a head says of the message that it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    /// Where the head ends.
    pub(super) end: usize,
    pub(super) body: Length,
    /// Whether another protocol may follow in the place of the next request.
    pub(super) may_switch: bool,
}

/// How a body's end is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Length {
    Known(u64),
    Chunked,
}

/// Reads a head that comes in pieces: each byte is looked at once, however small they are.
#[derive(Debug, Clone, Default)]
pub(super) struct Reader {
    /// Where the line that is not complete yet begins.
    line: usize,
    /// Up to where it is known to hold text alone.
    at: usize,
    /// The version's last digit, once the request line is read.
    minor: Option<u8>,
    fields: usize,
    length: Option<u64>,
    is_chunked: bool,
    may_switch: bool,
}

impl Reader {
    /// Reads on in the head that begins at `bytes[0]`, of which earlier calls saw a part; `None` as long as it
    /// is not complete.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Result<Option<Head>, Malformed> {
        loop {
            let rest = bytes.get(self.at..).unwrap_or_default();
            let text = text_size(rest);
            self.at += text;
            match rest.get(text..).unwrap_or_default() {
                [b'\r', b'\n', ..] => {}
                [] | [b'\r'] => return self.wait(bytes.len()),
                _ => return Err(Malformed::Head("a character that does not belong there")),
            }
            let line = bytes.get(self.line..self.at).unwrap_or_default();
            self.at += 2;
            self.line = self.at;
            if self.at > HEAD_SIZE {
                return Err(Malformed::HeadTooLarge);
            }
            if self.minor.is_some() {
                if line.is_empty() {
                    return self.end().map(Some);
                }
                self.field(line)?;
            } else if !line.is_empty() {
                // An empty line or two before a request is forgiven (RFC 9112 section 2.2).
                self.request_line(line)?;
            }
        }
    }

    fn wait(&self, size: usize) -> Result<Option<Head>, Malformed> {
        match size {
            HEAD_SIZE.. if self.minor.is_some() => Err(Malformed::HeadTooLarge),
            // Longer than the longest target with a method and a version.
            _ if self.minor.is_none() && size - self.line > TARGET_SIZE + 64 => Err(Malformed::TargetTooLong),
            _ => Ok(None),
        }
    }

    fn end(&self) -> Result<Head, Malformed> {
        let body = match (self.length, self.is_chunked) {
            (Some(_), true) => return Err(Malformed::Head("two lengths")),
            (length, false) => Length::Known(length.unwrap_or(0)),
            (None, true) => Length::Chunked,
        };
        Ok(Head { end: self.at, body, may_switch: self.may_switch })
    }

    fn request_line(&mut self, line: &[u8]) -> Result<(), Malformed> {
        const SHAPE: Malformed = Malformed::Head("no request line");
        let mut parts = line.splitn(3, |byte| *byte == b' ');
        let (Some(method), Some(target), Some(version)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(SHAPE);
        };
        let is_method = (1..=32).contains(&method.len()) && method.iter().all(|byte| is_token(*byte));
        if !is_method || method == STAND_IN_METHOD.as_bytes() {
            return Err(SHAPE);
        }
        self.minor = match version {
            b"HTTP/1.1" => Some(1),
            b"HTTP/1.0" => Some(0),
            _ => return Err(SHAPE),
        };
        if target.len() > TARGET_SIZE {
            return Err(Malformed::TargetTooLong);
        }
        self.may_switch = method == b"CONNECT";
        if is_target(target) { Ok(()) } else { Err(Malformed::Head("no target")) }
    }

    fn field(&mut self, line: &[u8]) -> Result<(), Malformed> {
        let colon = line.iter().position(|byte| !is_token(*byte)).unwrap_or(line.len());
        let (name, rest) = line.split_at(colon);
        let (false, Some((b':', value))) = (name.is_empty(), rest.split_first()) else {
            return Err(Malformed::Head("no field"));
        };
        self.fields += 1;
        if self.fields > FIELDS {
            return Err(Malformed::HeadTooLarge);
        }
        match name.len() {
            7 if name.eq_ignore_ascii_case(b"upgrade") => self.may_switch |= self.minor != Some(0),
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                let length = read_length(value.trim_ascii()).filter(|_| self.length.is_none());
                self.length = Some(length.ok_or(Malformed::Head("no length, or several"))?);
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                let is_plain = value.trim_ascii().eq_ignore_ascii_case(b"chunked");
                if !is_plain || self.is_chunked || self.minor == Some(0) {
                    return Err(Malformed::Head("a transfer coding other than chunked"));
                }
                self.is_chunked = true;
            }
            _ => {}
        }
        Ok(())
    }
}

/// RFC 9110 section 8.6: digits alone.
fn read_length(value: &[u8]) -> Option<u64> {
    let is_number = (1..=18).contains(&value.len()) && value.iter().all(u8::is_ascii_digit);
    is_number.then(|| value.iter().fold(0, |length, digit| length * 10 + u64::from(digit - b'0')))
}

/// RFC 9112 section 3.2, and no fragment: hyper leaves one out, another reader might not.
fn is_target(target: &[u8]) -> bool {
    match target {
        [b'/', rest @ ..] => is_path_and_query(rest),
        b"*" => true,
        _ => !target.contains(&b'#') && Uri::try_from(target).is_ok(),
    }
}

/// What [`Uri`] takes, which is less than what a head may hold; beyond ASCII it must be UTF-8.
fn is_path_and_query(rest: &[u8]) -> bool {
    let path = rest.iter().position(|byte| !has(*byte, PATH)).unwrap_or(rest.len());
    let is_plain = match rest.get(path..).unwrap_or_default() {
        [] => true,
        [b'?', query @ ..] => query.iter().all(|byte| has(*byte, QUERY)),
        _ => false,
    };
    is_plain && (rest.is_ascii() || std::str::from_utf8(rest).is_ok())
}

/// How many of the first bytes are text, eight at a time: this sees every byte of every head.
pub(super) fn text_size(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::MAX / 255;
    const HIGH: u64 = ONES * 0x80;
    let mut at = 0;
    loop {
        while let Some(eight) = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>) {
            let eight = u64::from_le_bytes(*eight);
            let delete = eight ^ (ONES * 0x7f);
            // The lowest high bit that is set marks the first byte below a blank, or the first DEL.
            let below = eight.wrapping_sub(ONES * 0x20) & !eight & HIGH;
            let found = below | (delete.wrapping_sub(ONES) & !delete & HIGH);
            if found != 0 {
                at += found.trailing_zeros() as usize / 8;
                break;
            }
            at += 8;
        }
        match bytes.get(at) {
            Some(byte) if is_text(*byte) => at += 1,
            _ => return at,
        }
    }
}

/// What a line may hold (RFC 9110 section 5.5): visible characters, blanks, and bytes beyond ASCII.
pub(super) fn is_text(byte: u8) -> bool {
    matches!(byte, b'\t' | b' '..=b'~' | 0x80..)
}

/// RFC 9110 section 5.6.2.
pub(super) fn is_token(byte: u8) -> bool {
    has(byte, TOKEN)
}

const TOKEN: u8 = 1;
const PATH: u8 = 2;
const QUERY: u8 = 4;

fn has(byte: u8, class: u8) -> bool {
    CLASSES[usize::from(byte)] & class != 0
}

static CLASSES: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = u8::MIN;
    loop {
        let mark =
            matches!(byte, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~');
        let is_token = mark || byte.is_ascii_alphanumeric();
        let in_path = matches!(byte, b'!' | b'"' | b'$'..=b';' | b'=' | b'@'..=b'_' | b'a'..=b'~' | 0x80..);
        let in_query = matches!(byte, b'!' | b'$'..=b';' | b'=' | b'?'..=b'~' | 0x80..);
        table[byte as usize] = if is_token { TOKEN } else { 0 }
            | if in_path { PATH } else { 0 }
            | if in_query { QUERY } else { 0 };
        if byte == u8::MAX {
            break table;
        }
        byte += 1;
    }
};
