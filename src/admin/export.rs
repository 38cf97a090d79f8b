//! Accounts and establishments as files that import back to the same.
//!
//! The values are those of the import's keys, in one order, so that exporting twice gives the same bytes. A
//! table is written for spreadsheets: UTF-8 with a byte order mark, fields separated by `;`, and no field that
//! one takes for a formula (see `protected`).

use std::convert::Infallible;

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE};
use serde::{Deserialize, Serialize};

use super::import::{self, Charset, Column, Format};
use super::{Problem, State, account_import, establishment};
use crate::account::{Account, PasswordHash, Status};
use crate::domain::{CafCode, Identifiant, Siret, Timestamp};
use crate::establishment::Establishment;

/// How an export is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExportFormat {
    /// An object in JSON a line.
    #[default]
    Jsonl,
    /// A table.
    Csv,
}

impl ExportFormat {
    /// The word for it in a query.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Jsonl => "jsonl",
            Self::Csv => "csv",
        }
    }
}

pub(super) async fn accounts(state: &State, format: ExportFormat) -> Result<Response, Problem> {
    let accounts = state.registry.accounts.list().await?;
    Ok(match format {
        ExportFormat::Jsonl => streamed("accounts", format, None, accounts, |one| json(&row(&one))),
        ExportFormat::Csv => {
            let head = Some(head(account_import::COLUMNS));
            streamed("accounts", format, head, accounts, |one| record(&cells(&one)))
        }
    })
}

pub(super) async fn establishments(state: &State, format: ExportFormat) -> Result<Response, Problem> {
    let known = establishment::seen(state).await?;
    Ok(match format {
        ExportFormat::Jsonl => streamed("establishments", format, None, known, |one| json(&one)),
        ExportFormat::Csv => {
            let head = Some(head(establishment::COLUMNS));
            streamed("establishments", format, head, known, |one| record(&establishment_cells(&one)))
        }
    })
}

/// An account under the import's keys.
#[derive(Serialize)]
struct Exported<'a> {
    identifiant: &'a Identifiant,
    siret: &'a Siret,
    nom: &'a str,
    cafs: &'a [CafCode],
    home_caf: Option<CafCode>,
    password_hash: &'a PasswordHash,
    password_changed_at: Timestamp,
    must_change: bool,
    status: Status,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    provisional: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_sign_in: Option<Timestamp>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    former_hashes: &'a [PasswordHash],
}

fn row(account: &Account) -> Exported<'_> {
    Exported {
        identifiant: &account.identifiant,
        siret: &account.siret,
        nom: &account.nom,
        cafs: &account.cafs,
        home_caf: account.home_caf,
        password_hash: &account.password_hash,
        password_changed_at: account.password_changed_at,
        must_change: account.must_change,
        status: account.status,
        provisional: account.provisional,
        last_sign_in: account.last_sign_in,
        former_hashes: &account.former,
    }
}

/// The fields of an account, in the order of the import's columns.
fn cells(account: &Account) -> [String; 12] {
    let joined = |parts: Vec<&str>| parts.join("|");
    [
        account.identifiant.to_string(),
        account.siret.to_string(),
        account.nom.clone(),
        joined(account.cafs.iter().map(CafCode::as_str).collect()),
        account.home_caf.map(String::from).unwrap_or_default(),
        account.password_hash.as_str().to_owned(),
        account.password_changed_at.to_string(),
        account.must_change.to_string(),
        account.status.as_str().to_owned(),
        account.provisional.to_string(),
        account.last_sign_in.map(|at| at.to_string()).unwrap_or_default(),
        joined(account.former.iter().map(PasswordHash::as_str).collect()),
    ]
}

fn establishment_cells(known: &Establishment) -> [String; 4] {
    [
        known.caf.to_string(),
        known.siret.map(String::from).unwrap_or_default(),
        known.identifiant_communication.map(String::from).unwrap_or_default(),
        known.nom.clone(),
    ]
}

/// Rows of a chunk of the response.
const CHUNK: usize = 256;

/// Writes the rows as they are asked for: a slow reader holds up nobody, and no whole file is in memory.
fn streamed<T: Send + 'static>(
    name: &str,
    format: ExportFormat,
    head: Option<Vec<u8>>,
    rows: Vec<T>,
    write: impl Fn(T) -> Vec<u8> + Send + 'static,
) -> Response {
    let mut rows = rows.into_iter();
    let mut head = head;
    let chunks = std::iter::from_fn(move || {
        let mut chunk = head.take().unwrap_or_default();
        chunk.extend(rows.by_ref().take(CHUNK).flat_map(&write));
        (!chunk.is_empty()).then_some(Ok::<_, Infallible>(chunk))
    });
    let media_type = match format {
        ExportFormat::Jsonl => Format::JsonLines,
        ExportFormat::Csv => Format::Csv(Charset::Utf8),
    }
    .media_type();
    let headers = [
        (CONTENT_TYPE, media_type.to_owned()),
        (CONTENT_DISPOSITION, format!("attachment; filename=\"{name}.{}\"", format.as_str())),
        (CACHE_CONTROL, "no-store".to_owned()),
    ];
    (headers, Body::from_stream(futures_util::stream::iter(chunks))).into_response()
}

fn json(row: &impl Serialize) -> Vec<u8> {
    // What is given are plain structs of text, whose serialisation cannot fail.
    let mut line = serde_json::to_vec(row).unwrap_or_default();
    line.push(b'\n');
    line
}

fn head(columns: &[Column]) -> Vec<u8> {
    let names: Vec<&str> = columns.iter().map(|column| column.name).collect();
    format!("\u{feff}{}\r\n", names.join(";")).into_bytes()
}

fn record(cells: &[String]) -> Vec<u8> {
    let fields: Vec<String> = cells.iter().map(|cell| quoted(&import::protected(cell))).collect();
    format!("{}\r\n", fields.join(";")).into_bytes()
}

/// A field in quotes, where without them it would be read as something else.
fn quoted(field: &str) -> String {
    let plain = !field.contains([';', ',', '\t', '"', '\n', '\r']) && field.trim() == field;
    if plain { field.to_owned() } else { format!("\"{}\"", field.replace('"', "\"\"")) }
}
