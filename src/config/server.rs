//! `[server]` and `[server.tls]`: where clients reach the gateway.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZero;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use super::declare::{Key, Section};
use super::pem;
use super::reader::{Part, Reader};
use super::url::Origin;
use super::words::Count;

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
    /// Most connections of clients at once, over all workers.
    pub max_connections: usize,
    /// Certificate and key of this listener.
    pub tls: Option<Tls>,
    /// Threads that serve requests, each with its own listener and pools.
    pub workers: usize,
    /// How long requests under way may still take once the program is told to stop.
    pub drain_timeout: Duration,
}

/// `[server.tls]`.
#[derive(Debug, Clone)]
pub struct Tls {
    /// PEM file of the certificate chain.
    pub certificate: PathBuf,
    /// PEM file of the private key.
    pub key: PathBuf,
}

pub(super) static SERVER: Section = Section {
    name: "server",
    many: false,
    help: "Where clients reach the gateway.",
    keys: &[
        Key::optional::<Vec<SocketAddr>>(
            "listen",
            "Addresses to listen on. Default: 0.0.0.0:8443 with TLS here or in front, else 127.0.0.1:8080.",
        ),
        Key::optional::<Origin>("public_url", "The scheme and host that browsers see."),
        Key::default::<Vec<IpNet>>(
            "trusted_proxies",
            "",
            "Networks whose Forwarded and X-Forwarded-* headers count.",
        ),
        Key::default::<bool>(
            "behind_tls_proxy",
            "false",
            "Whether a proxy in front terminates TLS: plain HTTP is then allowed on any address.",
        ),
        Key::default::<bool>(
            "proxy_protocol",
            "false",
            "Whether connections of trusted_proxies begin with a PROXY protocol header (version 1 or 2).",
        ),
        Key::default::<Connections>(
            "max_connections",
            "20000",
            "Most connections of clients at once; more wait until others end.",
        ),
        Key::optional::<Workers>("workers", "Threads that serve requests. Default: one a core."),
        Key::default::<Duration>(
            "drain_timeout",
            "30s",
            "How long requests under way may still take once the program is told to stop.",
        ),
    ],
};

pub(super) static TLS: Section = Section {
    name: "server.tls",
    many: false,
    help: "TLS of the public listeners.",
    keys: &[
        Key::required::<PathBuf>("certificate", "PEM file of the certificate chain, the server's own first."),
        Key::required::<PathBuf>("key", "PEM file of the private key."),
    ],
};

type Workers = Count<1, 1024>;
type Connections = Count<1, 10_000_000>;

impl Server {
    pub(super) fn read(reader: &Reader<'_>) -> Option<Self> {
        let part = reader.part(&SERVER);
        let tls_part = reader.part(&TLS);
        let (tls, public_url) = (read_tls(&tls_part), part.read("public_url"));
        let (trusted_proxies, behind_tls_proxy) =
            (part.read("trusted_proxies"), part.read("behind_tls_proxy"));
        let (proxy_protocol, drain_timeout) = (part.read("proxy_protocol"), part.read("drain_timeout"));
        let workers = part.read::<Workers>("workers");
        let max_connections = part.read::<Connections>("max_connections");
        let encrypted = tls_part.is_meant() || behind_tls_proxy == Some(true);
        let listen = read_listen(&part, encrypted);
        check_proxies(&part, trusted_proxies.as_deref());
        if proxy_protocol == Some(true) && trusted_proxies.as_ref().is_some_and(Vec::is_empty) {
            part.refuse("proxy_protocol", "which needs trusted_proxies: nobody else's header is believed");
        }
        if !encrypted && public_url.as_ref().is_some_and(|url: &Origin| url.https) {
            let said =
                "is https, but there is neither [server.tls] nor behind_tls_proxy: cookies go without Secure";
            part.warn("public_url", said);
        }
        Some(Self {
            listen: listen?,
            public_url,
            trusted_proxies: trusted_proxies?,
            behind_tls_proxy: behind_tls_proxy?,
            proxy_protocol: proxy_protocol?,
            max_connections: max_connections?.size(),
            tls,
            workers: workers.map_or_else(cores, Count::size),
            drain_timeout: drain_timeout?,
        })
    }

    /// Whether browsers reach this server over TLS, and cookies are `Secure`.
    pub fn is_secure(&self) -> bool {
        self.tls.is_some() || self.behind_tls_proxy
    }

    /// Whether `peer` is one of the trusted proxies.
    pub fn trusts(&self, peer: IpAddr) -> bool {
        self.trusted_proxies.iter().any(|net| net.contains(&peer))
    }

    /// Whether only programs of this machine can connect.
    pub(super) fn is_local(&self) -> bool {
        self.listen.iter().all(|address| address.ip().is_loopback())
    }
}

fn read_listen(part: &Part<'_>, encrypted: bool) -> Option<Vec<SocketAddr>> {
    if !part.has("listen") {
        let alone = SocketAddr::from(([127, 0, 0, 1], 8080));
        let public = SocketAddr::from(([0, 0, 0, 0], 8443));
        return Some(vec![if encrypted { public } else { alone }]);
    }
    let listen: Vec<SocketAddr> = part.read("listen")?;
    if listen.is_empty() {
        part.refuse("listen", "expected at least one address");
    }
    for (i, address) in listen.iter().enumerate() {
        if address.port() != 0 && listen[..i].contains(address) {
            part.refuse("listen", &format!("which has {address} twice"));
        }
    }
    if let Some(open) = listen.iter().find(|address| !encrypted && !address.ip().is_loopback()) {
        let said = format!(
            "where {open} would take plain HTTP from other machines: expected [server.tls], or \
             behind_tls_proxy = true, or a loopback address"
        );
        part.refuse("listen", &said);
    }
    Some(listen)
}

fn check_proxies(part: &Part<'_>, proxies: Option<&[IpNet]>) {
    if proxies.is_some_and(|proxies| proxies.iter().any(|net| net.prefix_len() == 0)) {
        part.warn("trusted_proxies", "trusts everyone: any client can claim any address");
    }
}

fn read_tls(part: &Part<'_>) -> Option<Tls> {
    if !part.is_written() {
        return None;
    }
    let (certificate, key) = (part.read::<PathBuf>("certificate"), part.read::<PathBuf>("key"));
    pem::check(part, certificate.as_deref(), key.as_deref());
    Some(Tls { certificate: certificate?, key: key? })
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}
