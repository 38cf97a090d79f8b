//! A form as a browser posts it: read to be shown, and rid of its passwords.

use bytes::Bytes;
use encoding_rs::WINDOWS_1252;
use futures_util::stream;
use http::header::CONTENT_DISPOSITION;
use multer::Multipart;

/// Largest body that is kept, in bytes.
pub const MOST: usize = 1024 * 1024;
const URLENCODED: &str = "application/x-www-form-urlencoded";
/// Most fields; a declaration of 150 workers has some thousands.
const MOST_FIELDS: usize = 10_000;

/// A form that can be kept.
#[derive(Debug)]
pub struct Form {
    content_type: String,
    body: Bytes,
    lacks_password: bool,
}

/// A field, as a person reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// What was typed, or the file that was chosen.
    pub value: Value,
}

/// What a field holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A text.
    Text(String),
    /// A file, by its name, and its size in bytes.
    File(String, usize),
}

impl Form {
    /// Whether a body of this type may be one (`application/x-www-form-urlencoded`, `multipart/form-data`).
    pub fn is_one(content_type: &str) -> bool {
        is(content_type, URLENCODED) || is(content_type, "multipart/form-data")
    }

    /// A form without its passwords; `None` where the body is none.
    pub async fn read(content_type: &str, body: Bytes) -> Option<Self> {
        let whole = fields(content_type, &body).await?;
        let is_secret = |field: &Field| is_password(&field.name);
        if !whole.iter().any(is_secret) {
            return Some(Self { content_type: content_type.to_owned(), body, lacks_password: false });
        }
        let body = match boundary(content_type) {
            Some(boundary) => strip_parts(&boundary, body).await?,
            None => strip_pairs(&body),
        };
        Some(Self { content_type: content_type.to_owned(), body, lacks_password: true })
    }

    /// Its `Content-Type`.
    pub fn content_type(&self) -> &str {
        &self.content_type
    }

    /// Whether a field was left out since it looked like a password.
    pub fn lacks_password(&self) -> bool {
        self.lacks_password
    }

    /// What is kept of its body, in bytes.
    pub fn size(&self) -> usize {
        self.body.len()
    }

    /// What is kept of its body.
    pub fn into_body(self) -> Bytes {
        self.body
    }
}

/// The fields of a form's body; `None` where it is none, or has too many.
pub async fn fields(content_type: &str, body: &Bytes) -> Option<Vec<Field>> {
    let fields = match boundary(content_type) {
        Some(boundary) => parts(&boundary, body.clone()).await?,
        None if is(content_type, URLENCODED) => pairs(body).take(MOST_FIELDS + 1).map(pair_field).collect(),
        None => return None,
    };
    (fields.len() <= MOST_FIELDS).then_some(fields)
}

fn is(content_type: &str, kind: &str) -> bool {
    content_type.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(kind)
}

fn boundary(content_type: &str) -> Option<String> {
    multer::parse_boundary(content_type).ok()
}

/// Whether a field's name says that it holds a password: one of its words does (`newPwd2`, but not `numero_mdph`), or
/// several that were written as one.
fn is_password(name: &str) -> bool {
    const WORDS: [&str; 6] = ["pass", "passe", "mdp", "pwd", "passcode", "pin"];
    const INSIDE: [&str; 6] = ["password", "passwd", "passphrase", "motdepasse", "motpasse", "codesecret"];
    let joined: String = name.chars().filter(|c| c.is_alphabetic()).flat_map(char::to_lowercase).collect();
    INSIDE.iter().any(|word| joined.contains(word)) || words(name).any(|word| WORDS.contains(&word.as_str()))
}

/// The words of a name, in lower case: `newPwd2` and `new_pwd[2]` have `new` and `pwd`.
fn words(name: &str) -> impl Iterator<Item = String> {
    let mut words = vec![String::new()];
    let mut was_lower = false;
    for c in name.chars() {
        if !c.is_alphabetic() || (c.is_uppercase() && was_lower) {
            words.push(String::new());
        }
        was_lower = c.is_lowercase();
        if let Some(word) = words.last_mut().filter(|_| c.is_alphabetic()) {
            word.extend(c.to_lowercase());
        }
    }
    words.into_iter().filter(|word| !word.is_empty())
}

fn pairs(body: &[u8]) -> impl Iterator<Item = &[u8]> {
    body.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty())
}

fn pair_field(pair: &[u8]) -> Field {
    let equals = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
    let (name, value) = (&pair[..equals], pair.get(equals + 1..).unwrap_or_default());
    Field { name: unescaped(name), value: Value::Text(unescaped(value)) }
}

/// A page in Latin-1 posts its form in Latin-1, which browsers take for windows-1252: what is no UTF-8 is read so.
fn unescaped(text: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(byte) = rest.next() {
        let escaped = match (byte, rest.as_slice()) {
            (b'%', [high, low, ..]) => hex(*high).zip(hex(*low)),
            _ => None,
        };
        match (byte, escaped) {
            (_, Some((high, low))) => {
                bytes.push(high << 4 | low);
                rest.nth(1);
            }
            (b'+', None) => bytes.push(b' '),
            (other, None) => bytes.push(*other),
        }
    }
    readable(&bytes)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

fn readable(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => WINDOWS_1252.decode_without_bom_handling(bytes).0.into_owned(),
    }
}

fn strip_pairs(body: &[u8]) -> Bytes {
    let kept: Vec<&[u8]> = pairs(body).filter(|pair| !is_password(&pair_field(pair).name)).collect();
    kept.join(&b'&').into()
}

fn multipart(boundary: &str, body: Bytes) -> Multipart<'static> {
    Multipart::new(stream::iter([Ok::<_, std::convert::Infallible>(body)]), boundary.to_owned())
}

async fn parts(boundary: &str, body: Bytes) -> Option<Vec<Field>> {
    let mut parts = multipart(boundary, body);
    let mut fields = Vec::new();
    while let Some(part) = parts.next_field().await.ok()? {
        if fields.len() == MOST_FIELDS {
            return None;
        }
        let (name, file) = (named(&part, b"name")?, named(&part, b"filename"));
        let content = part.bytes().await.ok()?;
        let value = match file {
            Some(file) => Value::File(file, content.len()),
            None => Value::Text(readable(&content)),
        };
        fields.push(Field { name, value });
    }
    Some(fields)
}

/// A parameter of a part's `Content-Disposition`, in whatever encoding its page was written. Browsers quote it, and
/// escape quotes and line ends alone (`%22`, `%0D`, `%0A`; HTML, "Multipart form data").
fn named(part: &multer::Field<'_>, wanted: &[u8]) -> Option<String> {
    let mut rest = part.headers().get(CONTENT_DISPOSITION)?.as_bytes();
    loop {
        let parameter = &rest[rest.iter().position(|byte| *byte == b';')? + 1..];
        let equals = parameter.iter().position(|byte| *byte == b'=')?;
        let (name, value) = (parameter[..equals].trim_ascii(), parameter[equals + 1..].trim_ascii_start());
        let (value, after) = match value.strip_prefix(b"\"") {
            Some(quoted) => quoted.split_at(quoted.iter().position(|byte| *byte == b'"')?),
            None => value.split_at(value.iter().position(|byte| *byte == b';').unwrap_or(value.len())),
        };
        if name.eq_ignore_ascii_case(wanted) {
            return Some(readable(value).replace("%22", "\"").replace("%0D%0A", " "));
        }
        rest = after;
    }
}

async fn strip_parts(boundary: &str, body: Bytes) -> Option<Bytes> {
    let mut parts = multipart(boundary, body);
    let mut kept = Vec::new();
    while let Some(part) = parts.next_field().await.ok()? {
        if named(&part, b"name").is_none_or(|name| is_password(&name)) {
            continue;
        }
        kept.extend_from_slice(format!("--{boundary}\r\n").as_bytes());
        for (name, value) in part.headers() {
            kept.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
        }
        kept.extend_from_slice(b"\r\n");
        kept.extend_from_slice(&part.bytes().await.ok()?);
        kept.extend_from_slice(b"\r\n");
    }
    kept.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    Some(kept.into())
}
