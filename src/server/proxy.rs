//! PROXY protocol, versions 1 and 2: who connected to the trusted proxy that connects to us.
//!
//! Source: "The PROXY protocol, versions 1 & 2" (`HAProxy`, 2020). The header is read before anything else, to its
//! last byte and no further; what follows it is the client's.

use std::net::SocketAddr;
use std::time::Duration;

use ppp::v2::Command;
use ppp::{HeaderResult, v1, v2};
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// Longest header of version 1 (section 2.1).
const V1_LONGEST: usize = 107;
/// Longest header of version 2 that is borne: addresses, and room for what proxies add about TLS.
const V2_LONGEST: usize = 16 + 4096;
const V2_SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// A trusted proxy did not say who connects. Whose fault: the proxy's, or the configuration's.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProxyError {
    /// It had nothing to wait for.
    #[error("no PROXY header came in time")]
    Late,
    /// The connection ended, or broke.
    #[error("{0}")]
    Broken(#[from] std::io::Error),
    /// It speaks at once as a client would, or badly.
    #[error("no PROXY header, or a broken one")]
    Malformed,
}

/// Reads the header, which must come within `patience`; `None` where the proxy speaks for itself (`LOCAL`, `UNKNOWN`), as for a check of its own.
pub(super) async fn announced<S>(stream: &mut S, patience: Duration) -> Result<Option<SocketAddr>, ProxyError>
where
    S: AsyncRead + Unpin,
{
    let header = tokio::time::timeout(patience, read(stream)).await.map_err(|_| ProxyError::Late)??;
    match HeaderResult::parse(&header) {
        HeaderResult::V1(Ok(header)) => Ok(match header.addresses {
            v1::Addresses::Tcp4(ip) => Some((ip.source_address, ip.source_port).into()),
            v1::Addresses::Tcp6(ip) => Some((ip.source_address, ip.source_port).into()),
            v1::Addresses::Unknown => None,
        }),
        HeaderResult::V2(Ok(header)) if header.command == Command::Local => Ok(None),
        HeaderResult::V2(Ok(header)) => Ok(match header.addresses {
            v2::Addresses::IPv4(ip) => Some((ip.source_address, ip.source_port).into()),
            v2::Addresses::IPv6(ip) => Some((ip.source_address, ip.source_port).into()),
            v2::Addresses::Unspecified | v2::Addresses::Unix(_) => None,
        }),
        HeaderResult::V1(Err(_)) | HeaderResult::V2(Err(_)) => Err(ProxyError::Malformed),
    }
}

async fn read<S: AsyncRead + Unpin>(stream: &mut S) -> Result<Vec<u8>, ProxyError> {
    // The shortest header of either version is longer than the signature of version 2.
    let mut header = vec![0; V2_SIGNATURE.len()];
    stream.read_exact(&mut header).await?;
    if header == V2_SIGNATURE {
        read_v2(stream, &mut header).await?;
    } else if header.starts_with(b"PROXY ") {
        read_v1(stream, &mut header).await?;
    } else {
        return Err(ProxyError::Malformed);
    }
    Ok(header)
}

/// Byte by byte, so that nothing of what follows is taken: once a connection, some fifty times.
async fn read_v1<S: AsyncRead + Unpin>(stream: &mut S, header: &mut Vec<u8>) -> Result<(), ProxyError> {
    while !header.ends_with(b"\r\n") {
        if header.len() == V1_LONGEST {
            return Err(ProxyError::Malformed);
        }
        header.push(stream.read_u8().await?);
    }
    Ok(())
}

async fn read_v2<S: AsyncRead + Unpin>(stream: &mut S, header: &mut Vec<u8>) -> Result<(), ProxyError> {
    let mut rest = [0; 4];
    stream.read_exact(&mut rest).await?;
    header.extend_from_slice(&rest);
    let [_, _, high, low] = rest;
    let length = header.len() + usize::from(u16::from_be_bytes([high, low]));
    if length > V2_LONGEST {
        return Err(ProxyError::Malformed);
    }
    let begun = header.len();
    header.resize(length, 0);
    stream.read_exact(&mut header[begun..]).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read_from(bytes: &[u8]) -> (Result<Option<SocketAddr>, ProxyError>, Vec<u8>) {
        let mut stream = bytes;
        let client = announced(&mut stream, Duration::from_secs(3)).await;
        (client, stream.to_vec())
    }

    fn v2(command: u8, family: u8, addresses: &[u8]) -> Vec<u8> {
        let length = u16::try_from(addresses.len()).expect("short").to_be_bytes();
        [V2_SIGNATURE.as_slice(), &[0x20 | command, family], &length, addresses].concat()
    }

    #[tokio::test]
    async fn the_header_is_read_and_not_a_byte_more() {
        let v4 = [192, 0, 2, 7, 127, 0, 0, 1, 0x1f, 0x90, 0, 80];
        let more = [v4.as_slice(), &[0x20, 0, 1, 0]].concat();
        let v6 = [[0x20, 1, 0xd, 0xb8].as_slice(), &[0; 11], &[1], &[0; 16], &[0, 9, 0, 80]].concat();
        for (header, client) in [
            (b"PROXY TCP4 192.0.2.7 127.0.0.1 8080 80\r\n".to_vec(), Some("192.0.2.7:8080")),
            (b"PROXY TCP6 2001:db8::1 ::1 9 80\r\n".to_vec(), Some("[2001:db8::1]:9")),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (b"PROXY UNKNOWN a b c\r\n".to_vec(), None),
            (v2(1, 0x11, &v4), Some("192.0.2.7:8080")),
            (v2(1, 0x11, &more), Some("192.0.2.7:8080")),
            (v2(1, 0x21, &v6), Some("[2001:db8::1]:9")),
            (v2(0, 0x11, &v4), None),
            (v2(0, 0, &[]), None),
        ] {
            let sent = [header.as_slice(), b"GET / HTTP/1.1\r\n"].concat();
            let (found, rest) = read_from(&sent).await;
            let shown = String::from_utf8_lossy(&header).into_owned();
            assert_eq!(found.expect(&shown), client.map(|text| text.parse().expect("an address")), "{shown}");
            assert_eq!(rest, b"GET / HTTP/1.1\r\n", "{shown}");
        }
    }

    #[tokio::test]
    async fn what_is_no_header_is_refused() {
        let long = [b"PROXY TCP4 ".as_slice(), &[b'1'; 200], b"\r\n"].concat();
        for sent in [
            b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
            b"PROXY TCP4 300.0.2.7 127.0.0.1 8080 80\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.7 127.0.0.1 99999 80\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.7 127.0.0.1 8080\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.7\n127.0.0.1 8080 80 \r\n".to_vec(),
            b"PROXY UDP4 192.0.2.7 127.0.0.1 8080 80\r\n".to_vec(),
            b"PROXY".to_vec(),
            b"".to_vec(),
            long,
            v2(1, 0x11, &[1, 2, 3]),
            v2(1, 0x11, &[0; 5_000]),
            v2(9, 0x11, &[0; 12]),
            v2(1, 0x11, &[0; 12])[..20].to_vec(),
        ] {
            let (found, _) = read_from(&sent).await;
            assert!(found.is_err(), "{:?}", String::from_utf8_lossy(&sent));
        }
    }

    #[tokio::test]
    async fn a_proxy_that_says_nothing_is_not_waited_for() {
        let (mut ours, _theirs) = tokio::io::duplex(64);
        assert!(matches!(announced(&mut ours, Duration::from_millis(20)).await, Err(ProxyError::Late)));
    }
}
