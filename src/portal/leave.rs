//! Leaving: the Caf where there are several, the session where there is one (rule 7).

use super::pages::LeavePage;
use super::reply::Outcome;
use super::{Cause, Page, Portal, Refusal, Visit};
use crate::entry::{DeskError, Left};
use crate::session::Session;

pub(super) fn page(portal: &Portal, session: &Session) -> Page {
    let (stage, holder) = (session.stage(), session.stage().holder());
    let left = stage.caf().filter(|_| holder.cafs().len() > 1);
    Page::Leave(LeavePage {
        frame: portal.frame_of(session, None),
        caf: left.map(|code| portal.contact(code).name),
    })
}

pub(super) async fn post(portal: &Portal, visit: &Visit) -> Result<Outcome, Refusal> {
    let session = visit.known()?;
    // A Caf was left by the first click: the second must not end the session.
    if visit.clicked_twice {
        return again(portal, session).await;
    }
    match portal.desk.leave(session).await {
        Ok(Left::Caf(entered)) => Ok(Outcome::Entered(entered)),
        Ok(Left::Session) => Ok(Outcome::Left),
        Err(DeskError::Gone) => match portal.successor(visit, session).await? {
            Some(next) => again(portal, &next).await,
            None => Err(Cause::Gone.into()),
        },
        Err(error) => Err(portal.cause(error).into()),
    }
}

async fn again(portal: &Portal, session: &Session) -> Result<Outcome, Refusal> {
    Ok(Outcome::Entered(portal.desk.renew(session).await.map_err(|error| portal.cause(error))?))
}
