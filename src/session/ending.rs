//! The ends of sessions: each has its reason, which the audit log is told once.

use std::time::Duration;

use futures_util::future::try_join_all;
use serde_json::{Map, Value};

use super::SessionId;
use super::life::{Session, Sessions};
use crate::domain::{Identifiant, StoreError, Timestamp};
use crate::limits::{Attempt, AttemptRule};
use crate::telemetry::audit::{self, Entry};

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// By an action whose own line in the audit log tells it.
    Told,
    /// Its user did nothing for too long (rule 6).
    Idle,
    /// It had lasted as long as any may (rule 6).
    TooOld,
    /// Its account had as many as it may, and opened one more.
    TooMany,
    /// In its browser somebody signed in anew, or took a new password.
    Replaced,
    /// Its owner closed it from another one.
    Closed,
    /// Its owner changed the password elsewhere.
    PasswordChanged,
    /// The password was replaced, by an operator or by one who forgot it.
    PasswordReset,
    /// Its account was closed.
    Suspended,
    /// Its account was removed.
    Deleted,
    /// An import changed its account.
    Imported,
    /// An operator ended it.
    Revoked,
    /// Its account is no longer what it was opened with; found out when it was looked at.
    Outdated,
    /// The audit log could not be written.
    Unaudited,
}

impl End {
    /// Its word in the audit log; none where that has been told already.
    fn word(self) -> Option<&'static str> {
        Some(match self {
            Self::Told => return None,
            Self::Idle => "idle-timeout",
            Self::TooOld => "absolute-timeout",
            Self::TooMany => "too-many",
            Self::Replaced => "replaced",
            Self::Closed => "closed",
            Self::PasswordChanged => "password-changed",
            Self::PasswordReset => "password-reset",
            Self::Suspended => "suspended",
            Self::Deleted => "deleted",
            Self::Imported => "imported",
            Self::Revoked => "revoked",
            Self::Outdated => "outdated",
            Self::Unaudited => "unaudited",
        })
    }
}

/// Names that are looked at together.
const BATCH: usize = 200;
/// A session that ran out is told of no sooner.
const SETTLED: Duration = Duration::from_secs(5);
/// An end is remembered for longer than its session is kept.
const TOLD: AttemptRule = AttemptRule {
    max: u32::MAX,
    lockout: Duration::ZERO,
    grows: false,
    longest: Duration::ZERO,
    memory: Duration::from_hours(24),
};

impl Sessions {
    /// Ends a session; `false` when it was gone already.
    pub async fn end(&self, session: &Session, why: End) -> Result<bool, StoreError> {
        let removed = self.remove(session.id(), session.stage().holder().account()).await;
        if let Ok(true) = removed {
            self.note_end(session, why).await;
        }
        removed
    }

    /// Ends every session of an account but `except`; how many there were.
    pub async fn end_all(
        &self,
        account: &Identifiant,
        except: Option<&SessionId>,
        why: End,
    ) -> Result<usize, StoreError> {
        let mut ended = 0;
        for id in self.store().ids_of_account(account).await? {
            if Some(&id) != except {
                ended += usize::from(self.end_one(account, &id, why).await?);
            }
        }
        Ok(ended)
    }

    /// One that cannot be read ends all the same.
    async fn end_one(&self, account: &Identifiant, id: &SessionId, why: End) -> Result<bool, StoreError> {
        let kept = match self.store().find(id).await {
            Err(StoreError::Corrupt(_)) => None,
            other => other?,
        };
        // Last actions are written a second late.
        let seen = self.cache().find(id).map_or(Timestamp::MIN, |session| session.last_action());
        let removed = self.remove(id, account).await?;
        if removed {
            match kept {
                Some((record, last)) => {
                    self.note_end(&Session::new(*id, record, last.max(seen)), why).await;
                }
                None => self.note(Entry { who: Some(account.to_string()), ..Entry::default() }, why),
            }
        }
        Ok(removed)
    }

    /// Ends the oldest sessions beyond those that an account may have. Only once the latest is there: of
    /// many that are opened at once, the last to look sees all.
    pub(super) async fn end_oldest(&self, latest: &Session) -> Result<(), StoreError> {
        let live = self.of_account(latest.stage().holder().account()).await?;
        let surplus = live.len().saturating_sub(self.policy().max_per_account.max(1));
        for oldest in live.iter().filter(|session| session.id() != latest.id()).take(surplus) {
            self.end(oldest, End::TooMany).await?;
        }
        Ok(())
    }

    /// For the audit log: a session that ended, told once however often its cookie is shown. Where its time had run
    /// out before, that is why.
    pub(super) async fn note_end(&self, session: &Session, why: End) {
        if why == End::Told || !self.is_first_heard(session.id()) {
            return;
        }
        let ran_out = self.expiry(session);
        if ran_out.is_none() || self.is_first_to_tell(session.id()).await {
            self.note(entry(session), ran_out.unwrap_or(why));
        }
    }

    /// Tells the audit log of the sessions that ran out: nobody may ever show their cookies again.
    pub async fn note_expired(&self) -> Result<(), StoreError> {
        let mut after = None;
        loop {
            let names = self.store().sittings(after, BATCH).await?;
            let unheard: Vec<SessionId> = names
                .iter()
                .map(|(_, id)| *id)
                .filter(|id| !self.is_over(id) && !self.is_lively(id))
                .collect();
            let looked = unheard.iter().map(|id| self.note_if_expired(id));
            try_join_all(looked).await?;
            match names.last() {
                Some((last, _)) if names.len() == BATCH && after != Some(*last) => after = Some(*last),
                _ => return Ok(()),
            }
        }
    }

    /// Whether a session is known here to live on.
    fn is_lively(&self, id: &SessionId) -> bool {
        self.cache().find(id).is_some_and(|session| self.is_alive(&session))
    }

    async fn note_if_expired(&self, id: &SessionId) -> Result<(), StoreError> {
        let (record, last) = match self.store().find(id).await {
            Ok(Some(kept)) => kept,
            // Ended, or moved on, and told by whoever did that.
            Ok(None) | Err(StoreError::Corrupt(_)) => {
                self.is_first_heard(id);
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let session = Session::new(*id, record, last);
        // Its last action may be known to another replica alone, for a second.
        let is_settled = session
            .ends_at(self.policy())
            .saturating_add(SETTLED)
            .is_ok_and(|then| then <= self.clock().now());
        if is_settled {
            self.note_end(&session, End::Idle).await;
        }
        Ok(())
    }

    /// Whether no other replica, nor this one before it was started anew, has told of the end.
    async fn is_first_to_tell(&self, id: &SessionId) -> bool {
        let key = format!("ended:{}", id.to_text());
        let counted = self.counters().attempt(&key, &TOLD, self.clock().now()).await;
        // Twice is better than never.
        matches!(counted, Ok(Attempt::Allowed { count: 1 }) | Err(_))
    }

    fn expiry(&self, session: &Session) -> Option<End> {
        let now = self.clock().now();
        if now >= session.latest_end() {
            return Some(End::TooOld);
        }
        (!self.is_alive(session)).then_some(End::Idle)
    }

    fn note(&self, entry: Entry, why: End) {
        if let Some(reason) = why.word() {
            let entry = Entry { what: "session-end", outcome: "ok", reason: Some(reason), ..entry };
            audit::log().note(self.clock().now(), entry);
        }
    }
}

fn entry(session: &Session) -> Entry {
    let stage = session.stage();
    let sitting = Value::from(session.sitting().to_string());
    Entry {
        who: Some(stage.holder().account().to_string()),
        caf: stage.caf(),
        cafs: if stage.caf().is_none() { stage.holder().cafs().to_vec() } else { Vec::new() },
        from: Some(session.place().to_owned()),
        detail: Map::from_iter([("session".to_owned(), sitting)]),
        ..Entry::default()
    }
}
