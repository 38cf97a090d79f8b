//! The configuration's JSON Schema, made from the declaration that the reader reads.

use serde_json::{Map, Value as Json, json};

use super::declare::{Key, Presence, SECTIONS, Section};

/// The configuration file as a JSON Schema (2020-12), for editors and for `octroi schema`.
pub fn schema() -> Json {
    let properties: Map<String, Json> = children("").collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "octroi's configuration",
        "type": "object",
        "properties": properties,
        "required": ["caf"],
        "additionalProperties": false,
    })
}

fn children(prefix: &str) -> impl Iterator<Item = (String, Json)> {
    SECTIONS.iter().filter_map(move |section| {
        let name = section.name.strip_prefix(prefix)?;
        (!name.contains('.')).then(|| (name.to_owned(), of_section(section)))
    })
}

fn of_section(section: &Section) -> Json {
    let keys = section.keys.iter().map(|key| (key.name.to_owned(), of_key(key)));
    let properties: Map<String, Json> = keys.chain(children(&format!("{}.", section.name))).collect();
    let required: Vec<&str> =
        section.keys.iter().filter(|key| key.presence == Presence::Required).map(|key| key.name).collect();
    let table = json!({
        "description": section.help,
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    });
    if section.many { json!({"type": "array", "items": table}) } else { table }
}

fn of_key(key: &Key) -> Json {
    let mut schema = (key.schema)();
    let default = match key.presence {
        Presence::Default(text) => Some(default(&schema, text)),
        _ => None,
    };
    if let Json::Object(object) = &mut schema {
        object.insert("description".to_owned(), key.help.into());
        object.extend(default.map(|value| ("default".to_owned(), value)));
    }
    schema
}

fn default(schema: &Json, text: &str) -> Json {
    match schema["type"].as_str() {
        Some("integer") => text.parse::<u64>().map_or(Json::Null, Json::from),
        Some("boolean") => Json::Bool(text == "true"),
        Some("array") => text.split(',').filter(|element| !element.is_empty()).collect(),
        _ => Json::from(text),
    }
}
