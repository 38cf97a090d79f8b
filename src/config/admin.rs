//! `[admin]` and `[admin.tls]`: the operator's listener, and who may use it where other machines reach it.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde_json::{Value as Json, json};

use super::declare::{Key, Section};
use super::pem;
use super::reader::{Part, Reader};
use super::server::{Server, Tls};
use super::source;
use super::value::{Refusal, Word};
use super::words::Count;
use crate::domain::{Grant, parse_tokens};

/// `[admin]`.
#[derive(Debug, Clone)]
pub struct Admin {
    /// Where the operator's listener is.
    pub listen: AdminListen,
    /// The file of the tokens that are demanded, by their hashes; re-read when it changes.
    pub tokens_file: Option<PathBuf>,
    /// Most connections at once.
    pub max_connections: usize,
    /// TLS on this listener.
    pub tls: Option<AdminTls>,
}

/// `[admin.tls]`.
#[derive(Debug, Clone)]
pub struct AdminTls {
    /// The listener's own certificate and key.
    pub own: Tls,
    /// PEM file of the authorities whose certificates clients show, and what those clients may do.
    pub client_ca: Option<PathBuf>,
    /// Names in clients' certificates, and their roles.
    pub clients: Vec<Grant>,
}

/// Where the operator's listener is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AdminListen {
    /// An address; port 0 takes a free one.
    Tcp(SocketAddr),
    /// A unix socket, reachable by the user who runs the program.
    Unix(PathBuf),
}

impl std::fmt::Display for AdminListen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

pub(super) static ADMIN: Section = Section {
    name: "admin",
    many: false,
    help: "The operator's listener: health and the admin API.",
    keys: &[
        Key::default::<AdminListen>(
            "listen",
            "127.0.0.1:9901",
            "A loopback address, or unix:PATH for a unix socket; another address only with tokens_file or client_ca.",
        ),
        Key::optional::<PathBuf>(
            "tokens_file",
            "File of the tokens that callers must show, as octroi admin-token writes it.",
        ),
        Key::default::<bool>(
            "tokens_in_clear",
            "false",
            "Whether tokens may come without TLS from other machines, where a network is trusted with them.",
        ),
        Key::default::<MaxConnections>("max_connections", "64", "Most connections at once."),
    ],
};

pub(super) static TLS: Section = Section {
    name: "admin.tls",
    many: false,
    help: "TLS on the operator's listener.",
    keys: &[
        Key::required::<PathBuf>("certificate", "PEM file of the certificate chain."),
        Key::required::<PathBuf>("key", "PEM file of the unencrypted private key."),
        Key::optional::<PathBuf>(
            "client_ca",
            "PEM file of the authorities that clients' certificates are from.",
        ),
        Key::default::<Vec<Grant>>(
            "clients",
            "",
            "Names in clients' certificates, with their roles: NAME = read, gestionnaire CAF…, or operator.",
        ),
    ],
};

type MaxConnections = Count<1, 10_000>;

impl Admin {
    pub(super) fn read(reader: &Reader<'_>, server: Option<&Server>) -> Option<Self> {
        let (part, tls_part) = (reader.part(&ADMIN), reader.part(&TLS));
        let (listen, tokens_in_clear) = (part.read("listen"), part.read::<bool>("tokens_in_clear"));
        let max_connections = part.read::<MaxConnections>("max_connections").map(Count::size);
        let tokens_file = read_tokens(&part);
        let tls = tls_part.is_written().then(|| AdminTls::read(&tls_part));
        let listen = listen?;
        let taken = |address: &SocketAddr| listen == AdminListen::Tcp(*address) && address.port() != 0;
        if server.is_some_and(|server| server.listen.iter().any(taken)) {
            part.refuse("listen", "which server.listen has too");
        }
        let tokens_demanded = part.has("tokens_file");
        check_protected(&part, &tls_part, &listen, tokens_demanded, tokens_in_clear == Some(true));
        if let Some(Some(tls)) = &tls {
            tls.check_clients(&tls_part, tokens_demanded);
        }
        let tls = match tls {
            Some(read) => Some(read?),
            None => None,
        };
        Some(Self { listen, tokens_file, max_connections: max_connections?, tls })
    }

    /// Whether callers must prove who they are. Without, whoever can connect is an operator.
    pub fn is_protected(&self) -> bool {
        self.tokens_file.is_some() || self.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some())
    }
}

impl AdminTls {
    fn read(part: &Part<'_>) -> Option<Self> {
        let (certificate, key) = (part.read::<PathBuf>("certificate"), part.read::<PathBuf>("key"));
        let client_ca = part.read::<PathBuf>("client_ca");
        let clients: Option<Vec<Grant>> = part.read("clients");
        pem::check(part, certificate.as_deref(), key.as_deref());
        if let Some(Err(reason)) = client_ca.as_deref().map(pem::certificates) {
            part.refuse("client_ca", &reason);
        }
        let names = clients.iter().flatten().map(|grant| &grant.name);
        if let Some((_, twice)) =
            names.clone().enumerate().find(|(i, name)| names.clone().take(*i).any(|n| n == *name))
        {
            part.refuse("clients", &format!("which has {twice} twice"));
        }
        Some(Self { own: Tls { certificate: certificate?, key: key? }, client_ca, clients: clients? })
    }

    fn check_clients(&self, part: &Part<'_>, tokens_demanded: bool) {
        if self.client_ca.is_none() && !self.clients.is_empty() {
            part.refuse("clients", "whose certificates are from nowhere, expected client_ca beside it");
        }
        if self.client_ca.is_some() && self.clients.is_empty() && !tokens_demanded {
            let said = "whose certificates give no role, expected clients = [\"NAME = operator\"]";
            part.refuse("client_ca", said);
        }
    }
}

fn read_tokens(part: &Part<'_>) -> Option<PathBuf> {
    let path: PathBuf = part.read("tokens_file")?;
    match source::read(&path) {
        Err(reason) => part.refuse("tokens_file", &format!("which {reason}")),
        Ok(text) => match parse_tokens(&text) {
            Err(error) => part.refuse("tokens_file", &format!("which is wrong at {error}")),
            Ok(tokens) if tokens.is_empty() => {
                part.warn("tokens_file", "holds no token yet: make one with octroi admin-token");
            }
            Ok(_) => {}
        },
    }
    Some(path)
}

/// Off this machine, nobody is believed who proves nothing, and no token travels where others can read it.
fn check_protected(part: &Part<'_>, tls: &Part<'_>, listen: &AdminListen, tokens: bool, in_clear: bool) {
    let AdminListen::Tcp(address) = listen else {
        if tls.is_meant() {
            part.refuse(
                "listen",
                "which has no use for [admin.tls]: expected an address and port, or no TLS",
            );
        }
        return;
    };
    if address.ip().is_loopback() {
        return;
    }
    if !tokens && !tls.has("client_ca") {
        let said = "where other machines could reach it: expected tokens_file, or client_ca in [admin.tls], \
                    or 127.0.0.1, ::1 or unix:";
        part.refuse("listen", said);
    } else if !tls.is_meant() && !in_clear {
        let said = "where tokens would travel in clear: expected [admin.tls], or tokens_in_clear = true where \
                    the network is trusted with them";
        part.refuse("listen", said);
    } else if !tls.is_meant() {
        part.warn("tokens_in_clear", "lets tokens travel in clear: whoever reads one on the way may use it");
    }
}

impl Word for Grant {
    fn expected() -> String {
        "NAME = ROLE, such as \"marie = gestionnaire 921 751\", \"nuit = operator\" or \"sonde = read\""
            .to_owned()
    }

    fn parse(text: &str) -> Result<Self, Refusal> {
        text.parse().map_err(|error: crate::domain::InvalidGrant| Refusal::Because(error.to_string()))
    }

    fn schema() -> Json {
        json!({"type": "string", "pattern": "^[^=]+= *(read|operator|gestionnaire( +[0-9]{3})+) *$"})
    }
}

/// What `sockaddr_un` holds, less the final NUL.
const LONGEST_SOCKET_PATH: usize = 107;

impl Word for AdminListen {
    fn expected() -> String {
        "an address such as 127.0.0.1:9901, or unix:/run/octroi/admin.sock".to_owned()
    }

    fn parse(text: &str) -> Result<Self, Refusal> {
        if let Some(path) = text.strip_prefix("unix:") {
            return match path.len() {
                0 => Err(Refusal::Unlike),
                1..=LONGEST_SOCKET_PATH if !path.contains('\0') => Ok(Self::Unix(PathBuf::from(path))),
                _ => Err(Refusal::Because(format!("expected a path of at most {LONGEST_SOCKET_PATH} bytes"))),
            };
        }
        text.parse().map(Self::Tcp).map_err(|_| Refusal::Unlike)
    }

    fn schema() -> Json {
        json!({"type": "string", "pattern": "^(unix:.+|[0-9.]+:[0-9]+|\\[[0-9a-fA-F:.]+\\]:[0-9]+)$"})
    }
}
