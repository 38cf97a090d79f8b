//! Live sessions: looked at, and ended. Never by a token or what the store keeps of it.

use axum::response::Response;
use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::{Problem, SessionQuery, State, answer};
use crate::account::UpdateError;
use crate::domain::{CafCode, Identifiant, Timestamp};
use crate::session::{End, Session, Sitting, SittingsPage};

const DEFAULT_LIMIT: usize = 100;
const LARGEST_LIMIT: usize = 1_000;

/// A live session, as operators see it.
#[derive(Debug, Serialize, Deserialize)]
pub struct SessionView {
    /// Its public name; it opens nothing.
    pub session: Sitting,
    /// Whose it is.
    pub account: Identifiant,
    /// How far its user has come.
    pub etat: String,
    /// The Caf it is at.
    pub caf: Option<CafCode>,
    /// Since when.
    pub signed_in_at: Timestamp,
    /// When its user last did something.
    pub last_action_at: Timestamp,
    /// When it ends if its user does nothing more.
    pub expires_at: Timestamp,
    /// The address it was opened from.
    pub from: String,
    /// The browser it was opened in, in two words.
    pub agent: Option<String>,
}

/// Some of the live sessions that were asked for, in the order in which people signed in.
#[derive(Debug, Serialize, Deserialize)]
pub struct SessionsPage {
    /// Those of this page.
    pub sessions: Vec<SessionView>,
    /// What to ask for as `after`, to go on; none when there are no more.
    pub next: Option<Sitting>,
}

/// How many sessions ended.
#[derive(Debug, Serialize, Deserialize)]
pub struct SessionsEnded {
    /// So many.
    pub ended: usize,
}

pub(super) async fn list(state: &State, query: SessionQuery) -> Result<Response, Problem> {
    let limit = query.limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=LARGEST_LIMIT).contains(&limit) {
        let detail = format!("limit goes from 1 to {LARGEST_LIMIT}");
        return Err(Problem::new(StatusCode::BAD_REQUEST, detail));
    }
    let seen = |session: &Session| {
        let role = &state.author.role;
        let at = session.stage().caf();
        query.caf.is_none_or(|caf| at == Some(caf))
            && session.stage().holder().cafs().iter().any(|caf| role.covers(*caf))
    };
    let SittingsPage { sessions, next } = if let Some(account) = &query.account {
        of_account(state, account, &query, limit).await?
    } else {
        state.registry.sessions.page(query.after, limit, seen).await?
    };
    let sessions = sessions.iter().map(|session| view(state, session)).collect();
    Ok(answer::ok(SessionsPage { sessions, next }))
}

async fn of_account(
    state: &State,
    account: &Identifiant,
    query: &SessionQuery,
    limit: usize,
) -> Result<SittingsPage, Problem> {
    state.registry.accounts.find(account).await?.ok_or(UpdateError::Unknown)?;
    let mut sessions = state.registry.sessions.of_account(account).await?;
    sessions.sort_by_key(|session| session.sitting());
    sessions.retain(|session| {
        query.caf.is_none_or(|caf| session.stage().caf() == Some(caf))
            && query.after.is_none_or(|after| session.sitting() > after)
    });
    let more = sessions.len() > limit;
    sessions.truncate(limit);
    let next = sessions.last().filter(|_| more).map(|last| last.sitting());
    Ok(SittingsPage { sessions, next })
}

pub(super) async fn revoke(state: &State, of: Sitting) -> Result<Response, Problem> {
    let sessions = &state.registry.sessions;
    // A session that has just moved on has another token, and the same name.
    for _ in 0..3 {
        let session = sessions.of_sitting(of).await?.ok_or_else(unknown)?;
        if sessions.end(&session, End::Revoked).await? {
            return Ok(answer::ok(SessionsEnded { ended: 1 }));
        }
    }
    Err(unknown())
}

pub(super) async fn revoke_all(state: &State, account: &Identifiant) -> Result<Response, Problem> {
    state.registry.accounts.find(account).await?.ok_or(UpdateError::Unknown)?;
    let ended = state.registry.sessions.end_all(account, None, End::Revoked).await?;
    Ok(answer::ok(SessionsEnded { ended }))
}

pub(super) fn unknown() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "there is no such session, or no longer")
}

fn view(state: &State, session: &Session) -> SessionView {
    let at = session.stage();
    SessionView {
        session: session.sitting(),
        account: at.holder().account().clone(),
        etat: at.name().to_owned(),
        caf: at.caf(),
        signed_in_at: session.signed_in_at(),
        last_action_at: session.last_action(),
        expires_at: session.ends_at(state.registry.sessions.policy()),
        from: session.place().to_owned(),
        agent: session.agent().map(str::to_owned),
    }
}
