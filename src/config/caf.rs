//! `[[caf]]`: the Cafs and the backends that serve them (rule 8: each request belongs to exactly one).

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value as Json, json};

use super::admin::Admin;
use super::backend::{Backend, MaxConnections};
use super::declare::{Key, Section};
use super::instance::{
    BackendTls, Check, CookieName, Overrides, Pin, Protocol, ServerNameText, check, check_clear, check_own,
    weights,
};
use super::reader::{Part, Reader};
use super::server::Server;
use super::url::host_and_port;
use super::value::{Refusal, Word};
use super::words::{Count, Line, PathPrefix};
use crate::domain::CafCode;

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
    /// Whether its pages get the session's warning.
    pub inject: bool,
    /// The share of each instance, in the order of `backends`.
    pub weights: Vec<u32>,
    /// The backend's cookie whose bearers stay at the instance that set it.
    pub sticky_cookie: Option<String>,
    /// What its instances are asked to know whether they are well, if anything.
    pub check: Option<Check>,
    /// The version of HTTP that they speak.
    pub protocol: Protocol,
    /// TLS towards those that are `https`.
    pub tls: BackendTls,
    /// Where it differs from `[backend]`.
    pub overrides: Overrides,
}

/// Where an instance of a backend listens.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BackendAddress {
    /// Whether it speaks TLS.
    pub https: bool,
    /// Host name or address, without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

pub(super) static CAF: Section = Section {
    name: "caf",
    many: true,
    help: "A Caf, and the backend that serves it.",
    keys: &[
        Key::required::<CafCode>("code", "Its code of three digits."),
        Key::required::<Line>("name", "Its name, as users read it."),
        Key::required::<Line>("contact", "Whom users are sent to when it does not know them."),
        Key::required::<Vec<BackendAddress>>(
            "backends",
            "The instances of its backend: http://host:port or https://host:port each.",
        ),
        Key::default::<bool>("inject", "true", "Whether its pages get the session's warning."),
        Key::optional::<Vec<Count<1, 1_000>>>("weights", "The share of each instance; 1 each without."),
        Key::optional::<CookieName>(
            "sticky_cookie",
            "A cookie of the backend's: its bearers stay at the instance that set it.",
        ),
        Key::optional::<PathBuf>(
            "ca",
            "For https: PEM file of the authorities that their certificates are from.",
        ),
        Key::optional::<PathBuf>(
            "certificate",
            "For https: PEM file of the certificate that is shown to them.",
        ),
        Key::optional::<PathBuf>("key", "PEM file of that certificate's unencrypted key."),
        Key::optional::<ServerNameText>(
            "server_name",
            "For https: the name that their certificates are for.",
        ),
        Key::optional::<Vec<Pin>>("pins", "For https: the only public keys that are believed."),
        Key::default::<Protocol>(
            "protocol",
            "auto",
            "auto (ALPN over TLS, HTTP/1.1 without), http1 or http2.",
        ),
        Key::optional::<bool>(
            "plaintext",
            "true where the network is trusted with http:// off this machine.",
        ),
        Key::optional::<PathPrefix>(
            "check_path",
            "Asked for now and then, to know whether an instance is well.",
        ),
        Key::optional::<Count<200, 599>>("check_status", "The status of one that is well; 200 without."),
        Key::optional::<Duration>("connect_timeout", "In the place of [backend]'s."),
        Key::optional::<Duration>("first_byte_timeout", "In the place of [backend]'s."),
        Key::optional::<Duration>("idle_timeout", "In the place of [backend]'s."),
        Key::optional::<Duration>("request_timeout", "In the place of [backend]'s."),
        Key::optional::<MaxConnections>("max_connections", "In the place of [backend]'s."),
    ],
};

/// Every Caf, in the file's order; at least one.
pub(super) fn read(
    reader: &Reader<'_>,
    server: Option<&Server>,
    admin: Option<&Admin>,
    backend: Option<&Backend>,
) -> Option<Vec<Caf>> {
    let parts = reader.parts(&CAF);
    let limits = server.zip(backend).filter(|_| parts.len() > 1);
    let mut codes = HashSet::new();
    let mut owners: HashMap<BackendAddress, CafCode> = HashMap::new();
    let read_one = |part: Part<'_>| {
        let (code, caf) = read_caf(&part);
        if code.is_some_and(|code| !codes.insert(code)) {
            part.refuse("code", "which another [[caf]] before it has");
        }
        let caf = caf?;
        if let Some((server, backend)) = limits {
            check_share(&part, &caf, server, backend);
        }
        check_own(&part, &caf.backends, server, admin);
        for backend in &caf.backends {
            let owner = *owners.entry(backend.clone()).or_insert(caf.code);
            if owner != caf.code {
                part.warn("backends", &format!("has {}:{}, as Caf {owner} has", backend.host, backend.port));
            }
        }
        Some(caf)
    };
    if reader.root.get(CAF.name).is_none_or(|value| is_empty(value.get_ref())) {
        reader.amiss(reader.whole_file(), CAF.name, "found none, expected at least one [[caf]]".to_owned());
    }
    let cafs: Vec<Option<Caf>> = parts.into_iter().map(read_one).collect();
    cafs.into_iter().collect()
}

/// Clients who wait for a Caf that hangs keep their connections. One Caf must not have them all.
fn check_share(part: &Part<'_>, caf: &Caf, server: &Server, backend: &Backend) {
    let rule = caf.overrides.over(backend);
    let most = caf.backends.len().saturating_mul(rule.max_connections.saturating_add(rule.max_waiting));
    if most >= server.max_connections {
        let said = format!(
            "takes {most} requests at once (max_connections and max_waiting of each instance): should it hang, none \
             of server.max_connections = {} may be left for the other Cafs",
            server.max_connections
        );
        part.warn("backends", &said);
    }
}

fn is_empty(value: &toml::de::DeValue<'_>) -> bool {
    value.as_array().is_some_and(|array| array.is_empty())
}

fn read_caf(part: &Part<'_>) -> (Option<CafCode>, Option<Caf>) {
    let (code, name, contact) = (part.read("code"), part.read::<Line>("name"), part.read::<Line>("contact"));
    let backends: Option<Vec<BackendAddress>> = part.read("backends");
    if let Some(backends) = &backends {
        if backends.is_empty() {
            part.refuse("backends", "expected at least one URL");
        }
        for (i, backend) in backends.iter().enumerate() {
            if backends[..i].contains(backend) {
                part.refuse("backends", &format!("which has {}:{} twice", backend.host, backend.port));
            }
        }
    }
    let (inject, protocol) = (part.read("inject"), part.read("protocol"));
    let sticky_cookie = part.read::<CookieName>("sticky_cookie").map(|name| name.0);
    let weights = weights(part, backends.as_deref());
    let tls = BackendTls::read(part, backends.as_deref());
    let (check, overrides) = (check(part), Overrides::read(part));
    check_clear(part, backends.as_deref().unwrap_or_default());
    let caf = || {
        Some(Caf {
            code: code?,
            name: name?.0,
            contact: contact?.0,
            backends: backends?,
            inject: inject?,
            weights: weights?,
            sticky_cookie,
            check,
            protocol: protocol?,
            tls: tls?,
            overrides,
        })
    };
    (code, caf())
}

#[cfg(test)]
impl Caf {
    /// One that says no more than it must.
    pub(crate) fn least(code: &str, name: &str, backends: &[(&str, u16)]) -> Self {
        let address = |(host, port): &(&str, u16)| BackendAddress {
            https: false,
            host: (*host).to_owned(),
            port: *port,
        };
        Self {
            code: code.parse().expect("a code"),
            name: name.to_owned(),
            contact: String::new(),
            backends: backends.iter().map(address).collect(),
            inject: true,
            weights: vec![1; backends.len()],
            sticky_cookie: None,
            check: None,
            protocol: Protocol::Auto,
            tls: BackendTls::default(),
            overrides: Overrides::default(),
        }
    }
}

impl BackendAddress {
    /// Host and port, as in a URL.
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// Whether it is on this machine.
    pub(super) fn is_loopback(&self) -> bool {
        let is_loopback = |address: IpAddr| address.to_canonical().is_loopback();
        self.host == "localhost" || self.host.parse().is_ok_and(is_loopback)
    }
}

impl fmt::Display for BackendAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.https { "https" } else { "http" }, self.authority())
    }
}

impl Word for CafCode {
    fn expected() -> String {
        "a code of three digits in quotes such as \"921\"".to_owned()
    }

    fn parse(text: &str) -> Result<Self, Refusal> {
        text.parse().map_err(|_| Refusal::Unlike)
    }

    fn schema() -> Json {
        json!({"type": "string", "pattern": "^[0-9]{3}$"})
    }
}

impl Word for BackendAddress {
    fn expected() -> String {
        "a URL such as http://10.0.1.10:8080, with no path, query or user".to_owned()
    }

    fn parse(text: &str) -> Result<Self, Refusal> {
        let (https, authority) = match text.split_once("://") {
            Some(("http", authority)) => (false, authority),
            Some(("https", authority)) => (true, authority),
            _ => return Err(Refusal::Unlike),
        };
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        let (host, port) = host_and_port(authority).ok_or(Refusal::Unlike)?;
        Ok(Self { https, host, port: port.unwrap_or(if https { 443 } else { 80 }) })
    }

    fn schema() -> Json {
        json!({"type": "string", "pattern": "^https?://[^/?#@]+/?$"})
    }
}
