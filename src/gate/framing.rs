//! One reading of a request: its path, its host, its method.

use http::header::{COOKIE, HOST};
use http::{HeaderValue, Method, Request, Version};

use super::tunnel;
use crate::domain::{InvalidPath, NormalPath};

/// Why a request is refused before it means anything. Whose fault: the client's; trying again is useless.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// The path can be read in two ways, or in none.
    #[error("path: {0}")]
    Path(#[from] InvalidPath),
    /// No `Host`, several, or one that is no host (RFC 9112 section 3.2).
    #[error("host: none, several, or not a host name")]
    Host,
    /// The head, or the chunks after it, can be read in two ways, or in none (RFC 9112).
    #[error("head: {0}")]
    Head(&'static str),
    /// The target is too long.
    #[error("head: the target is too long")]
    TargetTooLong,
    /// The head is too long, or has too many fields.
    #[error("head: too long")]
    HeadTooLarge,
    /// `CONNECT` (but for a WebSocket over HTTP/2) or `TRACE`.
    #[error("method: not served here")]
    Method,
}

/// Largest head, in bytes; beyond it 431.
pub const HEAD_SIZE: usize = 64 * 1024;
/// Longest target, in bytes; beyond it 400. RFC 9112 section 3 wants 8,000 at least.
pub const TARGET_SIZE: usize = 16 * 1024;
/// Most fields of a head; beyond it 431.
pub const FIELDS: usize = 100;

/// Reads the path that decisions are made on, and refuses what could be read in two ways; `None` where the request
/// is about the server as a whole (`OPTIONS *`, RFC 9110 section 9.3.7).
pub(super) fn read<B>(request: &Request<B>) -> Result<Option<NormalPath>, Malformed> {
    let is_tunnel = *request.method() == Method::CONNECT && !tunnel::is_extended_connect(request);
    if is_tunnel || *request.method() == Method::TRACE {
        return Err(Malformed::Method);
    }
    if request.version() == Version::HTTP_2 {
        check_size(request)?;
        if request.headers().values().any(is_padded) {
            return Err(Malformed::Head("a value with blanks around it"));
        }
    }
    check_host(request)?;
    if *request.method() == Method::OPTIONS && request.uri().path() == "*" {
        return Ok(None);
    }
    Ok(Some(NormalPath::parse(request.uri().path())?))
}

/// Over HTTP/1.1 the guard holds heads to their limits as they come.
fn check_size<B>(request: &Request<B>) -> Result<(), Malformed> {
    let target = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    if target > TARGET_SIZE {
        return Err(Malformed::TargetTooLong);
    }
    let headers = request.headers();
    let size: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    // Cookies come in crumbs there (RFC 9113 section 8.2.3).
    let fields = headers.len() - headers.get_all(COOKIE).iter().skip(1).count();
    if fields > FIELDS || target + size > HEAD_SIZE { Err(Malformed::HeadTooLarge) } else { Ok(()) }
}

/// RFC 9113 section 8.2.1: HTTP/1.1, in which the request is forwarded, would read such a value without the blanks.
fn is_padded(value: &HeaderValue) -> bool {
    let is_blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    is_blank(value.as_bytes().first()) || is_blank(value.as_bytes().last())
}

/// The host is said once or, by `Host` and by the target's authority, twice alike.
fn check_host<B>(request: &Request<B>) -> Result<(), Malformed> {
    let mut hosts = request.headers().get_all(HOST).iter().map(HeaderValue::as_bytes);
    let (first, second) = (hosts.next(), hosts.next());
    let authority = request.uri().authority().map(|authority| authority.as_str().as_bytes());
    let host = match (first, authority) {
        (None, None) if request.version() == Version::HTTP_10 => return Ok(()),
        (None, authority) if request.version() == Version::HTTP_2 => authority,
        (host, Some(authority)) => host.filter(|host| host.eq_ignore_ascii_case(authority)),
        (host, None) => host,
    };
    if second.is_none() && host.is_some_and(is_host) { Ok(()) } else { Err(Malformed::Host) }
}

/// A registered name or an address, and perhaps a port (RFC 3986 section 3.2), of the characters that occur in either.
/// What is neither could not be said to a backend over HTTP/2.
fn is_host(host: &[u8]) -> bool {
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
    let place = |end: u8| host.iter().position(|byte| *byte == end);
    let (is_right, port) = if host.starts_with(b"[") {
        let (address, port) = host.split_at(place(b']').unwrap_or_default());
        let address = address.get(1..).unwrap_or_default();
        let is_address = !address.is_empty() && address.iter().all(|byte| *byte == b':' || is_name(byte));
        (is_address, port.strip_prefix(b"]").unwrap_or_default())
    } else {
        let (name, port) = host.split_at(place(b':').unwrap_or(host.len()));
        (!name.is_empty() && name.iter().all(is_name), port)
    };
    let is_port =
        port.is_empty() || port.strip_prefix(b":").is_some_and(|port| port.iter().all(u8::is_ascii_digit));
    is_right && is_port && host.len() <= 255
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(uri: &str, hosts: &[&str]) -> Result<Option<NormalPath>, Malformed> {
        let mut request = Request::builder().uri(uri);
        for host in hosts {
            request = request.header(HOST, *host);
        }
        read(&request.body(()).expect("a request"))
    }

    #[test]
    fn one_host_and_no_doubt_about_it() {
        assert!(get("/", &["esat.example"]).is_ok());
        assert!(get("/", &["[::1]:8080"]).is_ok());
        assert!(get("http://esat.example/", &["ESAT.example"]).is_ok());
        for (uri, hosts) in [
            ("/", vec![]),
            ("/", vec!["a", "a"]),
            ("/", vec![""]),
            ("/", vec!["a b"]),
            ("/", vec!["a/b"]),
            ("/", vec!["user@a"]),
            ("/", vec!["a:b"]),
            ("/", vec!["a:1:2"]),
            ("/", vec![":80"]),
            ("/", vec!["["]),
            ("/", vec!["[::1"]),
            ("/", vec!["[]"]),
            ("/", vec!["[::1]80"]),
            ("http://a/", vec!["b"]),
        ] {
            assert_eq!(get(uri, &hosts), Err(Malformed::Host), "{uri} {hosts:?}");
        }
    }

    #[test]
    fn an_authority_is_looked_at_like_a_host() {
        let get = |authority: &str| {
            let uri = format!("https://{authority}/");
            read(&Request::builder().version(Version::HTTP_2).uri(uri).body(()).expect("a request"))
        };
        assert!(get("esat.example").is_ok() && get("[::1]:8443").is_ok());
        for authority in ["user@esat.example", "esat.example,evil.example", "esat.example'"] {
            assert_eq!(get(authority), Err(Malformed::Host), "{authority}");
        }
    }

    #[test]
    fn methods_that_open_tunnels_or_echo_are_refused() {
        for method in [Method::CONNECT, Method::TRACE] {
            let request = Request::builder().method(method).uri("/").header(HOST, "a");
            assert_eq!(read(&request.body(()).expect("a request")), Err(Malformed::Method));
        }
    }

    #[test]
    fn the_whole_server_is_no_path() {
        assert_eq!(get("*", &["a"]), Err(Malformed::Path(InvalidPath::NotAbsolute)));
        let options = Request::options("*").header(HOST, "a").body(()).expect("a request");
        assert_eq!(read(&options), Ok(None));
    }
}
