//! Ending the session.

use super::reply::Outcome;
use super::{Portal, Refusal, Visit};
use crate::session::End;

pub(super) async fn post(portal: &Portal, visit: &Visit) -> Result<Outcome, Refusal> {
    portal.desk.sign_out(visit.known()?, End::Told).await.map_err(|error| portal.cause(error))?;
    Ok(Outcome::Left)
}
