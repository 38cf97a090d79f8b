//! Compression of pages: the backend was asked for none, so that the script could be written in; the client may
//! still have it. What came is flushed whenever nothing more is at hand, so that a page shows as it is made.

use std::io::{self, Write};

use brotli::CompressorWriter;
use bytes::Bytes;
use flate2::write::GzEncoder;
use http::header::ACCEPT_ENCODING;
use http::{HeaderMap, HeaderValue};

/// A content coding (RFC 9110 section 8.4.1) that pages are sent in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    /// RFC 7932.
    Brotli,
    /// RFC 1952.
    Gzip,
}

/// Compresses, or passes on.
pub(super) enum Coder {
    Identity(Vec<u8>),
    /// Some hundred KiB of state, as the next.
    Gzip(Box<GzEncoder<Vec<u8>>>),
    Brotli(Box<CompressorWriter<Vec<u8>>>),
}

/// Of 568 kB of table rows in pieces of 16 KiB: gzip 4 leaves 11.4 % for 2.5 ms of CPU (6: 11.1 %, 3.5 ms), brotli 3
/// leaves 10.6 % for 3.0 ms (5: 9.8 %, 10 ms).
const GZIP_LEVEL: u32 = 4;
const BROTLI_LEVEL: u32 = 3;
/// A window of 256 KiB, which bounds what a page costs in memory.
const BROTLI_WINDOW: u32 = 18;
const BROTLI_BUFFER: usize = 16 << 10;

impl Coding {
    /// The coding that a client likes best; brotli among equals.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let weight = |names: &[&str]| {
            let all = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
            all.flat_map(|value| value.split(',')).filter_map(weighed).find_map(|(name, weight)| {
                names.iter().any(|wanted| name.eq_ignore_ascii_case(wanted)).then_some(weight)
            })
        };
        let gzip = weight(&["gzip", "x-gzip"]).or_else(|| weight(&["*"])).unwrap_or(0);
        let brotli = weight(&["br"]).unwrap_or(0);
        match (brotli, gzip) {
            (0, 0) => None,
            (brotli, gzip) if brotli >= gzip => Some(Self::Brotli),
            _ => Some(Self::Gzip),
        }
    }

    /// Its `Content-Encoding`.
    pub(super) fn value(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Brotli => "br",
            Self::Gzip => "gzip",
        })
    }
}

/// A member of `Accept-Encoding`, its weight in thousandths; none where the weight is no number.
fn weighed(member: &str) -> Option<(&str, u32)> {
    let (name, parameters) = member.split_once(';').unwrap_or((member, ""));
    let weight = match parameters.trim() {
        "" => 1_000,
        text => {
            let number: f32 =
                text.strip_prefix(['q', 'Q'])?.trim_start().strip_prefix('=')?.trim().parse().ok()?;
            thousandths(number)?
        }
    };
    Some((name.trim(), weight))
}

fn thousandths(number: f32) -> Option<u32> {
    let text = format!("{:.0}", number * 1_000.0);
    text.parse().ok().filter(|weight| *weight <= 1_000)
}

impl Coder {
    pub(super) fn new(coding: Option<Coding>) -> Self {
        match coding {
            None => Self::Identity(Vec::new()),
            Some(Coding::Gzip) => {
                Self::Gzip(Box::new(GzEncoder::new(Vec::new(), flate2::Compression::new(GZIP_LEVEL))))
            }
            Some(Coding::Brotli) => Self::Brotli(Box::new(CompressorWriter::new(
                Vec::new(),
                BROTLI_BUFFER,
                BROTLI_LEVEL,
                BROTLI_WINDOW,
            ))),
        }
    }

    /// Whether bytes go through unchanged.
    pub(super) fn is_identity(&self) -> bool {
        matches!(self, Self::Identity(_))
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Identity(out) => out.write_all(bytes),
            Self::Gzip(coder) => coder.write_all(bytes),
            Self::Brotli(coder) => coder.write_all(bytes),
        }
    }

    /// Makes all that was written readable for the other side.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Identity(_) => Ok(()),
            Self::Gzip(coder) => coder.flush(),
            Self::Brotli(coder) => coder.flush(),
        }
    }

    /// What is ready to be sent, in bytes.
    pub(super) fn ready(&self) -> usize {
        match self {
            Self::Identity(out) => out.len(),
            Self::Gzip(coder) => coder.get_ref().len(),
            Self::Brotli(coder) => coder.get_ref().len(),
        }
    }

    /// Takes what is ready.
    pub(super) fn take(&mut self) -> Bytes {
        let out = match self {
            Self::Identity(out) => out,
            Self::Gzip(coder) => coder.get_mut(),
            Self::Brotli(coder) => coder.get_mut(),
        };
        std::mem::take(out).into()
    }

    /// The rest, with the coding's own end.
    pub(super) fn finish(&mut self) -> io::Result<Bytes> {
        match std::mem::replace(self, Self::Identity(Vec::new())) {
            Self::Identity(out) => Ok(out.into()),
            Self::Gzip(coder) => coder.finish().map(Bytes::from),
            Self::Brotli(coder) => Ok(coder.into_inner().into()),
        }
    }
}
