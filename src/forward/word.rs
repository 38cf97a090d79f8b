//! What the gateway says to a backend of its own: who acts, for which ESAT, at which Caf, what is open, and where the
//! request comes from. Most of it is the same for many requests, and put together once.

use std::net::IpAddr;
use std::rc::Rc;

use http::header::{FORWARDED, HOST};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::names;
use crate::entry::{Admitted, Papers, Provenance};

static HTTP: HeaderValue = HeaderValue::from_static("http");
static HTTPS: HeaderValue = HeaderValue::from_static("https");

/// What a forwarder keeps from one request to the next.
#[derive(Default)]
pub(super) struct Desk {
    /// Where values are put together.
    pub(super) scratch: Vec<u8>,
    origins: Origins,
}

/// What the gateway says to a backend beside the client's own words (contract, section 4).
pub(super) struct Word {
    permit: Admitted,
    from: Provenance,
    origin: Rc<Origin>,
    kept: Kept,
}

/// What a trusted proxy says of the client by itself, and is left to it.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, not states")]
struct Kept {
    forwarded_for: bool,
    forwarded: bool,
    proto: bool,
    host: bool,
}

impl Word {
    /// A trusted proxy's own word about the client is kept, as long as it is about this one (a proxy may pass on, unread,
    /// the one of the two headers that it does not know).
    pub(super) fn new(headers: &mut HeaderMap, permit: Admitted, from: Provenance, desk: &mut Desk) -> Self {
        let nobody = HeaderValue::from_static("");
        let host = headers.get(HOST).unwrap_or(&nobody);
        let origin = desk.origins.of(from.client, from.https, host, &mut desk.scratch);
        let mut kept = Kept::default();
        if from.by_trusted_proxy {
            let client = origin.forwarded_for.as_bytes();
            let names_it = |name: &HeaderName| {
                headers.get_all(name).iter().any(|value| contains(value.as_bytes(), client))
            };
            kept.forwarded_for = names_it(&names::FORWARDED_FOR);
            kept.forwarded = names_it(&FORWARDED);
            kept.proto = headers.contains_key(&names::FORWARDED_PROTO);
            kept.host = headers.contains_key(&names::FORWARDED_HOST);
            // What is said anew is said once.
            if !kept.forwarded_for {
                headers.remove(&names::FORWARDED_FOR);
            }
            if !kept.forwarded {
                headers.remove(FORWARDED);
            }
        }
        Self { permit, from, origin, kept }
    }

    /// Calls `say` with each header.
    pub(super) fn for_each(&self, mut say: impl FnMut(&HeaderName, &HeaderValue)) {
        say_papers(self.permit.papers(), &mut say);
        say(&names::REQUEST_ID, &self.from.request_id);
        say(&names::TRACEPARENT, &self.from.traceparent);
        self.origin.for_each(self.kept, &mut say);
    }

    /// Writes the same as lines of HTTP/1.1; what many requests say alike is put together once.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let papers = self.permit.papers();
        out.extend_from_slice(papers.lines(|papers| {
            let mut lines = Vec::new();
            say_papers(papers, &mut |name, value| write_field(name, value, &mut lines));
            lines
        }));
        write_field(&names::REQUEST_ID, &self.from.request_id, out);
        write_field(&names::TRACEPARENT, &self.from.traceparent, out);
        if self.kept == Kept::default() {
            out.extend_from_slice(&self.origin.lines);
        } else {
            self.origin.for_each(self.kept, &mut |name, value| write_field(name, value, out));
        }
    }
}

/// Writes a header or a trailer as HTTP/1.1 has it (RFC 9112 section 5).
pub(super) fn write_field(name: &HeaderName, value: &HeaderValue, out: &mut Vec<u8>) {
    for piece in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
        out.extend_from_slice(piece);
    }
}

fn say_papers(papers: &Papers, say: &mut impl FnMut(&HeaderName, &HeaderValue)) {
    say(&names::CAF_CODE, &papers.caf_code);
    say(&names::COMPTE, &papers.compte);
    say(&names::SIRET, &papers.siret);
    if let Some(communication) = &papers.identifiant_communication {
        say(&names::COMMUNICATION, communication);
    }
    say(&names::VOLETS, &papers.volets);
    say(&names::ASSERTION, &papers.assertion);
}

fn proto(https: bool) -> &'static str {
    if https { "https" } else { "http" }
}

/// Where the last requests came from, in the words of headers: the requests of one client say the same.
struct Origins(Vec<Option<Rc<Origin>>>);

struct Origin {
    client: IpAddr,
    https: bool,
    host: HeaderValue,
    forwarded_for: HeaderValue,
    forwarded: HeaderValue,
    /// All of it as HTTP/1.1 has it.
    lines: Vec<u8>,
}

/// Clients remembered.
const ORIGINS: usize = 256;

impl Default for Origins {
    fn default() -> Self {
        Self((0..ORIGINS).map(|_| None).collect())
    }
}

impl Origins {
    fn of(&mut self, client: IpAddr, https: bool, host: &HeaderValue, scratch: &mut Vec<u8>) -> Rc<Origin> {
        let client = client.to_canonical();
        let place = &mut self.0[Self::place(client)];
        let is_same =
            |origin: &Rc<Origin>| origin.client == client && origin.https == https && origin.host == host;
        if !place.as_ref().is_some_and(is_same) {
            *place = None;
        }
        Rc::clone(place.get_or_insert_with(|| Rc::new(Origin::new(client, https, host, scratch))))
    }

    /// Two of the same place only cost each other their memory.
    fn place(client: IpAddr) -> usize {
        let folded = match client {
            IpAddr::V4(v4) => v4.octets().into_iter().fold(0, |folded, byte| folded ^ byte),
            IpAddr::V6(v6) => v6.octets().into_iter().fold(0, |folded, byte| folded ^ byte),
        };
        usize::from(folded) % ORIGINS
    }
}

impl Origin {
    fn new(client: IpAddr, https: bool, host: &HeaderValue, scratch: &mut Vec<u8>) -> Self {
        let address = client.to_string();
        write_forwarded(address.as_bytes(), proto(https), host.as_bytes(), scratch);
        let value = |bytes: &[u8]| {
            HeaderValue::from_bytes(bytes).unwrap_or_else(|_| HeaderValue::from_static("unknown"))
        };
        let (forwarded, forwarded_for) = (value(scratch), value(address.as_bytes()));
        let mut origin =
            Self { client, https, host: host.clone(), forwarded_for, forwarded, lines: Vec::new() };
        let mut lines = Vec::new();
        origin.for_each(Kept::default(), &mut |name, value| write_field(name, value, &mut lines));
        origin.lines = lines;
        origin
    }

    /// Calls `say` with each header, but for those that are kept of a proxy's.
    fn for_each(&self, kept: Kept, say: &mut impl FnMut(&HeaderName, &HeaderValue)) {
        if !kept.forwarded_for {
            say(&names::FORWARDED_FOR, &self.forwarded_for);
        }
        if !kept.forwarded {
            say(&FORWARDED, &self.forwarded);
        }
        if !kept.proto {
            say(&names::FORWARDED_PROTO, if self.https { &HTTPS } else { &HTTP });
        }
        if !kept.host {
            say(&names::FORWARDED_HOST, &self.host);
        }
    }
}

/// RFC 7239 section 4; a host that would need escapes is left out.
fn write_forwarded(address: &[u8], proto: &str, host: &[u8], out: &mut Vec<u8>) {
    out.clear();
    let (open, close) = if address.contains(&b':') { ("\"[", "]\"") } else { ("", "") };
    for piece in [b"for=", open.as_bytes(), address, close.as_bytes(), b";proto=", proto.as_bytes()] {
        out.extend_from_slice(piece);
    }
    if !host.is_empty() && host.iter().all(|b| b.is_ascii_alphanumeric() || b"-._:[]".contains(b)) {
        let quote = if host.contains(&b':') { b"\"".as_slice() } else { b"" };
        for piece in [b";host=", quote, host, quote] {
            out.extend_from_slice(piece);
        }
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window.eq_ignore_ascii_case(part))
}
