//! Signing in (rule 1).

use super::fields::Fields;
use super::reply::Outcome;
use super::{Portal, Refusal, Visit, home};
use crate::account::SignInError;
use crate::domain::LocalPath;
use crate::entry::{DeskError, Entered};
use crate::telemetry::metrics;

pub(super) async fn post(
    portal: &Portal,
    visit: &Visit,
    mut fields: Fields,
    retour: Option<LocalPath>,
) -> Result<Outcome, Refusal> {
    let typed = fields.peek("identifiant").unwrap_or_default().to_owned();
    let form = || home::sign_in(portal, visit, retour, typed);
    let both = fields.text("identifiant").and_then(|name| Ok((name, fields.secret("mot_de_passe")?)));
    let (identifiant, password) = match both {
        Ok(both) => both,
        Err(error) => return Err(Refusal::from(error).again(form())),
    };
    let former = visit.session.as_deref();
    let signed_in = portal.desk.sign_in(former, &identifiant, password, visit.whence()).await;
    metrics::sign_in(outcome(&signed_in));
    match signed_in {
        Ok(entered) => Ok(Outcome::Entered(entered)),
        Err(error) => Err(Refusal::from(portal.cause(error)).again(form())),
    }
}

/// Its name in metrics.
fn outcome(signed_in: &Result<Entered, DeskError>) -> &'static str {
    match signed_in {
        Ok(_) => "ok",
        Err(DeskError::SignIn(SignInError::Refused)) => "refused",
        Err(DeskError::SignIn(SignInError::Locked { .. })) => "locked",
        Err(_) => "failed",
    }
}
