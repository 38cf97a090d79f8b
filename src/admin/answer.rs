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
    /// Days until then, a begun day counting whole; 0 once it is due.
    #[serde(default)]
    pub password_days_left: u32,
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
        let age = accounts.password_age(account.password_changed_at);
        Self {
            provisional_until,
            provisional_expired: provisional_until.is_some_and(|until| until <= now),
            password_expires_at: age.due(),
            password_days_left: age.days_left(now),
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

    /// When its password stops opening anything but, where it may, its own change.
    pub(super) fn expires_at(&self) -> Timestamp {
        self.provisional_until.map_or(self.password_expires_at, |until| until.min(self.password_expires_at))
    }
}

/// Some of the accounts that were asked for, in the order that was.
#[derive(Serialize, Deserialize)]
pub struct AccountsPage {
    /// Those of this page.
    pub accounts: Vec<AccountView>,
    /// How many there are on all pages.
    pub total: usize,
    /// What to ask for as `after`, to go on; none when there are no more.
    pub next: Option<String>,
}

/// What an import did, or would do.
#[derive(Serialize, Deserialize)]
pub struct ImportDone {
    /// Whether nothing was changed.
    pub dry_run: bool,
    /// How the file was understood: JSON Lines, or CSV with which encoding and delimiter.
    pub read_as: String,
    /// How many were made.
    pub created: usize,
    /// How many were changed.
    pub changed: usize,
    /// How many the file tells as they are.
    pub unchanged: usize,
    /// How many are in the store and not in the file.
    pub gone: usize,
    /// What became of those: `kept`, `suspended` (accounts) or `deleted` (establishments).
    pub gone_are: GoneAre,
    /// Each of them, where nothing was changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<Difference>,
    /// Passwords that were made, shown this once; missing where establishments are imported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provisional_passwords: Option<Vec<Provisional>>,
}

/// What becomes of what is in the store and not in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GoneAre {
    /// It stays as it is.
    Kept,
    /// It is closed.
    Suspended,
    /// It is removed.
    Deleted,
}

/// Where a file and the store differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// How.
    pub is: DifferenceIs,
    /// The account's name; an establishment's Caf, SIRET and identifiant de communication.
    pub name: String,
    /// The keys whose values change.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<FieldDifference>,
}

/// How a file and the store differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DifferenceIs {
    /// In the file alone.
    New,
    /// In both, with other values.
    Changed,
    /// In the store alone.
    Gone,
}

/// A key whose value changes; a secret's values are not told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldDifference {
    /// The key.
    pub field: String,
    /// Its value in the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old: Option<String>,
    /// Its value in the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new: Option<String>,
}

/// A password that was made for an account.
#[derive(Serialize, Deserialize)]
pub struct Provisional {
    /// The account.
    pub identifiant: Identifiant,
    /// Its password, until it is changed at the first sign-in.
    pub provisional_password: String,
    /// When it stops opening anything, if it is not changed before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provisional_until: Option<Timestamp>,
}

/// Some of the establishments that were asked for, by Caf, SIRET and identifiant.
#[derive(Serialize, Deserialize)]
pub struct EstablishmentsPage {
    /// Those of this page.
    pub establishments: Vec<Establishment>,
    /// What to ask for as `after`, to go on; none when there are no more.
    pub next: Option<String>,
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
