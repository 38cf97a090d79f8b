//! The files beside one of the audit log, wherever rotation put them: where the chain had come to.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use flate2::read::MultiGzDecoder;

use super::chain::{Link, Read};
use super::verify::Verified;

/// Longest line that is looked for.
pub(super) const LONGEST: u64 = 256 * 1024;
/// Compressed files that are read, the latest first: each has to be read from its beginning.
const COMPRESSED: usize = 2;

/// The latest line in the files whose names begin as the log's own does: `audit.jsonl.000000000012`,
/// `audit.jsonl-20261215`, `audit-20261215.jsonl`, `audit.jsonl.1.gz` … Those that hold no chain are passed over.
pub(super) fn newest(path: &Path) -> io::Result<Option<(Link, PathBuf)>> {
    let (mut plain, mut compressed) = (Vec::new(), Vec::new());
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    for (changed, other) in kin(path, &stem)? {
        let is_compressed = other.extension().is_some_and(|extension| extension == "gz");
        if is_compressed { &mut compressed } else { &mut plain }.push((changed, other));
    }
    compressed.sort_unstable_by(|one, other| other.cmp(one));
    compressed.truncate(COMPRESSED);
    let links = plain.into_iter().chain(compressed).filter_map(|(changed, other)| {
        let link = last_link(&end(&other).ok()?)?;
        Some((link.seq, changed, link, other))
    });
    let latest = links.max_by_key(|(seq, changed, ..)| (*seq, *changed));
    Ok(latest.map(|(_, _, link, other)| (link, other)))
}

/// The file beside `path` that ends just before the lines that were found in it, if there is one. Rotation gave it any
/// number or date: what its name has in common with this one's is what stands before them.
pub fn ends_before(path: &Path, found: &Verified) -> Option<PathBuf> {
    let name = path.file_name()?.to_string_lossy();
    let stem = name.split(|c: char| c == '.' || c.is_ascii_digit()).next().unwrap_or_default();
    let before = Link { seq: found.first.checked_sub(1)?, hash: found.follows.clone() };
    let ends_there =
        |other: &PathBuf| end(other).is_ok_and(|text| last_link(&text).as_ref() == Some(&before));
    let beside = kin(path, stem.trim_end_matches(['-', '_'])).ok()?;
    beside.into_iter().map(|(_, other)| other).find(ends_there)
}

/// The last bytes of a file.
pub(super) fn tail(file: &mut File) -> io::Result<Vec<u8>> {
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LONGEST)))?;
    let mut text = Vec::new();
    file.take(LONGEST).read_to_end(&mut text)?;
    Ok(text)
}

/// Where a chain has come to with the last whole line of a text; none where that is no line of a chain.
pub(super) fn last_link(text: &[u8]) -> Option<Link> {
    let whole = &text[..=text.iter().rposition(|byte| *byte == b'\n')?];
    let line = std::str::from_utf8(whole).ok()?.trim_end().rsplit('\n').next()?;
    Read::parse(line).ok().map(|read| read.link)
}

/// The folder of a file.
pub(super) fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The other files of its folder whose names begin so, and when each was changed.
fn kin(path: &Path, stem: &str) -> io::Result<Vec<(SystemTime, PathBuf)>> {
    let mut kin = Vec::new();
    for entry in fs::read_dir(folder(path))? {
        let entry = entry?;
        let is_kin = entry.file_name().to_string_lossy().starts_with(stem)
            && Some(entry.file_name().as_os_str()) != path.file_name();
        if let Ok(about) = entry.metadata()
            && is_kin
            && about.is_file()
        {
            kin.push((about.modified()?, entry.path()));
        }
    }
    Ok(kin)
}

/// The last bytes of a file, or of what gzip packed into it (RFC 1952 section 2.3.1).
fn end(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let mut magic = Vec::new();
    (&file).take(2).read_to_end(&mut magic)?;
    if magic != [0x1f, 0x8b] {
        return tail(&mut file);
    }
    file.rewind()?;
    let (mut text, mut last, mut piece) = (MultiGzDecoder::new(file), VecDeque::new(), [0; 16_384]);
    loop {
        let read = text.read(&mut piece)?;
        if read == 0 {
            return Ok(last.into());
        }
        last.extend(&piece[..read]);
        let surplus = last.len().saturating_sub(usize::try_from(LONGEST).unwrap_or(usize::MAX));
        last.drain(..surplus);
    }
}
