//! The operator's listener: a port, or a unix socket that its owner alone can open.

use std::fs::{DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use super::guard::Transport;
use crate::config::AdminListen;

/// A socket that waits for operators.
#[derive(Debug)]
pub struct Listener(Socket);

#[derive(Debug)]
pub(super) enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener, OwnPath),
}

impl Listener {
    /// Opens the socket that the configuration asks for. Must be called within a runtime.
    pub async fn bind(at: &AdminListen) -> io::Result<Self> {
        match at {
            AdminListen::Tcp(address) => Ok(Self(Socket::Tcp(TcpListener::bind(address).await?))),
            AdminListen::Unix(path) => {
                let (listener, path) = bind_unix(path)?;
                Ok(Self(Socket::Unix(listener, path)))
            }
        }
    }

    /// Where it listens: `127.0.0.1:9901`, or `unix:/run/octroi/admin.sock`.
    pub fn address(&self) -> String {
        match &self.0 {
            Socket::Tcp(listener) => {
                listener.local_addr().map_or_else(|_| "?".to_owned(), |address| address.to_string())
            }
            Socket::Unix(_, path) => format!("unix:{}", path.0.display()),
        }
    }

    pub(super) fn socket(&self) -> &Socket {
        &self.0
    }

    pub(super) fn transport(&self) -> Transport {
        match &self.0 {
            Socket::Unix(..) => Transport::Unix,
            Socket::Tcp(listener) => match listener.local_addr() {
                Ok(address) if !address.ip().is_loopback() => Transport::Remote,
                _ => Transport::Loopback,
            },
        }
    }
}

/// A connection that was accepted.
pub(super) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// A socket's file, removed when the listener is gone.
#[derive(Debug)]
pub(super) struct OwnPath(PathBuf);

impl Drop for OwnPath {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// The socket is made in a folder that nobody else can enter, and moved once its mode is set: at no instant
/// can another user connect. What a killed process left behind is replaced, a live one's socket is not.
fn bind_unix(path: &Path) -> io::Result<(UnixListener, OwnPath)> {
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        return Err(io::Error::new(io::ErrorKind::AddrInUse, "another process listens there"));
    }
    if std::fs::symlink_metadata(path).is_ok_and(|found| !is_socket(&found)) {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "there is a file, and it is no socket"));
    }
    let folder = path.with_extension(format!("{}~", std::process::id()));
    DirBuilder::new().mode(0o700).create(&folder)?;
    let bound = bind_within(&folder, path);
    let _ = std::fs::remove_dir_all(&folder);
    Ok((bound?, OwnPath(path.to_owned())))
}

fn bind_within(folder: &Path, path: &Path) -> io::Result<UnixListener> {
    let hidden = folder.join("s");
    let listener = UnixListener::bind(&hidden)?;
    std::fs::set_permissions(&hidden, Permissions::from_mode(0o600))?;
    std::fs::rename(&hidden, path)?;
    Ok(listener)
}

fn is_socket(found: &std::fs::Metadata) -> bool {
    std::os::unix::fs::FileTypeExt::is_socket(&found.file_type())
}
