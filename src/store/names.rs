//! What both stores call things.

use crate::account::Account;
use crate::domain::{CafCode, Identifiant, IdentifiantCommunication, Siret};
use crate::establishment::Establishment;

/// The entry of the establishment that `caf` knows by that SIRET.
pub(super) fn by_siret(caf: CafCode, siret: &Siret) -> String {
    format!("{caf}:s:{siret}")
}

/// The entry of the establishment that `caf` knows by that identifiant.
pub(super) fn by_communication(caf: CafCode, identifiant: &IdentifiantCommunication) -> String {
    format!("{caf}:c:{identifiant}")
}

/// The entries of an establishment: by SIRET, by identifiant de communication.
pub(super) fn entries(known: &Establishment) -> [Option<String>; 2] {
    [
        known.siret.map(|siret| by_siret(known.caf, &siret)),
        known.identifiant_communication.map(|identifiant| by_communication(known.caf, &identifiant)),
    ]
}

/// Sorts by Caf, SIRET and identifiant, and drops what was met under both of its names.
pub(super) fn in_order(mut establishments: Vec<Establishment>) -> Vec<Establishment> {
    establishments.sort_by_key(|known| (known.caf, known.siret, known.identifiant_communication));
    establishments.dedup_by_key(|known| (known.caf, known.siret, known.identifiant_communication));
    establishments
}

/// The names that `accounts` holds more than once.
pub(super) fn doubles<'a>(accounts: impl Iterator<Item = &'a Account>) -> Vec<Identifiant> {
    let mut names: Vec<_> = accounts.map(|account| &account.identifiant).collect();
    names.sort();
    let mut doubles: Vec<_> =
        names.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0].clone()).collect();
    doubles.dedup();
    doubles
}
