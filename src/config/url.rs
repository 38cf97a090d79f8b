//! URLs of the configuration: origins and the authorities in them.

use http::uri::Authority;
use serde_json::{Value as Json, json};

use super::value::{Refusal, Word};

/// A scheme and authority: `https://esat.extranet.example`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Whether the scheme is `https`.
    pub https: bool,
    /// Host and, where it is not the scheme's own, port.
    pub authority: String,
}

impl Word for Origin {
    fn expected() -> String {
        "an origin such as https://esat.extranet.example, with no path".to_owned()
    }

    fn parse(text: &str) -> Result<Self, Refusal> {
        let (scheme, rest) = text.split_once("://").ok_or(Refusal::Unlike)?;
        let https = match scheme {
            "https" => true,
            "http" => false,
            _ => return Err(Refusal::Unlike),
        };
        let (host, port) = host_and_port(rest.strip_suffix('/').unwrap_or(rest)).ok_or(Refusal::Unlike)?;
        let host = if host.contains(':') { format!("[{host}]") } else { host };
        let own = if https { 443 } else { 80 };
        let authority = match port {
            Some(port) if port != own => format!("{host}:{port}"),
            _ => host,
        };
        Ok(Self { https, authority })
    }

    fn schema() -> Json {
        json!({"type": "string", "pattern": "^https?://[^/?#@]+/?$"})
    }
}

/// The host, in lower case and without brackets, and the port of an authority that holds nothing else.
pub(super) fn host_and_port(authority: &str) -> Option<(String, Option<u16>)> {
    let parsed: Authority = authority.parse().ok()?;
    let host = parsed.host();
    let rest = authority.strip_prefix(host)?;
    let port = match rest.strip_prefix(':') {
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => Some(digits.parse().ok()?),
        None if rest.is_empty() => None,
        _ => return None,
    };
    let name = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(v6) => v6.parse::<std::net::Ipv6Addr>().ok()?.to_string(),
        None => host.to_ascii_lowercase(),
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || ".-_:".contains(c);
    (!name.is_empty() && name.len() <= 253 && name.chars().all(plain) && port != Some(0))
        .then_some((name, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_a_scheme_a_host_and_maybe_a_port() {
        let authority = |text| Origin::parse(text).map(|origin| origin.authority).ok();
        assert_eq!(authority("https://Esat.Example").as_deref(), Some("esat.example"));
        assert_eq!(authority("https://esat.example:443/").as_deref(), Some("esat.example"));
        assert_eq!(authority("http://esat.example:443").as_deref(), Some("esat.example:443"));
        assert_eq!(authority("https://[::1]:8443").as_deref(), Some("[::1]:8443"));
        for text in [
            "",
            "esat.example",
            "ftp://a",
            "https://",
            "https://a/b",
            "https://u@a",
            "https://a?b",
            "https://a#b",
            "https://a:",
            "https://a:0",
            "https://a:99999",
            "https://a b",
            "https://a,b",
            "https://[x]",
            "https://:1",
        ] {
            assert_eq!(authority(text), None, "{text}");
        }
    }
}
