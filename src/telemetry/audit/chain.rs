//! Lines, and the hashes that chain them.

use aws_lc_rs::digest;
use serde::Serialize;

use super::Entry;
use crate::domain::Timestamp;

/// The hash of a line, in 64 hexadecimal digits.
pub(super) type Hash = String;

/// What the first line of all follows.
pub(super) fn origin() -> Hash {
    "0".repeat(64)
}

/// A line's place in the chain, and what it says.
#[derive(Serialize)]
struct Line<'a> {
    seq: u64,
    time: String,
    #[serde(flatten)]
    entry: &'a Entry,
    prev: &'a str,
}

/// Where a chain has come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) seq: u64,
    pub(super) hash: Hash,
}

impl Link {
    pub(super) fn origin() -> Self {
        Self { seq: 0, hash: origin() }
    }

    /// Appends the line of an entry to `out`; where the chain is then.
    pub(super) fn append(&self, at: Timestamp, entry: &Entry, out: &mut Vec<u8>) -> std::io::Result<Self> {
        let seq = self.seq + 1;
        let line = Line { seq, time: at.to_string(), entry, prev: &self.hash };
        let text = serde_json::to_string(&line)?;
        let hash = hash(&text);
        out.extend_from_slice(sealed(&text, &hash).as_bytes());
        out.push(b'\n');
        Ok(Self { seq, hash })
    }
}

/// The line with its hash as the last member.
fn sealed(text: &str, hash: &str) -> String {
    format!("{},\"hash\":\"{hash}\"}}", text.strip_suffix('}').unwrap_or(text))
}

fn hash(text: &str) -> Hash {
    let hash = digest::digest(&digest::SHA256, text.as_bytes());
    let digit = |value: u8| char::from_digit(value.into(), 16).unwrap_or('0');
    hash.as_ref().iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0xf)]).collect()
}

/// A line as it stands in a file.
pub(super) struct Read {
    pub(super) link: Link,
    pub(super) prev: Hash,
    /// The Cafs that it is about: its own, and those of the account that was changed.
    pub(super) cafs: Vec<String>,
}

/// Why a line is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// It is no JSON of the kind that is written here.
    #[error("it is not a line of an audit log")]
    Form,
    /// Its hash is another's.
    #[error("it was altered: its hash is not that of its text")]
    Hash,
}

impl Read {
    pub(super) fn parse(line: &str) -> Result<Self, Unreadable> {
        let (text, rest) = line.rsplit_once(",\"hash\":\"").ok_or(Unreadable::Form)?;
        let told = rest.strip_suffix("\"}").ok_or(Unreadable::Form)?;
        let text = format!("{text}}}");
        if hash(&text) != told {
            return Err(Unreadable::Hash);
        }
        let json: serde_json::Value = serde_json::from_str(&text).map_err(|_| Unreadable::Form)?;
        let text_of = |name: &str| json[name].as_str().map(str::to_owned);
        let seq = json["seq"].as_u64().ok_or(Unreadable::Form)?;
        let prev = text_of("prev").ok_or(Unreadable::Form)?;
        let of_account = json["detail"]["cafs"].as_array().into_iter().flatten();
        let of_account = of_account.filter_map(|caf| caf.as_str().map(str::to_owned));
        let cafs = text_of("caf").into_iter().chain(of_account).collect();
        Ok(Self { link: Link { seq, hash: told.to_owned() }, prev, cafs })
    }
}
