//! Cookies across the gateway: its own never reach a backend, and a backend's come back to the same Caf.
//!
//! Browsers know one host, this gateway; so what a backend sets is renamed with its Caf's tag on the way
//! out (`NAME` becomes `octroi-921-NAME`, `__Host-NAME` becomes `__Host-octroi-921-NAME`, since browsers
//! give the prefix a meaning) and named back on the way in. A tagged name can never be the gateway's own
//! (`octroi`, `octroi-attente`, with `__Host-` or without), so no backend can set that one.

use http::header::{COOKIE, Entry, SET_COOKIE};
use http::{HeaderMap, HeaderValue};

use super::sticky::Mark;
use crate::domain::{CafCode, cookie_pairs};

/// The mark that a Caf's cookies bear in browsers.
#[derive(Debug)]
pub(super) struct Tag {
    bytes: Vec<u8>,
    /// The cookie whose bearers stay at one instance.
    sticky: Option<Vec<u8>>,
}

const MARK: &[u8] = b"octroi";
/// The gateway's other cookie: the secret of a form that waits (`parking`).
const PARKED: &[u8] = b"octroi-attente";

/// Whose a cookie is, by its name in the browser.
enum Owner<'a> {
    Gateway,
    /// This Caf's, with its prefix (`__Host-`) and its own name.
    Ours(&'a [u8], &'a [u8]),
    OtherCaf,
    Nobody,
}

impl Tag {
    pub(super) fn new(caf: CafCode, sticky: Option<&str>) -> Self {
        let sticky = sticky.map(|name| name.as_bytes().to_vec());
        Self { bytes: format!("octroi-{caf}-").into_bytes(), sticky }
    }

    /// Replaces the client's cookies with those that this Caf's backend may see, in one header (RFC 9113
    /// section 8.2.3 lets a client send several). The instance that the sticky one is marked with.
    pub(super) fn inward(&self, headers: &mut HeaderMap, scratch: &mut Vec<u8>) -> Option<Mark> {
        // Most clients show the gateway's cookie alone.
        let is_for_nobody = |value: &HeaderValue| {
            cookie_pairs(value.as_bytes())
                .all(|pair| matches!(self.owner(split_pair(pair).0), Owner::Gateway | Owner::OtherCaf))
        };
        if headers.get_all(COOKIE).iter().all(is_for_nobody) {
            headers.remove(COOKIE);
            return None;
        }
        scratch.clear();
        let mut marked = None;
        for value in headers.get_all(COOKIE) {
            self.own_back(value.as_bytes(), scratch, &mut marked);
        }
        let restored = !scratch.is_empty();
        let taken = if restored { sorted_names(scratch) } else { Vec::new() };
        for value in headers.get_all(COOKIE) {
            self.untagged(value.as_bytes(), &taken, scratch);
        }
        match HeaderValue::from_bytes(scratch) {
            Ok(value) if !value.is_empty() => drop(headers.insert(COOKIE, value)),
            _ => drop(headers.remove(COOKIE)),
        }
        marked
    }

    /// Adds this Caf's cookies of one header to `out`, under their own names and without a mark.
    fn own_back(&self, header: &[u8], out: &mut Vec<u8>, marked: &mut Option<Mark>) {
        for pair in cookie_pairs(header) {
            let (name, value) = split_pair(pair);
            if let Owner::Ours(prefix, own) = self.owner(name) {
                match Mark::split(value).filter(|_| self.is_sticky(own)) {
                    Some((mark, value)) => {
                        marked.get_or_insert(mark);
                        append(out, &[prefix, own, b"=", value]);
                    }
                    None => append(out, &[prefix, own, value]),
                }
            }
        }
    }

    /// Adds the cookies that no Caf's backend set, unless one of that name was restored.
    fn untagged(&self, header: &[u8], taken: &[Vec<u8>], out: &mut Vec<u8>) {
        for pair in cookie_pairs(header) {
            let (name, _) = split_pair(pair);
            let shadowed = taken.binary_search_by(|other| other.as_slice().cmp(name)).is_ok();
            if !shadowed && matches!(self.owner(name), Owner::Nobody) {
                append(out, &[pair]);
            }
        }
    }

    /// Renames what a backend sets. What is malformed, or would take a name that only the gateway may
    /// give, is left out. The sticky one is marked with the instance that sets it.
    pub(super) fn outward(&self, headers: &mut HeaderMap, mark: Mark, scratch: &mut Vec<u8>) {
        let Entry::Occupied(entry) = headers.entry(SET_COOKIE) else { return };
        let mut renamed = Vec::new();
        for value in &entry {
            scratch.clear();
            if self.rename(value.as_bytes(), mark, scratch).is_some() {
                renamed.extend(HeaderValue::from_bytes(scratch));
            }
        }
        entry.remove_entry_mult();
        for value in renamed {
            headers.append(SET_COOKIE, value);
        }
    }

    /// One `Set-Cookie` (RFC 6265 section 5.2) under its tagged name and without `Domain`, which names
    /// an inner host.
    fn rename(&self, set_cookie: &[u8], mark: Mark, out: &mut Vec<u8>) -> Option<()> {
        if set_cookie.iter().any(u8::is_ascii_control) {
            return None;
        }
        let mut parts = set_cookie.split(|b| *b == b';');
        let pair = parts.next()?;
        let equals = pair.iter().position(|b| *b == b'=')?;
        let (name, value) = (pair[..equals].trim_ascii(), &pair[equals..]);
        let (prefix, own) = split_prefix(name);
        if own.is_empty() || is_reserved(own) {
            return None;
        }
        for piece in [prefix, &self.bytes, own] {
            out.extend_from_slice(piece);
        }
        if self.is_sticky(own) {
            mark.write(value, out);
        } else {
            out.extend_from_slice(value);
        }
        for attribute in parts.filter(|part| !is_domain(part)) {
            out.push(b';');
            out.extend_from_slice(attribute);
        }
        Some(())
    }

    fn is_sticky(&self, own: &[u8]) -> bool {
        self.sticky.as_deref() == Some(own)
    }

    fn owner<'a>(&self, name: &'a [u8]) -> Owner<'a> {
        let (prefix, rest) = split_prefix(name);
        if !rest.get(..MARK.len()).is_some_and(|start| start.eq_ignore_ascii_case(MARK)) {
            return Owner::Nobody;
        }
        if rest.eq_ignore_ascii_case(PARKED) {
            return Owner::Gateway;
        }
        match rest.strip_prefix(self.bytes.as_slice()) {
            Some(own) if own.is_empty() || is_reserved(split_prefix(own).1) => Owner::OtherCaf,
            Some(own) => Owner::Ours(prefix, own),
            None if rest.len() == MARK.len() => Owner::Gateway,
            None if is_tagged(rest) => Owner::OtherCaf,
            None => Owner::Nobody,
        }
    }
}

/// Whether a name, its prefix aside, is the gateway's or bears a Caf's tag.
fn is_reserved(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(MARK) || is_tagged(name)
}

/// Whether a name, its prefix aside, begins with `octroi-` and a Caf's code.
fn is_tagged(name: &[u8]) -> bool {
    let code = name.strip_prefix(b"octroi-").and_then(|rest| rest.split_first_chunk::<4>());
    code.is_some_and(|(code, _)| code[..3].iter().all(u8::is_ascii_digit) && code[3] == b'-')
}

/// Splits off `__Host-` or `__Secure-`, which browsers read in any case.
fn split_prefix(name: &[u8]) -> (&[u8], &[u8]) {
    for prefix in [b"__host-".as_slice(), b"__secure-"] {
        if let Some((start, rest)) = name.split_at_checked(prefix.len())
            && start.eq_ignore_ascii_case(prefix)
        {
            return (start, rest);
        }
    }
    (b"", name)
}

fn is_domain(attribute: &[u8]) -> bool {
    let name = attribute.split(|b| *b == b'=').next().unwrap_or_default();
    name.trim_ascii().eq_ignore_ascii_case(b"domain")
}

/// The name, and the rest from the `=` on.
fn split_pair(pair: &[u8]) -> (&[u8], &[u8]) {
    let equals = pair.iter().position(|b| *b == b'=').unwrap_or(pair.len());
    (pair[..equals].trim_ascii_end(), &pair[equals..])
}

fn append(out: &mut Vec<u8>, pieces: &[&[u8]]) {
    if !out.is_empty() {
        out.extend_from_slice(b"; ");
    }
    for piece in pieces {
        out.extend_from_slice(piece);
    }
}

fn sorted_names(header: &[u8]) -> Vec<Vec<u8>> {
    let mut names: Vec<_> = cookie_pairs(header).map(|pair| split_pair(pair).0.to_vec()).collect();
    names.sort_unstable();
    names
}

#[cfg(test)]
mod tests;
