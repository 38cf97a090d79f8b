//! The path of a request: the one reading that decides, and the paths a person may be sent back to.

use std::fmt::{self, Write as _};

/// A path as decisions read it, after RFC 3986 section 6.2.2: escapes of visible ASCII characters undone (but
/// `%25`), all else escaped and upper-cased, dot segments removed, the parameters (`;…`) of each segment
/// left out. Paths that a backend reads alike once it has undone the escapes are one path here.
///
/// What is forwarded is the client's own text; a text that two readers could take for two paths is
/// refused instead: an escaped slash, backslash, dot or NUL, an empty segment, a broken escape.
///
/// Two customs are too common to be refused, and backends differ about them: dot segments, which some take as they are,
/// and dots or blanks at a segment's end, which some (those on Windows) leave out. Such a path is below a prefix if any
/// of its readings is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NormalPath {
    path: String,
    /// What other backends may read; empty for nearly all paths.
    others: Vec<String>,
}

/// Why a path is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPath {
    /// It does not begin with `/` (`*`, an authority).
    #[error("the path does not begin with /")]
    NotAbsolute,
    /// `%` without two hexadecimal digits.
    #[error("an escape is broken")]
    Escape,
    /// `%2F`, `%5C`, `%2E`, `%3B`, `%00`, or a raw backslash or control character.
    #[error("an escape could be read in two ways")]
    Ambiguous,
    /// `//` inside.
    #[error("a segment is empty")]
    EmptySegment,
    /// `..` above the root, or a dot segment with parameters.
    #[error("a dot segment leads out")]
    DotSegment,
}

impl NormalPath {
    /// Reads the path of a request, without its query.
    pub fn parse(raw: &str) -> Result<Self, InvalidPath> {
        let rest = raw.strip_prefix('/').ok_or(InvalidPath::NotAbsolute)?;
        if is_plain(rest.as_bytes()) {
            return Ok(Self { path: raw.to_owned(), others: Vec::new() });
        }
        let mut segments = Vec::new();
        let mut literal = Vec::new();
        let mut parts = rest.split('/').peekable();
        while let Some(part) = parts.next() {
            let last = parts.peek().is_none();
            let segment = read_segment(part)?;
            literal.push(segment.clone());
            match segment.as_str() {
                // Where ends do not count nothing is left of it, and the segments around it meet.
                blank if !blank.is_empty() && without_end(blank).is_empty() => {
                    return Err(InvalidPath::Ambiguous);
                }
                "." | ".." if part.contains(';') => return Err(InvalidPath::DotSegment),
                "." if last => segments.push(String::new()),
                "." => {}
                ".." => {
                    segments.pop().ok_or(InvalidPath::DotSegment)?;
                    if last {
                        segments.push(String::new());
                    }
                }
                "" if !last => return Err(InvalidPath::EmptySegment),
                _ => segments.push(segment),
            }
        }
        let path = format!("/{}", segments.join("/"));
        let trimmed = |segments: &[String]| segments.iter().map(|one| without_end(one).to_owned()).collect();
        let others: [Vec<String>; 3] = [trimmed(&literal), trimmed(&segments), literal];
        let others = others.iter().map(|segments| format!("/{}", segments.join("/")));
        Ok(Self { others: others.filter(|other| *other != path).collect(), path })
    }

    /// The path that decisions are made on.
    pub fn as_str(&self) -> &str {
        &self.path
    }

    /// Whether the path is `prefix` or below it, as any backend may read it; segments count whole, letters' case does
    /// not, since some backends serve `/A` for `/a`.
    pub fn is_under(&self, prefix: &str) -> bool {
        after(&self.path, prefix).is_some() || self.others.iter().any(|other| after(other, prefix).is_some())
    }

    /// What follows `prefix` in the path that decisions are made on.
    pub fn after(&self, prefix: &str) -> Option<&str> {
        after(&self.path, prefix)
    }
}

fn after<'a>(path: &'a str, prefix: &str) -> Option<&'a str> {
    let prefix = prefix.trim_end_matches('/').as_bytes();
    let (start, _) = path.as_bytes().split_at_checked(prefix.len())?;
    let rest = path.get(prefix.len()..)?;
    (start.eq_ignore_ascii_case(prefix) && (rest.is_empty() || rest.starts_with('/'))).then_some(rest)
}

/// A segment as it is read where dots and blanks at its end do not count; a dot segment is what it is.
fn without_end(mut segment: &str) -> &str {
    if matches!(segment, "." | "..") {
        return segment;
    }
    while let Some(shorter) = segment.strip_suffix('.').or_else(|| segment.strip_suffix("%20")) {
        segment = shorter;
    }
    segment
}

/// The common case, decided in one pass: nothing to undo and nothing to refuse.
fn is_plain(rest: &[u8]) -> bool {
    let mut before = b'/';
    for byte in rest {
        match (before, byte) {
            (b'/', b'/' | b'.') | (b'.', b'/') | (_, b'%' | b';' | b'\\' | 0..=0x20 | 0x7f..) => {
                return false;
            }
            _ => before = *byte,
        }
    }
    before != b'.'
}

fn read_segment(part: &str) -> Result<String, InvalidPath> {
    check_escapes(part)?;
    let named = part.split(';').next().unwrap_or_default();
    let mut read = String::with_capacity(named.len());
    let mut bytes = named.bytes();
    while let Some(byte) = bytes.next() {
        let value = if byte == b'%' { escaped(&mut bytes)? } else { byte };
        if value.is_ascii_graphic() && value != b'%' {
            read.push(char::from(value));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(read, "%{value:02X}");
        }
    }
    Ok(read)
}

fn check_escapes(part: &str) -> Result<(), InvalidPath> {
    let mut bytes = part.bytes();
    while let Some(byte) = bytes.next() {
        let value = match byte {
            b'%' => escaped(&mut bytes)?,
            b'\\' | 0..=0x20 | 0x7f => return Err(InvalidPath::Ambiguous),
            _ => continue,
        };
        if matches!(value, b'/' | b'\\' | b'.' | b';' | 0..=0x1f | 0x7f) {
            return Err(InvalidPath::Ambiguous);
        }
    }
    Ok(())
}

fn escaped(bytes: &mut std::str::Bytes<'_>) -> Result<u8, InvalidPath> {
    let mut digit = || {
        let byte = bytes.next().ok_or(InvalidPath::Escape)?;
        char::from(byte).to_digit(16).ok_or(InvalidPath::Escape)
    };
    let value = digit()? * 16 + digit()?;
    u8::try_from(value).map_err(|_| InvalidPath::Escape)
}

/// A path and query on this very host, that a person may be sent (back) to: never another origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalPath(String);

impl LocalPath {
    /// The site's root.
    pub fn root() -> Self {
        Self("/".to_owned())
    }

    /// Takes a path and query of at most 4,000 visible ASCII characters that no browser can read as
    /// another origin; anything else is `None`.
    pub fn parse(text: &str) -> Option<Self> {
        let visible = text.bytes().all(|b| b.is_ascii_graphic());
        let path = text.split(['?', '#']).next().unwrap_or_default();
        let local = visible && !text.contains('\\') && NormalPath::parse(path).is_ok();
        (local && text.len() <= 4_000).then(|| Self(text.to_owned()))
    }

    /// The path and query.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for LocalPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(raw: &str) -> Result<String, InvalidPath> {
        NormalPath::parse(raw).map(|path| path.path)
    }

    #[test]
    fn one_path_has_one_reading() {
        for (raw, normal) in [
            ("/", "/"),
            ("/a/b", "/a/b"),
            ("/a/b/", "/a/b/"),
            ("/a/./b", "/a/b"),
            ("/a/../b", "/b"),
            ("/a/b/..", "/a/"),
            ("/%61/b", "/a/b"),
            ("/caf%c3%a9", "/caf%C3%A9"),
            ("/café", "/caf%C3%A9"),
            ("/acte%28s%29", "/acte(s)"),
            ("/a%3fb%23c", "/a?b#c"),
            ("/a;v=1/b;x", "/a/b"),
            ("/a.b/..c", "/a.b/..c"),
            ("/a%20b", "/a%20b"),
            ("/100%25", "/100%25"),
            ("/%2561", "/%2561"),
        ] {
            assert_eq!(read(raw).as_deref(), Ok(normal), "{raw}");
        }
    }

    #[test]
    fn two_readings_are_refused() {
        for raw in [
            "",
            "*",
            "a",
            "//",
            "/a//b",
            "//a",
            "/a%2fb",
            "/a%2Fb",
            "/%2e%2e/a",
            "/a%5cb",
            "/a\\b",
            "/a%00",
            "/a%",
            "/a%4",
            "/a%zz",
            "/..",
            "/a/../..",
            "/..;/a",
            "/a/..;x=1/b",
            "/a\u{7f}",
            "/a%3bb",
        ] {
            assert!(read(raw).is_err(), "{raw:?} was read as {:?}", read(raw));
        }
    }

    #[test]
    fn a_prefix_ends_at_a_segment() {
        let under =
            |raw: &str| NormalPath::parse(raw).is_ok_and(|path| path.is_under("/t/certificat-emploi"));
        assert!(under("/t/certificat-emploi"));
        assert!(under("/t/certificat-emploi/1"));
        assert!(under("/t/%63ertificat-emploi;a=b"));
        assert!(under("/x/../t/certificat-emploi"));
        assert!(under("/T/Certificat-Emploi"));
        assert!(NormalPath::parse("/acte%28s%29/1").is_ok_and(|path| path.is_under("/acte(s)")));
        for other_reader in [
            "/t/certificat-emploi/../changement",
            "/t/certificat-emploi./new",
            "/t./certificat-emploi",
            "/t/certificat-emploi..",
            "/t/certificat-emploi.%20.",
            "/t/x/../certificat-emploi.",
            "/t/certificat-emploi./../x",
        ] {
            assert!(under(other_reader), "{other_reader}");
        }
        for nothing in ["/.../t", "/%20/t", "/t/%20", "/x/..%20/t", "/t/.%20./x"] {
            assert_eq!(NormalPath::parse(nothing), Err(InvalidPath::Ambiguous), "{nothing}");
        }
        assert!(!under("/t/certificat-emploi.html") && !under("/t/.certificat-emploi"));
        assert!(!under("/t/certificat-emplois"));
        assert!(!under("/t"));
    }

    #[test]
    fn what_follows_a_prefix_is_of_one_reading() {
        let after = |raw: &str| NormalPath::parse(raw).expect(raw).after("/portail").map(str::to_owned);
        assert_eq!(after("/Portail/caf").as_deref(), Some("/caf"));
        assert_eq!(after("/portail").as_deref(), Some(""));
        assert_eq!(after("/portail/../abcdefg/caf"), None);
        assert_eq!(after("/portails"), None);
    }

    #[test]
    fn nobody_is_sent_to_another_origin() {
        for good in ["/", "/a/b?c=d&e=//f", "/a#b"] {
            assert!(LocalPath::parse(good).is_some(), "{good}");
        }
        for bad in
            ["", "a", "//evil.example", "/\\evil.example", "https://evil.example", "/a\nb", "/é", "/%2f/evil"]
        {
            assert!(LocalPath::parse(bad).is_none(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn reading_twice_changes_nothing(raw in "/[a-c./;%0-9A-F]{0,24}") {
            if let Ok(once) = read(&raw) {
                prop_assert_eq!(read(&once), Ok(once));
            }
        }
    }
}
