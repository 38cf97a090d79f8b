//! The configuration: a TOML file and the environment go in, a [`Config`] whose every value is right comes out.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use crate::domain::{CafCode, Timestamp, Volet};

/// A configuration that was checked as a whole.
#[derive(Debug, Clone)]
pub struct Config {
    /// The public listeners.
    pub server: Server,
    /// The pages and endpoints under the portal's prefix.
    pub portal: Portal,
    /// The operator's listener.
    pub admin: Admin,
    /// Where what must outlive the process is kept.
    pub store: Store,
    /// How long a session lives.
    pub session: Session,
    /// What a password must be.
    pub password: Password,
    /// How many wrong guesses are borne.
    pub login: Login,
    /// How much one client may ask.
    pub limits: Limits,
    /// How long a backend may take.
    pub backend: Backend,
    /// What is logged, and how.
    pub log: Log,
    /// Another time than the present one to live at.
    pub rehearsal: Option<Rehearsal>,
    /// The volets of the téléprocédure, in the file's order.
    pub volets: Vec<Volet>,
    /// The Cafs, in the file's order; at least one.
    pub cafs: Vec<Caf>,
}

/// `[server]`.
#[derive(Debug, Clone)]
pub struct Server {
    /// Addresses to listen on; at least one. Port 0 takes a free one.
    pub listen: Vec<SocketAddr>,
    /// The origin that browsers see (`https://esat.extranet.example`), if told.
    pub public_url: Option<Origin>,
    /// Whose `Forwarded` and `X-Forwarded-*` count.
    pub trusted_proxies: Vec<IpNet>,
    /// Whether another program terminates TLS in front: plain HTTP off loopback is then accepted, and
    /// cookies are `Secure`.
    pub behind_tls_proxy: bool,
    /// Whether trusted proxies open each connection with a PROXY protocol header.
    pub proxy_protocol: bool,
    /// Certificate and key of this listener.
    pub tls: Option<Tls>,
    /// Threads that serve requests, each with its own listener and pools.
    pub workers: usize,
    /// How long requests under way may still take once the program is told to stop.
    pub drain_timeout: Duration,
}

/// A scheme and authority: `https://esat.extranet.example`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Whether the scheme is `https`.
    pub https: bool,
    /// Host and, where it is not the scheme's own, port.
    pub authority: String,
}

/// `[server.tls]`.
#[derive(Debug, Clone)]
pub struct Tls {
    /// PEM file of the certificate chain.
    pub certificate: PathBuf,
    /// PEM file of the private key.
    pub key: PathBuf,
}

/// `[portal]`.
#[derive(Debug, Clone)]
pub struct Portal {
    /// Who shows pages to browsers.
    pub pages: Pages,
    /// Where the endpoints live: `/portail`, with no slash at the end.
    pub prefix: String,
}

/// Who shows pages to browsers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pages {
    /// octroi itself.
    BuiltIn,
    /// Another program: octroi answers JSON alone and sends browsers there to sign in.
    Off {
        /// Where browsers are sent.
        sign_in_url: String,
    },
}

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

/// `[store]`.
#[derive(Debug, Clone)]
pub enum Store {
    /// Nothing outlives the process.
    Memory,
    /// A folder that this process alone owns.
    Embedded(PathBuf),
    /// A Redis server, by its URL (which may hold a password).
    Redis(secrecy::SecretString),
}

/// `[session]`.
#[derive(Debug, Clone)]
pub struct Session {
    /// Time without a user's action that ends a session (rule 6).
    pub idle_timeout: Duration,
    /// How long before the end the warning begins.
    pub warning: Duration,
    /// Age at which a session ends whatever its user does (rule 2).
    pub absolute_timeout: Duration,
    /// Path prefixes that pages poll by themselves: no action of the user.
    pub passive_paths: Vec<String>,
    /// Sessions that one account may have; the oldest ends.
    pub max_per_account: usize,
}

/// `[password]`.
#[derive(Debug, Clone)]
pub struct Password {
    /// How long a password lives (rule 2).
    pub max_age: Duration,
    /// Fewest characters, 8 or more.
    pub min_length: usize,
    /// How many former passwords may not be taken again.
    pub history: usize,
}

/// `[login]`.
#[derive(Debug, Clone)]
pub struct Login {
    /// Wrong passwords of one account from one place before it is locked there.
    pub max_failures: u32,
    /// The first lock's length; each further one is twice the last, up to a day.
    pub lockout: Duration,
    /// Wrong passwords of one account from anywhere within a day before it is locked everywhere.
    pub max_failures_per_account: u32,
}

/// `[limits]`.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Requests of one client address (an IPv6 client is its /64).
    pub per_client: Rate,
    /// Requests of one session.
    pub per_session: Rate,
    /// Tries to sign in, of one client address.
    pub login_per_client: Rate,
    /// Largest request body forwarded, in bytes.
    pub body: u64,
}

/// So many per period, and so many at once after a quiet time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many in each `period`.
    pub count: NonZeroU32,
    /// One second, minute or hour.
    pub period: Duration,
    /// How many at once.
    pub burst: NonZeroU32,
}

/// `[backend]`.
#[derive(Debug, Clone)]
pub struct Backend {
    /// Time to open a connection.
    pub connect_timeout: Duration,
    /// Time from the end of the request's head to the head of the response.
    pub first_byte_timeout: Duration,
    /// Longest silence within a response's body.
    pub idle_timeout: Duration,
    /// How long an unused connection is kept.
    pub keep_alive: Duration,
}

/// `[log]`.
#[derive(Debug, Clone)]
pub struct Log {
    /// What is logged: `info`, or directives as `octroi=debug,hyper=warn`.
    pub level: String,
    /// How lines look.
    pub format: LogFormat,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// `Human` on a terminal, `Json` otherwise.
    Auto,
    /// For eyes.
    Human,
    /// One JSON object a line.
    Json,
}

/// `[rehearsal]`: the program lives at another time, which the admin API moves. Refused off loopback.
#[derive(Debug, Clone, Copy)]
pub struct Rehearsal {
    /// Where the clock stands at start.
    pub now: Timestamp,
}

/// `[[caf]]`.
#[derive(Debug, Clone)]
pub struct Caf {
    /// Its code.
    pub code: CafCode,
    /// Its name, as users read it.
    pub name: String,
    /// Whom users are sent to.
    pub contact: String,
    /// The instances of its backend; at least one.
    pub backends: Vec<BackendAddress>,
}

/// Where an instance of a backend listens.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BackendAddress {
    /// Host name or address, without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

impl Config {
    /// The Caf of that code.
    pub fn caf(&self, code: CafCode) -> Option<&Caf> {
        self.cafs.iter().find(|caf| caf.code == code)
    }
}

impl Server {
    /// Whether browsers reach this server over TLS, and cookies are `Secure`.
    pub fn is_secure(&self) -> bool {
        self.tls.is_some() || self.behind_tls_proxy
    }

    /// Whether `peer` is one of the trusted proxies.
    pub fn trusts(&self, peer: IpAddr) -> bool {
        self.trusted_proxies.iter().any(|net| net.contains(&peer))
    }
}
