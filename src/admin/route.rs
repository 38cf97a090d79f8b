//! Paths and methods, each turned into the [`Command`] it asks for, and the layers around them.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRequestParts, MatchedPath, Path, Query, Request, State as Shared};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodRouter, delete, get, post};
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::timeout::TimeoutLayer;

use super::errand::{self, Errand};
use super::import::{self, Fault, Fields};
use super::{
    AccountQuery, Author, Command, Drain, EstablishmentQuery, ExplainQuery, ExportFormat, Format,
    IMPORT_LIMIT, IMPORT_TIMEOUT, Import, Problem, SessionQuery, State, TIMEOUT, account_import, audited,
    authority, guard, health, openapi, problem, session,
};
use crate::account::NewAccount;
use crate::domain::{CafCode, Identifiant, Timestamp};

/// Largest body of anything but an import, in bytes.
const BODY_LIMIT: usize = 64 * 1024;

/// The admin API.
pub fn router(state: State) -> Router {
    let state = Arc::new(state);
    let imports = Router::new()
        .route("/v1/accounts/import", post(import_accounts))
        .route("/v1/establishments/import", post(import_establishments));
    let others = Router::new()
        .route("/livez", get(health::live))
        .route("/readyz", get(|Shared(state): Shared<Arc<State>>| async move { health::ready(&state) }))
        .route("/metrics", get(metrics))
        .route("/openapi.json", get(|_: Gateway| async { openapi::show() }))
        .route("/v1/accounts", get(list_accounts).post(create_account))
        .route("/v1/accounts/export", export(Command::ExportAccounts))
        .route("/v1/accounts/{identifiant}", show_or_delete())
        .route("/v1/accounts/{identifiant}/suspend", on_account(Command::SuspendAccount))
        .route("/v1/accounts/{identifiant}/reactivate", on_account(Command::ReactivateAccount))
        .route("/v1/accounts/{identifiant}/reset-password", on_account(Command::ResetPassword))
        .route("/v1/accounts/{identifiant}/force-change", on_account(Command::ForceChange))
        .route("/v1/accounts/{identifiant}/unlock", on_account(Command::UnlockAccount))
        .route("/v1/establishments", get(list_establishments))
        .route("/v1/establishments/export", export(Command::ExportEstablishments))
        .route("/v1/sessions", get(list_sessions))
        .route("/v1/sessions/{session}", delete(revoke_session))
        .route("/v1/accounts/{identifiant}/sessions", get(list_sessions_of).delete(revoke_sessions_of))
        .route("/v1/cafs", get(|state| run(state, Ok(Command::ListCafs))))
        .route("/v1/cafs/{code}", get(show_caf))
        .route("/v1/cafs/{code}/drain", order(Command::DrainCaf, Command::UndrainCaf))
        .route("/v1/reload", post(|state| run(state, Ok(Command::Reload))))
        .route("/v1/explain", get(explain))
        .route("/v1/clock", get(|state| run(state, Ok(Command::ShowClock))).put(set_clock));
    bounded(imports, IMPORT_LIMIT, IMPORT_TIMEOUT)
        .merge(bounded(others, BODY_LIMIT, TIMEOUT))
        // The last layer is the outermost: errors of all others are dressed as problems.
        .layer(from_fn(note))
        .layer(from_fn_with_state(Arc::clone(&state), authority::admit))
        .layer(from_fn(errand::name))
        .layer(from_fn(guard::refuse_browsers))
        .layer(CatchPanicLayer::new())
        .layer(from_fn(problem::dress))
        .with_state(state)
}

/// The operator's side as the author of a request sees it, and the request's name.
struct Gateway(Arc<State>, Errand);

impl FromRequestParts<Arc<State>> for Gateway {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<State>) -> Result<Self, Problem> {
        let author = parts.extensions.get::<Author>().cloned();
        let author = author.ok_or_else(|| Problem::new(StatusCode::FORBIDDEN, "nobody asks"))?;
        let errand = parts.extensions.get::<Errand>().cloned().unwrap_or_default();
        Ok(Self(Arc::new(State { author, ..State::clone(state) }), errand))
    }
}

fn bounded(routes: Router<Arc<State>>, body: usize, time: Duration) -> Router<Arc<State>> {
    routes
        .layer(RequestBodyLimitLayer::new(body))
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, time))
}

/// Executes a command on a task of its own: an operator who goes away must not leave an account suspended
/// and its sessions open. That somebody still waits is seen by the receiver of its steps.
async fn run(Gateway(state, errand): Gateway, command: Result<Command, Problem>) -> Response {
    let command = match command {
        Ok(command) => command,
        Err(problem) => return problem.into_response(),
    };
    let tell = import::silent();
    let (steps, told) = (tell.subscribe(), command.tells());
    let working = tokio::spawn(async move {
        let done = audited::carry_out(&state, command, errand, &tell).await;
        done.unwrap_or_else(Problem::into_response)
    });
    if told {
        return import::stream(steps, working);
    }
    working.await.unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

fn on_account(command: fn(Identifiant) -> Command) -> MethodRouter<Arc<State>> {
    post(move |state: Gateway, Path(name): Path<String>| run(state, named(&name).map(command)))
}

fn show_or_delete() -> MethodRouter<Arc<State>> {
    let show = |state: Gateway, Path(name): Path<String>| run(state, named(&name).map(Command::ShowAccount));
    let delete =
        |state: Gateway, Path(name): Path<String>| run(state, named(&name).map(Command::DeleteAccount));
    get(show).delete(delete)
}

async fn metrics(Gateway(state, _): Gateway, headers: HeaderMap) -> Response {
    health::metrics(&state, &headers)
}

async fn list_accounts(state: Gateway, query: Result<Query<AccountQuery>, QueryRejection>) -> Response {
    let command = query.map(|Query(query)| Command::ListAccounts(query));
    run(state, command.map_err(|rejection| bad_query(&rejection))).await
}

async fn list_establishments(
    state: Gateway,
    query: Result<Query<EstablishmentQuery>, QueryRejection>,
) -> Response {
    let command = query.map(|Query(query)| Command::ListEstablishments(query));
    run(state, command.map_err(|rejection| bad_query(&rejection))).await
}

async fn list_sessions(state: Gateway, query: Result<Query<SessionQuery>, QueryRejection>) -> Response {
    let command = query.map(|Query(query)| Command::ListSessions(query));
    run(state, command.map_err(|rejection| bad_query(&rejection))).await
}

async fn list_sessions_of(
    state: Gateway,
    Path(name): Path<String>,
    query: Result<Query<SessionQuery>, QueryRejection>,
) -> Response {
    let query = query.map_err(|rejection| bad_query(&rejection));
    let of = |account| query.map(|Query(query)| SessionQuery { account: Some(account), ..query });
    run(state, named(&name).and_then(of).map(Command::ListSessions)).await
}

async fn revoke_sessions_of(state: Gateway, Path(name): Path<String>) -> Response {
    run(state, named(&name).map(Command::RevokeSessions)).await
}

async fn revoke_session(state: Gateway, Path(session): Path<String>) -> Response {
    // What is no name is no session's: the answer is the same as for one that is gone.
    run(state, session.parse().map(Command::RevokeSession).map_err(|_| session::unknown())).await
}

async fn show_caf(state: Gateway, Path(code): Path<String>) -> Response {
    run(state, coded(&code).map(Command::ShowCaf)).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DrainQuery {
    #[serde(default)]
    instance: Option<String>,
}

fn order(drain: fn(Drain) -> Command, undrain: fn(Drain) -> Command) -> MethodRouter<Arc<State>> {
    let handler = |command: fn(Drain) -> Command| {
        move |state: Gateway, Path(code): Path<String>, query: Result<Query<DrainQuery>, QueryRejection>| {
            let query = query.map_err(|rejection| bad_query(&rejection));
            let order = |caf| query.map(|Query(DrainQuery { instance })| Drain { caf, instance });
            run(state, coded(&code).and_then(order).map(command))
        }
    };
    post(handler(drain)).delete(handler(undrain))
}

fn coded(text: &str) -> Result<CafCode, Problem> {
    text.parse().map_err(|_| Problem::new(StatusCode::NOT_FOUND, format!("{text:?} is no Caf's code")))
}

async fn explain(state: Gateway, query: Result<Query<ExplainQuery>, QueryRejection>) -> Response {
    let command = query.map(|Query(query)| Command::Explain(query));
    run(state, command.map_err(|rejection| bad_query(&rejection))).await
}

async fn create_account(state: Gateway, body: Body) -> Response {
    let parse = |fields| account_import::parse_new(&state.0, fields).map(NewAccount::from);
    let new: Result<NewAccount, Problem> = object(body, parse).await;
    let command = new.map(|new| Command::CreateAccount(Box::new(new)));
    run(state, command).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ImportQuery {
    #[serde(default)]
    dry_run: bool,
    #[serde(default)]
    progress: bool,
    #[serde(default)]
    gone: Option<String>,
}

async fn import_accounts(
    state: Gateway,
    query: Result<Query<ImportQuery>, QueryRejection>,
    headers: HeaderMap,
    rows: Body,
) -> Response {
    let file = import_file(query, "suspend", &headers, rows).await;
    run(state, file.map(Command::ImportAccounts)).await
}

async fn import_establishments(
    state: Gateway,
    query: Result<Query<ImportQuery>, QueryRejection>,
    headers: HeaderMap,
    rows: Body,
) -> Response {
    let file = import_file(query, "delete", &headers, rows).await;
    run(state, file.map(Command::ImportEstablishments)).await
}

/// `gone` is what may be asked to become of what the file does not name.
async fn import_file(
    query: Result<Query<ImportQuery>, QueryRejection>,
    gone: &str,
    headers: &HeaderMap,
    rows: Body,
) -> Result<Import, Problem> {
    let Query(query) = query.map_err(|rejection| bad_query(&rejection))?;
    let gone = match query.gone.as_deref() {
        None | Some("keep") => false,
        Some(asked) if asked == gone => true,
        Some(_) => {
            let detail = format!("gone is keep or {gone}");
            return Err(Problem::new(StatusCode::BAD_REQUEST, detail));
        }
    };
    let ImportQuery { dry_run, progress, .. } = query;
    // Many a client sends no more of its request once the response has begun.
    let rows = if progress { import::whole(rows).await?.into() } else { rows };
    Ok(Import { rows, format: Format::said(headers), dry_run, gone, progress })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExportQuery {
    #[serde(default)]
    format: ExportFormat,
}

fn export(command: fn(ExportFormat) -> Command) -> MethodRouter<Arc<State>> {
    get(move |state: Gateway, query: Result<Query<ExportQuery>, QueryRejection>| {
        let format = query.map(|Query(query)| command(query.format));
        run(state, format.map_err(|rejection| bad_query(&rejection)))
    })
}

async fn set_clock(state: Gateway, body: Body) -> Response {
    let parse = |mut fields: Fields| match (fields.required("now"), fields.finish()) {
        (Some(now), faults) if faults.is_empty() => Ok(now),
        (_, faults) => Err(faults),
    };
    let now: Result<Timestamp, Problem> = object(body, parse).await;
    run(state, now.map(Command::SetClock)).await
}

fn named(text: &str) -> Result<Identifiant, Problem> {
    let parsed = text.parse::<Identifiant>();
    parsed.map_err(|error| Problem::new(StatusCode::BAD_REQUEST, error.to_string()))
}

/// What a body of one JSON object asks for.
async fn object<T>(body: Body, parse: impl FnOnce(Fields) -> Result<T, Vec<Fault>>) -> Result<T, Problem> {
    let text = import::whole(body).await?;
    let fields = Fields::parse(&text).map_err(|fault| Problem::new(StatusCode::BAD_REQUEST, fault.reason))?;
    parse(fields).map_err(|faults| {
        let errors = faults.into_iter().map(|fault| fault.on(None)).collect();
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "some values are wrong").with_errors(errors)
    })
}

fn bad_query(rejection: &QueryRejection) -> Problem {
    let text = rejection.body_text();
    let why = text.strip_prefix("Failed to deserialize query string: ").unwrap_or(&text);
    Problem::new(StatusCode::BAD_REQUEST, why)
}

/// A line for each change that was asked for, and by whom; the route, not the path, which names an account.
async fn note(request: Request, next: Next) -> Response {
    let errand = request.extensions().get::<Errand>().cloned().unwrap_or_default();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let author = request.extensions().get::<Author>().cloned();
    let response = next.run(request).await;
    if let (Some(route), Some(author)) = (route.filter(|_| !method.is_safe()), author) {
        let status = response.status().as_u16();
        let Author { name: author, by, via, .. } = author;
        let (route, via) = (route.as_str(), via.as_str());
        let request_id = errand.request;
        tracing::info!(listener = "admin", %method, route, status, author, by, via, request_id, "change asked for");
    }
    response
}
