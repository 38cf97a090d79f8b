//! Where else one is signed in: since when, from where, and ending it.

use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use serde::Serialize;

use super::fields::Fields;
use super::pages::{SessionRow, SessionsPage};
use super::reply::Outcome;
use super::{BodyError, FieldFault, Page, Portal, Refusal, Rendering, Visit, french};
use crate::domain::{StoreError, Timestamp};
use crate::session::{End, Session, Sitting};

/// The word that ends all sessions but one's own.
const OTHERS: &str = "autres";

/// One's sessions, to a program.
#[derive(Debug, Serialize)]
struct View {
    sessions: Vec<SessionView>,
}

#[derive(Debug, Serialize)]
struct SessionView {
    session: Sitting,
    courante: bool,
    depuis: Timestamp,
    derniere_action: Timestamp,
    lieu: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    navigateur: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    caf: Option<String>,
}

pub(super) async fn get(portal: &Portal, visit: &Visit) -> Result<Response<Full<Bytes>>, Refusal> {
    let own = visit.known()?;
    let sessions = portal.desk.sessions.of_account(own.stage().holder().account()).await?;
    let (current, others): (Vec<_>, Vec<_>) =
        sessions.iter().map(|session| &**session).partition(|session| session.sitting() == own.sitting());
    let all = current.into_iter().chain(others);
    Ok(match portal.tongue(visit.rendering) {
        Rendering::Page => portal.page(&page(portal, own, all)),
        Rendering::Json => portal.json(&View { sessions: all.map(|session| view(own, session)).collect() }),
    })
}

pub(super) async fn close(portal: &Portal, visit: &Visit, mut fields: Fields) -> Result<Outcome, Refusal> {
    let own = visit.known()?;
    let asked = fields.text("session")?;
    if asked == OTHERS {
        end_others(portal, own).await?;
        return Ok(Outcome::Closed);
    }
    let malformed = BodyError::Field { name: "session", fault: FieldFault::Malformed };
    let sitting: Sitting = asked.trim().parse().map_err(|_| malformed)?;
    if sitting == own.sitting() {
        portal.desk.sign_out(own, End::Told).await.map_err(|error| portal.cause(error))?;
        return Ok(Outcome::Left);
    }
    // One that is gone already is what was wanted; one of somebody else's is not looked for.
    portal.desk.sessions.end_sitting(own.stage().holder().account(), sitting, End::Closed).await?;
    Ok(Outcome::Closed)
}

async fn end_others(portal: &Portal, own: &Session) -> Result<usize, StoreError> {
    portal.desk.sessions.end_all(own.stage().holder().account(), Some(own.id()), End::Closed).await
}

/// The sessions but one's own.
pub(super) async fn others(portal: &Portal, own: &Session) -> Result<Vec<SessionRow>, StoreError> {
    let all = portal.desk.sessions.of_account(own.stage().holder().account()).await?;
    let others = all.iter().filter(|session| session.sitting() != own.sitting());
    Ok(others.map(|session| row(portal, own, session)).collect())
}

fn page<'a>(portal: &Portal, own: &Session, all: impl Iterator<Item = &'a Session>) -> Page {
    let sessions = all.map(|session| row(portal, own, session)).collect();
    Page::Sessions(SessionsPage { frame: portal.frame_of(own, None), sessions })
}

fn row(portal: &Portal, own: &Session, session: &Session) -> SessionRow {
    let moment = |at: Timestamp| french::moment(&portal.calendar.in_paris(at));
    SessionRow {
        name: session.sitting().to_string(),
        current: session.sitting() == own.sitting(),
        since: moment(session.signed_in_at()),
        last: moment(session.last_action()),
        place: session.place().to_owned(),
        agent: session.agent().unwrap_or("Navigateur inconnu").to_owned(),
        caf: session.stage().caf().map(|code| portal.contact(code).name),
    }
}

fn view(own: &Session, session: &Session) -> SessionView {
    SessionView {
        session: session.sitting(),
        courante: session.sitting() == own.sitting(),
        depuis: session.signed_in_at(),
        derniere_action: session.last_action(),
        lieu: session.place().to_owned(),
        navigateur: session.agent().map(str::to_owned),
        caf: session.stage().caf().map(String::from),
    }
}
