//! What a form or a JSON object says: a few short texts, each once, read whole or refused.

mod json;

use std::fmt::Display;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, Request};
use http_body_util::BodyExt as _;
use secrecy::SecretString;
use zeroize::Zeroizing;

use super::rendering::{essence, is_json};

/// The texts of the fields that an action wants; wiped from memory when dropped.
#[derive(Default)]
pub(super) struct Fields(Vec<Field>);

type Field = (&'static str, Zeroizing<String>);

/// A body cannot be read. Whose fault: the client's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// Over 16 KiB.
    #[error("the body is too large")]
    TooLarge,
    /// Not there after 10 seconds.
    #[error("the body did not come in time")]
    Late,
    /// The connection broke.
    #[error("the body ended early")]
    Broken,
    /// Neither a form nor JSON, or compressed.
    #[error("the body is neither a form nor JSON")]
    Type,
    /// Not a JSON object.
    #[error("the body is not a JSON object")]
    Syntax,
    /// One of the fields is wrong.
    #[error("the field {name} is wrong: {fault:?}")]
    Field {
        /// Its name.
        name: &'static str,
        /// What is wrong.
        fault: FieldFault,
    },
}

/// What is wrong with a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldFault {
    /// It is not there.
    Missing,
    /// It is there twice.
    Repeated,
    /// It is no text.
    NotText,
    /// It is not UTF-8, or holds a control character.
    Unreadable,
    /// It does not have the form of what it should be.
    Malformed,
}

const LARGEST: usize = 16 * 1024;
const LONGEST_WAIT: Duration = Duration::from_secs(10);
const SHORT_WAIT: Duration = Duration::from_secs(1);
const FORM: &[u8] = b"application/x-www-form-urlencoded";

impl Fields {
    /// Reads a request's body; fields that are not wanted are passed over.
    pub(super) async fn read<B>(
        wanted: &'static [&'static str],
        request: Request<B>,
    ) -> Result<Self, BodyError>
    where
        B: http_body::Body<Data = Bytes>,
        B::Error: Display,
    {
        Self::read_within(LONGEST_WAIT, wanted, request).await
    }

    async fn read_within<B>(
        longest: Duration,
        wanted: &'static [&'static str],
        request: Request<B>,
    ) -> Result<Self, BodyError>
    where
        B: http_body::Body<Data = Bytes>,
        B::Error: Display,
    {
        let parse = parser(request.headers())?;
        let body = tokio::time::timeout(longest, collect(request.into_body()));
        let body = body.await.map_err(|_| BodyError::Late)??;
        Ok(Self(parse(wanted, &body)?))
    }

    /// A text that must be there.
    pub(super) fn text(&mut self, name: &'static str) -> Result<String, BodyError> {
        self.take(name).ok_or(BodyError::Field { name, fault: FieldFault::Missing })
    }

    /// A secret that must be there.
    pub(super) fn secret(&mut self, name: &'static str) -> Result<SecretString, BodyError> {
        self.text(name).map(SecretString::from)
    }

    /// A secret that may be there.
    pub(super) fn optional_secret(&mut self, name: &str) -> Option<SecretString> {
        self.take(name).map(SecretString::from)
    }

    /// A text that may be there, left where it is.
    pub(super) fn peek(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, text)| text.as_str())
    }

    fn take(&mut self, name: &str) -> Option<String> {
        self.0.iter_mut().find(|(known, _)| *known == name).map(|(_, text)| std::mem::take(&mut **text))
    }
}

/// The one field of a query that is wanted, where it is there once and readable.
pub(super) fn one(query: Option<&str>, wanted: &'static [&'static str; 1]) -> Option<String> {
    let mut fields = Fields(form(wanted, query?.as_bytes()).ok()?);
    fields.take(wanted[0])
}

type Parser = fn(&'static [&'static str], &[u8]) -> Result<Vec<Field>, BodyError>;

fn parser(headers: &HeaderMap) -> Result<Parser, BodyError> {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let media = types.next().ok_or(BodyError::Type)?;
    if types.next().is_some() || headers.contains_key(CONTENT_ENCODING) {
        return Err(BodyError::Type);
    }
    match essence(media.as_bytes()) {
        media if is_json(media) => Ok(json::object),
        media if media.eq_ignore_ascii_case(FORM) => Ok(form),
        _ => Err(BodyError::Type),
    }
}

/// Reads a body that nobody looks at, so that the connection goes on; of one that is long or late the rest is left.
pub(super) async fn pass_over<B>(body: B)
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Display,
{
    if !body.is_end_stream() {
        // Whatever becomes of it, the action does not need it.
        let _ = tokio::time::timeout(SHORT_WAIT, collect(body)).await;
    }
}

/// Its memory never moves, so that wiping it leaves no copy.
async fn collect<B>(body: B) -> Result<Zeroizing<Vec<u8>>, BodyError>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Display,
{
    if body.size_hint().lower() > LARGEST as u64 {
        return Err(BodyError::TooLarge);
    }
    let mut body = pin!(body);
    let mut read = Zeroizing::new(Vec::with_capacity(LARGEST));
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            tracing::debug!(%error, "a body ended early");
            BodyError::Broken
        })?;
        let Ok(data) = frame.into_data() else { continue };
        if read.len() + data.len() > LARGEST {
            return Err(BodyError::TooLarge);
        }
        read.extend_from_slice(&data);
    }
    Ok(read)
}

/// `application/x-www-form-urlencoded` (URL standard, section 5.1), but for what is not UTF-8: refused
/// rather than replaced, since a password must be the one that was typed.
fn form(wanted: &'static [&'static str], body: &[u8]) -> Result<Vec<Field>, BodyError> {
    let mut fields = Vec::new();
    for pair in body.split(|byte| *byte == b'&') {
        let mut halves = pair.splitn(2, |byte| *byte == b'=');
        let written = unescaped(halves.next().unwrap_or_default());
        let Some(name) = wanted.iter().find(|name| name.as_bytes() == written.as_slice()) else { continue };
        let mut value = unescaped(halves.next().unwrap_or_default());
        let text = String::from_utf8(std::mem::take(&mut *value)).map_err(|error| {
            drop(Zeroizing::new(error.into_bytes()));
            BodyError::Field { name, fault: FieldFault::Unreadable }
        })?;
        add(&mut fields, name, Zeroizing::new(text))?;
    }
    Ok(fields)
}

fn add(fields: &mut Vec<Field>, name: &'static str, text: Zeroizing<String>) -> Result<(), BodyError> {
    let wrong = |fault| Err(BodyError::Field { name, fault });
    if fields.iter().any(|(known, _)| *known == name) {
        return wrong(FieldFault::Repeated);
    }
    if text.chars().any(char::is_control) {
        return wrong(FieldFault::Unreadable);
    }
    fields.push((name, text));
    Ok(())
}

/// `+` is a space, `%41` is `A`, and a `%` that begins no escape stands for itself.
fn unescaped(text: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut plain = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        rest = tail;
        let byte = match (first, tail) {
            (b'+', _) => b' ',
            (b'%', [high, low, after @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                rest = after;
                nibble(*high) << 4 | nibble(*low)
            }
            _ => *first,
        };
        plain.push(byte);
    }
    plain
}

fn nibble(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => digit.wrapping_sub(b'A') + 10,
    }
}

#[cfg(test)]
mod tests;
