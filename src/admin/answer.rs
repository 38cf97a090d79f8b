//! What the admin API answers, as JSON; never a password hash.

use axum::Json;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::account::{Account, Accounts, Status};
use crate::domain::{CafCode, Identifiant, Siret, Timestamp};
use crate::establishment::Establishment;

/// An account, as its managers see it.
#[derive(Serialize, Deserialize)]
pub struct AccountView {
    /// Its name.
    pub identifiant: Identifiant,
    /// The ESAT it acts for.
    pub siret: Siret,
    /// The ESAT's name.
    pub nom: String,
    /// The Cafs it may declare to.
    pub cafs: Vec<CafCode>,
    /// The Caf that manages it.
    pub home_caf: Option<CafCode>,
    /// Whether it may be used.
    pub status: Status,
    /// Whether the password must be changed at the next sign-in or entry to a Caf.
    pub must_change: bool,
    /// When the password was last changed.
    pub password_changed_at: Timestamp,
    /// When it falls due (rule 2).
    pub password_expires_at: Timestamp,
    /// When a provisional password stops opening anything; missing once it was changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provisional_until: Option<Timestamp>,
    /// Whether a provisional password waited too long: the account needs another one.
    #[serde(default)]
    pub provisional_expired: bool,
    /// When its owner last signed in.
    pub last_sign_in: Option<Timestamp>,
    /// A password that was just made; it is shown this once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provisional_password: Option<String>,
}

impl AccountView {
    pub(super) fn new(account: Account, accounts: &Accounts, now: Timestamp) -> Self {
        let provisional_until = accounts.provisional_until(&account);
        Self {
            provisional_until,
            provisional_expired: provisional_until.is_some_and(|until| until <= now),
            password_expires_at: accounts.password_age(account.password_changed_at).due(),
            identifiant: account.identifiant,
            siret: account.siret,
            nom: account.nom,
            cafs: account.cafs,
            home_caf: account.home_caf,
            status: account.status,
            must_change: account.must_change,
            password_changed_at: account.password_changed_at,
            last_sign_in: account.last_sign_in,
            provisional_password: None,
        }
    }
}

/// Some of the accounts that were asked for, by name.
#[derive(Serialize, Deserialize)]
pub struct AccountsPage {
    /// Those of this page.
    pub accounts: Vec<AccountView>,
    /// How many there are on all pages.
    pub total: usize,
    /// This page's number, from 1.
    pub page: usize,
    /// Most accounts on a page.
    pub limit: usize,
}

/// What an import of accounts did, or would do.
#[derive(Serialize, Deserialize)]
pub struct AccountsImported {
    /// Whether nothing was changed.
    pub dry_run: bool,
    /// How many accounts were made.
    pub created: usize,
    /// Passwords that were made, shown this once.
    pub provisional_passwords: Vec<Provisional>,
}

/// A password that was made for an account.
#[derive(Serialize, Deserialize)]
pub struct Provisional {
    /// The account.
    pub identifiant: Identifiant,
    /// Its password, until it is changed at the first sign-in.
    pub provisional_password: String,
}

/// All establishments, by Caf, SIRET and identifiant.
#[derive(Serialize, Deserialize)]
pub struct EstablishmentsList {
    /// The establishments.
    pub establishments: Vec<Establishment>,
}

/// What an import of establishments did, or would do.
#[derive(Serialize, Deserialize)]
pub struct EstablishmentsImported {
    /// Whether nothing was changed.
    pub dry_run: bool,
    /// How many were not known before.
    pub created: usize,
    /// How many took the place of one that shares a name with them.
    pub replaced: usize,
}

/// The clock of a rehearsal.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClockView {
    /// The time it shows.
    pub now: Timestamp,
}

/// `200` with `view`.
pub(super) fn ok(view: impl Serialize) -> Response {
    Json(view).into_response()
}

/// `201` with `view`.
pub(super) fn created(view: impl Serialize) -> Response {
    (StatusCode::CREATED, Json(view)).into_response()
}
