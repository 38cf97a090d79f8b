//! Leaving: the Caf where there are several, the session where there is one (rule 7).

use super::pages::LeavePage;
use super::reply::Outcome;
use super::{Page, Portal, Refusal, Visit};
use crate::entry::Left;
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
    match portal.desk.leave(visit.known()?).await {
        Ok(Left::Caf(entered)) => Ok(Outcome::Entered(entered)),
        Ok(Left::Session) => Ok(Outcome::Left),
        Err(error) => Err(portal.cause(error).into()),
    }
}
