//! All sittings, by their public names: looked through page by page, and ended one by one.

use std::sync::Arc;

use futures_util::future::try_join_all;

use super::{End, Session, Sessions, Sitting};
use crate::domain::{Identifiant, StoreError};

/// Some live sittings, in the order in which people signed in.
#[derive(Debug)]
pub struct SittingsPage {
    /// The sessions that they are at.
    pub sessions: Vec<Arc<Session>>,
    /// What to go on after; none when there are no more.
    pub next: Option<Sitting>,
}

/// Names asked of the store at once.
const BATCH: usize = 200;
/// Names looked at for one page: one that leaves nearly all out is short, and goes on where it stopped.
const MOST: usize = 5_000;

impl Sessions {
    /// Live sittings after `after` that `wanted` keeps, at most `limit`.
    pub async fn page(
        &self,
        mut after: Option<Sitting>,
        limit: usize,
        wanted: impl Fn(&Session) -> bool,
    ) -> Result<SittingsPage, StoreError> {
        let mut sessions: Vec<Arc<Session>> = Vec::new();
        for _ in 0..MOST / BATCH {
            let mut names = self.store().sittings(after, BATCH).await?;
            let whole = names.len() == BATCH;
            if let (true, Some((last, _))) = (whole, names.last().copied()) {
                // More of the last sitting's may follow, which going on after it would miss.
                let others = names.iter().take_while(|(sitting, _)| *sitting != last).count();
                names.truncate(if others == 0 { BATCH } else { others });
            }
            let found = try_join_all(names.iter().map(|(_, id)| self.stored(id))).await?;
            let mut current = after;
            for ((sitting, _), session) in names.into_iter().zip(found) {
                // A sitting has several names, of which one lives: only once the next sitting comes is it done with.
                if current != Some(sitting) {
                    after = current;
                    current = Some(sitting);
                }
                let kept = session.filter(|session| wanted(session));
                if sessions.len() == limit && kept.is_some() {
                    return Ok(SittingsPage { sessions, next: after });
                }
                sessions.extend(kept);
            }
            after = current;
            if !whole {
                return Ok(SittingsPage { sessions, next: None });
            }
        }
        Ok(SittingsPage { sessions, next: after })
    }

    /// The live session that a sitting is at.
    pub async fn of_sitting(&self, sitting: Sitting) -> Result<Option<Arc<Session>>, StoreError> {
        for id in self.store().of_sitting(sitting).await? {
            if let Some(session) = self.stored(&id).await? {
                return Ok(Some(session));
            }
        }
        Ok(None)
    }

    /// Ends a sitting of an account's own; whether it was alive.
    pub async fn end_sitting(
        &self,
        account: &Identifiant,
        sitting: Sitting,
        why: End,
    ) -> Result<bool, StoreError> {
        let own = self.of_account(account).await?;
        let Some(session) = own.iter().find(|session| session.sitting() == sitting) else { return Ok(false) };
        self.end(session, why).await
    }
}
