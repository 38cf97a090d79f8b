//! What ends: sessions and counters.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use super::{Tested, at, name, new_id, record};
use crate::account::{Recovery, RecoveryStore};
use crate::domain::Token;
use crate::limits::{Attempt, AttemptRule, Counters};
use crate::parking::ParkingStore;
use crate::session::{Record, SessionStore};

pub(in crate::store) async fn a_session_is_kept_as_it_was(store: Tested) {
    let sessions: &dyn SessionStore = &*store;
    let (id, kept) = (new_id(), record("a@esat.example", 0, 43_200));
    assert_eq!(sessions.find(&id).await.expect("an answer"), None);
    sessions.create(&id, &kept, at(5)).await.expect("created");
    assert_eq!(sessions.find(&id).await.expect("an answer"), Some((kept, at(5))));
    assert_eq!(sessions.find(&new_id()).await.expect("an answer"), None);
}

pub(in crate::store) async fn a_touch_never_moves_time_back_nor_revives(store: Tested) {
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

pub(in crate::store) async fn of_many_removers_one_is_told(store: Tested) {
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

pub(in crate::store) async fn the_sessions_of_an_account_are_the_oldest_first(store: Tested) {
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
    let named = sessions.ids_of_account(&owner).await.expect("a list");
    let listed = sessions.of_account(&owner).await.expect("a list");
    assert_eq!(named, listed.iter().map(|(id, ..)| *id).collect::<Vec<_>>());
    let order: Vec<_> = listed.iter().map(|(id, _, _)| *id).collect();
    assert_eq!(order, [ids[5], ids[2], ids[3], ids[4], ids[0]]);
    assert_eq!(listed[2].2, at(50));
    assert_eq!(listed[0].1.signed_in_at, at(5));
    assert_eq!(sessions.of_account(&other).await.expect("a list").len(), 1);
}

pub(in crate::store) async fn sittings_are_listed_in_order_and_swept(store: Tested) {
    let sessions: &dyn SessionStore = &*store;
    let mut expected = Vec::new();
    for ends in [43_200, 43_201, 43_202, 80_000] {
        let (id, kept) = (new_id(), record("a@esat.example", 0, ends));
        sessions.create(&id, &kept, at(0)).await.expect("created");
        expected.push((kept.sitting, id));
    }
    assert_eq!(sessions.sittings(None, 10).await.expect("a list"), expected);
    assert_eq!(sessions.sittings(None, 2).await.expect("a list"), expected[..2]);
    assert_eq!(sessions.sittings(Some(expected[1].0), 10).await.expect("a list"), expected[2..]);
    assert_eq!(sessions.sittings(Some(expected[3].0), 10).await.expect("a list"), []);
    // The sitting goes on in another session.
    let (id, next) = (new_id(), Record { sitting: expected[0].0, ..record("a@esat.example", 0, 43_200) });
    assert!(sessions.remove(&expected[0].1, &name("a@esat.example")).await.expect("an answer"));
    sessions.create(&id, &next, at(0)).await.expect("created");
    assert!(sessions.of_sitting(expected[0].0).await.expect("a list").contains(&id));
    assert_eq!(sessions.of_sitting(expected[1].0).await.expect("a list"), [expected[1].1]);
    let unknown = record("a@esat.example", 0, 5).sitting;
    assert_eq!(sessions.of_sitting(unknown).await.expect("a list"), []);
    store.sweep(at(60_000)).await.expect("swept");
    assert_eq!(sessions.sittings(None, 10).await.expect("a list"), expected[3..]);
}

pub(in crate::store) async fn tries_lock_at_max_and_locks_double(store: Tested) {
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

pub(in crate::store) async fn a_lock_is_seen_and_not_counted(store: Tested) {
    let counters: &dyn Counters = &*store;
    let rule = rule(2, true);
    assert_eq!(counters.lock_left("a", at(0)).await.expect("an answer"), None);
    for count in 1..=2 {
        assert_eq!(counters.attempt("a", &rule, at(0)).await.expect("an answer"), allowed(count));
    }
    for _ in 0..5 {
        let left = counters.lock_left("a", at(1)).await.expect("an answer");
        assert_eq!(left, Some(Duration::from_secs(899)));
        assert_eq!(counters.lock_left("b", at(1)).await.expect("an answer"), None);
    }
    assert_eq!(counters.lock_left("a", at(900)).await.expect("an answer"), None);
    assert_eq!(counters.attempt("a", &rule, at(900)).await.expect("an answer"), allowed(3));
}

pub(in crate::store) async fn a_count_is_forgotten_after_its_memory(store: Tested) {
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

pub(in crate::store) async fn without_growth_a_lock_once_served_is_forgotten(store: Tested) {
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

pub(in crate::store) async fn a_try_taken_back_leaves_the_others(store: Tested) {
    let counters: &dyn Counters = &*store;
    let rule = rule(3, false);
    counters.take_back("a", &rule).await.expect("taken back");
    for expected in [allowed(1), allowed(2), allowed(3), locked(900)] {
        assert_eq!(counters.attempt("a", &rule, at(0)).await.expect("an answer"), expected);
    }
    counters.take_back("a", &rule).await.expect("taken back");
    for expected in [allowed(3), locked(900)] {
        assert_eq!(counters.attempt("a", &rule, at(0)).await.expect("an answer"), expected);
    }
    for _ in 0..5 {
        counters.take_back("a", &rule).await.expect("taken back");
    }
    assert_eq!(counters.attempt("a", &rule, at(0)).await.expect("an answer"), allowed(1));
}

pub(in crate::store) async fn a_pardon_forgets_all(store: Tested) {
    let counters: &dyn Counters = &*store;
    let rule = rule(1, true);
    counters.forgive("a").await.expect("forgiven");
    for _ in 0..2 {
        assert_eq!(counters.attempt("a", &rule, at(0)).await.expect("an answer"), allowed(1));
        assert_eq!(counters.attempt("a", &rule, at(0)).await.expect("an answer"), locked(900));
        counters.forgive("a").await.expect("forgiven");
    }
}

pub(in crate::store) async fn a_hundred_at_once_count_a_hundred(store: Tested) {
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

pub(in crate::store) async fn keys_of_counters_do_not_meet(store: Tested) {
    let counters: &dyn Counters = &*store;
    for key in ["a", "a:b", "a b\r\n\u{0}é", "", "*"] {
        assert_eq!(counters.attempt(key, &rule(1, true), at(0)).await.expect("an answer"), allowed(1));
    }
}

pub(in crate::store) async fn a_sweep_leaves_the_living(store: Tested) {
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

pub(in crate::store) async fn a_parked_form_is_taken_once(store: Tested) {
    let parking: &dyn ParkingStore = &*store;
    let id = Token::random().expect("entropy").id();
    let (sealed, until) = (vec![0, 255, 7], at(1_800));
    assert_eq!(parking.parked(&id).await.expect("an answer"), None);
    parking.park(&id, b"former", at(0), until).await.expect("kept");
    parking.park(&id, &sealed, at(0), until).await.expect("kept");
    assert_eq!(parking.parked(&id).await.expect("an answer"), Some(sealed.clone()));
    let (one, other) = tokio::join!(parking.unpark(&id), parking.unpark(&id));
    let taken: Vec<_> = [one, other].into_iter().filter_map(|taken| taken.expect("an answer")).collect();
    assert_eq!(taken, [sealed]);
    assert_eq!(parking.parked(&id).await.expect("an answer"), None);
}

pub(in crate::store) async fn a_recovery_is_taken_once(store: Tested) {
    let recoveries: &dyn RecoveryStore = &*store;
    let id = Token::random().expect("entropy").id();
    let recovery = Recovery {
        account: "a@esat.example".parse().expect("a name"),
        standing: "as it was".to_owned(),
        expires_at: at(900),
    };
    assert_eq!(recoveries.look_at(&id).await.expect("answered"), None);
    recoveries.keep(&id, &recovery, at(0)).await.expect("kept");
    assert_eq!(recoveries.look_at(&id).await.expect("answered"), Some(recovery.clone()));
    let takers: Vec<_> = (0..16)
        .map(|_| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.take(&id).await.expect("answered") })
        })
        .collect();
    let mut taken = Vec::new();
    for taker in takers {
        taken.extend(taker.await.expect("ended"));
    }
    assert_eq!(taken, std::slice::from_ref(&recovery));
    assert_eq!(recoveries.look_at(&id).await.expect("answered"), None);

    recoveries.keep(&id, &recovery, at(0)).await.expect("kept");
    store.sweep(at(899)).await.expect("swept");
    assert_eq!(recoveries.look_at(&id).await.expect("answered"), Some(recovery));
}
