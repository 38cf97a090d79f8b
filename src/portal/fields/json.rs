//! A JSON object's texts, field by field, so that what is wrong can be named.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use zeroize::Zeroizing;

use super::{BodyError, Field, FieldFault, add};

/// Reads an object; members that are not wanted are passed over, `null` counts as not there.
pub(super) fn object(wanted: &'static [&'static str], body: &[u8]) -> Result<Vec<Field>, BodyError> {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let read = deserializer.deserialize_map(Object(wanted)).map_err(|_| BodyError::Syntax)?;
    deserializer.end().map_err(|_| BodyError::Syntax)?;
    read
}

struct Object(&'static [&'static str]);

impl<'de> Visitor<'de> for Object {
    type Value = Result<Vec<Field>, BodyError>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut fields, mut fault) = (Vec::new(), None);
        while let Some(key) = map.next_key::<String>()? {
            let Some(name) = self.0.iter().find(|name| **name == key) else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let read = match map.next_value::<Value>()? {
                Value::Text(text) => add(&mut fields, name, text),
                Value::Null => Ok(()),
                Value::Other => Err(BodyError::Field { name, fault: FieldFault::NotText }),
            };
            fault = fault.or(read.err());
        }
        Ok(fault.map_or(Ok(fields), Err))
    }
}

enum Value {
    Text(Zeroizing<String>),
    Null,
    Other,
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(Zeroizing::new(text.to_owned())))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Value, E> {
        Ok(Value::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Value, E> {
        Ok(Value::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Value, E> {
        Ok(Value::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Value, E> {
        Ok(Value::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Value::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Value::Other)
    }
}
