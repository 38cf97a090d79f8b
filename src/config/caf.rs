//! `[[caf]]`: the Cafs and the backends that serve them (rule 8: each request belongs to exactly one).

use std::collections::{HashMap, HashSet};

use serde_json::{Value as Json, json};

use super::declare::{Key, Section};
use super::reader::{Part, Reader};
use super::url::host_and_port;
use super::value::{Refusal, Word};
use super::words::Line;
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
}

/// Where an instance of a backend listens.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BackendAddress {
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
            "The instances of its backend: http://host:port each.",
        ),
        Key::default::<bool>("inject", "true", "Whether its pages get the session's warning."),
    ],
};

/// Every Caf, in the file's order; at least one.
pub(super) fn read(reader: &Reader<'_>) -> Option<Vec<Caf>> {
    let mut codes = HashSet::new();
    let mut owners: HashMap<BackendAddress, CafCode> = HashMap::new();
    let read_one = |part: Part<'_>| {
        let (code, caf) = read_caf(&part);
        if code.is_some_and(|code| !codes.insert(code)) {
            part.refuse("code", "which another [[caf]] before it has");
        }
        let caf = caf?;
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
    let cafs: Vec<Option<Caf>> = reader.parts(&CAF).into_iter().map(read_one).collect();
    cafs.into_iter().collect()
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
    let inject = part.read("inject");
    let caf = || {
        Some(Caf { code: code?, name: name?.0, contact: contact?.0, backends: backends?, inject: inject? })
    };
    (code, caf())
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
        if text.starts_with("https://") {
            return Err(Refusal::Because(
                "where https is not supported yet: expected http://host:port".to_owned(),
            ));
        }
        let authority = text.strip_prefix("http://").ok_or(Refusal::Unlike)?;
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        let (host, port) = host_and_port(authority).ok_or(Refusal::Unlike)?;
        Ok(Self { host, port: port.unwrap_or(80) })
    }

    fn schema() -> Json {
        json!({"type": "string", "pattern": "^http://[^/?#@]+/?$"})
    }
}
