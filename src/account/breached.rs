//! Passwords that were stolen elsewhere: a file of their SHA-1 hashes, as Have I Been Pwned distributes it.
//!
//! The whole list takes some 40 GB: it is never loaded, a line is found by halving the file some 35 times.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest;
use secrecy::{ExposeSecret as _, SecretString};

/// A sorted file, a line a password: 40 hexadecimal digits, and what follows a `:` does not count.
#[derive(Debug)]
pub struct Breached {
    path: PathBuf,
    file: File,
    length: u64,
}

/// A file is no list of hashes. Whose fault: the operator's.
#[derive(Debug, thiserror::Error)]
pub enum BreachedError {
    /// It cannot be read.
    #[error("{0} cannot be read")]
    Io(PathBuf, #[source] io::Error),
    /// It holds something else.
    #[error("{0}: expected lines of SHA-1 hashes (40 hexadecimal digits, then :COUNT or nothing), sorted")]
    Syntax(PathBuf),
}

/// Hexadecimal digits of a SHA-1 hash.
const DIGITS: usize = 40;
/// Longest line, its end included.
const LONGEST: usize = 64;

type Hash = [u8; DIGITS];

impl Breached {
    /// Opens a list, and looks at its ends.
    pub fn open(path: &Path) -> Result<Self, BreachedError> {
        let unreadable = |error| BreachedError::Io(path.to_owned(), error);
        let file = File::open(path).map_err(unreadable)?;
        let length = file.metadata().map_err(unreadable)?.len();
        let opened = Self { path: path.to_owned(), file, length };
        let (first, last) = (opened.line_at(0)?, opened.line_at(length.saturating_sub(1))?);
        if first.hash > last.hash {
            return Err(opened.amiss());
        }
        Ok(opened)
    }

    /// What tells this file from another, or from what it held before: device, inode, length, last change.
    pub(super) fn identity(&self) -> Option<(u64, u64, u64, i64, i64)> {
        let about = self.file.metadata().ok()?;
        Some((about.dev(), about.ino(), self.length, about.mtime(), about.mtime_nsec()))
    }

    /// Whether a password is on the list.
    pub fn contains(&self, password: &SecretString) -> Result<bool, BreachedError> {
        self.has(&hash(password))
    }

    fn has(&self, wanted: &Hash) -> Result<bool, BreachedError> {
        let (mut low, mut high) = (0, self.length);
        while low < high {
            let line = self.line_at(low.midpoint(high))?;
            match line.hash.cmp(wanted) {
                std::cmp::Ordering::Equal => return Ok(true),
                std::cmp::Ordering::Less => low = line.end,
                std::cmp::Ordering::Greater => high = line.start,
            }
        }
        Ok(false)
    }

    /// The line that a byte of the file belongs to.
    fn line_at(&self, place: u64) -> Result<Line, BreachedError> {
        let from = place.saturating_sub(LONGEST as u64);
        let mut bytes = [0; 2 * LONGEST];
        let read =
            self.fill(&mut bytes, from).map_err(|error| BreachedError::Io(self.path.clone(), error))?;
        let bytes = &bytes[..read];
        let here = usize::try_from(place - from).unwrap_or(LONGEST).min(bytes.len());
        let before = bytes[..here].iter().rposition(|byte| *byte == b'\n');
        let start = match before {
            Some(end_of_last) => end_of_last + 1,
            None if from == 0 => 0,
            None => return Err(self.amiss()),
        };
        let after = bytes[start..].iter().position(|byte| *byte == b'\n');
        let length = after.map_or(bytes.len() - start, |end| end + 1);
        let line = &bytes[start..start + length];
        let digits: &Hash = line.first_chunk().ok_or_else(|| self.amiss())?;
        let is_hash = digits.iter().all(u8::is_ascii_hexdigit);
        if !is_hash || !matches!(line.get(DIGITS), None | Some(b':' | b'\r' | b'\n')) {
            return Err(self.amiss());
        }
        let start = from + start as u64;
        Ok(Line {
            hash: digits.to_ascii_uppercase().try_into().unwrap_or(*digits),
            start,
            end: start + length as u64,
        })
    }

    fn fill(&self, bytes: &mut [u8], from: u64) -> io::Result<usize> {
        let mut filled = 0;
        while filled < bytes.len() {
            match self.file.read_at(&mut bytes[filled..], from + filled as u64)? {
                0 => break,
                read => filled += read,
            }
        }
        Ok(filled)
    }

    fn amiss(&self) -> BreachedError {
        BreachedError::Syntax(self.path.clone())
    }
}

/// A line of the file, and the places of its first byte and of the next line's.
struct Line {
    hash: Hash,
    start: u64,
    end: u64,
}

fn hash(password: &SecretString) -> Hash {
    let hash = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, password.expose_secret().as_bytes());
    let mut text = [0; DIGITS];
    for (pair, byte) in text.chunks_exact_mut(2).zip(hash.as_ref()) {
        const HEX: &[u8; 16] = b"0123456789ABCDEF";
        pair.copy_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn list(text: &str) -> (tempfile::NamedTempFile, Result<Breached, BreachedError>) {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(text.as_bytes()).expect("written");
        let list = Breached::open(file.path());
        (file, list)
    }

    fn hashes(count: usize) -> Vec<(String, String)> {
        let passwords = (0..count).map(|n| format!("Motdepasse{n}"));
        let mut all: Vec<_> = passwords
            .map(|password| {
                let digits = hash(&password.clone().into()).to_vec();
                (String::from_utf8(digits).expect("ASCII"), password)
            })
            .collect();
        all.sort();
        all
    }

    #[test]
    fn sha1_is_written_as_the_list_writes_it() {
        assert_eq!(&hash(&"password".into()), b"5BAA61E4C9B93F3F0682250B6CF8331B7EE68FD8");
    }

    #[test]
    fn every_line_is_found_and_nothing_else() {
        for (count, end) in [(1, ""), (1, "\n"), (2, "\r\n"), (3, ":1\n"), (1_000, ":42\r\n"), (777, "\n")] {
            let all = hashes(count);
            // Every other one is on the list.
            let lines: Vec<String> = all
                .iter()
                .step_by(2)
                .enumerate()
                .map(|(n, (hash, _))| {
                    let tail = if end.starts_with(':') {
                        format!(":{}{}", n * n * n, &end[end.len() - 1..])
                    } else {
                        end.to_owned()
                    };
                    let hash = if n % 3 == 0 { hash.to_lowercase() } else { hash.clone() };
                    format!("{hash}{tail}")
                })
                .collect();
            let (_file, list) = list(&lines.concat());
            let list = list.expect("a list");
            for (n, (_, password)) in all.iter().enumerate() {
                let found = list.contains(&password.clone().into()).expect("read");
                assert_eq!(found, n % 2 == 0, "{n} of {count}");
            }
        }
    }

    #[test]
    fn what_is_no_list_is_refused() {
        let long = "A".repeat(200);
        let digits = "A".repeat(40);
        for text in
            ["", "\n", "password\n", &long, &format!("{digits}x\n"), &format!("{digits}\n\n"), "5BAA61E4\n"]
        {
            assert!(matches!(list(text).1, Err(BreachedError::Syntax(_))), "{text:?}");
        }
        let unsorted = format!("{}\n{}\n", "F".repeat(40), "0".repeat(40));
        assert!(matches!(list(&unsorted).1, Err(BreachedError::Syntax(_))));
        assert!(matches!(Breached::open(Path::new("/nowhere")), Err(BreachedError::Io(..))));
    }

    #[test]
    fn a_list_broken_in_the_middle_is_told() {
        let text = format!("{}\n{}\n{}\n", "0".repeat(40), "not a hash ".repeat(20), "F".repeat(40));
        let (_file, list) = list(&text);
        assert!(list.expect("its ends are right").contains(&"password".into()).is_err());
    }
}
