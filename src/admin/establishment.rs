//! Establishments, as Cafs know them: listed, and imported all or none.

use std::collections::{HashMap, HashSet};

use axum::body::Body;
use axum::response::Response;

use super::import::{self, Fault, Fields, Row};
use super::{BadRow, EstablishmentsImported, EstablishmentsList, Problem, State, answer};
use crate::domain::{CafCode, IdentifiantCommunication, Siret};
use crate::establishment::Establishment;

pub(super) async fn list(state: &State) -> Result<Response, Problem> {
    let mut establishments = state.registry.establishments.list().await?;
    establishments.retain(|one| state.author.role.covers(one.caf));
    Ok(answer::ok(EstablishmentsList { establishments }))
}

pub(super) async fn import(state: &State, rows: Body, dry_run: bool) -> Result<Response, Problem> {
    let (rows, mut bad) = import::read(rows, |fields| parse(state, fields)).await?;
    bad.extend(doubles(&rows));
    import::refuse(bad)?;
    let known = state.registry.establishments.list().await?;
    let known: HashSet<Name> = known.iter().flat_map(names).collect();
    let rows: Vec<Establishment> = rows.into_iter().map(|row| row.value).collect();
    let replaced = rows.iter().filter(|row| names(row).any(|name| known.contains(&name))).count();
    if !dry_run {
        state.registry.establishments.put(&rows).await?;
    }
    Ok(answer::ok(EstablishmentsImported { dry_run, created: rows.len() - replaced, replaced }))
}

fn parse(state: &State, mut fields: Fields) -> Result<Establishment, Vec<Fault>> {
    let caf = fields.required("caf");
    let siret = fields.optional("siret");
    let identifiant_communication = fields.optional("identifiant_communication");
    let nom: String = fields.optional("nom").unwrap_or_default();
    import::check_name(&mut fields, &nom);
    if let Some(caf) = caf {
        import::check_caf(&mut fields, "caf", state, caf);
    }
    // A value that was there and wrong has its own fault already.
    if siret.is_none() && identifiant_communication.is_none() && !fields.is_faulty() {
        fields.fault("siret", "a siret or an identifiant_communication is needed");
    }
    match (caf, fields.finish()) {
        (Some(caf), faults) if faults.is_empty() => {
            Ok(Establishment { caf, siret, identifiant_communication, nom })
        }
        (_, faults) => Err(faults),
    }
}

/// What an establishment is found by at its Caf.
#[derive(PartialEq, Eq, Hash, Clone, Copy)]
enum Name {
    Siret(CafCode, Siret),
    Communication(CafCode, IdentifiantCommunication),
}

fn names(of: &Establishment) -> impl Iterator<Item = Name> {
    let siret = of.siret.map(|siret| Name::Siret(of.caf, siret));
    let communication = of.identifiant_communication.map(|name| Name::Communication(of.caf, name));
    siret.into_iter().chain(communication)
}

/// Rows that share a name, after padding, with one before them.
fn doubles(rows: &[Row<Establishment>]) -> Vec<BadRow> {
    let mut first: HashMap<Name, u64> = HashMap::new();
    let mut bad = Vec::new();
    for Row { line, value } in rows {
        for name in names(value) {
            let before = *first.entry(name).or_insert(*line);
            if before != *line {
                let (field, what) = match name {
                    Name::Siret(caf, siret) => ("siret", format!("{siret} at Caf {caf}")),
                    Name::Communication(caf, name) => {
                        ("identifiant_communication", format!("{name} at Caf {caf}"))
                    }
                };
                bad.push(import::bad(*line, field, format!("{what} is on line {before} already")));
            }
        }
    }
    bad
}
