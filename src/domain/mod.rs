//! Pure values and rules of the declaration world: no I/O, no async, no HTTP.
//!
//! Every type here is parsed once and right ever after. Where a rule comes from the users' world its
//! number is given ("rule 5" is the calendar); the list stands in the crate's documentation.

mod authority;
mod caf;
mod campaign;
mod clock;
mod communication;
mod cookies;
mod fault;
mod identifiant;
mod letters;
mod password;
mod path;
mod siret;
mod token;
mod volet;

pub use authority::{Grant, InvalidGrant, InvalidTokenLine, InvalidTokens, Role, TokenGrant, parse_tokens};
pub use caf::{CafCode, InvalidCafCode};
pub use campaign::Campaign;
pub use clock::Clock;
pub use communication::{IdentifiantCommunication, InvalidCommunication};
pub use cookies::cookie_pairs;
pub use fault::StoreError;
pub use identifiant::{Identifiant, InvalidIdentifiant};
pub use letters::unaccented;
pub use password::{Mark, PasswordAge, PasswordRule, PasswordRules, Weakness};
pub use path::{InvalidPath, LocalPath, NormalPath};
pub use siret::{InvalidSiret, Siret};
pub use token::{NoEntropy, Token, TokenHash};
pub use volet::{Calendar, DayOfYear, InvalidDay, Season, Volet, VoletState};

/// A point in time, to the nanosecond, without a zone.
pub type Timestamp = jiff::Timestamp;
