//! The file that lines are written to: continued after a restart, begun anew when it is large or was moved away.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::Entry;
use super::chain::{Link, Read};
use crate::domain::Timestamp;

/// The audit log cannot be begun. Whose fault: the configuration's or this machine's.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file cannot be opened.
    #[error("audit.path {}: {why}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        why: io::Error,
    },
    /// Another program writes to it.
    #[error("audit.path {}: another octroi writes to it", .0.display())]
    Taken(PathBuf),
    /// Its last line does not belong to a chain: what was written before cannot be continued.
    #[error("audit.path {}: its last line was altered; move the file away to begin a new chain", .0.display())]
    Broken(PathBuf),
    /// The system gives no thread.
    #[error("no thread for the audit log: {0}")]
    Thread(io::Error),
}

pub(super) struct Writer {
    path: PathBuf,
    max_size: u64,
    file: File,
    length: u64,
    link: Link,
    _lock: Option<File>,
}

impl Writer {
    /// Opens the file and finds where its chain has come to. A last line that a crash cut short is set aside.
    pub(super) fn open(path: PathBuf, max_size: u64) -> Result<Self, OpenError> {
        let failed = |why| OpenError::File { path: path.clone(), why };
        let lock = lock(&path)?;
        let mut file = append(&path).map_err(failed)?;
        // A device holds no chain to be continued.
        let is_file = file.metadata().map_err(failed)?.is_file();
        let torn = if is_file { set_torn_aside(&path, &mut file).map_err(failed)? } else { 0 };
        let link = if is_file { last_link(&path, &mut file).map_err(failed)? } else { Some(Link::origin()) };
        let link = link.ok_or_else(|| OpenError::Broken(path.clone()))?;
        let length = file.metadata().map_err(failed)?.len();
        if torn > 0 {
            tracing::warn!(path = %path.display(), bytes = torn, "a line that was cut short was set aside");
        }
        Ok(Self { path, max_size, file, length, link, _lock: lock })
    }

    /// Writes lines, all of them to the disk or none.
    pub(super) fn write(&mut self, entries: impl Iterator<Item = (Timestamp, Entry)>) -> io::Result<()> {
        self.follow()?;
        let (mut lines, mut link) = (Vec::new(), self.link.clone());
        for (at, entry) in entries {
            link = link.append(at, &entry, &mut lines)?;
        }
        let written = self.file.write_all(&lines).and_then(|()| self.file.sync_data());
        match written {
            Ok(()) => {
                self.link = link;
                self.length += lines.len() as u64;
                Ok(())
            }
            Err(error) => {
                // What was written of them is no line of the chain.
                let _ = self.file.set_len(self.length);
                Err(error)
            }
        }
    }

    /// Goes on in a new file where this one was moved away or has grown large.
    fn follow(&mut self) -> io::Result<()> {
        let own = self.file.metadata()?;
        if !own.is_file() {
            return Ok(());
        }
        let is_there = fs::metadata(&self.path).is_ok_and(|there| there.ino() == own.ino());
        if is_there && self.length >= self.max_size {
            fs::rename(&self.path, rotated(&self.path, self.link.seq))?;
        } else if is_there {
            return Ok(());
        }
        self.file = append(&self.path)?;
        self.length = self.file.metadata()?.len();
        Ok(())
    }
}

/// The name of a file whose last line is `seq`: names are in the order of their lines.
fn rotated(path: &Path, seq: u64) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{seq:012}"));
    name.into()
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)
}

/// Held for as long as the program runs; none for a device.
fn lock(path: &Path) -> Result<Option<File>, OpenError> {
    if fs::metadata(path).is_ok_and(|there| !there.is_file()) {
        return Ok(None);
    }
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let opened = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&name);
    let file = opened.map_err(|why| OpenError::File { path: name.into(), why })?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(_) => Err(OpenError::Taken(path.to_owned())),
    }
}

/// Bytes after the last end of a line, moved to a file beside; how many.
fn set_torn_aside(path: &Path, file: &mut File) -> io::Result<u64> {
    let tail = tail(file)?;
    let whole = tail.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let torn = &tail[whole..];
    if torn.is_empty() {
        return Ok(0);
    }
    let mut name = path.as_os_str().to_owned();
    name.push(".torn");
    append(Path::new(&name))?.write_all(&[torn, b"\n"].concat())?;
    let torn = torn.len() as u64;
    file.set_len(file.metadata()?.len() - torn)?;
    Ok(torn)
}

/// Where the chain has come to: in this file, or in the last one that was rotated; `None` where it is broken.
fn last_link(path: &Path, file: &mut File) -> io::Result<Option<Link>> {
    let text = tail(file)?;
    let text = if text.is_empty() { last_rotated(path)? } else { text };
    let text = String::from_utf8_lossy(&text);
    Ok(match text.trim_end().rsplit('\n').next() {
        None | Some("") => Some(Link::origin()),
        Some(line) => Read::parse(line).ok().map(|read| read.link),
    })
}

fn last_rotated(path: &Path) -> io::Result<Vec<u8>> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut names: Vec<_> = fs::read_dir(folder)?.filter_map(Result::ok).map(|entry| entry.path()).collect();
    names.retain(|other| {
        let other = other.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let number = other.strip_prefix(&name).and_then(|rest| rest.strip_prefix('.'));
        number.is_some_and(|number| number.len() == 12 && number.bytes().all(|byte| byte.is_ascii_digit()))
    });
    names.sort_unstable();
    names.last().map_or_else(|| Ok(Vec::new()), |last| tail(&mut File::open(last)?))
}

/// Longest line that is looked for.
const LONGEST: u64 = 256 * 1024;

fn tail(file: &mut File) -> io::Result<Vec<u8>> {
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LONGEST)))?;
    let mut text = Vec::new();
    file.take(LONGEST).read_to_end(&mut text)?;
    Ok(text)
}
