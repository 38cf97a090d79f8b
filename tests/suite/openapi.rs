//! The admin API's own description: what is answered has the keys that it tells, and no others (contract, section 5).

use serde_json::{Value, json};

use crate::harness::world::{Kind, ONE_CAF, World, account};

/// What a schema, or the one that it refers to, is.
fn resolved<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    match schema["$ref"].as_str() {
        Some(reference) => document.pointer(&reference[1..]).unwrap(),
        None => schema,
    }
}

/// Whether a value has all the keys that its schema demands, and only keys that it knows, all the way down.
fn check(document: &Value, schema: &Value, value: &Value, place: &str) {
    let schema = resolved(document, schema);
    if let (Some(properties), Some(members)) = (schema["properties"].as_object(), value.as_object()) {
        for key in schema["required"].as_array().unwrap() {
            assert!(members.contains_key(key.as_str().unwrap()), "{place} lacks {key}: {value}");
        }
        for (key, member) in members {
            let property =
                properties.get(key).unwrap_or_else(|| panic!("{place} has {key}, untold: {value}"));
            check(document, property, member, &format!("{place}.{key}"));
        }
    } else if let Some(rows) = value.as_array() {
        for row in rows {
            check(document, &schema["items"], row, &format!("{place}[]"));
        }
    } else if let Some(words) = schema["enum"].as_array() {
        assert!(words.contains(value), "{place}: {value}");
    } else {
        let kinds = match &schema["type"] {
            Value::Array(kinds) => kinds.clone(),
            kind => vec![kind.clone()],
        };
        let kind = match value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(_) => "integer",
            Value::String(_) => "string",
            _ => "object",
        };
        assert!(kinds.contains(&json!(kind)), "{place}: {value} is no {kinds:?}");
    }
}

#[test]
fn answers_have_the_keys_that_are_told() {
    let world = World::new(Kind::Embedded);
    let mut client = world.admitted();
    client.get("/").program().send();
    let document = world.gateway.admin().get("/openapi.json").send().json();
    assert_eq!(document["openapi"], "3.1.0");
    let new = json!({"identifiant": "neuf@esat.example", "siret": "73282932000074", "cafs": ["921"]});
    let rows = format!("{}\n{}", account("un@esat.example", "73282932000074", &["921"]), new);
    let one = format!("/v1/accounts/{ONE_CAF}");
    for (method, path, route, body) in [
        ("get", "/livez", "/livez", None),
        ("get", "/readyz", "/readyz", None),
        ("post", "/v1/accounts", "/v1/accounts", Some(new.to_string())),
        ("get", "/v1/accounts?limit=2", "/v1/accounts", None),
        ("get", one.as_str(), "/v1/accounts/{identifiant}", None),
        ("post", &format!("{one}/force-change"), "/v1/accounts/{identifiant}/force-change", None),
        ("get", "/v1/establishments", "/v1/establishments", None),
        ("get", "/v1/sessions", "/v1/sessions", None),
        ("get", &format!("{one}/sessions"), "/v1/accounts/{identifiant}/sessions", None),
        ("get", "/v1/cafs", "/v1/cafs", None),
        ("get", "/v1/cafs/921", "/v1/cafs/{code}", None),
        ("post", "/v1/cafs/751/drain", "/v1/cafs/{code}/drain", None),
        ("delete", "/v1/cafs/751/drain", "/v1/cafs/{code}/drain", None),
        ("post", "/v1/reload", "/v1/reload", None),
        ("get", "/v1/clock", "/v1/clock", None),
        ("post", "/v1/accounts/import?dry_run=true", "/v1/accounts/import", Some(rows)),
        ("post", &format!("{one}/reset-password"), "/v1/accounts/{identifiant}/reset-password", None),
        ("delete", &format!("{one}/sessions"), "/v1/accounts/{identifiant}/sessions", None),
        ("get", "/v1/cafs/999", "/v1/cafs/{code}", None),
        ("post", "/v1/accounts", "/v1/accounts", Some("{}".to_owned())),
    ] {
        let mut admin = world.gateway.admin();
        let request = admin.request(&method.to_uppercase(), path);
        let request = match body {
            Some(body) => request.body("application/json", body.as_bytes()),
            None => request,
        };
        let answer = request.send();
        let told = &document["paths"][route][method]["responses"];
        let status = answer.status.to_string();
        let response = if told[&status].is_object() { &told[&status] } else { &told["default"] };
        let kind = answer.header("content-type").unwrap_or_default();
        let schema = &response["content"][kind]["schema"];
        assert!(schema.is_object(), "{method} {path}: {status} {kind} is untold in {told}");
        check(&document, schema, &answer.json(), &format!("{method} {path}"));
    }
}
