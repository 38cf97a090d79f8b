//! Saying which establishment it is, to a Caf that does not know its SIRET (rule 4).

use super::fields::Fields;
use super::pages::EstablishmentPage;
use super::reply::Outcome;
use super::{BodyError, Cause, FieldFault, Page, Portal, Refusal, Visit};
use crate::domain::{IdentifiantCommunication, LocalPath};
use crate::entry::DeskError;
use crate::session::Session;

pub(super) fn page(portal: &Portal, session: &Session, retour: Option<LocalPath>) -> Option<Page> {
    filled(portal, session, retour, String::new())
}

pub(super) async fn post(
    portal: &Portal,
    visit: &Visit,
    mut fields: Fields,
    retour: Option<LocalPath>,
) -> Result<Outcome, Refusal> {
    let session = visit.known()?;
    let typed = fields.peek("identifiant_communication").unwrap_or_default().to_owned();
    identify(portal, visit, session, &mut fields).await.map_err(|cause| match cause {
        Cause::Gone => cause.into(),
        cause => Refusal::from(cause).again(filled(portal, session, retour, typed)),
    })
}

async fn identify(
    portal: &Portal,
    visit: &Visit,
    session: &Session,
    fields: &mut Fields,
) -> Result<Outcome, Cause> {
    let typed = typed(&fields.text("identifiant_communication")?)?;
    let mut identified = portal.desk.identify(session, typed).await;
    if let Err(DeskError::Gone) = identified
        && let Some(next) = portal.successor(visit, session).await?
    {
        identified = portal.desk.identify(&next, typed).await;
    }
    Ok(Outcome::Entered(identified.map_err(|error| portal.cause(error))?))
}

/// As a Caf's letter may write it: with spaces, which are none of it.
fn typed(text: &str) -> Result<IdentifiantCommunication, BodyError> {
    let wrong = |fault| BodyError::Field { name: "identifiant_communication", fault };
    let text: String = text.split_whitespace().collect();
    if text.is_empty() {
        return Err(wrong(FieldFault::Missing));
    }
    text.parse().map_err(|_| wrong(FieldFault::Malformed))
}

fn filled(portal: &Portal, session: &Session, retour: Option<LocalPath>, typed: String) -> Option<Page> {
    let (stage, holder) = (session.stage(), session.stage().holder());
    let caf = portal.contact(stage.caf()?);
    Some(Page::Establishment(EstablishmentPage {
        frame: portal.frame_of(session, retour),
        caf: caf.name,
        contact: caf.contact,
        siret: holder.siret().as_str().to_owned(),
        several: holder.cafs().len() > 1,
        typed,
    }))
}
