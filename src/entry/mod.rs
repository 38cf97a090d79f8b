//! Who may pass: the rules, the calendar, and the permit that forwarding demands.

mod admitted;
mod keys;

pub use admitted::{Admitted, AdmittedRequest, Papers, Provenance};
pub use keys::{SigningKeyStore, StoredKey};
