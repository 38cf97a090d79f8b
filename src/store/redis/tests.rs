//! The contract against a real server, and what is this store's own: outages, expiry, corruption.

mod cache;
mod server;

use std::sync::Arc;
use std::time::Duration;

use ::redis::AsyncTypedCommands as _;
use tokio::time::{Instant, sleep};

use super::*;
use crate::account::AccountStore;
use crate::domain::Identifiant;
use crate::limits::{AttemptRule, Counters as _};
use crate::session::SessionStore;
use crate::store::Store;
use crate::store::contract::{account, at, contract, name, new_id, record};
use server::Server;

async fn open() -> (Arc<dyn Store>, Server) {
    let server = Server::start().await;
    (store(&server).await, server)
}

contract!(open);

async fn store(server: &Server) -> Arc<Redis> {
    let cache = Arc::new(SessionCache::new(100));
    Redis::connect(&server.url(), Clock::system(), cache).await.expect("a store")
}

/// Waits for a fact and says how long it took.
async fn until<F: Future<Output = bool>>(what: &str, fact: impl Fn() -> F) -> Duration {
    let begun = Instant::now();
    while !fact().await {
        assert!(begun.elapsed() < Duration::from_secs(10), "still waiting: {what}");
        sleep(Duration::from_millis(2)).await;
    }
    begun.elapsed()
}

fn owner() -> Identifiant {
    name("a@esat.example")
}

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_dies_is_out_of_reach_at_once_and_back_by_itself() {
    let mut server = Server::start().await;
    let store = store(&server).await;
    assert!(store.is_reachable());
    server.kill();
    let begun = Instant::now();
    assert!(matches!(AccountStore::find(&*store, &owner()).await, Err(StoreError::Unreachable(_))));
    assert!(begun.elapsed() < SECOND);
    until("the loss is noticed", || async { !store.is_reachable() }).await;
    server.restart().await;
    let back = until("it is back", || async { AccountStore::find(&*store, &owner()).await.is_ok() }).await;
    assert!(back < 2 * SECOND, "{back:?}");
    assert!(store.is_reachable());
    assert!(store.touch(&new_id(), at(0)).await.is_ok_and(|touched| !touched), "scripts are there again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_down_at_the_start_is_awaited() {
    let mut server = Server::start().await;
    server.kill();
    let store = store(&server).await;
    assert!(!store.is_reachable());
    assert!(matches!(store.forgive("a").await, Err(StoreError::Unreachable(_))));
    server.restart().await;
    until("it is there", || async { store.forgive("a").await.is_ok() }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_is_repeated_when_the_connection_breaks_under_it() {
    let server = Server::start().await;
    let store = store(&server).await;
    AccountStore::add(&*store, &[account("a@esat.example")]).await.expect("added");
    let mut other = server.client().await;
    // The server holds answers back: the read is on its way when its connection is cut.
    ::redis::cmd("CLIENT").arg(&["PAUSE", "200", "ALL"]).exec_async(&mut other).await.expect("paused");
    let reader = Arc::clone(&store);
    let read = tokio::spawn(async move { AccountStore::find(&*reader, &owner()).await });
    let kill = ["KILL", "TYPE", "normal", "SKIPME", "yes"];
    ::redis::cmd("CLIENT").arg(&kill).exec_async(&mut other).await.expect("cut");
    assert!(read.await.expect("no panic").is_ok_and(|found| found.is_some()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_clock_follows_the_servers() {
    let server = Server::start().await;
    let (clock, cache) = (Clock::system(), Arc::new(SessionCache::new(1)));
    clock.follow(1_000_000);
    let _store = Redis::connect(&server.url(), clock.clone(), cache).await.expect("a store");
    let mut other = server.client().await;
    let before = clock.now().as_second();
    let (seconds, _): (i64, i64) = ::redis::cmd("TIME").query_async(&mut other).await.expect("a time");
    let after = clock.now().as_second();
    assert!((before - 1..=after + 1).contains(&seconds), "{seconds} between {before} and {after}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_that_ends_has_an_expiry_and_dead_names_leave_the_index() {
    let server = Server::start().await;
    let (store, mut other) = (store(&server).await, server.client().await);
    let ids = [new_id(), new_id()];
    for (id, ends) in ids.iter().zip([1000, 5000]) {
        store.create(id, &record("a@esat.example", 0, ends), at(0)).await.expect("created");
    }
    let rule = AttemptRule {
        max: 1,
        lockout: Duration::from_mins(15),
        grows: true,
        longest: Duration::from_hours(1),
        memory: Duration::from_mins(1),
    };
    store.attempt("a", &rule, at(0)).await.expect("counted");
    let index = store.layout.sessions_of(&owner());
    let session = [store.layout.session(&ids[0]), store.layout.action(&ids[0])];
    assert!(store.touch(&ids[0], at(1)).await.expect("touched"));
    let [record, action] = session.clone();
    let keys = [record, action, index.clone(), store.layout.attempts("a")];
    // Sessions stay half an hour past their end, for a form that comes late.
    for (key, seconds) in keys.iter().zip([2860, 2860, 6860, 960]) {
        let left: i64 = ::redis::cmd("TTL").arg(key).query_async(&mut other).await.expect("a time");
        assert!((seconds - 5..=seconds).contains(&left), "{key}: {left}");
    }
    other.del(&session).await.expect("expired");
    assert_eq!(store.of_account(&owner()).await.expect("a list").len(), 1);
    assert_eq!(other.zcard(&index).await.expect("a count"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn corrupt_records_are_errors() {
    let server = Server::start().await;
    let (store, mut other) = (store(&server).await, server.client().await);
    let corrupt = |error| matches!(error, StoreError::Corrupt(_));
    let id = new_id();
    other.hset(store.layout.accounts(), "a@esat.example", b"{\"nom\": \xff").await.expect("set");
    assert!(AccountStore::find(&*store, &owner()).await.is_err_and(corrupt));
    assert!(AccountStore::list(&*store).await.is_err_and(corrupt));
    assert!(store.replace(&account("a@esat.example")).await.is_err_and(corrupt));
    other.set(store.layout.session(&id), "[]").await.expect("set");
    assert!(SessionStore::find(&*store, &id).await.expect("an answer").is_none(), "half a session is none");
    other.set(store.layout.action(&id), "1796000000000").await.expect("set");
    assert!(SessionStore::find(&*store, &id).await.is_err_and(corrupt));
    other.set(store.layout.action(&id), "soon").await.expect("set");
    assert!(SessionStore::find(&*store, &id).await.is_err_and(corrupt));
    assert!(store.touch(&id, at(0)).await.is_err_and(corrupt));
    other.set(store.layout.attempts("a"), "1").await.expect("set");
    let rule = AttemptRule { max: 1, lockout: SECOND, grows: false, longest: SECOND, memory: SECOND };
    assert!(store.attempt("a", &rule, at(0)).await.is_err_and(corrupt));
    other.hset(store.layout.attempts("b"), "count", "many").await.expect("set");
    assert!(store.attempt("b", &rule, at(0)).await.is_err_and(corrupt));
    other.rpush(store.layout.signing_keys(), "{}").await.expect("set");
    assert!(crate::entry::SigningKeyStore::keys(&*store).await.is_err_and(corrupt));
}

#[tokio::test]
async fn a_wrong_url_is_told_at_once_without_its_password() {
    for url in ["", "redis://:hunter2@", "http://:hunter2@localhost", "redis://:hunter2@h:port"] {
        let cache = Arc::new(SessionCache::new(1));
        let error = Redis::connect(&url.into(), Clock::system(), cache).await.expect_err(url);
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}

#[test]
fn callers_may_live_on_other_runtimes() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let background = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let (server, store) = background.block_on(async {
        let server = Server::start().await;
        let store = store(&server).await;
        (server, store)
    });
    std::thread::scope(|scope| {
        for n in 0..4 {
            let store = &store;
            scope.spawn(move || {
                runtime().block_on(async {
                    let one = account(&format!("a{n}@esat.example"));
                    AccountStore::add(&**store, &[one]).await.expect("added");
                });
            });
        }
    });
    assert_eq!(runtime().block_on(AccountStore::list(&*store)).expect("a list").len(), 4);
    drop((server, store));
}
