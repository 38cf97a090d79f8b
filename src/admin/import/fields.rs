//! One row's values, taken key by key, with everything that is wrong with them.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use crate::admin::BadRow;
use crate::config::closest;
use crate::domain::Timestamp;

/// What is wrong with a row, and under which key.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::admin) struct Fault {
    pub(in crate::admin) field: Option<String>,
    pub(in crate::admin) reason: String,
}

impl Fault {
    /// A fault of the row as a whole.
    pub(in crate::admin) fn whole(reason: impl Into<String>) -> Self {
        Self { field: None, reason: reason.into() }
    }

    pub(in crate::admin) fn on(self, line: Option<u64>) -> BadRow {
        BadRow { line, field: self.field, reason: self.reason }
    }
}

/// The values of one object, taken key by key; every fault on the way is kept.
#[derive(Debug)]
pub(in crate::admin) struct Fields {
    values: BTreeMap<String, Value>,
    asked: Vec<&'static str>,
    faults: Vec<Fault>,
}

impl Fields {
    pub(in crate::admin) fn new(values: BTreeMap<String, Value>) -> Self {
        Self { values, asked: Vec::new(), faults: Vec::new() }
    }

    /// Reads an object in JSON.
    pub(in crate::admin) fn parse(text: &[u8]) -> Result<Self, Fault> {
        let text = std::str::from_utf8(text).map_err(|_| Fault::whole("the text is not UTF-8"))?;
        let values: Values = serde_json::from_str(text).map_err(|error| Fault::whole(told(&error)))?;
        Ok(Self::new(values.0))
    }

    /// Whether the key is there, be its value `null`.
    pub(in crate::admin) fn has(&self, key: &str) -> bool {
        self.values.contains_key(key)
    }

    /// The value of a key that must be there.
    pub(in crate::admin) fn required<T: DeserializeOwned>(&mut self, key: &'static str) -> Option<T> {
        if self.values.get(key).is_none_or(Value::is_null) {
            self.asked.push(key);
            self.values.remove(key);
            self.fault(key, "this key is missing");
            return None;
        }
        self.optional(key)
    }

    /// The value of a key that may be missing, or be `null`.
    pub(in crate::admin) fn optional<T: DeserializeOwned>(&mut self, key: &'static str) -> Option<T> {
        self.asked.push(key);
        let value = self.values.remove(key).filter(|value| !value.is_null())?;
        serde_json::from_value(value).map_err(|error| self.fault(key, error.to_string())).ok()
    }

    /// As [`Fields::optional`], an instant.
    pub(in crate::admin) fn instant(&mut self, key: &'static str) -> Option<Timestamp> {
        let text: String = self.optional(key)?;
        let parsed = text.trim().parse();
        parsed.map_err(|_| self.fault(key, "an instant such as 2026-09-01T08:00:00Z is expected")).ok()
    }

    pub(in crate::admin) fn fault(&mut self, key: &str, reason: impl Into<String>) {
        self.faults.push(Fault { field: Some(key.to_owned()), reason: reason.into() });
    }

    pub(in crate::admin) fn is_faulty(&self) -> bool {
        !self.faults.is_empty()
    }

    /// All faults; a key that nobody took is one.
    pub(in crate::admin) fn finish(mut self) -> Vec<Fault> {
        for key in std::mem::take(&mut self.values).into_keys() {
            let reason = unknown("key", &key, self.asked.iter().copied());
            self.fault(&shortened(&key), reason);
        }
        self.faults
    }
}

/// What to say of a name that means nothing, where another one may have been meant.
pub(super) fn unknown<'a>(what: &str, name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let meant = closest(&name.to_lowercase(), known).map(|meant| format!(", did you mean {meant}?"));
    format!("there is no such {what}{}", meant.unwrap_or_default())
}

pub(super) fn shortened(name: &str) -> String {
    name.chars().take(64).collect()
}

/// `serde_json` says a place "at line 1 column 7": the line is the file's to tell.
fn told(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let what = text.rsplit_once(" at line ").map_or(text.as_str(), |(what, _)| what);
    format!("this is not an object in JSON: {what} (column {})", error.column())
}

/// An object none of whose keys is there twice, where readers may differ on which one counts.
struct Values(BTreeMap<String, Value>);

impl<'de> Deserialize<'de> for Values {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Entries).map(Self)
    }
}

struct Entries;

impl<'de> Visitor<'de> for Entries {
    type Value = BTreeMap<String, Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut values = BTreeMap::new();
        while let Some((key, value)) = map.next_entry::<String, Value>()? {
            if values.contains_key(&key) {
                let key = shortened(&key);
                return Err(serde::de::Error::custom(format_args!("the key {key:?} is there twice")));
            }
            values.insert(key, value);
        }
        Ok(values)
    }
}
