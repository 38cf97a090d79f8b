//! The file that lines are written to: continued after a restart, begun anew when it is large or was moved away.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

use super::Entry;
use super::beside::{self, folder, last_link, tail};
use super::chain::Link;
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
    /// A device holds no chain to be continued, and is neither moved nor cut.
    is_device: bool,
    /// Bytes of whole lines; what stands behind them is none of ours.
    length: u64,
    /// The disk has room for lines up to this length.
    room: u64,
    link: Link,
    begun: Option<Begun>,
    _lock: Option<File>,
}

/// A chain begins with this file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Begun {
    /// The first one.
    First,
    /// There was one before, of which nothing is left beside this file.
    Anew,
}

/// Room that is taken on the disk ahead of the lines, so that those of decisions under way find their place.
const ROOM: u64 = 512 * 1024;
/// Room below which more is taken: more than one write has ever been seen to need.
const LEAST_ROOM: u64 = 256 * 1024;

impl Writer {
    /// Opens the file and finds where its chain has come to, in it or in those beside it. A last line that a
    /// crash cut short is set aside.
    pub(super) fn open(path: PathBuf, max_size: u64) -> Result<Self, OpenError> {
        let failed = |why| OpenError::File { path: path.clone(), why };
        let (lock, ran_before) = lock(&path)?;
        let mut file = append(&path).map_err(failed)?;
        let is_device = !file.metadata().map_err(failed)?.is_file();
        let (mut link, mut begun) = (Link::origin(), None);
        if !is_device {
            set_torn_aside(&path, &mut file).map_err(failed)?;
            sync_folder(&path).map_err(failed)?;
            let text = tail(&mut file).map_err(failed)?;
            let found = match (text.is_empty(), last_link(&text)) {
                (true, _) => found_beside(&path).map_err(failed)?,
                (false, None) => return Err(OpenError::Broken(path)),
                (false, found) => found,
            };
            begun = found.is_none().then_some(if ran_before { Begun::Anew } else { Begun::First });
            link = found.unwrap_or(link);
        }
        let length = file.metadata().map_err(failed)?.len();
        Ok(Self { path, max_size, file, is_device, length, room: 0, link, begun, _lock: lock })
    }

    /// The file that is written to.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether a chain begins here.
    pub(super) fn begun(&self) -> Option<Begun> {
        self.begun
    }

    /// Whether lines could be written now: the file is where it should be, and the disk has room for them.
    pub(super) fn ready(&mut self) -> io::Result<()> {
        self.follow()?;
        if self.is_device {
            // `/dev/full` and its like refuse even that.
            return (&self.file).write(&[]).map(drop);
        }
        if self.length + LEAST_ROOM <= self.room {
            return Ok(());
        }
        match fallocate(&self.file, FallocateFlags::KEEP_SIZE, self.length, ROOM) {
            Ok(()) => self.room = self.length + ROOM,
            // Nothing can be known ahead on such a disk.
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => self.room = u64::MAX,
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Writes lines, all of them to the disk or none.
    pub(super) fn write<'a>(
        &mut self,
        entries: impl Iterator<Item = (Timestamp, &'a Entry)>,
    ) -> io::Result<()> {
        self.follow()?;
        let (mut lines, mut link) = (Vec::new(), self.link.clone());
        for (at, entry) in entries {
            link = link.append(at, entry, &mut lines)?;
        }
        let written = self.file.write_all(&lines).and_then(|()| self.sync());
        if written.is_ok() {
            self.link = link;
            self.length += lines.len() as u64;
        } else if !self.is_device {
            // What was written of them is no line of the chain; where it cannot be cut off now, `follow` tries again.
            let _ = self.cut(&self.file.metadata()?);
        }
        written
    }

    fn sync(&self) -> io::Result<()> {
        if self.is_device { Ok(()) } else { self.file.sync_data() }
    }

    /// Cuts off what stands behind the last whole line. Never makes a file longer: one that another program cut
    /// would be filled with zeros.
    fn cut(&self, own: &Metadata) -> io::Result<()> {
        if own.len() > self.length { self.file.set_len(self.length) } else { Ok(()) }
    }

    /// Goes on in a new file where this one was moved away or has grown large.
    fn follow(&mut self) -> io::Result<()> {
        if self.is_device {
            return Ok(());
        }
        let own = self.file.metadata()?;
        match fs::metadata(&self.path) {
            Ok(there) if (there.dev(), there.ino()) == (own.dev(), own.ino()) => {}
            Ok(_) => return self.reopen(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return self.reopen(),
            Err(error) => return Err(error),
        }
        self.cut(&own)?;
        if own.len() < self.length {
            self.was_cut()?;
        }
        if self.length < self.max_size {
            return Ok(());
        }
        fs::rename(&self.path, rotated(&self.path, self.link.seq))?;
        self.reopen()
    }

    /// Another program made the file shorter: the chain goes on behind what is left.
    fn was_cut(&mut self) -> io::Result<()> {
        tracing::warn!(
            path = %self.path.display(),
            "the audit log was cut by another program (copytruncate?): lines of that moment may be lost"
        );
        set_torn_aside(&self.path, &mut self.file)?;
        (self.length, self.room) = (self.file.metadata()?.len(), 0);
        Ok(())
    }

    fn reopen(&mut self) -> io::Result<()> {
        let mut file = append(&self.path)?;
        let text = tail(&mut file)?;
        if !text.is_empty() && last_link(&text).as_ref() != Some(&self.link) {
            // Not what was written last: not to be mixed with what is written now.
            let aside = rotated(&self.path, self.link.seq);
            tracing::warn!(path = %self.path.display(), aside = %aside.display(), "another file was set aside");
            fs::rename(&self.path, aside)?;
            file = append(&self.path)?;
        }
        sync_folder(&self.path)?;
        tracing::info!(path = %self.path.display(), "the audit log goes on in a new file");
        (self.length, self.room, self.file) = (file.metadata()?.len(), 0, file);
        Ok(())
    }
}

/// The name of a file whose last line is `seq`: names are in the order of their lines. Never that of another file.
fn rotated(path: &Path, seq: u64) -> PathBuf {
    let named = |more: String| {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{seq:012}{more}"));
        PathBuf::from(name)
    };
    let endings = std::iter::once(String::new()).chain((1..).map(|twin| format!("-{twin}")));
    let mut free = endings.map(named).filter(|name| fs::symlink_metadata(name).is_err());
    free.next().unwrap_or_else(|| named(String::new()))
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)
}

/// A file's name is only on the disk once its folder is.
fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(folder(path))?.sync_all()
}

/// Held for as long as the program runs, and whether one ran before; none for a device.
fn lock(path: &Path) -> Result<(Option<File>, bool), OpenError> {
    if fs::metadata(path).is_ok_and(|there| !there.is_file()) {
        return Ok((None, false));
    }
    let name = beside_named(path, ".lock");
    let ran_before = name.exists();
    let opened = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&name);
    let file = opened.map_err(|why| OpenError::File { path: name, why })?;
    match file.try_lock() {
        Ok(()) => Ok((Some(file), ran_before)),
        Err(_) => Err(OpenError::Taken(path.to_owned())),
    }
}

/// Moves bytes after the last end of a line to a file beside.
fn set_torn_aside(path: &Path, file: &mut File) -> io::Result<()> {
    let tail = tail(file)?;
    let whole = tail.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let torn = &tail[whole..];
    if torn.is_empty() {
        return Ok(());
    }
    append(&beside_named(path, ".torn"))?.write_all(&[torn, b"\n"].concat())?;
    let bytes = torn.len() as u64;
    file.set_len(file.metadata()?.len().saturating_sub(bytes))?;
    tracing::warn!(path = %path.display(), bytes, "a line that was cut short was set aside");
    Ok(())
}

fn found_beside(path: &Path) -> io::Result<Option<Link>> {
    let Some((link, other)) = beside::newest(path)? else { return Ok(None) };
    tracing::info!(path = %path.display(), after = %other.display(), seq = link.seq, "the audit log goes on");
    Ok(Some(link))
}

fn beside_named(path: &Path, more: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(more);
    name.into()
}
