//! Choosing a Caf among one's own (rule 3); the last used stands first, the others by name.

use super::fields::Fields;
use super::pages::CafPage;
use super::reply::Outcome;
use super::{BodyError, Cause, FieldFault, Page, Portal, Refusal, Visit, french};
use crate::domain::{CafCode, LocalPath};
use crate::entry::DeskError;
use crate::session::Session;

pub(super) fn page(portal: &Portal, session: &Session, retour: Option<LocalPath>) -> Page {
    let (stage, holder) = (session.stage(), session.stage().holder());
    let chosen = stage.caf().or(holder.last_caf());
    let mut cafs = portal.known_cafs(holder.cafs());
    cafs.sort_by(|(a, first), (b, second)| {
        (Some(*a) != chosen, french::order(first)).cmp(&(Some(*b) != chosen, french::order(second)))
    });
    Page::Caf(CafPage {
        frame: portal.frame_of(session, retour),
        cafs: cafs.into_iter().map(|(code, name)| (code.to_string(), name)).collect(),
        current: stage.caf().map(|code| code.to_string()),
        chosen: chosen.map(|code| code.to_string()),
    })
}

pub(super) async fn post(
    portal: &Portal,
    visit: &Visit,
    mut fields: Fields,
    retour: Option<LocalPath>,
) -> Result<Outcome, Refusal> {
    let session = visit.known()?;
    choose(portal, visit, session, &mut fields).await.map_err(|cause| match cause {
        Cause::Gone => cause.into(),
        cause => Refusal::from(cause).again(page(portal, session, retour)).leading_to(portal.choice()),
    })
}

async fn choose(
    portal: &Portal,
    visit: &Visit,
    session: &Session,
    fields: &mut Fields,
) -> Result<Outcome, Cause> {
    let malformed = BodyError::Field { name: "caf", fault: FieldFault::Malformed };
    let code: CafCode = fields.text("caf")?.trim().parse().map_err(|_| malformed)?;
    if portal.caf(code).is_none() {
        return Err(Cause::NotGranted(code));
    }
    let mut chosen = portal.desk.choose_caf(session, code).await;
    if let Err(DeskError::Gone) = chosen
        && let Some(next) = portal.successor(visit, session).await?
    {
        chosen = portal.desk.choose_caf(&next, code).await;
    }
    Ok(Outcome::Entered(chosen.map_err(|error| portal.cause(error))?))
}
