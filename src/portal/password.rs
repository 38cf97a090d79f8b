//! Changing the password (rule 2), with a session or without.

use secrecy::{ExposeSecret as _, SecretString};

use super::fields::Fields;
use super::pages::{PasswordDue, PasswordPage};
use super::reply::Outcome;
use super::{BodyError, Cause, Page, Portal, Refusal, Visit, french};
use crate::domain::{LocalPath, PasswordRule};
use crate::session::Stage;

pub(super) fn page(portal: &Portal, visit: &Visit, retour: Option<LocalPath>) -> Page {
    filled(portal, visit, retour, String::new())
}

pub(super) async fn post(
    portal: &Portal,
    visit: &Visit,
    mut fields: Fields,
    retour: Option<LocalPath>,
) -> Result<Outcome, Refusal> {
    let typed = fields.peek("identifiant").unwrap_or_default().to_owned();
    change(portal, visit, &mut fields).await.map_err(|refusal: Refusal| {
        let form = filled(portal, visit, retour, typed);
        refusal.again(form)
    })
}

async fn change(portal: &Portal, visit: &Visit, fields: &mut Fields) -> Result<Outcome, Refusal> {
    let session = visit.session.as_deref();
    let identifiant = match session {
        Some(session) => session.stage().holder().account().to_string(),
        // The second of two clicks: the first one has changed it, and the session has another token since.
        None if visit.shown_dead && fields.peek("identifiant").is_none() => return Err(Cause::Gone.into()),
        None => fields.text("identifiant")?,
    };
    let (current, new) = passwords(fields)?;
    if let Some(confirmation) = fields.optional_secret("confirmation")
        && confirmation.expose_secret() != new.expose_secret()
    {
        return Err(portal.broken(vec![PasswordRule::Confirmation]).into());
    }
    let changed = portal.desk.change_password(session, &identifiant, current, new, visit.whence()).await;
    Ok(Outcome::Entered(changed.map_err(|error| portal.cause(error))?))
}

fn passwords(fields: &mut Fields) -> Result<(SecretString, SecretString), BodyError> {
    Ok((fields.secret("mot_de_passe_actuel")?, fields.secret("nouveau_mot_de_passe")?))
}

fn filled(portal: &Portal, visit: &Visit, retour: Option<LocalPath>, identifiant: String) -> Page {
    let stage = visit.stage();
    let who = stage.map(|stage| stage.holder().account().as_str());
    Page::Password(PasswordPage {
        frame: portal.frame(who, retour),
        identifiant,
        due: stage.and_then(|stage| due(portal, stage)),
        min_length: portal.password.min_length,
        history: portal.password.history,
        max_age: french::wait(portal.password.max_age),
    })
}

fn due(portal: &Portal, stage: &Stage) -> Option<PasswordDue> {
    let Stage::MustChangePassword(_) = stage else { return None };
    let age = portal.desk.accounts.password_age(stage.holder().password_changed_at());
    Some(if age.is_due(portal.clock.now()) { PasswordDue::Old } else { PasswordDue::Provisional })
}
