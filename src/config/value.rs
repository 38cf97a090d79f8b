//! Single values: how each kind is read from TOML or from an environment variable, and how it is shown.

use std::borrow::Cow;
use std::ops::Range;

use serde_json::{Value as Json, json};
use toml::Spanned;
use toml::de::DeValue;

/// A value that a key may have.
pub(super) trait Setting: Sized {
    /// Reads it from the file; what is wrong goes into `wrong`.
    fn from_toml(value: &Spanned<DeValue<'_>>, wrong: &mut Vec<Wrong>) -> Option<Self>;
    /// Reads it from an environment variable, a secret's file or a declared default.
    fn from_text(text: &str, wrong: &mut Vec<Wrong>) -> Option<Self>;
    /// Its JSON Schema.
    fn schema() -> Json;
}

/// Why a value is refused.
pub(super) struct Wrong {
    /// Where, if it is in the file.
    pub(super) span: Option<Range<usize>>,
    /// What was found, as it may be shown.
    pub(super) found: String,
    /// What to say after it: `expected a duration`.
    pub(super) said: String,
}

/// A setting that is one word: all but lists.
pub(super) trait Word: Sized {
    /// Whether it may hold a password, and is never shown.
    const SECRET: bool = false;
    /// What is expected, with an example.
    fn expected() -> String;
    /// The value that `text` stands for.
    fn parse(text: &str) -> Result<Self, Refusal>;
    /// The text of a TOML value, if its type is right.
    fn text<'a>(value: &'a DeValue<'_>) -> Option<Cow<'a, str>> {
        value.as_str().map(Cow::Borrowed)
    }
    /// Its JSON Schema.
    fn schema() -> Json {
        json!({"type": "string"})
    }
}

/// Why a text is not the word it should be.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It is unlike what is expected.
    Unlike,
    /// For a reason that is worth telling instead.
    Because(String),
}

impl<W: Word> Setting for W {
    fn from_toml(value: &Spanned<DeValue<'_>>, wrong: &mut Vec<Wrong>) -> Option<Self> {
        let read = match W::text(value.get_ref()) {
            Some(text) => W::parse(&text),
            None => Err(Refusal::Unlike),
        };
        let (span, found) = (Some(value.span()), || shown(value.get_ref(), W::SECRET));
        read.map_err(|refusal| wrong.push(Wrong { span, found: found(), said: refusal.said::<W>() })).ok()
    }

    fn from_text(text: &str, wrong: &mut Vec<Wrong>) -> Option<Self> {
        let found = || if W::SECRET { hidden(text) } else { quoted(text) };
        let note = |refusal: Refusal| Wrong { span: None, found: found(), said: refusal.said::<W>() };
        W::parse(text).map_err(|refusal| wrong.push(note(refusal))).ok()
    }

    fn schema() -> Json {
        <W as Word>::schema()
    }
}

impl<W: Word> Setting for Vec<W> {
    fn from_toml(value: &Spanned<DeValue<'_>>, wrong: &mut Vec<Wrong>) -> Option<Self> {
        let Some(elements) = value.get_ref().as_array() else {
            let found = shown(value.get_ref(), W::SECRET);
            let said = format!("expected a list such as [\"…\"], each {}", W::expected());
            wrong.push(Wrong { span: Some(value.span()), found, said });
            return None;
        };
        // Every element is read, and each wrong one told, before the list is given up.
        let read: Vec<Option<W>> = elements.iter().map(|element| W::from_toml(element, wrong)).collect();
        read.into_iter().collect()
    }

    /// Words with commas between them, or a list as the file would have it.
    fn from_text(text: &str, wrong: &mut Vec<Wrong>) -> Option<Self> {
        let as_in_the_file = text.trim_start().starts_with('[').then(|| texts(text)).flatten();
        let elements = as_in_the_file.unwrap_or_else(|| {
            let words = text.split(',').map(str::trim).filter(|element| !element.is_empty());
            words.map(str::to_owned).collect()
        });
        let read: Vec<Option<W>> = elements.iter().map(|element| W::from_text(element, wrong)).collect();
        read.into_iter().collect()
    }

    fn schema() -> Json {
        json!({"type": "array", "items": <W as Word>::schema()})
    }
}

/// The texts of a list in TOML; `[::1]` is none.
fn texts(list: &str) -> Option<Vec<String>> {
    let tree = toml::from_str::<toml::Table>(&format!("list = {list}")).ok()?;
    let list = tree.get("list")?.as_array()?;
    list.iter().map(|element| element.as_str().map(str::to_owned)).collect()
}

impl Refusal {
    fn said<W: Word>(self) -> String {
        match self {
            Self::Unlike => format!("expected {}", W::expected()),
            Self::Because(reason) => reason,
        }
    }
}

/// A TOML value as an operator recognises it.
pub(super) fn shown(value: &DeValue<'_>, secret: bool) -> String {
    match value {
        DeValue::String(text) if secret => hidden(text),
        DeValue::String(text) => quoted(text),
        DeValue::Integer(_) | DeValue::Float(_) | DeValue::Datetime(_) if secret => {
            "a number or date that is not shown".to_owned()
        }
        DeValue::Integer(number) => format!("the number {}", shortened(number.as_str())),
        DeValue::Float(number) => format!("the number {}", shortened(number.as_str())),
        DeValue::Boolean(truth) => truth.to_string(),
        DeValue::Datetime(datetime) => format!("the date {datetime}"),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

/// A text in quotes, without the user and password of a URL, shortened, on one line.
pub(super) fn quoted(text: &str) -> String {
    let public = match text.split_once("://") {
        Some((scheme, rest)) => match rest.rsplit_once('@') {
            Some((_, host)) => Cow::Owned(format!("{scheme}://…@{host}")),
            None => Cow::Borrowed(text),
        },
        None => Cow::Borrowed(text),
    };
    format!("\"{}\"", shortened(&public))
}

fn hidden(text: &str) -> String {
    let scheme = |c: char| c.is_ascii_alphanumeric() || "+-".contains(c);
    match text.split_once(':') {
        Some((before, _)) if before.len() <= 20 && before.chars().all(scheme) => format!("\"{before}:…\""),
        _ => "a text that is not shown".to_owned(),
    }
}

fn shortened(text: &str) -> String {
    const MOST: usize = 80;
    let start: String = text.chars().take(MOST).flat_map(char::escape_debug).collect();
    // A text's own quotes need no escape between the two that surround it for a human's eyes.
    let start = start.replace("\\'", "'");
    if text.chars().nth(MOST).is_some() { format!("{start}…") } else { start }
}
