//! The watch over the session cache, and a server that goes and comes back.

use std::sync::Arc;
use std::time::Duration;

use redis::cmd;
use tokio::time::Instant;

use super::contract::{instant, record, session_id};
use super::redis_server::{RedisServer, eventually};
use super::{Redis, connected};
use crate::domain::{Clock, StoreError};
use crate::session::{Found, Policy, SessionCache, SessionStore, Sessions, Stage, Token};
use crate::store::Health as _;

async fn sessions(server: &RedisServer) -> (Arc<Redis>, Sessions) {
    let (store, cache) = connected(server).await;
    let policy = Policy {
        idle_timeout: Duration::from_mins(30),
        warning: Duration::from_mins(5),
        absolute_timeout: Duration::from_hours(12),
        max_per_account: 5,
    };
    let clock = Clock::frozen_at(instant(0));
    let sessions = Sessions::new(Arc::<Redis>::clone(&store), cache, clock, policy);
    (store, sessions)
}

async fn open(sessions: &Sessions) -> Token {
    let stage: Stage = record("a@esat.example", 0).stage;
    let (token, _) = sessions.open(stage, "192.0.2.1").await.expect("opened");
    token
}

async fn is_live(sessions: &Sessions, token: &Token) -> bool {
    matches!(sessions.find(token).await.expect("answered"), Found::Live(_))
}

#[tokio::test]
async fn a_session_removed_elsewhere_is_forgotten_here() {
    let server = RedisServer::start().await;
    let (_store, sessions) = sessions(&server).await;
    let token = open(&sessions).await;
    assert!(is_live(&sessions, &token).await);
    let mut stranger = server.stranger().await;
    let key = format!("octroi:session:{}", token.id().to_text());
    let removed: i64 = cmd("DEL").arg(key).query_async(&mut stranger).await.expect("removed");
    assert_eq!(removed, 1);
    eventually("the session is gone here too", async || !is_live(&sessions, &token).await).await;
}

#[tokio::test]
async fn a_flushed_server_empties_the_cache() {
    let server = RedisServer::start().await;
    let (_store, sessions) = sessions(&server).await;
    let token = open(&sessions).await;
    assert!(is_live(&sessions, &token).await);
    let mut stranger = server.stranger().await;
    cmd("FLUSHALL").query_async::<()>(&mut stranger).await.expect("flushed");
    eventually("the session is gone here too", async || !is_live(&sessions, &token).await).await;
}

#[tokio::test]
async fn a_server_that_is_down_is_said_to_be_and_comes_back() {
    let mut server = RedisServer::start().await;
    let (store, sessions) = sessions(&server).await;
    let token = open(&sessions).await;
    server.kill();
    let asked = Instant::now();
    eventually("the store is out of reach", async || {
        matches!(sessions.find(&token).await, Err(StoreError::Unreachable(_)))
    })
    .await;
    assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
    let asked = Instant::now();
    assert!(SessionStore::find(&*store, &session_id(1)).await.is_err());
    assert!(asked.elapsed() < Duration::from_millis(100), "{:?}", asked.elapsed());
    server.restart().await;
    eventually("the store is back", async || store.is_reachable()).await;
    assert!(!is_live(&sessions, &token).await, "this server kept nothing");
}

#[tokio::test]
async fn a_server_that_is_not_there_yet_stops_nobody_from_starting() {
    let mut server = RedisServer::start().await;
    server.kill();
    let url = secrecy::SecretString::from(server.url());
    let cache = Arc::new(SessionCache::new(10));
    let (store, link) = Redis::new(&url, Clock::system(), cache).expect("a store");
    tokio::spawn(link);
    assert!(!store.is_reachable());
    server.restart().await;
    eventually("the store is reached", async || store.is_reachable()).await;
}

#[tokio::test]
async fn what_cannot_be_read_is_corrupt_and_no_panic() {
    let server = RedisServer::start().await;
    let (store, _cache) = connected(&server).await;
    let mut stranger = server.stranger().await;
    let key = format!("octroi:session:{}", session_id(1).to_text());
    for (record, last) in [("{", "1"), ("{}", "1"), ("{}", "x")] {
        cmd("HSET")
            .arg(&[&key, "record", record, "last", last])
            .query_async::<()>(&mut stranger)
            .await
            .expect("written");
        let read = SessionStore::find(&*store, &session_id(1)).await;
        assert!(matches!(read, Err(StoreError::Corrupt(_))), "{record} {last}: {read:?}");
    }
}
