//! The API as its clients see it, over stores in memory.

mod imports;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Router;
use axum::body::Body;
use http::{Method, Request, Response, StatusCode};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::fakes::{self, Memory};
use super::{AccountQuery, Charset, Command, ExportFormat, Format, Import, State, router};
use crate::account::NewAccount;
use crate::domain::Identifiant;
use crate::session::{Stage, Whence};

const HASH: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21l$yQPTFBuGXvKWzaFFuaBDqVZ0iCZQCFoV3JZsUpA+Y5c";
const ONE: &str =
    r#"{"identifiant":"a@esat.example","siret":"73282932000074","nom":"ESAT Les Tilleuls","cafs":["921"]}"#;

struct Desk {
    router: Router,
    state: State,
    memory: Arc<Memory>,
}

impl Desk {
    fn new() -> Self {
        let (state, memory) = fakes::state();
        Self { router: router(state.clone()), state, memory }
    }

    async fn raw(&self, request: Request<Body>) -> Response<Body> {
        self.router.clone().oneshot(request).await.expect("infallible")
    }

    async fn ask(&self, method: &str, path: &str, body: impl Into<Body>) -> (u16, Value) {
        let builder = Request::builder().method(method).uri(path).header("host", "127.0.0.1:9901");
        read(self.raw(builder.body(body.into()).expect("a request")).await).await
    }

    async fn import(&self, body: impl Into<Body>) -> (u16, Value) {
        self.import_as("accounts", "application/jsonl", body).await
    }

    async fn import_as(&self, what: &str, kind: &str, body: impl Into<Body>) -> (u16, Value) {
        let builder = Request::builder().method("POST").uri(format!("/v1/{what}/import"));
        let builder = builder.header("host", "127.0.0.1:9901").header("content-type", kind);
        read(self.raw(builder.body(body.into()).expect("a request")).await).await
    }

    async fn names(&self) -> Vec<String> {
        let (_, page) = self.ask("GET", "/v1/accounts", "").await;
        let names = page["accounts"].as_array().expect("accounts").iter();
        names.map(|one| one["identifiant"].as_str().expect("a name").to_owned()).collect()
    }
}

async fn read(response: Response<Body>) -> (u16, Value) {
    let status = response.status();
    let kind = response.headers().get("content-type").cloned();
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.expect("a body");
    if !status.is_success() && status != StatusCode::SERVICE_UNAVAILABLE {
        assert_eq!(kind.expect("a type"), "application/problem+json");
    }
    let value = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).expect("JSON") };
    (status.as_u16(), value)
}

/// Status and text of a response that may be no JSON.
async fn text(response: Response<Body>) -> (u16, String) {
    let status = response.status().as_u16();
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.expect("a body");
    (status, String::from_utf8(body.to_vec()).expect("text"))
}

/// Lines, fields and reasons.
fn errors(problem: &Value) -> Vec<(u64, &str, &str)> {
    let rows = problem["errors"].as_array().expect("errors").iter();
    rows.map(|row| {
        (
            row["line"].as_u64().unwrap_or(0),
            row["field"].as_str().unwrap_or(""),
            row["reason"].as_str().unwrap_or(""),
        )
    })
    .collect()
}

#[tokio::test]
async fn an_account_from_creation_to_deletion() {
    let desk = Desk::new();
    let (status, made) = desk.ask("POST", "/v1/accounts", ONE).await;
    assert_eq!(status, 201);
    assert_eq!(made["provisional_password"].as_str().map(str::len), Some(14));
    assert_eq!(made["must_change"], true);
    let path = "/v1/accounts/A%40esat.example";
    let (status, shown) = desk.ask("GET", path, "").await;
    assert_eq!((status, &shown["provisional_password"]), (200, &Value::Null));
    assert_eq!(shown["password_expires_at"], "2026-12-02T08:00:00Z");
    assert!(!shown.to_string().contains("argon2"));
    for (action, key, value) in [
        ("suspend", "status", json!("suspended")),
        ("reactivate", "status", json!("active")),
        ("force-change", "must_change", json!(true)),
        ("unlock", "status", json!("active")),
    ] {
        let (status, answer) = desk.ask("POST", &format!("{path}/{action}"), "").await;
        assert_eq!((status, &answer[key]), (200, &value), "{action}");
    }
    let (_, reset) = desk.ask("POST", &format!("{path}/reset-password"), "").await;
    assert_ne!(reset["provisional_password"], made["provisional_password"]);
    assert_eq!(desk.ask("DELETE", path, "").await, (204, Value::Null));
    for method in ["GET", "DELETE"] {
        assert_eq!(desk.ask(method, path, "").await.0, 404);
    }
    assert_eq!(desk.ask("POST", &format!("{path}/suspend"), "").await.0, 404);
}

#[tokio::test]
async fn suspending_resetting_and_deleting_end_the_sessions() {
    let desk = Desk::new();
    let name: Identifiant = "a@esat.example".parse().expect("a name");
    let (_, made) = desk.ask("POST", "/v1/accounts", ONE).await;
    let mut password = made["provisional_password"].as_str().expect("a password").to_owned();
    let registry = &desk.state.registry;
    for (method, action) in [("POST", "/suspend"), ("POST", "/reset-password"), ("DELETE", "")] {
        let signed_in = registry
            .accounts
            .sign_in(name.as_str(), password.clone().into(), "::1")
            .await
            .expect("signed in");
        registry
            .sessions
            .open(Stage::signed_in(signed_in), Whence { address: "::1", place: "::1", agent: None })
            .await
            .expect("a session");
        let (_, answer) = desk.ask(method, &format!("/v1/accounts/{name}{action}"), "").await;
        if let Some(new) = answer["provisional_password"].as_str() {
            new.clone_into(&mut password);
        }
        assert!(registry.sessions.of_account(&name).await.expect("sessions").is_empty(), "{action}");
        desk.ask("POST", &format!("/v1/accounts/{name}/reactivate"), "").await;
    }
}

#[tokio::test]
async fn an_account_that_exists_or_is_wrong_is_not_made() {
    let desk = Desk::new();
    assert_eq!(desk.ask("POST", "/v1/accounts", ONE).await.0, 201);
    let (status, problem) = desk.ask("POST", "/v1/accounts", ONE.replace("a@", "A@")).await;
    assert_eq!((status, &problem["title"]), (409, &json!("Conflict")));
    let (status, problem) =
        desk.ask("POST", "/v1/accounts", r#"{"identifiant":"b","cafs":["999"],"x":1}"#).await;
    assert_eq!(status, 422);
    let fields: Vec<&str> = errors(&problem).iter().map(|(_, field, _)| *field).collect();
    assert_eq!(fields, ["identifiant", "siret", "cafs", "x"]);
    for body in ["", "[]", "{", "null", "\"\"", "{\"a\":1,\"a\":2}", "\0"] {
        assert_eq!(desk.ask("POST", "/v1/accounts", body).await.0, 400, "{body:?}");
    }
    assert_eq!(desk.ask("POST", "/v1/accounts", "x".repeat(100_000)).await.0, 413);
    assert_eq!(desk.names().await, ["a@esat.example"]);
}

#[tokio::test]
async fn accounts_are_filtered_and_paged() {
    let desk = Desk::new();
    let line = |n: usize| {
        let (caf, status) = if n.is_multiple_of(3) { ("751", "suspended") } else { ("921", "active") };
        format!(
            r#"{{"identifiant":"u{n}@esat.example","siret":"73282932000074","cafs":["{caf}"],"status":"{status}","password_hash":"{HASH}"}}"#
        )
    };
    let file: Vec<String> = (0..9).map(line).collect();
    assert_eq!(desk.import(file.join("\n")).await.0, 200);
    for (query, total, shown) in [
        ("", 9, 9),
        ("?caf=751", 3, 3),
        ("?caf=921&status=active", 6, 6),
        ("?caf=921&status=suspended", 0, 0),
        ("?limit=4&page=3", 9, 1),
        ("?limit=4&page=99999999999", 9, 0),
    ] {
        let (status, page) = desk.ask("GET", &format!("/v1/accounts{query}"), "").await;
        let length = page["accounts"].as_array().map(Vec::len);
        assert_eq!((status, &page["total"], length), (200, &json!(total), Some(shown)), "{query}");
    }
    for query in ["?caf=92", "?status=gone", "?page=0", "?limit=0", "?limit=10001", "?limit=-1", "?kaf=921"] {
        assert_eq!(desk.ask("GET", &format!("/v1/accounts{query}"), "").await.0, 400, "{query}");
    }
}

#[tokio::test]
async fn the_clock_moves_in_rehearsal_only() {
    let desk = Desk::new();
    assert_eq!(desk.ask("GET", "/v1/clock", "").await, (200, json!({"now": "2026-09-01T08:00:00Z"})));
    let (status, clock) = desk.ask("PUT", "/v1/clock", r#"{"now":"2026-12-01T00:00:00+01:00"}"#).await;
    assert_eq!((status, clock), (200, json!({"now": "2026-11-30T23:00:00Z"})));
    assert_eq!(desk.ask("PUT", "/v1/clock", r#"{"now":"tomorrow"}"#).await.0, 422);
    let (state, _) = fakes::state();
    let router = router(State { rehearsal: false, ..state });
    let live = Desk { router, ..desk };
    assert_eq!(live.ask("GET", "/v1/clock", "").await.0, 409);
    assert_eq!(live.ask("PUT", "/v1/clock", r#"{"now":"2026-12-01T00:00:00Z"}"#).await.0, 409);
}

#[tokio::test]
async fn health() {
    let desk = Desk::new();
    assert_eq!(desk.ask("GET", "/livez", "").await, (200, json!({"status": "ok"})));
    assert_eq!(desk.ask("GET", "/readyz", "").await.0, 200);
    let (state, _) = fakes::state();
    let reasons = vec!["the store is out of reach".to_owned()];
    let ready = Arc::new(move || crate::admin::Health { reasons: reasons.clone(), ..Default::default() });
    let router = router(State { ready, ..state });
    let (status, answer) = Desk { router, ..desk }.ask("GET", "/readyz", "").await;
    assert_eq!((status, &answer["reasons"][0]), (503, &json!("the store is out of reach")));
}

#[tokio::test]
async fn web_pages_are_kept_away() {
    let desk = Desk::new();
    let ask = async |headers: &[(&str, &str)], uri: &str| {
        let builder = Request::builder().uri(uri);
        let builder = headers.iter().fold(builder, |builder, (name, value)| builder.header(*name, *value));
        read(desk.raw(builder.body(Body::empty()).expect("a request")).await).await.0
    };
    for host in ["127.0.0.1:9901", "localhost", "[::1]:9901", "127.4.5.6"] {
        assert_eq!(ask(&[("host", host)], "/livez").await, 200, "{host}");
    }
    assert_eq!(ask(&[("host", "rebound.example:9901")], "/livez").await, 403);
    assert_eq!(ask(&[("host", "localhost"), ("host", "rebound.example")], "/livez").await, 403);
    assert_eq!(ask(&[("host", "localhost")], "http://rebound.example/livez").await, 403);
    assert_eq!(ask(&[], "/livez").await, 403);
    for origin in ["https://rebound.example", "null", "http://127.0.0.1:9901"] {
        assert_eq!(ask(&[("host", "localhost"), ("origin", origin)], "/livez").await, 403, "{origin}");
    }
    assert_eq!(ask(&[("host", "rebound.example")], "/nowhere").await, 403);
}

#[tokio::test]
async fn bare_errors_are_problems_too() {
    let desk = Desk::new();
    assert_eq!(desk.ask("GET", "/nowhere", "").await.1["title"], "Not Found");
    let builder = Request::builder().method("PUT").uri("/v1/accounts").header("host", "localhost");
    let response = desk.raw(builder.body(Body::empty()).expect("a request")).await;
    assert_eq!(response.headers()["allow"], "GET,HEAD,POST");
    assert_eq!(read(response).await.0, 405);
    assert_eq!(desk.ask("GET", "/v1/accounts/not-an-address", "").await.0, 400);
    assert_eq!(desk.ask("GET", "/v1/accounts/%ff%40b.fr", "").await.0, 400);
}

#[tokio::test]
async fn a_store_that_fails_is_told_without_its_address() {
    let desk = Desk::new();
    desk.memory.broken.store(true, Ordering::Relaxed);
    for (method, path) in
        [("GET", "/v1/accounts"), ("POST", "/v1/accounts/a@b.fr/suspend"), ("GET", "/v1/establishments")]
    {
        let (status, problem) = desk.ask(method, path, "").await;
        assert_eq!(status, 503, "{path}");
        assert!(!problem.to_string().contains("secret.host"));
    }
    assert_eq!(desk.import(ONE).await.0, 503);
}

#[tokio::test]
async fn a_request_of_each_command_is_understood() {
    // RFC 5322 lets an address hold what means something in a URL.
    let odd: Identifiant = "a/b?c#d%2f&e+f@esat.example".parse().expect("a name");
    let new: NewAccount = serde_json::from_str(&ONE.replace("a@", "a/b?c#d%2f&e+f@")).expect("an account");
    let caf = "921".parse().ok();
    let query =
        AccountQuery { caf, status: Some(crate::account::Status::Active), page: Some(1), limit: Some(5) };
    let file = |rows, format| Import { rows, format, dry_run: true, gone: false, progress: false };
    let table = "identifiant,siret,cafs\na@esat.example,73282932000074,921\n";
    let line = || Body::from(r#"{"caf":"921","siret":"73282932000074"}"#);
    let commands = [
        Command::CreateAccount(Box::new(new)),
        Command::ListAccounts(query),
        Command::ListAccounts(AccountQuery::default()),
        Command::ShowAccount(odd.clone()),
        Command::SuspendAccount(odd.clone()),
        Command::ReactivateAccount(odd.clone()),
        Command::ResetPassword(odd.clone()),
        Command::ForceChange(odd.clone()),
        Command::UnlockAccount(odd.clone()),
        Command::ImportAccounts(file(ONE.into(), Format::JsonLines)),
        Command::ImportAccounts(Import { progress: true, ..file(ONE.into(), Format::Guess) }),
        Command::ImportAccounts(Import { gone: true, ..file(table.into(), Format::Csv(Charset::Utf8)) }),
        Command::ExportAccounts(ExportFormat::Jsonl),
        Command::ExportAccounts(ExportFormat::Csv),
        Command::ImportEstablishments(Import { dry_run: false, ..file(line(), Format::JsonLines) }),
        Command::ImportEstablishments(Import { gone: true, ..file(line(), Format::JsonLines) }),
        Command::ExportEstablishments(ExportFormat::Csv),
        Command::ListEstablishments,
        Command::ShowClock,
        Command::SetClock("2026-12-01T00:00:00Z".parse().expect("an instant")),
        Command::DeleteAccount(odd),
    ];
    let desk = Desk::new();
    for command in commands {
        let told = format!("{command:?}");
        let mut request = command.into_request().expect("a request");
        request.headers_mut().insert("host", "localhost".parse().expect("a host"));
        assert_ne!(request.method(), Method::PATCH);
        let (status, answer) = text(desk.raw(request).await).await;
        assert!((200..300).contains(&status), "{told}: {status} {answer}");
        assert!(!answer.contains("\"status\":4"), "{told}: {answer}");
    }
    assert!(desk.names().await.is_empty());
}
