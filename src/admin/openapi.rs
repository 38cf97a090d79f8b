//! The admin API as an `OpenAPI` 3.1 document, made from one table: a line for each operation.
//!
//! A route that is added to `route` gets its line in [`OPERATIONS`]; a test compares the two.

use axum::Json;
use serde_json::{Map, Value, json};

/// An operation: its method, path, `operationId`, query parameters, body, success (status and schema) and
/// what it does.
struct Operation(
    &'static str,
    &'static str,
    &'static str,
    &'static [&'static str],
    Sent,
    (&'static str, &'static str),
    &'static str,
);

#[derive(Clone, Copy)]
enum Sent {
    Nothing,
    Rows,
    Schema(&'static str),
}

use Sent::{Nothing, Rows, Schema};

const IMPORTED: &[&str] = &["dry_run", "progress", "gone"];

#[rustfmt::skip]
const OPERATIONS: &[Operation] = &[
    Operation("get", "/livez", "livez", &[], Nothing, ("200", "Object"), "Whether the program answers. Open to all."),
    Operation("get", "/readyz", "readyz", &[], Nothing, ("200", "Object"), "Whether it should get traffic; 503 says why not. Open to all."),
    Operation("get", "/metrics", "metrics", &[], Nothing, ("200", "text"), "What was counted, for Prometheus."),
    Operation("get", "/openapi.json", "openapi", &[], Nothing, ("200", "Object"), "This document."),
    Operation("get", "/v1/accounts", "listAccounts", &["caf", "status", "page", "limit"], Nothing, ("200", "AccountsPage"), "Accounts, by name; a gestionnaire sees those of its Cafs."),
    Operation("post", "/v1/accounts", "createAccount", &[], Schema("NewAccount"), ("201", "Account"), "Makes an account; a provisional password is shown this once."),
    Operation("post", "/v1/accounts/import", "importAccounts", IMPORTED, Rows, ("200", "Object"), "Makes and changes the accounts of a file, all or none."),
    Operation("get", "/v1/accounts/export", "exportAccounts", &["format"], Nothing, ("200", "text"), "All accounts with their password hashes, as a file. Role: operator."),
    Operation("get", "/v1/accounts/{identifiant}", "showAccount", &[], Nothing, ("200", "Account"), "One account."),
    Operation("delete", "/v1/accounts/{identifiant}", "deleteAccount", &[], Nothing, ("204", ""), "Removes it and ends its sessions."),
    Operation("post", "/v1/accounts/{identifiant}/suspend", "suspendAccount", &[], Nothing, ("200", "Account"), "Closes it and ends its sessions."),
    Operation("post", "/v1/accounts/{identifiant}/reactivate", "reactivateAccount", &[], Nothing, ("200", "Account"), "Opens a suspended account again."),
    Operation("post", "/v1/accounts/{identifiant}/reset-password", "resetPassword", &[], Nothing, ("200", "Account"), "Gives it a provisional password, shown this once, and ends its sessions."),
    Operation("post", "/v1/accounts/{identifiant}/force-change", "forceChange", &[], Nothing, ("200", "Account"), "Asks for a change of password."),
    Operation("post", "/v1/accounts/{identifiant}/unlock", "unlockAccount", &[], Nothing, ("200", "Account"), "Lifts the lock that wrong passwords brought."),
    Operation("get", "/v1/accounts/{identifiant}/sessions", "listSessionsOf", &["caf", "after", "limit"], Nothing, ("200", "Object"), "Its live sessions."),
    Operation("delete", "/v1/accounts/{identifiant}/sessions", "revokeSessionsOf", &[], Nothing, ("200", "Object"), "Ends all of its sessions."),
    Operation("get", "/v1/establishments", "listEstablishments", &[], Nothing, ("200", "Object"), "What Cafs know."),
    Operation("post", "/v1/establishments/import", "importEstablishments", IMPORTED, Rows, ("200", "Object"), "Adds and changes the establishments of a file, all or none."),
    Operation("get", "/v1/establishments/export", "exportEstablishments", &["format"], Nothing, ("200", "text"), "All establishments, as a file."),
    Operation("get", "/v1/sessions", "listSessions", &["account", "caf", "after", "limit"], Nothing, ("200", "Object"), "Live sessions."),
    Operation("delete", "/v1/sessions/{session}", "revokeSession", &[], Nothing, ("200", "Object"), "Ends a session, by its public name."),
    Operation("get", "/v1/cafs", "listCafs", &[], Nothing, ("200", "Object"), "The Cafs' backends."),
    Operation("get", "/v1/cafs/{code}", "showCaf", &[], Nothing, ("200", "Object"), "One Caf's backend."),
    Operation("post", "/v1/cafs/{code}/drain", "drainCaf", &["instance"], Nothing, ("200", "Object"), "Takes a backend, or an instance, out of service. Role: operator."),
    Operation("delete", "/v1/cafs/{code}/drain", "undrainCaf", &["instance"], Nothing, ("200", "Object"), "Puts it back. Role: operator."),
    Operation("post", "/v1/reload", "reload", &[], Nothing, ("200", "Object"), "Reads certificates, tokens and lists again; 422 says what is wrong. Role: operator."),
    Operation("get", "/v1/explain", "explain", &["account", "caf", "path", "at", "from"], Nothing, ("200", "Object"), "Why a request would be let through, or not."),
    Operation("get", "/v1/clock", "showClock", &[], Nothing, ("200", "Clock"), "The clock of a rehearsal."),
    Operation("put", "/v1/clock", "setClock", &[], Schema("Clock"), ("200", "Clock"), "Moves it. Role: operator."),
];

/// `GET /openapi.json`.
pub(super) fn show() -> Json<Value> {
    Json(document())
}

fn document() -> Value {
    let mut paths = Map::new();
    for operation in OPERATIONS {
        let path = paths.entry(operation.1).or_insert_with(|| json!({}));
        path[operation.0] = operation.describe();
    }
    json!({
        "openapi": "3.1.0",
        "info": { "title": "octroi admin API", "version": env!("CARGO_PKG_VERSION") },
        "security": [{ "bearer": [] }, { "mtls": [] }, {}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "bearer": { "type": "http", "scheme": "bearer" },
                "mtls": { "type": "mutualTLS" },
            },
            "schemas": schemas(),
        },
    })
}

impl Operation {
    fn describe(&self) -> Value {
        let Self(_, path, id, query, sent, (status, answer), summary) = self;
        let named = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
        let named = named.map(|name| parameter(name, "path", true));
        let needed = |name: &str| *id == "explain" && ["account", "caf", "path"].contains(&name);
        let asked = query.iter().map(|name| parameter(name, "query", needed(name)));
        let mut said = json!({ "description": "Done." });
        match *answer {
            "" => {}
            "text" => said["content"] = json!({ "*/*": { "schema": { "type": "string" } } }),
            schema => said["content"] = json!({ "application/json": { "schema": reference(schema) } }),
        }
        let problem = json!({ "application/problem+json": { "schema": reference("Problem") } });
        let mut described = json!({
            "operationId": id,
            "summary": summary,
            "parameters": named.chain(asked).collect::<Vec<_>>(),
            "responses": { *status: said, "default": { "description": "Refused.", "content": problem } },
        });
        if matches!(*path, "/livez" | "/readyz") {
            described["security"] = json!([]);
        }
        let content = match sent {
            Nothing => return described,
            Schema(name) => json!({ "application/json": { "schema": reference(name) } }),
            Rows => json!({ "application/jsonl": {}, "text/csv": {} }),
        };
        described["requestBody"] = json!({ "required": true, "content": content });
        described
    }
}

fn parameter(name: &str, place: &str, required: bool) -> Value {
    let kind = match name {
        "page" | "limit" => "integer",
        "dry_run" | "progress" => "boolean",
        _ => "string",
    };
    json!({ "name": name, "in": place, "required": required, "schema": { "type": kind } })
}

fn reference(schema: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{schema}") })
}

fn schemas() -> Value {
    let text = json!({ "type": "string" });
    let cafs = json!({ "type": "array", "items": text });
    let account = json!({ "identifiant": text, "siret": text, "nom": text, "cafs": cafs });
    json!({
        "Object": { "type": "object" },
        "Problem": { "type": "object", "required": ["title", "status", "detail"], "properties": {
            "title": text, "status": { "type": "integer" }, "detail": text,
            "errors": { "type": "array", "items": { "type": "object" } } } },
        "Account": { "type": "object", "properties": account },
        "NewAccount": { "type": "object", "required": ["identifiant", "siret", "cafs"], "properties": account },
        "AccountsPage": { "type": "object", "properties": {
            "accounts": { "type": "array", "items": reference("Account") },
            "total": { "type": "integer" }, "page": { "type": "integer" }, "limit": { "type": "integer" } } },
        "Clock": { "type": "object", "required": ["now"], "properties": {
            "now": { "type": "string", "format": "date-time" } } },
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_route_is_documented() {
        let routes = include_str!("route.rs").split(".route(\"").skip(1);
        let routes: BTreeSet<&str> = routes.filter_map(|rest| rest.split('"').next()).collect();
        let told: BTreeSet<&str> = OPERATIONS.iter().map(|operation| operation.1).collect();
        assert_eq!(routes, told);
    }

    #[test]
    fn operations_have_names_of_their_own_and_references_resolve() {
        let names: BTreeSet<&str> = OPERATIONS.iter().map(|operation| operation.2).collect();
        assert_eq!(names.len(), OPERATIONS.len());
        let document = document();
        let text = document.to_string();
        let references: Vec<&str> =
            text.split("\"$ref\":\"#").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        assert!(references.len() > OPERATIONS.len());
        for reference in references {
            assert!(document.pointer(reference).is_some(), "{reference}");
        }
    }

    #[tokio::test]
    async fn the_router_takes_the_documented_methods_and_no_others() {
        use tower::ServiceExt as _;
        let (state, _) = crate::admin::fakes::state();
        let router = crate::admin::router(state);
        for Operation(_, path, ..) in OPERATIONS {
            for method in ["get", "post", "put", "delete"] {
                let told = OPERATIONS.iter().any(|one| one.0 == method && one.1 == *path);
                let target = path
                    .replace("{identifiant}", "a@esat.example")
                    .replace("{code}", "921")
                    .replace("{session}", "x");
                let request = http::Request::builder().method(&*method.to_uppercase()).uri(target);
                let request = request.header("host", "127.0.0.1:9901").body(axum::body::Body::empty());
                let answer = router.clone().oneshot(request.expect("a request")).await.expect("infallible");
                assert_eq!(answer.status() != 405, told, "{method} {path}: {}", answer.status());
            }
        }
    }
}
