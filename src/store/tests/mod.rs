//! One contract, run on every store, with the clock moved by hand.

mod contract;
mod redis_server;
mod watch;

use std::sync::Arc;

use secrecy::SecretString;

use super::embedded::Embedded;
use super::redis::Redis;
use crate::account::AccountStore;
use crate::domain::Clock;
use crate::session::{SessionCache, SessionStore};
use redis_server::{RedisServer, eventually};

/// A store on a server of its own, connected.
async fn connected(server: &RedisServer) -> (Arc<Redis>, Arc<SessionCache>) {
    let cache = Arc::new(SessionCache::new(100));
    let clock = Clock::frozen_at(contract::instant(0));
    let url = SecretString::from(server.url());
    let (store, link) = Redis::new(&url, clock, Arc::clone(&cache)).expect("a store");
    tokio::spawn(link);
    eventually("redis is reached", async || super::Health::is_reachable(&*store)).await;
    (store, cache)
}

/// Runs each part of the contract on each store.
macro_rules! contract {
    ($($part:ident),* $(,)?) => {
        mod in_memory {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $part() {
                super::contract::$part(super::Embedded::in_memory().expect("a store")).await;
            })*
        }
        mod in_a_file {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $part() {
                let folder = tempfile::tempdir().expect("a folder");
                super::contract::$part(super::Embedded::open(folder.path()).expect("a store")).await;
            })*
        }
        mod on_redis {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $part() {
                let server = super::RedisServer::start().await;
                let (store, _cache) = super::connected(&server).await;
                super::contract::$part(store).await;
            })*
        }
    };
}

contract!(
    accounts_are_added_all_or_none,
    a_stale_change_is_refused,
    establishments_are_known_by_each_of_their_names,
    a_session_is_kept_until_it_is_removed,
    time_never_goes_back_and_the_dead_stay_dead,
    one_of_many_removes_a_session,
    sessions_of_an_account_are_listed_the_oldest_first,
    a_hundred_guesses_count_a_hundred,
    locks_grow_and_are_forgotten,
    a_count_starts_anew_after_a_lock_that_does_not_grow,
    replicas_that_start_together_share_a_key,
);

#[tokio::test]
async fn a_file_outlives_its_process() {
    let folder = tempfile::tempdir().expect("a folder");
    let account = contract::account("a@esat.example");
    let session = contract::session_id(1);
    let record = contract::record("a@esat.example", 0);
    {
        let store = Embedded::open(folder.path()).expect("a store");
        store.add(std::slice::from_ref(&account)).await.expect("added");
        store.create(&session, &record, contract::instant(5)).await.expect("created");
    }
    let store = Embedded::open(folder.path()).expect("a store");
    let found = AccountStore::find(&*store, &account.identifiant).await.expect("answered");
    assert_eq!(found, Some(account));
    let found = SessionStore::find(&*store, &session).await.expect("answered");
    assert_eq!(found, Some((record, contract::instant(5))));
}

#[tokio::test]
async fn a_second_process_is_told_that_the_file_is_taken() {
    let folder = tempfile::tempdir().expect("a folder");
    let _first = Embedded::open(folder.path()).expect("a store");
    let second = Embedded::open(folder.path()).map(drop).expect_err("the file is taken");
    assert!(second.to_string().contains("already open"), "{second}");
}

#[tokio::test]
async fn what_has_expired_is_swept() {
    let store = Embedded::in_memory().expect("a store");
    let (short, long) = (contract::session_id(1), contract::session_id(2));
    store
        .create(&short, &contract::record("a@esat.example", 0), contract::instant(0))
        .await
        .expect("created");
    store
        .create(&long, &contract::record("a@esat.example", 60), contract::instant(60))
        .await
        .expect("created");
    store.sweep(contract::instant(12 * 3_600)).await.expect("swept");
    let account = "a@esat.example".parse().expect("a name");
    let left = store.of_account(&account).await.expect("listed");
    assert_eq!(left.into_iter().map(|(id, ..)| id).collect::<Vec<_>>(), [long]);
}
