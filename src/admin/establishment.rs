//! Establishments, as Cafs know them: listed, and imported all or none.

use std::collections::{BTreeSet, HashMap, HashSet};

use axum::response::Response;
use serde_json::{Map, Value};

use super::audited::Told;
use super::import::{self, Column, Fault, Fields, Import, Kind, Row, Stage, Step, Teller};
use super::listing::{self, LARGEST_LIMIT, Paged, Rank};
use super::{
    BadRow, Difference, DifferenceIs, EstablishmentQuery, EstablishmentsPage, FieldDifference, GoneAre,
    ImportDone, Problem, State, answer,
};
use crate::domain::{CafCode, IdentifiantCommunication, Siret};
use crate::establishment::Establishment;
use crate::telemetry::audit::Entry;

/// The columns of a table of establishments, in the order in which they are exported.
pub(super) static COLUMNS: &[Column] = &[
    Column::required("caf", Kind::Word),
    Column::new("siret", Kind::Word),
    Column::new("identifiant_communication", Kind::Word),
    Column::new("nom", Kind::Name),
];

pub(super) async fn list(state: &State, query: &EstablishmentQuery) -> Result<Response, Problem> {
    let limit = listing::limit(query.limit, LARGEST_LIMIT)?;
    let after = query.after.as_deref().map(str::parse).transpose()?;
    let mut known = seen(state).await?;
    known.retain(|one| {
        query.caf.is_none_or(|caf| one.caf == caf) && query.siret.is_none_or(|siret| one.siret == Some(siret))
    });
    let Paged { rows: establishments, next } = listing::page(known, rank, false, after.as_ref(), limit);
    Ok(answer::ok(EstablishmentsPage { establishments, next }))
}

fn rank(one: &Establishment) -> Rank {
    let siret = one.siret.map(String::from).unwrap_or_default();
    let identifiant = one.identifiant_communication.map(String::from).unwrap_or_default();
    Rank { key: format!("{}/{siret}", one.caf), name: identifiant }
}

/// Those of the Cafs that the author looks after.
pub(super) async fn seen(state: &State) -> Result<Vec<Establishment>, Problem> {
    let mut establishments = state.registry.establishments.list().await?;
    establishments.retain(|one| state.author.role.covers(one.caf));
    Ok(establishments)
}

pub(super) async fn import(state: &State, file: Import, tell: &Teller) -> Result<Response, Problem> {
    let parser = state.clone();
    let rows = import::read(file.rows, file.format, COLUMNS, move |fields| parse(&parser, fields)).await?;
    let mut bad = rows.bad;
    bad.extend(doubles(&rows.good));
    import::refuse(bad)?;
    import::refuse_nothing(&rows.good, file.gone)?;
    tell.send_replace(Step { stage: Stage::Comparing, done: 0, of: rows.good.len() });
    let stored = seen(state).await?;
    if !file.gone {
        import::refuse(taken(&rows.good, &stored))?;
    }
    let new: Vec<Establishment> = rows.good.into_iter().map(|row| row.value).collect();
    let plan = Plan::new(&new, stored);
    let gone_are = if file.gone { GoneAre::Deleted } else { GoneAre::Kept };
    let mut done = plan.foreseen(gone_are, rows.read_as);
    if file.dry_run {
        done.differences = plan.differences;
        return Ok(answer::ok(done));
    }
    done.dry_run = false;
    tell.send_replace(Step { stage: Stage::Writing, done: 0, of: new.len() });
    let gone: &[Establishment] = if file.gone { &plan.gone } else { &[] };
    let noted = noted(&plan, &new, gone);
    state.registry.establishments.write(&new, gone).await?;
    Ok(noted.beside(answer::ok(done)))
}

/// What the audit log is told: a line for each Caf whose establishments the file tells or removes.
fn noted(plan: &Plan, rows: &[Establishment], removed: &[Establishment]) -> Told {
    let named: BTreeSet<CafCode> = rows.iter().chain(removed).map(|known| known.caf).collect();
    let counted = |of: &[Establishment], caf| of.iter().filter(|known| known.caf == caf).count();
    let numbers = |counts: &[(&str, usize)]| -> Map<String, Value> {
        counts.iter().map(|(name, count)| ((*name).to_owned(), (*count).into())).collect()
    };
    let each = named.iter().map(|caf| Entry {
        what: "establishment-import",
        caf: Some(*caf),
        detail: numbers(&[("rows", counted(rows, *caf)), ("removed", counted(removed, *caf))]),
        ..Entry::default()
    });
    let whole = [("created", plan.created), ("changed", plan.changed), ("removed", removed.len())];
    Told { detail: numbers(&whole), each: each.collect() }
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

/// Rows that would take the identifiant of another SIRET's, of which the file says nothing: that one would be gone
/// without a word.
fn taken(rows: &[Row<Establishment>], stored: &[Establishment]) -> Vec<BadRow> {
    let told: HashSet<Name> = rows.iter().flat_map(|row| names(&row.value)).collect();
    let owners: HashMap<Name, Siret> = stored
        .iter()
        .filter_map(|known| {
            Some((Name::Communication(known.caf, known.identifiant_communication?), known.siret?))
        })
        .collect();
    let bad = rows.iter().filter_map(|Row { line, value }| {
        let (caf, siret, name) = (value.caf, value.siret?, value.identifiant_communication?);
        let owner = owners.get(&Name::Communication(caf, name)).filter(|owner| **owner != siret)?;
        let is_silent = !told.contains(&Name::Siret(caf, *owner));
        let why = format!("{name} at Caf {caf} is SIRET {owner}'s, which the file does not tell of");
        is_silent.then(|| import::bad(*line, "identifiant_communication", why))
    });
    bad.collect()
}

/// What an import would do, worked out against the store as it was then.
struct Plan {
    created: usize,
    changed: usize,
    unchanged: usize,
    gone: Vec<Establishment>,
    differences: Vec<Difference>,
}

impl Plan {
    fn new(rows: &[Establishment], stored: Vec<Establishment>) -> Self {
        let mut by_name: HashMap<Name, usize> = HashMap::new();
        for (place, known) in stored.iter().enumerate() {
            by_name.extend(names(known).map(|name| (name, place)));
        }
        let mut plan = Self { created: 0, changed: 0, unchanged: 0, gone: vec![], differences: vec![] };
        let mut met = HashSet::new();
        for row in rows {
            // A row may bring together two that the Caf knew under one name each.
            let mut places: Vec<usize> = names(row).filter_map(|name| by_name.get(&name).copied()).collect();
            places.dedup();
            met.extend(places.iter().copied());
            let former: Vec<&Establishment> = places.iter().map(|place| &stored[*place]).collect();
            plan.compare(row, &former);
        }
        let gone = stored.into_iter().enumerate().filter(|(place, _)| !met.contains(place));
        plan.gone = gone.map(|(_, known)| known).collect();
        plan.differences.extend(plan.gone.iter().map(|known| Difference {
            is: DifferenceIs::Gone,
            name: told(known),
            fields: vec![],
        }));
        plan
    }

    fn compare(&mut self, row: &Establishment, former: &[&Establishment]) {
        let (is, count) = match former {
            [] => (DifferenceIs::New, &mut self.created),
            [same] if *same == row => {
                self.unchanged += 1;
                return;
            }
            _ => (DifferenceIs::Changed, &mut self.changed),
        };
        *count += 1;
        let fields = former.iter().flat_map(|old| differing(old, row)).collect();
        self.differences.push(Difference { is, name: told(row), fields });
    }

    fn foreseen(&self, gone_are: GoneAre, read_as: String) -> ImportDone {
        ImportDone {
            dry_run: true,
            read_as,
            created: self.created,
            changed: self.changed,
            unchanged: self.unchanged,
            gone: self.gone.len(),
            gone_are,
            differences: Vec::new(),
            provisional_passwords: None,
        }
    }
}

/// `921 73282932000074 00012345678`; a name that is missing is a dash.
fn told(known: &Establishment) -> String {
    format!("{} {} {}", known.caf, siret(known), communication(known))
}

fn siret(known: &Establishment) -> String {
    known.siret.map_or_else(|| "-".to_owned(), String::from)
}

fn communication(known: &Establishment) -> String {
    known.identifiant_communication.map_or_else(|| "-".to_owned(), String::from)
}

fn differing(old: &Establishment, new: &Establishment) -> Vec<FieldDifference> {
    let shown = |known: &Establishment| {
        [
            ("siret", siret(known)),
            ("identifiant_communication", communication(known)),
            ("nom", known.nom.clone()),
        ]
    };
    let pairs = shown(old).into_iter().zip(shown(new)).filter(|((_, old), (_, new))| old != new);
    pairs
        .map(|((field, old), (_, new))| FieldDifference {
            field: field.to_owned(),
            old: Some(old),
            new: Some(new),
        })
        .collect()
}
