//! What every store promises, asked of each through its traits alone. Time is moved by hand.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;

use super::Store;
use crate::account::{Account, AccountStore, Added, Status};
use crate::domain::{CafCode, Identifiant, IdentifiantCommunication, Siret, Timestamp};
use crate::entry::{SigningKeyStore, StoredKey};
use crate::establishment::{Establishment, EstablishmentStore};
use crate::limits::{Attempt, AttemptRule, Counters};
use crate::session::{Record, SessionId, SessionStore, Token};

/// Makes a test of each promise; `$open` gives a new store, and what must live as long as it.
macro_rules! contract {
    ($open:path) => {
        $crate::store::contract::contract! { $open =>
            accounts_are_added_all_or_none
            a_name_met_twice_in_one_import_is_taken
            an_account_is_replaced_only_by_one_who_read_it
            of_many_who_replace_one_wins
            an_account_is_removed_once
            establishments_are_found_by_both_names
            an_establishment_takes_the_place_of_all_it_meets
            establishments_are_listed_once_in_order
            a_session_is_kept_as_it_was
            a_touch_never_moves_time_back_nor_revives
            of_many_removers_one_is_told
            the_sessions_of_an_account_are_the_oldest_first
            tries_lock_at_max_and_locks_double
            a_count_is_forgotten_after_its_memory
            without_growth_a_lock_once_served_is_forgotten
            a_pardon_forgets_all
            a_hundred_at_once_count_a_hundred
            keys_of_counters_do_not_meet
            a_key_is_added_by_one_of_many
            only_the_latest_keys_are_kept
            a_sweep_leaves_the_living
        }
    };
    ($open:path => $($promise:ident)+) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $promise() {
            let (store, _alive) = $open().await;
            $crate::store::contract::$promise(store).await;
        }
    )+};
}
pub(super) use contract;

type Tested = Arc<dyn Store>;

/// An instant some seconds after the first one of these tests.
pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_796_000_000 + seconds).expect("an instant")
}

pub(super) fn account(name: &str) -> Account {
    serde_json::from_value(json!({
        "identifiant": name,
        "siret": "73282932000074",
        "nom": "ESAT « Les \u{1F333} »\u{0}",
        "cafs": ["921", "751"],
        "home_caf": "921",
        "password_hash": "$argon2id$v=19$m=19456,t=2,p=1$c2VsCg$aGFzaAo",
        "password_changed_at": "2026-11-23T09:00:00.123456789Z",
        "must_change": true,
        "status": "active",
        "former": ["$argon2id$old"],
        "revision": 0,
    }))
    .expect("an account")
}

pub(super) fn record(account: &str, signed_in: i64, ends: i64) -> Record {
    let holder = json!({
        "account": account,
        "siret": "73282932000074",
        "cafs": ["921"],
        "password_changed_at": "2026-11-23T09:00:00Z",
    });
    serde_json::from_value(json!({
        "stage": { "stage": "must-choose-caf", "holder": holder },
        "signed_in_at": at(signed_in),
        "ends_at": at(ends),
        "place": "2001:db8::1",
    }))
    .expect("a session")
}

pub(super) fn name(text: &str) -> Identifiant {
    text.parse().expect("an address")
}

pub(super) fn new_id() -> SessionId {
    Token::random().expect("entropy").id()
}

fn siret(nth: u32) -> Siret {
    let keyed = |key| format!("1000000{nth:06}{key}").parse().ok();
    (0..10).find_map(keyed).expect("one key in ten is right")
}

fn known(caf: &str, siret: Option<Siret>, communication: Option<&str>, nom: &str) -> Establishment {
    Establishment {
        caf: caf.parse().expect("a Caf"),
        siret,
        identifiant_communication: communication.map(|text| text.parse().expect("an identifiant")),
        nom: nom.to_owned(),
    }
}

fn key(id: &str) -> StoredKey {
    StoredKey { id: id.to_owned(), created_at: at(0), pkcs8: "c2VjcmV0".to_owned() }
}

const MINUTE: u64 = 60;

fn rule(max: u32, grows: bool) -> AttemptRule {
    AttemptRule {
        max,
        lockout: Duration::from_secs(15 * MINUTE),
        grows,
        longest: Duration::from_secs(50 * MINUTE),
        memory: Duration::from_hours(24),
    }
}

fn allowed(count: u32) -> Attempt {
    Attempt::Allowed { count }
}

fn locked(seconds: u64) -> Attempt {
    Attempt::Locked { retry_after: Duration::from_secs(seconds) }
}

pub(super) async fn accounts_are_added_all_or_none(store: Tested) {
    let accounts: &dyn AccountStore = &*store;
    let (a, b, c) = (account("a@esat.example"), account("b@esat.example"), account("c@esat.example"));
    assert_eq!(accounts.list().await.expect("a list"), []);
    assert_eq!(accounts.add(&[]).await.expect("an answer"), Added::All);
    assert_eq!(accounts.add(&[c.clone(), a.clone()]).await.expect("an answer"), Added::All);
    let taken = Added::Taken(vec![c.identifiant.clone(), a.identifiant.clone()]);
    assert_eq!(accounts.add(&[c.clone(), b.clone(), a.clone()]).await.expect("an answer"), taken);
    assert_eq!(accounts.find(&b.identifiant).await.expect("an answer"), None);
    assert_eq!(accounts.find(&a.identifiant).await.expect("an answer"), Some(a.clone()));
    assert_eq!(accounts.add(std::slice::from_ref(&b)).await.expect("an answer"), Added::All);
    assert_eq!(accounts.list().await.expect("a list"), [a, b, c]);
}

pub(super) async fn a_name_met_twice_in_one_import_is_taken(store: Tested) {
    let accounts: &dyn AccountStore = &*store;
    let (a, b) = (account("a@esat.example"), account("b@esat.example"));
    let added = accounts.add(&[a.clone(), b, a.clone(), a.clone()]).await.expect("an answer");
    assert_eq!(added, Added::Taken(vec![a.identifiant]));
    assert_eq!(accounts.list().await.expect("a list"), []);
}

pub(super) async fn an_account_is_replaced_only_by_one_who_read_it(store: Tested) {
    let accounts: &dyn AccountStore = &*store;
    let read = account("a@esat.example");
    assert!(!accounts.replace(&read).await.expect("an answer"), "there is none to replace");
    accounts.add(std::slice::from_ref(&read)).await.expect("added");
    let changed = Account { status: Status::Suspended, former: vec![], home_caf: None, ..read.clone() };
    assert!(accounts.replace(&changed).await.expect("an answer"));
    assert!(!accounts.replace(&read).await.expect("an answer"), "its reading is stale");
    let stored = accounts.find(&read.identifiant).await.expect("an answer").expect("an account");
    assert_eq!(stored, Account { revision: 1, ..changed });
    assert!(accounts.replace(&stored).await.expect("an answer"));
}

pub(super) async fn of_many_who_replace_one_wins(store: Tested) {
    let read = account("a@esat.example");
    AccountStore::add(&*store, std::slice::from_ref(&read)).await.expect("added");
    let replacers = (0..32).map(|n| {
        let (store, mine) = (Arc::clone(&store), Account { nom: n.to_string(), ..read.clone() });
        tokio::spawn(async move { AccountStore::replace(&*store, &mine).await.expect("an answer") })
    });
    let wins = join_all(replacers).await.into_iter().filter(|win| matches!(win, Ok(true))).count();
    assert_eq!(wins, 1);
}

pub(super) async fn an_account_is_removed_once(store: Tested) {
    let accounts: &dyn AccountStore = &*store;
    let gone = account("a@esat.example");
    accounts.add(std::slice::from_ref(&gone)).await.expect("added");
    assert!(accounts.remove(&gone.identifiant).await.expect("an answer"));
    assert!(!accounts.remove(&gone.identifiant).await.expect("an answer"));
    assert_eq!(accounts.find(&gone.identifiant).await.expect("an answer"), None);
    assert_eq!(accounts.add(&[gone]).await.expect("an answer"), Added::All);
}

pub(super) async fn establishments_are_found_by_both_names(store: Tested) {
    let establishments: &dyn EstablishmentStore = &*store;
    let (here, there): (CafCode, CafCode) = ("921".parse().expect("a Caf"), "751".parse().expect("a Caf"));
    let typed: IdentifiantCommunication = "ab12".parse().expect("an identifiant");
    let both = known("921", Some(siret(1)), Some("AB12"), "both");
    let one = known("921", None, Some("CD34"), "one");
    establishments.put(&[both.clone(), one.clone()]).await.expect("put");
    let by_siret = establishments.by_siret(here, &siret(1)).await.expect("an answer");
    assert_eq!(by_siret, Some(both.clone()));
    assert_eq!(establishments.by_communication(here, &typed).await.expect("an answer"), Some(both));
    let other = "cd34".parse().expect("an identifiant");
    assert_eq!(establishments.by_communication(here, &other).await.expect("an answer"), Some(one));
    assert_eq!(establishments.by_siret(there, &siret(1)).await.expect("an answer"), None);
    assert_eq!(establishments.by_communication(there, &typed).await.expect("an answer"), None);
}

pub(super) async fn an_establishment_takes_the_place_of_all_it_meets(store: Tested) {
    let establishments: &dyn EstablishmentStore = &*store;
    let old = [
        known("921", Some(siret(1)), Some("A1"), "by its SIRET"),
        known("921", Some(siret(2)), Some("A2"), "by its identifiant"),
        known("751", Some(siret(1)), Some("A2"), "of another Caf"),
    ];
    establishments.put(&old).await.expect("put");
    let new = known("921", Some(siret(1)), Some("A2"), "new");
    establishments.put(std::slice::from_ref(&new)).await.expect("put");
    let caf = new.caf;
    let by_old_siret = establishments.by_siret(caf, &siret(2)).await.expect("an answer");
    assert_eq!(by_old_siret, None);
    let a1 = "A1".parse().expect("an identifiant");
    assert_eq!(establishments.by_communication(caf, &a1).await.expect("an answer"), None);
    assert_eq!(establishments.list().await.expect("a list"), [old[2].clone(), new]);
}

pub(super) async fn establishments_are_listed_once_in_order(store: Tested) {
    let establishments: &dyn EstablishmentStore = &*store;
    establishments.put(&[]).await.expect("put");
    let all: Vec<_> = (0..300).map(|n| known("921", Some(siret(n)), Some(&format!("{n}")), "")).collect();
    let first = known("751", None, Some("Z"), "");
    establishments.put(&all).await.expect("put");
    establishments.put(&[first.clone(), all[7].clone()]).await.expect("put");
    let listed = establishments.list().await.expect("a list");
    assert_eq!(listed.len(), 301);
    assert_eq!(listed[0], first);
    assert_eq!(listed[1..], all);
}

pub(super) async fn a_session_is_kept_as_it_was(store: Tested) {
    let sessions: &dyn SessionStore = &*store;
    let (id, kept) = (new_id(), record("a@esat.example", 0, 43_200));
    assert_eq!(sessions.find(&id).await.expect("an answer"), None);
    sessions.create(&id, &kept, at(5)).await.expect("created");
    assert_eq!(sessions.find(&id).await.expect("an answer"), Some((kept, at(5))));
    assert_eq!(sessions.find(&new_id()).await.expect("an answer"), None);
}

pub(super) async fn a_touch_never_moves_time_back_nor_revives(store: Tested) {
    let sessions: &dyn SessionStore = &*store;
    let (id, kept, owner) = (new_id(), record("a@esat.example", 0, 43_200), name("a@esat.example"));
    sessions.create(&id, &kept, at(0)).await.expect("created");
    for (touched, then) in [(10, 10), (4, 10), (11, 11)] {
        assert!(sessions.touch(&id, at(touched)).await.expect("an answer"));
        let (_, last) = sessions.find(&id).await.expect("an answer").expect("a session");
        assert_eq!(last, at(then));
    }
    assert!(sessions.remove(&id, &owner).await.expect("an answer"));
    assert!(!sessions.touch(&id, at(20)).await.expect("an answer"));
    assert_eq!(sessions.find(&id).await.expect("an answer"), None);
}

pub(super) async fn of_many_removers_one_is_told(store: Tested) {
    let (id, owner) = (new_id(), name("a@esat.example"));
    let sessions: &dyn SessionStore = &*store;
    sessions.create(&id, &record("a@esat.example", 0, 43_200), at(0)).await.expect("created");
    let removers = (0..32).map(|_| {
        let (store, owner) = (Arc::clone(&store), owner.clone());
        tokio::spawn(async move { SessionStore::remove(&*store, &id, &owner).await.expect("an answer") })
    });
    let told = join_all(removers).await.into_iter().filter(|told| matches!(told, Ok(true))).count();
    assert_eq!(told, 1);
    assert!(sessions.of_account(&owner).await.expect("a list").is_empty());
}

pub(super) async fn the_sessions_of_an_account_are_the_oldest_first(store: Tested) {
    let sessions: &dyn SessionStore = &*store;
    let (owner, other) = (name("a@esat.example"), name("aa@esat.example"));
    let ids: Vec<_> = (0..6).map(|_| new_id()).collect();
    // Three of the same instant keep the order in which they came.
    for (id, signed_in) in ids.iter().zip([30, 10, 20, 20, 20, 5]) {
        sessions.create(id, &record(owner.as_str(), signed_in, 43_200), at(40)).await.expect("created");
    }
    sessions.create(&new_id(), &record(other.as_str(), 0, 43_200), at(40)).await.expect("created");
    assert!(sessions.touch(&ids[3], at(50)).await.expect("an answer"));
    assert!(sessions.remove(&ids[1], &owner).await.expect("an answer"));
    let listed = sessions.of_account(&owner).await.expect("a list");
    let order: Vec<_> = listed.iter().map(|(id, _, _)| *id).collect();
    assert_eq!(order, [ids[5], ids[2], ids[3], ids[4], ids[0]]);
    assert_eq!(listed[2].2, at(50));
    assert_eq!(listed[0].1, record(owner.as_str(), 5, 43_200));
    assert_eq!(sessions.of_account(&other).await.expect("a list").len(), 1);
}

pub(super) async fn tries_lock_at_max_and_locks_double(store: Tested) {
    let counters: &dyn Counters = &*store;
    let rule = rule(3, true);
    let steps = [
        (0, allowed(1)),
        (1, allowed(2)),
        (2, allowed(3)),
        (2, locked(900)),
        (901, locked(1)),
        (902, allowed(4)),
        (903, locked(1799)),
        (2702, allowed(5)),
        (2702, locked(3000)),
        (5702, allowed(6)),
        (5703, locked(2999)),
    ];
    for (step, (seconds, expected)) in steps.into_iter().enumerate() {
        let answer = counters.attempt("a", &rule, at(seconds)).await.expect("an answer");
        assert_eq!(answer, expected, "step {step}");
    }
}

pub(super) async fn a_count_is_forgotten_after_its_memory(store: Tested) {
    let counters: &dyn Counters = &*store;
    let rule = AttemptRule { memory: Duration::from_mins(10), ..rule(3, true) };
    // The lock outlives the memory, and then all begins anew.
    let steps = [
        (0, allowed(1)),
        (599, allowed(2)),
        (1199, allowed(1)),
        (1200, allowed(2)),
        (1201, allowed(3)),
        (2000, locked(101)),
        (2101, allowed(1)),
    ];
    for (step, (seconds, expected)) in steps.into_iter().enumerate() {
        let answer = counters.attempt("a", &rule, at(seconds)).await.expect("an answer");
        assert_eq!(answer, expected, "step {step}");
    }
}

pub(super) async fn without_growth_a_lock_once_served_is_forgotten(store: Tested) {
    let counters: &dyn Counters = &*store;
    let rule = rule(2, false);
    let steps = [
        (0, allowed(1)),
        (1, allowed(2)),
        (1, locked(900)),
        (901, allowed(1)),
        (902, allowed(2)),
        (903, locked(899)),
    ];
    for (step, (seconds, expected)) in steps.into_iter().enumerate() {
        let answer = counters.attempt("a", &rule, at(seconds)).await.expect("an answer");
        assert_eq!(answer, expected, "step {step}");
    }
}

pub(super) async fn a_pardon_forgets_all(store: Tested) {
    let counters: &dyn Counters = &*store;
    let rule = rule(1, true);
    counters.forgive("a").await.expect("forgiven");
    for _ in 0..2 {
        assert_eq!(counters.attempt("a", &rule, at(0)).await.expect("an answer"), allowed(1));
        assert_eq!(counters.attempt("a", &rule, at(0)).await.expect("an answer"), locked(900));
        counters.forgive("a").await.expect("forgiven");
    }
}

pub(super) async fn a_hundred_at_once_count_a_hundred(store: Tested) {
    let attempts = (0..100).map(|_| {
        let store = Arc::clone(&store);
        tokio::spawn(async move { store.attempt("a", &rule(5, true), at(0)).await.expect("an answer") })
    });
    let answers: Vec<_> =
        join_all(attempts).await.into_iter().map(|answer| answer.expect("no panic")).collect();
    let mut counts: Vec<_> = answers
        .iter()
        .filter_map(|answer| if let Attempt::Allowed { count } = answer { Some(*count) } else { None })
        .collect();
    counts.sort_unstable();
    assert_eq!(counts, [1, 2, 3, 4, 5]);
    assert_eq!(answers.iter().filter(|answer| **answer == locked(900)).count(), 95);
}

pub(super) async fn keys_of_counters_do_not_meet(store: Tested) {
    let counters: &dyn Counters = &*store;
    for key in ["a", "a:b", "a b\r\n\u{0}é", "", "*"] {
        assert_eq!(counters.attempt(key, &rule(1, true), at(0)).await.expect("an answer"), allowed(1));
    }
}

pub(super) async fn a_key_is_added_by_one_of_many(store: Tested) {
    let adders = (0..16).map(|n| {
        let store = Arc::clone(&store);
        tokio::spawn(async move { store.add_key(&key(&n.to_string()), 0, 3).await.expect("an answer") })
    });
    let answers: Vec<_> =
        join_all(adders).await.into_iter().map(|answer| answer.expect("no panic")).collect();
    let kept = store.keys().await.expect("the keys");
    assert_eq!(kept.len(), 1);
    assert!(answers.iter().all(|answer| *answer == kept), "all are told of the same key");
}

pub(super) async fn only_the_latest_keys_are_kept(store: Tested) {
    let keys: &dyn SigningKeyStore = &*store;
    let ids = |keys: Vec<StoredKey>| keys.into_iter().map(|key| key.id).collect::<Vec<_>>();
    assert!(keys.keys().await.expect("the keys").is_empty());
    for (added, expected, left) in
        [("a", 0, vec!["a"]), ("b", 1, vec!["a", "b"]), ("c", 2, vec!["b", "c"]), ("d", 1, vec!["b", "c"])]
    {
        assert_eq!(ids(keys.add_key(&key(added), expected, 2).await.expect("an answer")), left);
    }
    assert_eq!(ids(keys.keys().await.expect("the keys")), ["b", "c"]);
    assert!(keys.keys().await.expect("the keys")[0] == key("b"));
}

pub(super) async fn a_sweep_leaves_the_living(store: Tested) {
    let (living, owner) = (new_id(), name("a@esat.example"));
    let sessions: &dyn SessionStore = &*store;
    sessions.create(&living, &record(owner.as_str(), 0, 43_200), at(0)).await.expect("created");
    store.attempt("a", &rule(2, true), at(0)).await.expect("an answer");
    store.sweep(at(43_100)).await.expect("swept");
    assert!(store.is_reachable());
    assert!(sessions.find(&living).await.expect("an answer").is_some());
    let counted = store.attempt("a", &rule(2, true), at(43_100)).await.expect("an answer");
    assert_eq!(counted, allowed(2));
}
