//! `[store]`: where what must outlive the process is kept.

use std::path::PathBuf;

use secrecy::SecretString;
use serde_json::{Value as Json, json};

use super::declare::{Key, Section};
use super::reader::Reader;
use super::url::host_and_port;
use super::value::{Refusal, Word};

/// `[store]`.
#[derive(Debug, Clone)]
pub enum Store {
    /// Nothing outlives the process.
    Memory,
    /// A folder that this process alone owns.
    Embedded(PathBuf),
    /// A Redis server, by its URL (which may hold a password).
    Redis(SecretString),
}

pub(super) static STORE: Section = Section {
    name: "store",
    many: false,
    help: "Where accounts, sessions and counters are kept.",
    keys: &[
        Key::default::<Store>(
            "url",
            "embedded:/var/lib/octroi",
            "memory:, embedded:FOLDER, redis://[user:password@]host[:port][/db] or rediss:// (TLS).",
        ),
        Key::optional::<PathBuf>("url_file", "A file that holds the URL, instead of url."),
    ],
};

impl Store {
    pub(super) fn read(reader: &Reader<'_>) -> Option<Self> {
        reader.part(&STORE).read_secret("url", "url_file")
    }
}

impl Word for Store {
    const SECRET: bool = true;

    fn expected() -> String {
        "memory:, embedded:/var/lib/octroi, redis://host or rediss://host".to_owned()
    }

    fn parse(text: &str) -> Result<Self, Refusal> {
        let (scheme, rest) = text.split_once(':').ok_or(Refusal::Unlike)?;
        match scheme {
            "memory" if rest.is_empty() => Ok(Self::Memory),
            "embedded" if !rest.is_empty() && !rest.contains('\0') => Ok(Self::Embedded(PathBuf::from(rest))),
            "redis" | "rediss" => {
                rest.strip_prefix("//").filter(|rest| is_server(rest)).ok_or_else(|| {
                    let form = format!("expected {scheme}://[user:password@]host[:port][/db]");
                    Refusal::Because(format!("{form}, with %XX for @ / : ? # in a password"))
                })?;
                Ok(Self::Redis(SecretString::from(text)))
            }
            "redis-sentinel" | "redis-cluster" => {
                let said = format!("which is not supported yet: expected {}", Self::expected());
                Err(Refusal::Because(said))
            }
            _ => Err(Refusal::Unlike),
        }
    }

    fn schema() -> Json {
        json!({"type": "string", "pattern": "^(memory:$|embedded:.|rediss?://.)"})
    }
}

/// `[user:password@]host[:port][/db]`
fn is_server(text: &str) -> bool {
    let (authority, db) = text.split_once('/').unwrap_or((text, ""));
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    let graphic = user.bytes().all(|b| b.is_ascii_graphic());
    let user = graphic && !user.contains(['@', '?', '#']) && user.matches(':').count() <= 1;
    user && host_and_port(host).is_some() && db.len() <= 4 && db.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_servers() {
        for text in ["h", "h:6379", "h/0", ":pw@h:1/15", "u:p%40@[::1]:6379", "h/"] {
            assert!(is_server(text), "{text}");
        }
        for text in ["", "/0", "h:x", "h/a", "u:p@", "a:b:c@h", "a@b@h", "h?x=1", "h/0?protocol=2", "u p@h"] {
            assert!(!is_server(text), "{text}");
        }
    }
}
