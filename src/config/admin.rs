//! `[admin]`: the operator's listener, which only this machine reaches.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde_json::{Value as Json, json};

use super::declare::{Key, Section};
use super::reader::Reader;
use super::server::Server;
use super::value::{Refusal, Word};

/// `[admin]`.
#[derive(Debug, Clone)]
pub struct Admin {
    /// Where the operator's listener is.
    pub listen: AdminListen,
}

/// Where the operator's listener is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AdminListen {
    /// A loopback address; port 0 takes a free one.
    Tcp(SocketAddr),
    /// A unix socket, reachable by the user who runs the program.
    Unix(PathBuf),
}

pub(super) static ADMIN: Section = Section {
    name: "admin",
    many: false,
    help: "The operator's listener: health and the admin API.",
    keys: &[Key::default::<AdminListen>(
        "listen",
        "127.0.0.1:9901",
        "A loopback address, or unix:PATH for a unix socket.",
    )],
};

impl Admin {
    pub(super) fn read(reader: &Reader<'_>, server: Option<&Server>) -> Option<Self> {
        let part = reader.part(&ADMIN);
        let listen = part.read("listen")?;
        let taken = |address: &SocketAddr| listen == AdminListen::Tcp(*address) && address.port() != 0;
        if server.is_some_and(|server| server.listen.iter().any(taken)) {
            part.refuse("listen", "which server.listen has too");
        }
        Some(Self { listen })
    }
}

/// What `sockaddr_un` holds, less the final NUL.
const LONGEST_SOCKET_PATH: usize = 107;

impl Word for AdminListen {
    fn expected() -> String {
        "a loopback address such as 127.0.0.1:9901, or unix:/run/octroi/admin.sock".to_owned()
    }

    fn parse(text: &str) -> Result<Self, Refusal> {
        if let Some(path) = text.strip_prefix("unix:") {
            return match path.len() {
                0 => Err(Refusal::Unlike),
                1..=LONGEST_SOCKET_PATH if !path.contains('\0') => Ok(Self::Unix(PathBuf::from(path))),
                _ => Err(Refusal::Because(format!("expected a path of at most {LONGEST_SOCKET_PATH} bytes"))),
            };
        }
        let address: SocketAddr = text.parse().map_err(|_| Refusal::Unlike)?;
        if address.ip().is_loopback() {
            return Ok(Self::Tcp(address));
        }
        let said = "where other machines could reach it, which is not supported yet: expected 127.0.0.1, ::1 or unix:";
        Err(Refusal::Because(said.to_owned()))
    }

    fn schema() -> Json {
        json!({"type": "string", "pattern": "^(unix:.+|127\\..+:[0-9]+|\\[::1\\]:[0-9]+)$"})
    }
}
