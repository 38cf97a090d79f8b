//! The line of a request: who was let where, and how long it took. Never a query, a cookie or a body.

use std::cell::RefCell;
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::lines;
use crate::domain::{CafCode, Timestamp};

/// What is told of a request once its response's head is known.
#[derive(Debug)]
pub struct Access<'a> {
    /// When the response's head was known, in milliseconds since 1970-01-01T00:00:00Z.
    pub at_ms: i64,
    /// Its id, as the backend and the user's error page have it.
    pub id: &'a str,
    /// GET, POST …
    pub method: &'a str,
    /// The path without its query, or `-` where it could not be read.
    pub path: &'a str,
    /// The session's state; `anonyme` where there is none.
    pub etat: &'static str,
    /// The session's Caf.
    pub caf: Option<CafCode>,
    /// The response's status.
    pub status: u16,
    /// The problem that was answered, if one was.
    pub code: Option<&'static str>,
    /// From the request's head to the response's.
    pub time: Duration,
}

static FOR_EYES: AtomicBool = AtomicBool::new(false);

/// Whether lines are for eyes, or JSON.
pub(super) fn set_style(for_eyes: bool) {
    FOR_EYES.store(for_eyes, Ordering::Relaxed);
}

/// Whether the configuration wants the lines of requests (`log.level`, module `octroi::access`).
pub fn is_recorded() -> bool {
    tracing::enabled!(target: "octroi::access", tracing::Level::INFO)
}

/// Logs the line, in the same form as the logger's own, for a tenth of what that costs.
pub fn record(access: &Access<'_>) {
    lines::put(|text| access.write(text, FOR_EYES.load(Ordering::Relaxed)));
}

impl Access<'_> {
    fn write(&self, out: &mut Vec<u8>, for_eyes: bool) {
        if for_eyes { self.write_for_eyes(out) } else { self.write_json(out) }
    }

    /// Put together by hand: every request pays for its line, and formatting costs several times as much.
    fn write_json(&self, out: &mut Vec<u8>) {
        write_pieces(&[b"{\"timestamp\":\""], out);
        write_time(self.at_ms, out);
        write_pieces(&[b"\",\"level\":\"INFO\",\"message\":\"request\",\"id\":\""], out);
        write_escaped(self.id, out);
        write_pieces(&[b"\",\"method\":\""], out);
        write_escaped(self.method, out);
        write_pieces(&[b"\",\"path\":\""], out);
        write_escaped(self.path, out);
        write_pieces(&[b"\",\"etat\":\"", self.etat.as_bytes(), b"\""], out);
        if let Some(caf) = &self.caf {
            write_pieces(&[b",\"caf\":\"", caf.as_str().as_bytes(), b"\""], out);
        }
        write_pieces(&[b",\"status\":"], out);
        write_number(self.status.into(), out);
        if let Some(code) = self.code {
            write_pieces(&[b",\"code\":\"", code.as_bytes(), b"\""], out);
        }
        write_pieces(&[b",\"time_us\":"], out);
        write_number(self.time_us(), out);
        write_pieces(&[b",\"target\":\"octroi::access\"}\n"], out);
    }

    fn write_for_eyes(&self, out: &mut Vec<u8>) {
        write_time(self.at_ms, out);
        write_pieces(&[b"  INFO request id=\""], out);
        write_escaped(self.id, out);
        write_pieces(&[b"\" ", self.method.as_bytes(), b" "], out);
        write_escaped(self.path, out);
        write_pieces(&[b" "], out);
        write_number(self.status.into(), out);
        write_pieces(&[b" etat=", self.etat.as_bytes()], out);
        if let Some(caf) = &self.caf {
            write_pieces(&[b" caf=", caf.as_str().as_bytes()], out);
        }
        if let Some(code) = self.code {
            write_pieces(&[b" code=", code.as_bytes()], out);
        }
        write_pieces(&[b" time_us="], out);
        write_number(self.time_us(), out);
        out.push(b'\n');
    }

    fn time_us(&self) -> u64 {
        u64::try_from(self.time.as_micros()).unwrap_or(u64::MAX)
    }
}

fn write_pieces(pieces: &[&[u8]], out: &mut Vec<u8>) {
    for piece in pieces {
        out.extend_from_slice(piece);
    }
}

fn write_number(number: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// As RFC 3339 writes it, in UTC, to the millisecond.
fn write_time(at_ms: i64, out: &mut Vec<u8>) {
    thread_local! {
        /// The last second that was written: most lines share theirs with the line before.
        static LAST: RefCell<(i64, String)> = const { RefCell::new((i64::MIN, String::new())) };
    }
    let (second, millisecond) = (at_ms.div_euclid(1_000), at_ms.rem_euclid(1_000));
    LAST.with_borrow_mut(|(written, text)| {
        if *written != second {
            *written = second;
            *text = Timestamp::from_second(second).unwrap_or(Timestamp::UNIX_EPOCH).to_string();
        }
        out.extend_from_slice(text.trim_end_matches('Z').as_bytes());
    });
    let digit = |of: i64| b'0' + u8::try_from(millisecond / of % 10).unwrap_or(0);
    write_pieces(&[&[b'.', digit(100), digit(10), digit(1), b'Z']], out);
}

/// What a client wrote can neither end the line nor a string in it (RFC 8259 section 7).
fn write_escaped(text: &str, out: &mut Vec<u8>) {
    let is_plain = |byte: u8| (0x20..0x7f).contains(&byte) && byte != b'"' && byte != b'\\';
    // All of it is looked at, whatever is found: so several bytes are at once.
    if text.bytes().fold(true, |plain, byte| plain & is_plain(byte)) {
        return out.extend_from_slice(text.as_bytes());
    }
    for character in text.chars() {
        if character == '"' || character == '\\' {
            out.push(b'\\');
        }
        if character.is_control() {
            let _ = write!(out, "\\u{:04x}", u32::from(character));
        } else {
            let _ = write!(out, "{character}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(path: &str, for_eyes: bool) -> String {
        let access = Access {
            at_ms: 1_795_000_000_042,
            id: "7f",
            method: "GET",
            path,
            etat: "admis",
            caf: "921".parse().ok(),
            status: 200,
            code: Some("volet-ferme"),
            time: Duration::from_micros(1_500),
        };
        let mut out = Vec::new();
        access.write(&mut out, for_eyes);
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn a_line_is_one_json_object_whatever_the_path() {
        for path in ["/a", "/a\"b\\c", "/é\u{7f}\u{85}", "-", "/\n{}"] {
            let line = line(path, false);
            assert_eq!(line.matches('\n').count(), 1, "{line}");
            let json: serde_json::Value = serde_json::from_str(&line).expect(&line);
            assert_eq!(json["path"], path);
            assert_eq!(json["timestamp"], "2026-11-18T11:06:40.042Z");
            assert_eq!((&json["status"], &json["time_us"]), (&200.into(), &1_500.into()));
            assert_eq!((&json["caf"], &json["code"]), (&"921".into(), &"volet-ferme".into()));
        }
    }

    #[test]
    fn a_line_for_eyes_has_no_end_inside() {
        let line = line("/a\nb", true);
        assert_eq!(line.matches('\n').count(), 1);
        assert!(
            line.contains("GET /a\\u000ab 200 etat=admis caf=921 code=volet-ferme time_us=1500"),
            "{line}"
        );
    }
}
