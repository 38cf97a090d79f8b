//! The names under which an establishment is kept: one for its SIRET, one for its identifiant.

use crate::domain::{CafCode, IdentifiantCommunication, Siret};
use crate::establishment::Establishment;

pub(super) fn by_siret(caf: CafCode, siret: &Siret) -> String {
    format!("{caf}:s:{siret}")
}

pub(super) fn by_communication(caf: CafCode, identifiant: &IdentifiantCommunication) -> String {
    format!("{caf}:c:{identifiant}")
}

/// All the names of an establishment.
pub(super) fn of(establishment: &Establishment) -> impl Iterator<Item = String> + use<> {
    let caf = establishment.caf;
    let siret = establishment.siret.map(|siret| by_siret(caf, &siret));
    let communication = establishment.identifiant_communication.map(|idc| by_communication(caf, &idc));
    siret.into_iter().chain(communication)
}

/// The name under which it is listed, so that it is listed once.
pub(super) fn first(establishment: &Establishment) -> Option<String> {
    of(establishment).next()
}
