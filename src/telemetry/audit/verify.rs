//! Whether what was written is still what stands there.

use std::io::{self, BufRead, ErrorKind, Read as _};

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
    /// The hash that its first line follows.
    pub follows: Hash,
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
    #[error("line {line}: {} missing before it", missing(*from, *to))]
    Missing {
        /// Its number in the file, from 1.
        line: u64,
        /// The first missing number.
        from: u64,
        /// The last missing number.
        to: u64,
    },
    /// The first file does not begin with the chain's first line, and nothing beside it ends just before.
    #[error(
        "{} missing: it begins with line {}, and no file beside it ends just before. Give the earlier files, or say \
         --continued where they are kept elsewhere",
        missing(1, *to),
        to + 1
    )]
    Beginning {
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
    for (line, read) in (1..).zip(lines(text)) {
        let text = read.map_err(|why| Broken::File { line, why })?;
        let read = Read::parse(&text).map_err(|why| Broken::Line { line, why })?;
        let begins_anew = verified.is_none() && read.link.seq == 1 && read.prev == origin();
        if !begins_anew {
            follows(line, last.as_ref(), &read)?;
        }
        if verified.is_none() && read.link.seq <= 1 && !begins_anew {
            return Err(Broken::Moved { line });
        }
        let told = verified.get_or_insert_with(|| Verified {
            lines: 0,
            first: read.link.seq,
            last: 0,
            from_the_beginning: begins_anew,
            follows: read.prev.clone(),
            hash: String::new(),
        });
        told.lines += 1;
        told.last = read.link.seq;
        told.hash.clone_from(&read.link.hash);
        last = Some(read.link);
    }
    Ok(verified)
}

/// Longest line that is read, in bytes; none that is written comes near it.
const LONGEST: u64 = 1024 * 1024;

/// The lines of a text. What is longer than any line of an audit log is none, and not held in memory, however small
/// the file is that it was packed in.
pub fn lines(mut text: impl BufRead) -> impl Iterator<Item = io::Result<String>> {
    let wrong = |why: &str| io::Error::new(ErrorKind::InvalidData, why);
    std::iter::from_fn(move || {
        let mut line = Vec::new();
        match text.by_ref().take(LONGEST).read_until(b'\n', &mut line) {
            Err(error) => return Some(Err(error)),
            Ok(0) => return None,
            Ok(_) => {}
        }
        if line.pop_if(|end| *end == b'\n').is_some() {
            line.pop_if(|end| *end == b'\r');
        } else if line.len() as u64 == LONGEST {
            return Some(Err(wrong("too long for a line of an audit log")));
        }
        Some(String::from_utf8(line).map_err(|_| wrong("not UTF-8 text")))
    })
}

fn missing(from: u64, to: u64) -> String {
    if from == to { format!("line {from} is") } else { format!("lines {from} to {to} are") }
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

/// Whether a line is about that Caf, or about an account of it and no other Caf.
pub fn of_caf(line: &str, caf: &str) -> Result<bool, Unreadable> {
    Ok(Read::parse(line)?.cafs.iter().any(|own| own == caf))
}
