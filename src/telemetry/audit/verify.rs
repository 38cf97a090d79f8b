//! Whether what was written is still what stands there.

use std::io::BufRead;

use super::chain::{Hash, Link, Read, Unreadable, origin};

/// What an unbroken chain holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Lines.
    pub lines: u64,
    /// Number of the first one, in the whole chain.
    pub first: u64,
    /// Number of the last one.
    pub last: u64,
    /// Whether the chain begins here; where not, lines were written before, which should be in other files. Behind
    /// another file it is a new chain.
    pub from_the_beginning: bool,
    /// The last line's hash, to be kept elsewhere: that nothing was cut off at the end, only it can tell.
    pub hash: Hash,
}

/// The first line that does not belong.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// A line was altered, or is none.
    #[error("line {line}: {why}")]
    Line {
        /// Its number in the file, from 1.
        line: u64,
        /// What is wrong.
        why: Unreadable,
    },
    /// Lines are missing before this one.
    #[error("line {line}: lines {from} to {to} are missing before it")]
    Missing {
        /// Its number in the file, from 1.
        line: u64,
        /// The first missing number.
        from: u64,
        /// The last missing number.
        to: u64,
    },
    /// A line stands where another should.
    #[error("line {line}: it is out of its place, or does not follow the line before it")]
    Moved {
        /// Its number in the file, from 1.
        line: u64,
    },
    /// The file cannot be read.
    #[error("line {line}: {why}")]
    File {
        /// Up to there.
        line: u64,
        /// Why.
        why: std::io::Error,
    },
}

/// Follows the chain through a text; `before` is where it had come to in the file before this one. None where nothing
/// is written there yet.
pub fn verify(text: impl BufRead, before: Option<&Verified>) -> Result<Option<Verified>, Broken> {
    let mut last = before.map(|before| Link { seq: before.last, hash: before.hash.clone() });
    let mut verified: Option<Verified> = None;
    for (line, read) in (1..).zip(text.lines()) {
        let text = read.map_err(|why| Broken::File { line, why })?;
        let read = Read::parse(&text).map_err(|why| Broken::Line { line, why })?;
        let begins_anew = verified.is_none() && read.link.seq == 1 && read.prev == origin();
        if !begins_anew {
            follows(line, last.as_ref(), &read)?;
        }
        let told = verified.get_or_insert_with(|| Verified {
            lines: 0,
            first: read.link.seq,
            last: 0,
            from_the_beginning: read.prev == origin(),
            hash: String::new(),
        });
        told.lines += 1;
        told.last = read.link.seq;
        told.hash.clone_from(&read.link.hash);
        last = Some(read.link);
    }
    Ok(verified)
}

fn follows(line: u64, last: Option<&Link>, read: &Read) -> Result<(), Broken> {
    let Some(last) = last else { return Ok(()) };
    if read.link.seq == last.seq + 1 && read.prev == last.hash {
        return Ok(());
    }
    if read.link.seq > last.seq + 1 {
        return Err(Broken::Missing { line, from: last.seq + 1, to: read.link.seq - 1 });
    }
    Err(Broken::Moved { line })
}

/// Whether a line is about that Caf, or about an account that may declare to it.
pub fn of_caf(line: &str, caf: &str) -> Result<bool, Unreadable> {
    Ok(Read::parse(line)?.cafs.iter().any(|named| named == caf))
}
