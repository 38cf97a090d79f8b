//! The admin API as an `OpenAPI` 3.1 document, made from one table: a line for each operation.
//!
//! A route that is added to `route` gets its line in [`OPERATIONS`]; a test compares the two.

use axum::Json;
use serde_json::{Map, Value, json};

/// An operation, as a row of the table: its method, path, `operationId`, query parameters, body, success (status and
/// schema) and what it does.
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
    Operation("get", "/livez", "livez", &[], Nothing, ("200", "Health"), "Whether the program answers. Open to all."),
    Operation("get", "/readyz", "readyz", &[], Nothing, ("200", "Health"), "Whether it should get traffic; 503 says why not. Open to all."),
    Operation("get", "/metrics", "metrics", &[], Nothing, ("200", "text"), "What was counted, for Prometheus."),
    Operation("get", "/openapi.json", "openapi", &[], Nothing, ("200", "Object"), "This document."),
    Operation("get", "/v1/accounts", "listAccounts", &["caf", "status", "expiring_before", "never_signed_in", "sort", "after", "limit"], Nothing, ("200", "AccountsPage"), "Accounts, by name; a gestionnaire sees those of its Cafs."),
    Operation("post", "/v1/accounts", "createAccount", &[], Schema("NewAccount"), ("201", "Account"), "Makes an account; a provisional password is shown this once."),
    Operation("post", "/v1/accounts/import", "importAccounts", IMPORTED, Rows, ("200", "Import"), "Makes and changes the accounts of a file, all or none."),
    Operation("get", "/v1/accounts/export", "exportAccounts", &["format"], Nothing, ("200", "text"), "All accounts with their password hashes, as a file. Role: operator."),
    Operation("get", "/v1/accounts/{identifiant}", "showAccount", &[], Nothing, ("200", "Account"), "One account."),
    Operation("delete", "/v1/accounts/{identifiant}", "deleteAccount", &[], Nothing, ("204", ""), "Removes it and ends its sessions."),
    Operation("post", "/v1/accounts/{identifiant}/suspend", "suspendAccount", &[], Nothing, ("200", "Account"), "Closes it and ends its sessions."),
    Operation("post", "/v1/accounts/{identifiant}/reactivate", "reactivateAccount", &[], Nothing, ("200", "Account"), "Opens a suspended account again."),
    Operation("post", "/v1/accounts/{identifiant}/reset-password", "resetPassword", &[], Nothing, ("200", "Account"), "Gives it a provisional password, shown this once, and ends its sessions."),
    Operation("post", "/v1/accounts/{identifiant}/force-change", "forceChange", &[], Nothing, ("200", "Account"), "Asks for a change of password."),
    Operation("post", "/v1/accounts/{identifiant}/unlock", "unlockAccount", &[], Nothing, ("200", "Account"), "Lifts the lock that wrong passwords brought."),
    Operation("get", "/v1/accounts/{identifiant}/sessions", "listSessionsOf", &["caf", "after", "limit"], Nothing, ("200", "SessionsPage"), "Its live sessions."),
    Operation("delete", "/v1/accounts/{identifiant}/sessions", "revokeSessionsOf", &[], Nothing, ("200", "SessionsEnded"), "Ends all of its sessions."),
    Operation("get", "/v1/establishments", "listEstablishments", &["caf", "siret", "after", "limit"], Nothing, ("200", "EstablishmentsPage"), "What Cafs know."),
    Operation("post", "/v1/establishments/import", "importEstablishments", IMPORTED, Rows, ("200", "Import"), "Adds and changes the establishments of a file, all or none."),
    Operation("get", "/v1/establishments/export", "exportEstablishments", &["format"], Nothing, ("200", "text"), "All establishments, as a file."),
    Operation("get", "/v1/sessions", "listSessions", &["account", "caf", "after", "limit"], Nothing, ("200", "SessionsPage"), "Live sessions."),
    Operation("delete", "/v1/sessions/{session}", "revokeSession", &[], Nothing, ("200", "SessionsEnded"), "Ends a session, by its public name."),
    Operation("get", "/v1/cafs", "listCafs", &[], Nothing, ("200", "Cafs"), "The Cafs' backends."),
    Operation("get", "/v1/cafs/{code}", "showCaf", &[], Nothing, ("200", "Caf"), "One Caf's backend."),
    Operation("post", "/v1/cafs/{code}/drain", "drainCaf", &["instance"], Nothing, ("200", "Caf"), "Takes a backend, or an instance, out of service. Role: operator."),
    Operation("delete", "/v1/cafs/{code}/drain", "undrainCaf", &["instance"], Nothing, ("200", "Caf"), "Puts it back. Role: operator."),
    Operation("post", "/v1/reload", "reload", &[], Nothing, ("200", "Reloaded"), "Reads certificates, tokens and lists again; 422 says what is wrong. Role: operator."),
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
        "limit" => "integer",
        "dry_run" | "progress" | "never_signed_in" => "boolean",
        _ => "string",
    };
    let mut told = json!({ "name": name, "in": place, "required": required, "schema": { "type": kind } });
    if ["at", "expiring_before"].contains(&name) {
        told["description"] = json!(
            "A day of Paris (2027-01-20), a time of Paris (2027-01-20T12:00) or an instant (2027-01-20T12:00:00+01:00)."
        );
    }
    told
}

fn reference(schema: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{schema}") })
}

fn schemas() -> Value {
    let text = || json!({ "type": "string" });
    let maybe = || json!({ "type": ["string", "null"] });
    let (count, truth) = (|| json!({ "type": "integer", "minimum": 0 }), || json!({ "type": "boolean" }));
    let instant = || json!({ "type": "string", "format": "date-time" });
    let maybe_instant = || json!({ "type": ["string", "null"], "format": "date-time" });
    let caf = || json!({ "type": "string", "pattern": "^[0-9]{3}$" });
    let siret = || json!({ "type": "string", "pattern": "^[0-9]{14}$" });
    let status = || json!({ "enum": ["active", "suspended"] });
    let list = |of: Value| json!({ "type": "array", "items": of });
    json!({
        "Object": { "type": "object" },
        "Health": object(&json!({ "status": text(), "reasons": list(text()), "notes": list(text()) }), &["status"]),
        "Problem": object(&json!({
            "title": text(), "status": count(), "detail": text(),
            "errors": list(object(&json!({ "line": count(), "field": text(), "reason": text() }), &["reason"])),
        }), &["title", "status", "detail"]),
        "Account": object(&json!({
            "identifiant": text(), "siret": siret(), "nom": text(), "cafs": list(caf()), "home_caf": maybe(),
            "status": status(), "must_change": truth(), "password_changed_at": instant(),
            "password_expires_at": instant(), "password_days_left": count(), "provisional_until": instant(),
            "provisional_expired": truth(), "last_sign_in": maybe_instant(), "provisional_password": text(),
        }), &["identifiant", "siret", "nom", "cafs", "home_caf", "status", "must_change",
            "password_changed_at", "password_expires_at", "password_days_left", "provisional_expired", "last_sign_in"]),
        "NewAccount": object(&json!({
            "identifiant": text(), "siret": siret(), "nom": text(), "cafs": list(caf()), "home_caf": caf(),
            "password_hash": text(), "password_changed_at": instant(), "must_change": truth(), "status": status(),
        }), &["identifiant", "siret", "cafs"]),
        "AccountsPage": object(&json!({
            "accounts": list(reference("Account")), "total": count(), "next": maybe(),
        }), &["accounts", "total", "next"]),
        "Establishment": object(&json!({
            "caf": caf(), "siret": siret(), "identifiant_communication": text(), "nom": text(),
        }), &["caf", "nom"]),
        "EstablishmentsPage": object(&json!({
            "establishments": list(reference("Establishment")), "next": maybe(),
        }), &["establishments", "next"]),
        "Import": object(&json!({
            "dry_run": truth(), "read_as": text(), "created": count(), "changed": count(), "unchanged": count(),
            "gone": count(), "gone_are": json!({ "enum": ["kept", "suspended", "deleted"] }),
            "differences": list(object(&json!({
                "is": { "enum": ["new", "changed", "gone"] }, "name": text(),
                "fields": list(object(&json!({ "field": text(), "old": text(), "new": text() }), &["field"])),
            }), &["is", "name"])),
            "provisional_passwords": list(object(&json!({
                "identifiant": text(), "provisional_password": text(), "provisional_until": instant(),
            }), &["identifiant", "provisional_password"])),
        }), &["dry_run", "read_as", "created", "changed", "unchanged", "gone", "gone_are"]),
        "Session": object(&json!({
            "session": text(), "account": text(), "etat": text(), "caf": maybe(), "signed_in_at": instant(),
            "last_action_at": instant(), "expires_at": instant(), "from": text(), "agent": maybe(),
        }), &["session", "account", "etat", "caf", "signed_in_at", "last_action_at", "expires_at", "from", "agent"]),
        "SessionsPage": object(&json!({
            "sessions": list(reference("Session")), "next": maybe(),
        }), &["sessions", "next"]),
        "SessionsEnded": object(&json!({ "ended": count() }), &["ended"]),
        "Caf": object(&json!({
            "code": caf(), "name": text(), "draining": truth(), "retries": count(),
            "instances": list(object(&json!({
                "instance": text(), "state": { "enum": ["up", "ejected", "failing", "draining"] },
                "ejected_until": instant(), "weight": count(), "outstanding": count(), "waiting": count(),
                "failures": count(), "ejections": count(),
                "last_error": object(&json!({ "at": instant(), "what": text() }), &["at", "what"]),
            }), &["instance", "state", "weight", "outstanding", "waiting", "failures", "ejections"])),
        }), &["code", "name", "draining", "retries", "instances"]),
        "Cafs": object(&json!({ "cafs": list(reference("Caf")) }), &["cafs"]),
        "Reloaded": object(&json!({
            "parts": list(object(&json!({
                "part": text(), "outcome": { "enum": ["changed", "unchanged", "refused"] }, "reason": text(),
            }), &["part", "outcome"])),
            "needs_restart": list(text()),
        }), &["parts", "needs_restart"]),
        "Clock": object(&json!({ "now": instant() }), &["now"]),
    })
}

fn object(properties: &Value, required: &[&str]) -> Value {
    json!({ "type": "object", "properties": properties, "required": required })
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
