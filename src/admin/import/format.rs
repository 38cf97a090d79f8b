//! How a file is written: what its sender says, or what it looks like.

use http::HeaderMap;
use http::header::CONTENT_TYPE;

/// How an import file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A table whose first line names the columns, fields separated by `;` or `,` (RFC 4180).
    Csv(Charset),
    /// An object in JSON a line.
    JsonLines,
    /// JSON Lines where it begins with `{`, a table otherwise.
    Guess,
}

/// How the text of a table is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Charset {
    /// UTF-8, with or without a byte order mark.
    Utf8,
    /// Windows-1252, as a spreadsheet in French saves it.
    Windows1252,
    /// UTF-8 where it is right UTF-8, Windows-1252 otherwise.
    Guess,
}

impl Format {
    /// What the header `Content-Type` says.
    pub(in crate::admin) fn said(headers: &HeaderMap) -> Self {
        let said = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let (kind, parameters) = said.split_once(';').unwrap_or((said, ""));
        match kind.trim().to_ascii_lowercase().as_str() {
            "text/csv" => Self::Csv(charset(parameters)),
            "application/jsonl" | "application/x-ndjson" | "application/ndjson" | "application/json" => {
                Self::JsonLines
            }
            _ => Self::Guess,
        }
    }

    /// The media type that says so.
    pub(in crate::admin) fn media_type(self) -> &'static str {
        match self {
            Self::Csv(Charset::Utf8) => "text/csv; charset=utf-8",
            Self::Csv(Charset::Windows1252) => "text/csv; charset=windows-1252",
            Self::Csv(Charset::Guess) => "text/csv",
            Self::JsonLines => "application/jsonl",
            Self::Guess => "application/octet-stream",
        }
    }

    /// What `bytes` are, where nobody said.
    pub(super) fn of(self, bytes: &[u8]) -> Self {
        let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
        match (self, bytes.trim_ascii_start().first()) {
            (Self::Guess, None | Some(b'{')) => Self::JsonLines,
            (Self::Guess, Some(_)) => Self::Csv(Charset::Guess),
            (said, _) => said,
        }
    }
}

/// A charset nobody knows is looked for in the text, like none at all.
fn charset(parameters: &str) -> Charset {
    let value = parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches('"'))
    });
    match value.unwrap_or_default().to_ascii_lowercase().as_str() {
        "utf-8" | "utf8" => Charset::Utf8,
        "windows-1252" | "cp1252" | "iso-8859-1" | "latin1" => Charset::Windows1252,
        _ => Charset::Guess,
    }
}
