//! Accounts from a file: looked at line by line, then made all at once or not at all.

use std::collections::HashMap;

use axum::body::Body;
use axum::response::Response;
use secrecy::ExposeSecret as _;

use super::import::{self, Fault, Fields, Row};
use super::{AccountsImported, BadRow, Problem, Provisional, State, answer};
use crate::account::{EnrolError, Enrolled, NewAccount, PasswordHash};
use crate::domain::{CafCode, Identifiant, Timestamp};

pub(super) async fn run(state: &State, rows: Body, dry_run: bool) -> Result<Response, Problem> {
    let (rows, mut bad) = import::read(rows, |fields| parse(state, fields)).await?;
    let known = state.registry.accounts.list().await?;
    let mut lines: HashMap<Identifiant, Option<u64>> =
        known.into_iter().map(|account| (account.identifiant, None)).collect();
    for Row { line, value } in &rows {
        match lines.get(&value.identifiant) {
            None => drop(lines.insert(value.identifiant.clone(), Some(*line))),
            Some(None) => bad.push(taken(*line)),
            Some(Some(first)) => bad.push(twice(*line, *first)),
        }
    }
    import::refuse(bad)?;
    if dry_run {
        return Ok(answer::ok(AccountsImported {
            dry_run,
            created: rows.len(),
            provisional_passwords: vec![],
        }));
    }
    let accounts = rows.into_iter().map(|row| row.value).collect();
    match state.registry.accounts.enrol(accounts).await {
        Ok(enrolled) => Ok(answer::ok(imported(&enrolled))),
        Err(EnrolError::Taken(names)) => {
            let line = |name| lines.get(name).copied().flatten();
            Err(import::refusal(names.iter().filter_map(line).map(taken).collect()))
        }
        Err(error) => Err(error.into()),
    }
}

/// The account that a line, or the body of a single creation, asks for.
pub(super) fn parse(state: &State, mut fields: Fields) -> Result<NewAccount, Vec<Fault>> {
    let identifiant = fields.required("identifiant");
    let siret = fields.required("siret");
    let cafs: Option<Vec<CafCode>> = fields.required("cafs");
    let nom: String = fields.optional("nom").unwrap_or_default();
    let home_caf = fields.optional("home_caf");
    let password_hash: Option<String> = fields.optional("password_hash");
    let password_changed_at: Option<Timestamp> = fields.optional("password_changed_at");
    let must_change = fields.optional("must_change").unwrap_or_default();
    let status = fields.optional("status");
    import::check_name(&mut fields, &nom);
    if cafs.as_ref().is_some_and(Vec::is_empty) {
        fields.fault("cafs", "an account needs one Caf at least");
    }
    for caf in cafs.iter().flatten() {
        import::check_caf(&mut fields, "cafs", state, *caf);
    }
    if let Some(caf) = home_caf {
        import::check_caf(&mut fields, "home_caf", state, caf);
    }
    if let Some(Err(why)) = password_hash.as_deref().map(PasswordHash::parse) {
        fields.fault("password_hash", why.to_string());
    }
    if password_changed_at.is_some_and(|changed| changed > soon(state)) {
        fields.fault("password_changed_at", "this instant is still to come");
    }
    match (identifiant, siret, cafs, fields.finish()) {
        (Some(identifiant), Some(siret), Some(cafs), faults) if faults.is_empty() => Ok(NewAccount {
            identifiant,
            siret,
            nom,
            cafs,
            home_caf,
            password_hash,
            password_changed_at,
            must_change,
            status,
        }),
        (.., faults) => Err(faults),
    }
}

/// A password from the future would never fall due; clocks elsewhere may go a little fast.
fn soon(state: &State) -> Timestamp {
    state.clock.now().saturating_add(std::time::Duration::from_hours(1)).unwrap_or(Timestamp::MAX)
}

fn imported(enrolled: &[Enrolled]) -> AccountsImported {
    let shown = |one: &Enrolled| {
        Some(Provisional {
            identifiant: one.account.identifiant.clone(),
            provisional_password: one.provisional.as_ref()?.expose_secret().to_owned(),
        })
    };
    let provisional_passwords = enrolled.iter().filter_map(shown).collect();
    AccountsImported { dry_run: false, created: enrolled.len(), provisional_passwords }
}

fn taken(line: u64) -> BadRow {
    import::bad(line, "identifiant", "this account exists already".to_owned())
}

fn twice(line: u64, first: u64) -> BadRow {
    import::bad(line, "identifiant", format!("the same account as on line {first}"))
}
