//! The cache's honesty: two replicas, one server, and all that can come between them.

use std::sync::Arc;
use std::time::Duration;

use ::redis::AsyncTypedCommands as _;
use tokio::time::{Instant, sleep};

use super::server::Server;
use super::{Redis, SECOND, until};
use crate::account::{Account, AccountStore, Status};
use crate::domain::{Clock, StoreError};
use crate::session::{
    End, Found, Policy, Record, Session, SessionCache, SessionStore, Sessions, Token, Whence,
};
use crate::store::Upkeep as _;
use crate::store::contract::{account, at, new_id, record};

/// A replica: its store, and its sessions through their cache.
struct Replica {
    store: Arc<Redis>,
    sessions: Sessions,
    clock: Clock,
}

async fn replica(server: &Server) -> Replica {
    let (clock, cache) = (Clock::frozen_at(at(0)), Arc::new(SessionCache::new(100)));
    let store = Redis::connect(&server.url(), clock.clone(), Arc::clone(&cache)).await.expect("a store");
    let policy = Policy {
        idle_timeout: Duration::from_hours(1),
        warning: Duration::from_mins(5),
        absolute_timeout: Duration::from_hours(12),
        max_per_account: 3,
    };
    add_owner(&store).await;
    let (accounts, counters) = (Arc::clone(&store) as _, Arc::clone(&store) as _);
    let sessions = Sessions::new(Arc::clone(&store) as _, accounts, counters, cache, clock.clone(), policy);
    Replica { store, sessions, clock }
}

/// Sessions belong to an account that is there, with the password that opened them.
async fn add_owner(store: &Redis) {
    let owner = Account {
        status: Status::Active,
        password_changed_at: "2026-11-23T09:00:00Z".parse().expect("an instant"),
        ..account("a@esat.example")
    };
    AccountStore::add(store, &[owner]).await.expect("there, or there already");
}

impl Replica {
    async fn open(&self) -> Token {
        let Record { stage, .. } = record("a@esat.example", 0, 43_200);
        self.sessions
            .open(stage, Whence { address: "192.0.2.1", place: "192.0.2.1", agent: None })
            .await
            .expect("opened")
            .0
    }

    async fn live(&self, token: &Token) -> Option<Arc<Session>> {
        match self.sessions.find(token).await {
            Ok(Found::Live(session)) => Some(session),
            Ok(Found::Expired) | Err(_) => None,
        }
    }

    /// Waits until the session is answered by the cache: the same one twice.
    async fn cached(&self, token: &Token) -> Arc<Session> {
        let begun = Instant::now();
        loop {
            let (one, other) = (self.live(token).await, self.live(token).await);
            if let (Some(one), Some(other)) = (one, other)
                && Arc::ptr_eq(&one, &other)
            {
                return one;
            }
            assert!(begun.elapsed() < Duration::from_secs(5), "the cache is not trusted");
            sleep(Duration::from_millis(5)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_goes_silent_loses_trust_within_a_second() {
    let server = Server::start().await;
    let here = replica(&server).await;
    let token = here.open().await;
    here.cached(&token).await;
    server.freeze();
    let begun = Instant::now();
    let uncached = new_id();
    assert!(matches!(SessionStore::find(&*here.store, &uncached).await, Err(StoreError::Unreachable(_))));
    assert!(begun.elapsed() < SECOND);
    until("trust ends", || async { here.sessions.find(&token).await.is_err() }).await;
    assert!(begun.elapsed() < 2 * SECOND, "a second of trust, and the time to find no answer");
    let begun = Instant::now();
    until("it is known to be down", || async { !here.store.is_reachable() }).await;
    assert!(begun.elapsed() < SECOND);
    server.thaw();
    here.cached(&token).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_replicas_change_is_heard() {
    let server = Server::start().await;
    let (here, there) = (replica(&server).await, replica(&server).await);
    let token = here.open().await;
    let session = here.cached(&token).await;
    there.cached(&token).await;
    assert!(there.sessions.end(&session, End::Told).await.expect("ended"));
    let heard = until("the end is heard", || async { here.live(&token).await.is_none() }).await;
    assert!(heard < SECOND, "{heard:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_replicas_touch_keeps_a_session_alive_here() {
    let server = Server::start().await;
    let (here, there) = (replica(&server).await, replica(&server).await);
    let token = here.open().await;
    here.cached(&token).await;
    let session = there.cached(&token).await;
    there.clock.advance(Duration::from_mins(50));
    there.sessions.act(&session);
    there.sessions.flush().await;
    here.clock.advance(Duration::from_mins(70));
    assert!(here.live(&token).await.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_touch_disturbs_no_cache() {
    let server = Server::start().await;
    let (here, there) = (replica(&server).await, replica(&server).await);
    let token = here.open().await;
    let (one, other) = (here.cached(&token).await, there.cached(&token).await);
    for seconds in 0..20 {
        assert!(here.store.touch(&token.id(), at(seconds)).await.expect("touched"));
        // What was pushed before this answer is heard before it.
        assert!(!there.store.touch(&new_id(), at(0)).await.expect("answered"));
        assert!(here.live(&token).await.is_some_and(|found| Arc::ptr_eq(&found, &one)));
        assert!(there.live(&token).await.is_some_and(|found| Arc::ptr_eq(&found, &other)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_is_cached_from_its_beginning() {
    let server = Server::start().await;
    let here = replica(&server).await;
    here.cached(&here.open().await).await;
    let token = here.open().await;
    let (one, other) = (here.live(&token).await, here.live(&token).await);
    assert!(one.zip(other).is_some_and(|(one, other)| Arc::ptr_eq(&one, &other)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flush_empties_the_cache() {
    let server = Server::start().await;
    let here = replica(&server).await;
    let token = here.open().await;
    here.cached(&token).await;
    server.client().await.flushall().await.expect("flushed");
    let heard = until("the flush is heard", || async { here.live(&token).await.is_none() }).await;
    assert!(heard < SECOND, "{heard:?}");
    add_owner(&here.store).await;
    let next = here.open().await;
    here.cached(&next).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_changed_behind_a_broken_connection_is_seen() {
    let server = Server::start().await;
    let here = replica(&server).await;
    let mut other = server.client().await;
    for _ in 0..20 {
        let token = here.open().await;
        here.cached(&token).await;
        // In one step for the server: the connection is cut, and the session goes while nobody listens.
        let key = here.store.layout.session(&token.id());
        let mut both = ::redis::pipe();
        both.atomic().cmd("CLIENT").arg(&["KILL", "TYPE", "normal", "SKIPME", "yes"]).del(&key);
        both.exec_async(&mut other).await.expect("done");
        let seen = until("the end is seen", || async {
            matches!(here.sessions.find(&token).await, Ok(Found::Expired))
        })
        .await;
        assert!(seen < SECOND, "{seen:?}");
        assert!(here.live(&token).await.is_none(), "and stays so");
    }
}
