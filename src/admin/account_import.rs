//! Accounts from a file: looked at row by row, compared with the store, then written all at once or not at all.

use std::collections::{BTreeSet, HashMap};

use axum::response::Response;
use secrecy::ExposeSecret as _;
use serde_json::Value;

use super::audited::Told;
use super::import::{self, Column, Fault, Fields, Import, Kind, Row, Stage, Step, Teller};
use super::{
    BadRow, Difference, DifferenceIs, FieldDifference, GoneAre, ImportDone, Problem, Provisional, State,
    answer, scope,
};
use crate::account::{AccountRow, Changed, EnrolError, Enrolled, FieldChange, PasswordHash, Plan};
use crate::domain::{CafCode, Identifiant, Timestamp};
use crate::telemetry::audit::Entry;

/// The columns of a table of accounts, in the order in which they are exported.
pub(super) static COLUMNS: &[Column] = &[
    Column::required("identifiant", Kind::Word),
    Column::required("siret", Kind::Word),
    Column::new("nom", Kind::Name),
    Column::required("cafs", Kind::List(&[' ', '|', ',', ';'])),
    Column::new("home_caf", Kind::Word),
    Column::new("password_hash", Kind::Word),
    Column::new("password_changed_at", Kind::Word),
    Column::new("must_change", Kind::Flag),
    Column::new("status", Kind::Word),
    Column::new("provisional", Kind::Flag),
    Column::new("last_sign_in", Kind::Word),
    Column::new("former_hashes", Kind::List(&[' ', '|'])),
];

pub(super) async fn run(state: &State, file: Import, tell: &Teller) -> Result<Response, Problem> {
    let parser = state.clone();
    let parse = move |fields| parse(&parser, fields);
    let mut rows = import::read(file.rows, file.format, COLUMNS, parse).await?;
    let mut bad = rows.bad;
    bad.extend(doubles(&rows.good));
    let others = scope::Others::of(state).await?;
    for Row { line, value } in &mut rows.good {
        bad.extend(others.confine(state, value).map(|fault| fault.on(Some(*line))));
    }
    import::refuse(bad)?;
    import::refuse_nothing(&rows.good, file.gone)?;
    let lines: HashMap<Identifiant, u64> =
        rows.good.iter().map(|row| (row.value.identifiant.clone(), row.line)).collect();
    let rows_of: Vec<AccountRow> = rows.good.into_iter().map(|row| row.value).collect();
    tell.send_replace(Step { stage: Stage::Comparing, done: 0, of: rows_of.len() });
    let mut plan = state.registry.accounts.plan(rows_of, file.gone).await?;
    plan.gone.retain(|name| others.lets(name));
    let mut done = foreseen(&plan, file.gone, rows.read_as);
    if file.dry_run {
        done.differences = differences(&plan);
        return Ok(answer::ok(done));
    }
    done.dry_run = false;
    let told = told(&plan);
    let enrolled = carry_out(state, plan, tell).await.map_err(|error| refused(error, &lines))?;
    done.provisional_passwords = Some(enrolled.iter().filter_map(|one| shown(state, one)).collect());
    Ok(told.beside(answer::ok(done)))
}

/// What the audit log is told of a plan that is carried out.
fn told(plan: &Plan) -> Told {
    let (told, suspended) = plan.changed.split_at(plan.changed.len() - plan.suspended);
    let new = plan.new.iter().map(|row| entry("account-create", &row.identifiant, &row.cafs));
    let changed = told.iter().map(|changed| change("account-change", changed));
    let closed = suspended.iter().map(|changed| change("account-suspend", changed));
    let counts = [("created", plan.new.len()), ("changed", told.len()), ("suspended", suspended.len())];
    Told {
        detail: counts.into_iter().map(|(name, count)| (name.to_owned(), count.into())).collect(),
        each: new.chain(changed).chain(closed).collect(),
    }
}

/// The Cafs are those of before and after: one that is taken away is to know of it.
fn change(what: &'static str, Changed { account, fields }: &Changed) -> Entry {
    let before = fields.iter().find(|change| change.field == "cafs").and_then(|change| change.old.as_deref());
    let before = before.unwrap_or_default().split(' ').filter_map(|caf| caf.parse().ok());
    let all: BTreeSet<CafCode> = account.cafs.iter().copied().chain(before).collect();
    let mut entry = entry(what, &account.identifiant, &Vec::from_iter(all));
    let names: Value = fields.iter().map(|change| change.field).collect();
    entry.detail.insert("fields".to_owned(), names);
    entry
}

fn entry(what: &'static str, who: &Identifiant, of: &[CafCode]) -> Entry {
    Entry { what, who: Some(who.to_string()), cafs: of.to_vec(), ..Entry::default() }
}

async fn carry_out(state: &State, plan: Plan, tell: &Teller) -> Result<Vec<Enrolled>, EnrolError> {
    let of = plan.new.iter().filter(|row| row.password.is_none()).count();
    let all = plan.new.len() + plan.changed.len();
    let step = |stage, done, of| {
        let _ = tell.send_replace(Step { stage, done, of });
    };
    if of == 0 {
        step(Stage::Writing, 0, all);
    }
    let go_on = |hashed| {
        let next = if hashed < of { (Stage::Hashing, hashed, of) } else { (Stage::Writing, 0, all) };
        step(next.0, next.1, next.2);
        // Provisional passwords that nobody is there to be shown would be lost.
        !tell.is_closed()
    };
    let imported = state.registry.import(plan, &go_on, &|done, of| step(Stage::Ending, done, of)).await?;
    Ok(imported)
}

/// The account that the body of a single creation asks for.
pub(super) fn parse_new(state: &State, fields: Fields) -> Result<AccountRow, Vec<Fault>> {
    let row = parse(state, fields)?;
    let faults: Vec<Fault> = scope::Others::default().confine(state, &mut row.clone()).collect();
    if faults.is_empty() { Ok(row) } else { Err(faults) }
}

/// The account that a row asks for; whether its author may have it is not looked at, but for its manager.
fn parse(state: &State, mut fields: Fields) -> Result<AccountRow, Vec<Fault>> {
    let identifiant = fields.required("identifiant");
    let siret = fields.required("siret");
    let cafs: Option<Vec<CafCode>> = fields.required("cafs");
    let nom = fields.has("nom").then(|| fields.optional("nom").unwrap_or_default());
    let home_caf = fields.has("home_caf").then(|| fields.optional("home_caf"));
    let password = hash(&mut fields);
    let former = former(&mut fields);
    let [password_changed_at, last_sign_in] =
        ["password_changed_at", "last_sign_in"].map(|key| past(state, &mut fields, key));
    let must_change = fields.optional("must_change");
    let provisional = fields.optional("provisional").unwrap_or_default();
    let status = fields.optional("status");
    import::check_name(&mut fields, nom.as_deref().unwrap_or_default());
    if cafs.as_ref().is_some_and(Vec::is_empty) {
        fields.fault("cafs", "an account needs one Caf at least");
    }
    for caf in cafs.iter().flatten() {
        import::check_known(&mut fields, "cafs", state, *caf);
    }
    if let Some(caf) = home_caf.flatten() {
        import::check_caf(&mut fields, "home_caf", state, caf);
    }
    match (identifiant, siret, cafs, fields.finish()) {
        (Some(identifiant), Some(siret), Some(cafs), faults) if faults.is_empty() => Ok(AccountRow {
            identifiant,
            siret,
            cafs,
            nom,
            home_caf,
            password,
            password_changed_at,
            provisional,
            must_change,
            status,
            last_sign_in,
            former,
        }),
        (.., faults) => Err(faults),
    }
}

fn hash(fields: &mut Fields) -> Option<PasswordHash> {
    let text: String = fields.optional("password_hash")?;
    PasswordHash::parse(&text).map_err(|why| fields.fault("password_hash", why.to_string())).ok()
}

fn former(fields: &mut Fields) -> Vec<PasswordHash> {
    let texts: Vec<String> = fields.optional("former_hashes").unwrap_or_default();
    let parsed = texts.iter().map(|text| PasswordHash::parse(text)).collect::<Result<_, _>>();
    parsed.map_err(|why| fields.fault("former_hashes", why.to_string())).unwrap_or_default()
}

/// An instant that is not to come: a password from the future would never fall due. Clocks elsewhere may go
/// a little fast.
fn past(state: &State, fields: &mut Fields, key: &'static str) -> Option<Timestamp> {
    let soon = state.clock.now().saturating_add(std::time::Duration::from_hours(1)).unwrap_or(Timestamp::MAX);
    let instant = fields.instant(key)?;
    if instant > soon {
        fields.fault(key, "this instant is still to come");
    }
    Some(instant)
}

/// Rows that name, in whatever case, the account of one before them.
fn doubles(rows: &[Row<AccountRow>]) -> Vec<BadRow> {
    let mut first: HashMap<&Identifiant, u64> = HashMap::new();
    let twice = |row: &Row<AccountRow>, first| {
        import::bad(row.line, "identifiant", format!("the same account as on line {first}"))
    };
    let mut bad = Vec::new();
    for row in rows {
        let before = *first.entry(&row.value.identifiant).or_insert(row.line);
        if before != row.line {
            bad.push(twice(row, before));
        }
    }
    bad
}

fn foreseen(plan: &Plan, suspend_gone: bool, read_as: String) -> ImportDone {
    ImportDone {
        dry_run: true,
        read_as,
        created: plan.new.len(),
        changed: plan.changed.len() - plan.suspended,
        unchanged: plan.unchanged,
        gone: plan.gone.len(),
        gone_are: if suspend_gone { GoneAre::Suspended } else { GoneAre::Kept },
        differences: Vec::new(),
        provisional_passwords: Some(Vec::new()),
    }
}

fn differences(plan: &Plan) -> Vec<Difference> {
    let difference = |is, name: &Identifiant| Difference { is, name: name.to_string(), fields: Vec::new() };
    let new = plan.new.iter().map(|row| difference(DifferenceIs::New, &row.identifiant));
    let told = &plan.changed[..plan.changed.len() - plan.suspended];
    let changed = told.iter().map(|changed| Difference {
        fields: changed.fields.iter().map(told_field).collect(),
        ..difference(DifferenceIs::Changed, &changed.account.identifiant)
    });
    let gone = plan.gone.iter().map(|name| difference(DifferenceIs::Gone, name));
    new.chain(changed).chain(gone).collect()
}

fn told_field(change: &FieldChange) -> FieldDifference {
    FieldDifference { field: change.field.to_owned(), old: change.old.clone(), new: change.new.clone() }
}

fn shown(state: &State, one: &Enrolled) -> Option<Provisional> {
    Some(Provisional {
        identifiant: one.account.identifiant.clone(),
        provisional_password: one.provisional.as_ref()?.expose_secret().to_owned(),
        provisional_until: state.registry.accounts.provisional_until(&one.account),
    })
}

/// Others were at the store while the file was looked at.
fn refused(error: EnrolError, lines: &HashMap<Identifiant, u64>) -> Problem {
    let (names, reason) = match &error {
        EnrolError::Taken(names) => (names, "another made this account in the meantime"),
        EnrolError::Stale(names) => (names, "another changed this account in the meantime"),
        EnrolError::GivenUp => {
            tracing::info!(listener = "admin", "an import was given up: whoever sent it left");
            return error.into();
        }
        _ => return error.into(),
    };
    let row = |name: &Identifiant| BadRow {
        line: lines.get(name).copied(),
        field: Some("identifiant".to_owned()),
        reason: format!("{name}: {reason}"),
    };
    let detail =
        "the store was changed by another while the file was looked at; nothing was imported: try again";
    Problem::new(http::StatusCode::CONFLICT, detail).with_errors(names.iter().map(row).collect())
}
