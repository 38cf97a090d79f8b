//! What a `[[caf]]` says of its backend's instances: their shares, their health, and how they are spoken to.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::ServerName;
use serde_json::{Value as Json, json};

use super::admin::Admin;
use super::backend::{Backend, MaxConnections, some};
use super::caf::BackendAddress;
use super::pem;
use super::reader::Part;
use super::server::{Server, Tls};
use super::value::{Refusal, Word};
use super::words::{Count, PathPrefix};

/// What is asked of an instance to know whether it is well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// The path that is asked for.
    pub path: String,
    /// The status of an instance that is well.
    pub status: u16,
}

/// The version of HTTP that instances speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// What both prefer over TLS (ALPN, RFC 7301), HTTP/1.1 without.
    Auto,
    /// HTTP/1.1.
    Http1,
    /// HTTP/2, also without TLS (RFC 9113 section 3.3).
    Http2,
}

/// Whom a backend's certificates are believed from, and who is shown to it.
#[derive(Debug, Clone, Default)]
pub struct BackendTls {
    /// The authorities; there where an instance is `https`.
    pub ca: Option<PathBuf>,
    /// The certificate that is shown.
    pub own: Option<Tls>,
    /// The name that certificates must be for; that of the URL where there is none.
    pub server_name: Option<String>,
    /// SHA-256 of the public keys that are believed; any where there is none.
    pub pins: Vec<Pin>,
}

/// SHA-256 of a certificate's `SubjectPublicKeyInfo`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pin(pub [u8; 32]);

/// What holds at one Caf in the place of `[backend]`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Overrides {
    pub(super) connect: Option<Duration>,
    pub(super) first_byte: Option<Duration>,
    pub(super) idle: Option<Duration>,
    pub(super) request: Option<Duration>,
    pub(super) max_connections: Option<usize>,
}

impl Overrides {
    pub(super) fn read(part: &Part<'_>) -> Self {
        let time = |key| part.has(key).then(|| some(part, key)).flatten();
        Self {
            connect: time("connect_timeout"),
            first_byte: time("first_byte_timeout"),
            idle: time("idle_timeout"),
            request: time("request_timeout"),
            max_connections: part.read::<MaxConnections>("max_connections").map(Count::size),
        }
    }

    /// What holds, of these and `[backend]`.
    pub fn over(&self, backend: &Backend) -> Backend {
        let mut own = backend.clone();
        let times = &mut own.times;
        times.connect = self.connect.unwrap_or(times.connect);
        times.first_byte = self.first_byte.unwrap_or(times.first_byte);
        times.idle = self.idle.unwrap_or(times.idle);
        times.request = self.request.unwrap_or(times.request);
        own.max_connections = self.max_connections.unwrap_or(own.max_connections);
        own
    }
}

/// The share of each instance: 1 where nothing is said.
pub(super) fn weights(part: &Part<'_>, backends: Option<&[BackendAddress]>) -> Option<Vec<u32>> {
    if !part.has("weights") {
        return Some(vec![1; backends.map_or(0, <[_]>::len)]);
    }
    let weights: Vec<Weight> = part.read("weights")?;
    if let Some(backends) = backends.filter(|backends| backends.len() != weights.len()) {
        let count = backends.len();
        part.refuse("weights", &format!("expected as many numbers as there are backends, which is {count}"));
    }
    Some(weights.into_iter().map(|weight| weight.0).collect())
}

type Weight = Count<1, 1_000>;
type Status = Count<200, 599>;

pub(super) fn check(part: &Part<'_>) -> Option<Check> {
    let status = part.read::<Status>("check_status");
    if part.has("check_status") && !part.has("check_path") && status.is_some() {
        part.refuse("check_status", "expected check_path beside it");
    }
    let path: PathPrefix = part.read("check_path")?;
    Some(Check { path: path.0, status: u16::try_from(status.map_or(200, |status| status.0)).unwrap_or(200) })
}

impl BackendTls {
    pub(super) fn read(part: &Part<'_>, backends: Option<&[BackendAddress]>) -> Option<Self> {
        let https = backends.map(|backends| backends.iter().any(|backend| backend.https));
        let ca: Option<PathBuf> = part.read("ca");
        if let Some(Err(reason)) = ca.as_deref().map(pem::certificates) {
            part.refuse("ca", &reason);
        }
        if https == Some(true) && !part.has("ca") {
            let said = "where https needs ca beside it: the file (PEM) of the authorities that its \
                        certificates are from (/etc/ssl/certs/ca-certificates.crt for public ones)";
            part.refuse("backends", said);
        }
        let (certificate, key) = (part.read::<PathBuf>("certificate"), part.read::<PathBuf>("key"));
        pem::check(part, certificate.as_deref(), key.as_deref());
        for (one, other) in [("certificate", "key"), ("key", "certificate")] {
            let is_read = certificate.is_some() || key.is_some();
            if is_read && part.has(one) && !part.has(other) {
                part.amiss(other, format!("is missing, expected it beside {one}"));
            }
        }
        let server_name: Option<ServerNameText> = part.read("server_name");
        let pins = if part.has("pins") { part.read("pins")? } else { Vec::new() };
        if https == Some(false)
            && let Some(key) = ["ca", "certificate", "server_name", "pins"].into_iter().find(|k| part.has(k))
        {
            part.warn(key, "is of no use without a backend at https://");
        }
        let own = certificate.zip(key).map(|(certificate, key)| Tls { certificate, key });
        Some(Self { ca, own, server_name: server_name.map(|name| name.0), pins })
    }
}

/// Declarations that travel in clear over a network are told of, unless `plaintext` says that they may, and refused
/// where it says that they may not.
pub(super) fn check_clear(part: &Part<'_>, backends: &[BackendAddress]) {
    let plaintext: Option<bool> = part.read("plaintext");
    let clear = backends.iter().find(|backend| !backend.https && !backend.is_loopback());
    let (Some(backend), None | Some(false)) = (clear, plaintext) else { return };
    let said = format!(
        "sends declarations IN CLEAR over the network to {}: whoever is on the way reads and alters them. \
         Use https://, or say plaintext = true where the network is trusted with them",
        backend.host
    );
    if plaintext.is_some() {
        part.refuse("backends", &said);
    } else {
        part.warn("backends", &said);
    }
}

/// A request that is sent to the gateway itself comes back without end.
pub(super) fn check_own(
    part: &Part<'_>,
    backends: &[BackendAddress],
    server: Option<&Server>,
    admin: Option<&Admin>,
) {
    let public = server.into_iter().flat_map(|server| &server.listen).map(|at| ("server.listen", *at));
    let admin = admin.and_then(Admin::address).map(|at| ("admin.listen", at));
    let own: Vec<(&str, SocketAddr)> = public.chain(admin).collect();
    for backend in backends {
        let Ok(address) = backend.host.parse::<IpAddr>() else { continue };
        let is_it =
            |at: &SocketAddr| (at.ip().to_canonical(), at.port()) == (address.to_canonical(), backend.port);
        if let Some((key, at)) = own.iter().find(|(_, at)| is_it(at)) {
            let said = format!("where {at} is the gateway's own ({key}), expected another program's address");
            part.refuse("backends", &said);
        }
    }
}

/// The name of a backend's cookie (RFC 6265 section 4.1.1: a token).
pub(super) struct CookieName(pub(super) String);

impl Word for CookieName {
    fn expected() -> String {
        "the name of a cookie such as JSESSIONID".to_owned()
    }

    fn parse(text: &str) -> Result<Self, Refusal> {
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        let right = !text.is_empty() && text.len() <= 64 && text.bytes().all(is_token);
        if right { Ok(Self(text.to_owned())) } else { Err(Refusal::Unlike) }
    }

    fn schema() -> Json {
        json!({"type": "string", "minLength": 1, "maxLength": 64, "pattern": "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"})
    }
}

/// A name that a certificate can be for.
pub(super) struct ServerNameText(String);

impl Word for ServerNameText {
    fn expected() -> String {
        "a host name or an IP address, as a certificate has it".to_owned()
    }

    fn parse(text: &str) -> Result<Self, Refusal> {
        let name = ServerName::try_from(text).map_err(|_| Refusal::Unlike)?;
        Ok(Self(name.to_str().into_owned()))
    }
}

impl Word for Protocol {
    fn expected() -> String {
        "auto, http1 or http2".to_owned()
    }

    fn parse(text: &str) -> Result<Self, Refusal> {
        match text {
            "auto" => Ok(Self::Auto),
            "http1" => Ok(Self::Http1),
            "http2" => Ok(Self::Http2),
            _ => Err(Refusal::Unlike),
        }
    }

    fn schema() -> Json {
        json!({"enum": ["auto", "http1", "http2"]})
    }
}

impl Word for Pin {
    fn expected() -> String {
        "sha256// and 44 characters of base64, the SHA-256 of a public key".to_owned()
    }

    fn parse(text: &str) -> Result<Self, Refusal> {
        let digest = text.strip_prefix("sha256//").and_then(|text| STANDARD.decode(text).ok());
        digest.and_then(|digest| digest.try_into().ok()).map(Self).ok_or(Refusal::Unlike)
    }

    fn schema() -> Json {
        json!({"type": "string", "pattern": "^sha256//[A-Za-z0-9+/]{43}=$"})
    }
}
