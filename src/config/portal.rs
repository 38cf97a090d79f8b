//! `[portal]`: the pages and endpoints of the gateway's own.

use serde_json::{Value as Json, json};

use super::declare::{Key, Section};
use super::reader::Reader;
use super::theme::Theme;
use super::url::host_and_port;
use super::value::{Refusal, Word};

/// `[portal]`.
#[derive(Debug, Clone)]
pub struct Portal {
    /// Who shows pages to browsers.
    pub pages: Pages,
    /// Where the endpoints live: `/portail`, with no slash at the end.
    pub prefix: String,
    /// Whether the Cafs' pages get the session's warning.
    pub inject: bool,
    /// How the pages look.
    pub theme: Theme,
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

pub(super) static PORTAL: Section = Section {
    name: "portal",
    many: false,
    help: "The gateway's own pages and endpoints.",
    keys: &[
        Key::default::<Shown>("pages", "built-in", "Who shows pages: built-in, or off for JSON alone."),
        Key::default::<Prefix>(
            "prefix",
            "/portail",
            "Where the endpoints live; backends never see these paths.",
        ),
        Key::default::<bool>(
            "inject",
            "true",
            "Whether the Cafs' pages get a script that warns before the session ends.",
        ),
        Key::optional::<SignInUrl>(
            "sign_in_url",
            "With pages = \"off\": where browsers are sent to sign in.",
        ),
    ],
};

impl Portal {
    pub(super) fn read(reader: &Reader<'_>) -> Option<Self> {
        let part = reader.part(&PORTAL);
        let pages = part.read::<Shown>("pages");
        let prefix = part.read::<Prefix>("prefix");
        let inject = part.read("inject");
        let theme = Theme::read(reader);
        let sign_in_url = part.read::<SignInUrl>("sign_in_url");
        let pages = match pages? {
            Shown::BuiltIn => {
                if part.has("sign_in_url") {
                    part.warn("sign_in_url", "has no effect unless pages = \"off\"");
                }
                Pages::BuiltIn
            }
            Shown::Off => {
                if !part.has("sign_in_url") {
                    part.refuse(
                        "pages",
                        "expected sign_in_url beside it, where browsers are sent to sign in",
                    );
                }
                Pages::Off { sign_in_url: sign_in_url?.0 }
            }
        };
        Some(Self { pages, prefix: prefix?.0, inject: inject?, theme: theme? })
    }
}

#[derive(Clone, Copy)]
enum Shown {
    BuiltIn,
    Off,
}

impl Word for Shown {
    fn expected() -> String {
        "\"built-in\" or \"off\"".to_owned()
    }

    fn parse(text: &str) -> Result<Self, Refusal> {
        match text {
            "built-in" => Ok(Self::BuiltIn),
            "off" => Ok(Self::Off),
            _ => Err(Refusal::Unlike),
        }
    }

    fn schema() -> Json {
        json!({"enum": ["built-in", "off"]})
    }
}

struct Prefix(String);

impl Word for Prefix {
    fn expected() -> String {
        "a path such as /portail, of letters, digits, - and _, with no slash at the end".to_owned()
    }

    fn parse(text: &str) -> Result<Self, Refusal> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
        let segment = |segment: &str| !segment.is_empty() && segment.chars().all(plain);
        let right = text.strip_prefix('/').is_some_and(|rest| rest.split('/').all(segment));
        if right && text.len() <= 200 { Ok(Self(text.to_owned())) } else { Err(Refusal::Unlike) }
    }

    fn schema() -> Json {
        json!({"type": "string", "pattern": "^(/[A-Za-z0-9_-]+)+$"})
    }
}

struct SignInUrl(String);

impl Word for SignInUrl {
    fn expected() -> String {
        "a URL such as https://portail.example/connexion".to_owned()
    }

    fn parse(text: &str) -> Result<Self, Refusal> {
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        let authority = rest.and_then(|rest| rest.split(['/', '?', '#']).next());
        let right = authority.and_then(host_and_port).is_some() && text.bytes().all(|b| b.is_ascii_graphic());
        if right && text.len() <= 2_000 { Ok(Self(text.to_owned())) } else { Err(Refusal::Unlike) }
    }

    fn schema() -> Json {
        json!({"type": "string", "pattern": "^https?://[^@]+$"})
    }
}
