//! The operations of the admin API, shared by its routes and its clients.

use std::net::IpAddr;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use form_urlencoded::byte_serialize;
use http::{Method, Request};
use serde::{Deserialize, Serialize};

use super::import::Teller;
use super::{
    Drain, ExportFormat, IMPORT_TIMEOUT, Import, Moment, Problem, Sort, State, TIMEOUT, account,
    account_import, caf, clock, establishment, explain, export, reload, session,
};
use crate::account::{NewAccount, Status};
use crate::domain::{CafCode, Identifiant, Siret, Timestamp};
use crate::session::Sitting;

/// One operation.
#[derive(Debug)]
pub enum Command {
    /// Shows accounts.
    ListAccounts(AccountQuery),
    /// Makes one.
    CreateAccount(Box<NewAccount>),
    /// Shows one.
    ShowAccount(Identifiant),
    /// Makes and changes those of a file, all or none.
    ImportAccounts(Import),
    /// Writes all of them, password hashes included, as a file that can be imported.
    ExportAccounts(ExportFormat),
    /// Closes one and ends its sessions.
    SuspendAccount(Identifiant),
    /// Opens a suspended one again.
    ReactivateAccount(Identifiant),
    /// Gives one a provisional password and ends its sessions.
    ResetPassword(Identifiant),
    /// Asks for a change of password.
    ForceChange(Identifiant),
    /// Lifts the lock that wrong passwords brought.
    UnlockAccount(Identifiant),
    /// Removes one and ends its sessions.
    DeleteAccount(Identifiant),
    /// Shows what Cafs know.
    ListEstablishments(EstablishmentQuery),
    /// Adds and changes the establishments of a file, all or none.
    ImportEstablishments(Import),
    /// Writes all of them as a file that can be imported.
    ExportEstablishments(ExportFormat),
    /// Shows live sessions.
    ListSessions(SessionQuery),
    /// Ends one, by its public name.
    RevokeSession(Sitting),
    /// Ends all of an account.
    RevokeSessions(Identifiant),
    /// Shows the Cafs' backends.
    ListCafs,
    /// Shows one Caf's.
    ShowCaf(CafCode),
    /// Takes a Caf's backend, or an instance of it, out of service.
    DrainCaf(Drain),
    /// Puts it into service again.
    UndrainCaf(Drain),
    /// Reads certificates, tokens and lists again.
    Reload,
    /// Says why a request would be let through, or not.
    Explain(ExplainQuery),
    /// Shows the clock of a rehearsal.
    ShowClock,
    /// Moves it.
    SetClock(Timestamp),
}

/// Which accounts are shown.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountQuery {
    /// Those that may declare to this Caf.
    #[serde(default)]
    pub caf: Option<CafCode>,
    /// Those of this status.
    #[serde(default)]
    pub status: Option<Status>,
    /// Those whose password stops opening anything before then.
    #[serde(default)]
    pub expiring_before: Option<Moment>,
    /// Those whose owner never signed in.
    #[serde(default)]
    pub never_signed_in: bool,
    /// In which order: by name where it is not told.
    #[serde(default)]
    pub sort: Option<Sort>,
    /// Those after this one: `next` of the page before.
    #[serde(default)]
    pub after: Option<String>,
    /// Most accounts on a page: 100 where it is not told, 10,000 at most.
    #[serde(default)]
    pub limit: Option<usize>,
}

/// Which establishments are shown.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EstablishmentQuery {
    /// Those that this Caf knows.
    #[serde(default)]
    pub caf: Option<CafCode>,
    /// Those of this SIRET.
    #[serde(default)]
    pub siret: Option<Siret>,
    /// Those after this one: `next` of the page before.
    #[serde(default)]
    pub after: Option<String>,
    /// Most establishments on a page: 10,000 where it is not told, which is the most.
    #[serde(default)]
    pub limit: Option<usize>,
}

impl EstablishmentQuery {
    fn target(&self) -> String {
        let mut query = form_urlencoded::Serializer::new("/v1/establishments?".to_owned());
        query.extend_pairs(self.caf.map(|caf| ("caf", String::from(caf))));
        query.extend_pairs(self.siret.map(|siret| ("siret", String::from(siret))));
        query.extend_pairs(self.after.as_ref().map(|after| ("after", after)));
        query.extend_pairs(self.limit.map(|limit| ("limit", limit.to_string())));
        query.finish()
    }
}

/// Which sessions are shown.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionQuery {
    /// Those of this account.
    #[serde(default)]
    pub account: Option<Identifiant>,
    /// Those that are at this Caf now.
    #[serde(default)]
    pub caf: Option<CafCode>,
    /// Those after this one: `next` of the page before.
    #[serde(default)]
    pub after: Option<Sitting>,
    /// Most sessions on a page: 100 where it is not told, 1,000 at most.
    #[serde(default)]
    pub limit: Option<usize>,
}

impl SessionQuery {
    fn target(&self) -> String {
        let path = self.account.as_ref().map_or_else(|| "/v1/sessions".to_owned(), |of| one(of, "/sessions"));
        let mut query = form_urlencoded::Serializer::new(format!("{path}?"));
        query.extend_pairs(self.caf.map(|caf| ("caf", String::from(caf))));
        query.extend_pairs(self.after.map(|after| ("after", after.to_string())));
        query.extend_pairs(self.limit.map(|limit| ("limit", limit.to_string())));
        query.finish()
    }
}

/// What is to be explained.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExplainQuery {
    /// Who.
    pub account: Identifiant,
    /// At which Caf.
    pub caf: CafCode,
    /// Path as it would be sent.
    pub path: String,
    /// When; now where it is not told.
    #[serde(default)]
    pub at: Option<Moment>,
    /// From which address, to look at the lock of that place too.
    #[serde(default)]
    pub from: Option<IpAddr>,
}

impl ExplainQuery {
    fn target(&self) -> String {
        let mut query = form_urlencoded::Serializer::new("/v1/explain?".to_owned());
        query.append_pair("account", self.account.as_str()).append_pair("caf", self.caf.as_str());
        query.append_pair("path", &self.path);
        query.extend_pairs(self.at.map(|at| ("at", at.to_string())));
        query.extend_pairs(self.from.map(|from| ("from", from.to_string())));
        query.finish()
    }
}

impl Drain {
    fn target(&self) -> String {
        let mut query = form_urlencoded::Serializer::new(format!("/v1/cafs/{}/drain?", self.caf));
        query.extend_pairs(self.instance.as_ref().map(|instance| ("instance", instance)));
        query.finish()
    }
}

impl Command {
    /// The request that asks a gateway for this operation; its target is a path and query.
    pub fn into_request(self) -> Result<Request<Body>, http::Error> {
        let (method, target, body) = match self {
            Self::ListAccounts(query) => (Method::GET, query.target(), Body::empty()),
            Self::CreateAccount(new) => (Method::POST, "/v1/accounts".to_owned(), json(&new)),
            Self::ImportAccounts(file) => return import("accounts", file),
            Self::ExportAccounts(format) => (Method::GET, export("accounts", format), Body::empty()),
            Self::ShowAccount(of) => (Method::GET, one(&of, ""), Body::empty()),
            Self::DeleteAccount(of) => (Method::DELETE, one(&of, ""), Body::empty()),
            Self::SuspendAccount(of) => (Method::POST, one(&of, "/suspend"), Body::empty()),
            Self::ReactivateAccount(of) => (Method::POST, one(&of, "/reactivate"), Body::empty()),
            Self::ResetPassword(of) => (Method::POST, one(&of, "/reset-password"), Body::empty()),
            Self::ForceChange(of) => (Method::POST, one(&of, "/force-change"), Body::empty()),
            Self::UnlockAccount(of) => (Method::POST, one(&of, "/unlock"), Body::empty()),
            Self::ListEstablishments(query) => (Method::GET, query.target(), Body::empty()),
            Self::ImportEstablishments(file) => return import("establishments", file),
            Self::ExportEstablishments(format) => {
                (Method::GET, export("establishments", format), Body::empty())
            }
            Self::ListSessions(query) => (Method::GET, query.target(), Body::empty()),
            Self::RevokeSession(of) => (Method::DELETE, format!("/v1/sessions/{of}"), Body::empty()),
            Self::RevokeSessions(of) => (Method::DELETE, one(&of, "/sessions"), Body::empty()),
            Self::ListCafs => (Method::GET, "/v1/cafs".to_owned(), Body::empty()),
            Self::ShowCaf(caf) => (Method::GET, format!("/v1/cafs/{caf}"), Body::empty()),
            Self::DrainCaf(order) => (Method::POST, order.target(), Body::empty()),
            Self::UndrainCaf(order) => (Method::DELETE, order.target(), Body::empty()),
            Self::Reload => (Method::POST, "/v1/reload".to_owned(), Body::empty()),
            Self::Explain(query) => (Method::GET, query.target(), Body::empty()),
            Self::ShowClock => (Method::GET, "/v1/clock".to_owned(), Body::empty()),
            Self::SetClock(now) => (Method::PUT, "/v1/clock".to_owned(), json(&super::ClockView { now })),
        };
        Request::builder().method(method).uri(target).header("content-type", "application/json").body(body)
    }

    /// Longest that it may take.
    pub fn timeout(&self) -> Duration {
        match self {
            Self::ImportAccounts(_) | Self::ImportEstablishments(_) => IMPORT_TIMEOUT,
            _ => TIMEOUT,
        }
    }

    /// Whether the client wants to be told how far it is.
    pub(super) fn tells(&self) -> bool {
        matches!(self, Self::ImportAccounts(file) | Self::ImportEstablishments(file) if file.progress)
    }

    /// Does it, and tells `tell` how far a long one is.
    pub(super) async fn execute(self, state: &State, tell: &Teller) -> Result<Response, Problem> {
        match self {
            Self::ListAccounts(query) => account::list(state, &query).await,
            Self::CreateAccount(new) => account::create(state, *new).await,
            Self::ShowAccount(of) => account::show(state, &of).await,
            Self::ImportAccounts(file) => account_import::run(state, file, tell).await,
            Self::ExportAccounts(format) => export::accounts(state, format).await,
            Self::SuspendAccount(of) => account::suspend(state, &of).await,
            Self::ReactivateAccount(of) => account::reactivate(state, &of).await,
            Self::ResetPassword(of) => account::reset_password(state, &of).await,
            Self::ForceChange(of) => account::force_change(state, &of).await,
            Self::UnlockAccount(of) => account::unlock(state, &of).await,
            Self::DeleteAccount(of) => account::delete(state, &of).await,
            Self::ListEstablishments(query) => establishment::list(state, &query).await,
            Self::ImportEstablishments(file) => establishment::import(state, file, tell).await,
            Self::ExportEstablishments(format) => export::establishments(state, format).await,
            Self::ListSessions(query) => session::list(state, query).await,
            Self::RevokeSession(of) => session::revoke(state, of).await,
            Self::RevokeSessions(of) => session::revoke_all(state, &of).await,
            Self::ListCafs => Ok(caf::list(state)),
            Self::ShowCaf(of) => caf::show(state, of),
            Self::DrainCaf(order) => caf::drain(state, &order, true).await,
            Self::UndrainCaf(order) => caf::drain(state, &order, false).await,
            Self::Reload => reload::run(state).await,
            Self::Explain(query) => explain::show(state, query).await,
            Self::ShowClock => clock::show(state),
            Self::SetClock(now) => clock::set(state, now),
        }
    }
}

impl AccountQuery {
    fn target(&self) -> String {
        let mut query = form_urlencoded::Serializer::new("/v1/accounts?".to_owned());
        let status = self.status.map(|status| status.as_str().to_owned());
        let pairs = [
            ("caf", self.caf.map(String::from)),
            ("status", status),
            ("expiring_before", self.expiring_before.map(|until| until.to_string())),
            ("never_signed_in", self.never_signed_in.then(|| "true".to_owned())),
            ("sort", self.sort.map(|sort| sort.to_string())),
            ("after", self.after.clone()),
            ("limit", self.limit.map(|limit| limit.to_string())),
        ];
        query.extend_pairs(pairs.into_iter().filter_map(|(key, value)| Some((key, value?))));
        query.finish()
    }
}

fn json(value: &impl Serialize) -> Body {
    // What is given are plain structs of text, whose serialisation cannot fail.
    serde_json::to_vec(value).unwrap_or_default().into()
}

fn import(what: &str, file: Import) -> Result<Request<Body>, http::Error> {
    let Import { rows, format, dry_run, gone, progress } = file;
    let gone = gone.then_some(if what == "accounts" { "suspend" } else { "delete" });
    let gone = gone.map(|gone| format!("&gone={gone}")).unwrap_or_default();
    let target = format!("/v1/{what}/import?dry_run={dry_run}&progress={progress}{gone}");
    let builder = Request::builder().method(Method::POST).uri(target);
    builder.header("content-type", format.media_type()).body(rows)
}

fn export(what: &str, format: ExportFormat) -> String {
    format!("/v1/{what}/export?format={}", format.as_str())
}

/// An address may hold `/`, `?`, `#` and `%` before its `@` (RFC 5322 section 3.2.3).
fn one(identifiant: &Identifiant, action: &str) -> String {
    let name: String = byte_serialize(identifiant.as_str().as_bytes()).collect();
    format!("/v1/accounts/{name}{action}")
}
