//! Who may pass: the rules, the calendar, and the permit that forwarding demands.

mod admitted;
mod desk;
mod explain;
mod gatekeeper;
mod keys;
mod lost;
mod post_office;
mod registry;
mod reminders;
mod signer;

pub use admitted::{Admitted, AdmittedRequest, Papers, Provenance};
pub use desk::{Desk, DeskError, Entered, Left};
pub use explain::{Explainer, Explanation, Outcome, Question, Step, Topic};
pub use gatekeeper::{Gatekeeper, NotAdmitted};
pub use keys::{SigningKeyStore, StoredKey};
pub use lost::{AskError, LostPassword};
pub use post_office::{Letter, Post, PostError, PostOffice, Stationery};
pub use registry::Registry;
pub use reminders::Reminders;
pub use signer::Signer;
