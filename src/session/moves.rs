//! Sessions that move on to another stage, and where they went a moment ago, so that the second of two clicks finds
//! the first one's session.
//!
//! A click sends a form, a second click sends it again and makes the browser forget the first answer, cookie and
//! all. The second form then shows a token that lives no more, and its session cannot be reached by anybody. For a
//! few seconds, in this process alone, the token still tells where its session went: enough to give the same
//! browser a new one, for the very step that it asks for twice (`gate` and `portal` decide which, and to whom).

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::{Found, Record, Session, SessionError, SessionId, Sessions, Stage, Token, Whence};
use crate::domain::StoreError;

/// A second click comes within that time.
const MOMENT: Duration = Duration::from_secs(10);
/// A step under way is waited for that long.
const PATIENCE: Duration = Duration::from_secs(2);
/// Steps of one session that are followed: as often as a hasty hand clicks.
const CLICKS: usize = 5;
/// Moves kept; one more is not remembered.
const MOST: usize = 10_000;

impl Sessions {
    /// Ends the session and opens the next one of the same sitting, at another stage, with a new token.
    ///
    /// The new one is there before the old one goes: a store that takes nothing more leaves the user where they were.
    /// Of two requests that move the same session, the one that takes the old one away wins. After a crash between the two
    /// steps the new one is nobody's, since its token was given to nobody. A client that goes away in between, as the
    /// first of two clicks does, stops nothing.
    pub async fn advance(
        self: &Arc<Self>,
        session: &Session,
        stage: Stage,
    ) -> Result<(Token, Arc<Session>), SessionError> {
        self.step(session, stage, false).await
    }

    /// [`Sessions::advance`], which [`Sessions::successor`] tells of for a moment.
    pub async fn advance_in_sight(
        self: &Arc<Self>,
        session: &Session,
        stage: Stage,
    ) -> Result<(Token, Arc<Session>), SessionError> {
        self.step(session, stage, true).await
    }

    async fn step(
        self: &Arc<Self>,
        session: &Session,
        stage: Stage,
        in_sight: bool,
    ) -> Result<(Token, Arc<Session>), SessionError> {
        let (sessions, from, former) = (Arc::clone(self), *session.id(), session.record.clone());
        let moved = tokio::spawn(async move {
            let moving = match in_sight.then(|| sessions.moves.begin(from)) {
                // The first of two clicks is quicker: its session is the one to go on with.
                Some(Begun::Already) => return Err(SessionError::Gone),
                Some(Begun::Now(moving)) => Some(moving),
                Some(Begun::Unseen) | None => None,
            };
            let account = former.stage.holder().account().clone();
            let (token, session) = sessions.create(Record { stage, ..former }).await?;
            let won = sessions.remove(&from, &account).await;
            if !matches!(won, Ok(true)) {
                // Where the store cannot be reached it is left behind, until its time runs out.
                let _ = sessions.remove(session.id(), &account).await;
                won?;
                return Err(SessionError::Gone);
            }
            if let Some(moving) = moving {
                moving.ends_at(*session.id());
            }
            Ok((token, session))
        });
        moved.await.unwrap_or(Err(SessionError::Gone))
    }

    /// The live session that one went on as a moment ago, in this process, for the same browser at the same address.
    pub async fn successor(
        &self,
        id: &SessionId,
        from: Whence<'_>,
    ) -> Result<Option<Arc<Session>>, StoreError> {
        let mut id = *id;
        for _ in 0..CLICKS {
            let Some(next) = self.moves.of(&id).await else { return Ok(None) };
            if let Found::Live(session) = self.look_up(&next).await? {
                let is_same = session.place() == from.address && session.agent() == from.agent;
                return Ok(is_same.then_some(session));
            }
            id = next;
        }
        Ok(None)
    }
}

/// The moves of the last seconds, by the name that each session had.
#[derive(Debug)]
pub(super) struct Moves {
    kept_for: Duration,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    moves: HashMap<SessionId, Move>,
    /// The same, the oldest first; one that was begun anew is there twice.
    ages: VecDeque<(Instant, SessionId)>,
}

#[derive(Debug)]
struct Move {
    began: Instant,
    to: watch::Receiver<Option<SessionId>>,
}

/// What comes of moving a session.
#[derive(Debug)]
pub(super) enum Begun {
    Now(Moving),
    /// Another request moves it, or has just done so.
    Already,
    /// It moves, and is not remembered.
    Unseen,
}

/// A move under way; dropped without an end, it led nowhere.
#[derive(Debug)]
pub(super) struct Moving(watch::Sender<Option<SessionId>>);

impl Default for Moves {
    fn default() -> Self {
        Self { kept_for: MOMENT, kept: Mutex::default() }
    }
}

impl Moves {
    /// A session begins to move.
    pub(super) fn begin(&self, from: SessionId) -> Begun {
        let began = Instant::now();
        let mut kept = self.kept();
        kept.forget(self.kept_for);
        if kept.moves.get(&from).is_some_and(|known| !known.led_nowhere()) {
            return Begun::Already;
        }
        if kept.ages.len() >= MOST {
            return Begun::Unseen;
        }
        let (tell, to) = watch::channel(None);
        kept.moves.insert(from, Move { began, to });
        kept.ages.push_back((began, from));
        Begun::Now(Moving(tell))
    }

    /// Where a session went, once it is there.
    pub(super) async fn of(&self, from: &SessionId) -> Option<SessionId> {
        let known = |known: &Move| (known.began.elapsed() < self.kept_for).then(|| known.to.clone());
        let mut to = self.kept().moves.get(from).and_then(known)?;
        let told = timeout(PATIENCE, to.wait_for(Option::is_some)).await;
        told.ok()?.ok().and_then(|to| *to)
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    /// Forgets those that are older.
    fn forget(&mut self, than: Duration) {
        while let Some((began, id)) = self.ages.pop_front_if(|(began, _)| began.elapsed() >= than) {
            if self.moves.get(&id).is_some_and(|known| known.began == began) {
                self.moves.remove(&id);
            }
        }
    }
}

impl Move {
    /// Whether it was given up: the session is where it was.
    fn led_nowhere(&self) -> bool {
        self.to.has_changed().is_err() && self.to.borrow().is_none()
    }
}

impl Moving {
    pub(super) fn ends_at(self, to: SessionId) {
        self.0.send_replace(Some(to));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::Token;

    fn id() -> SessionId {
        Token::random().expect("random bytes").id()
    }

    #[tokio::test]
    async fn a_move_is_told_to_the_end() {
        let (moves, from, to) = (Moves::default(), id(), id());
        assert_eq!(moves.of(&from).await, None);
        let Begun::Now(moving) = moves.begin(from) else { panic!("it moves") };
        assert!(matches!(moves.begin(from), Begun::Already), "one moves it");
        let told = async {
            tokio::task::yield_now().await;
            moving.ends_at(to);
        };
        assert_eq!(tokio::join!(moves.of(&from), told).0, Some(to), "the end is waited for");
        assert_eq!((moves.of(&from).await, moves.of(&to).await), (Some(to), None));
    }

    #[tokio::test]
    async fn a_move_is_told_for_a_moment() {
        let (moves, from) = (Moves { kept_for: Duration::ZERO, ..Moves::default() }, id());
        for _ in 0..2 {
            let Begun::Now(moving) = moves.begin(from) else { panic!("it moves") };
            moving.ends_at(id());
            assert_eq!(moves.of(&from).await, None);
        }
        assert_eq!(moves.kept().ages.len(), 1, "older ones take no place");
    }

    #[tokio::test]
    async fn a_move_that_leads_nowhere_is_not_waited_for() {
        let (moves, from, stuck) = (Moves::default(), id(), id());
        drop(moves.begin(from));
        let began = Instant::now();
        assert_eq!(moves.of(&from).await, None);
        assert!(began.elapsed() < PATIENCE);
        assert!(matches!(moves.begin(from), Begun::Now(_)), "it is where it was");
        let _moving = moves.begin(stuck);
        assert_eq!(moves.of(&stuck).await, None);
        assert!(began.elapsed() >= PATIENCE);
    }

    #[test]
    fn what_is_remembered_has_an_end() {
        let moves = Moves::default();
        let kept: Vec<_> = (0..MOST).map(|_| moves.begin(id())).collect();
        assert!(kept.iter().all(|begun| matches!(begun, Begun::Now(_))));
        assert!(matches!(moves.begin(id()), Begun::Unseen));
    }
}
