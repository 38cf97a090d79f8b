//! What every store must do.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use crate::account::{Account, AccountStore, Added};
use crate::domain::Timestamp;
use crate::entry::{SigningKeyStore, StoredKey};
use crate::establishment::{Establishment, EstablishmentStore};
use crate::limits::{Attempt, AttemptRule, Counters};
use crate::session::{Record, SessionId, SessionStore};

/// Seconds after 1 December 2026, noon in Paris.
pub(super) fn instant(seconds: i64) -> Timestamp {
    let noon: Timestamp = "2026-12-01T11:00:00Z".parse().expect("an instant");
    Timestamp::from_second(noon.as_second() + seconds).expect("an instant")
}

pub(super) fn account(identifiant: &str) -> Account {
    serde_json::from_value(json!({
        "identifiant": identifiant, "siret": "73282932000074", "nom": "ESAT «Les Tilleuls»", "cafs": ["921", "751"],
        "home_caf": "921", "password_hash": "$argon2id$…", "password_changed_at": "2026-09-01T08:00:00Z",
        "must_change": false, "status": "active"
    }))
    .expect("an account")
}

pub(super) fn record(account: &str, signed_in: i64) -> Record {
    let holder = json!({
        "account": account, "siret": "73282932000074", "cafs": ["921"], "password_changed_at": "2026-09-01T08:00:00Z"
    });
    serde_json::from_value(json!({
        "stage": {"stage": "must-choose-caf", "holder": holder},
        "signed_in_at": instant(signed_in), "ends_at": instant(signed_in + 12 * 3_600), "place": "192.0.2.1"
    }))
    .expect("a record")
}

pub(super) fn session_id(number: u8) -> SessionId {
    SessionId::from_bytes([number; 32])
}

pub(super) async fn accounts_are_added_all_or_none(store: Arc<impl AccountStore>) {
    let (a, b, c) = (account("a@esat.example"), account("b@esat.example"), account("c@esat.example"));
    assert_eq!(store.add(&[]).await.expect("answered"), Added::All);
    assert_eq!(store.add(&[b.clone(), a.clone()]).await.expect("answered"), Added::All);
    let taken = store.add(&[c.clone(), a.clone()]).await.expect("answered");
    assert_eq!(taken, Added::Taken(vec![a.identifiant.clone()]));
    assert_eq!(store.list().await.expect("listed"), [a.clone(), b]);
    assert_eq!(store.find(&c.identifiant).await.expect("answered"), None);
    assert!(store.remove(&a.identifiant).await.expect("answered"));
    assert!(!store.remove(&a.identifiant).await.expect("answered"));
}

pub(super) async fn a_stale_change_is_refused(store: Arc<impl AccountStore>) {
    let first = account("a@esat.example");
    assert!(!store.replace(&first).await.expect("answered"), "there is none yet");
    store.add(std::slice::from_ref(&first)).await.expect("added");
    let renamed = Account { nom: "Un autre".to_owned(), ..first.clone() };
    assert!(store.replace(&renamed).await.expect("answered"));
    assert!(!store.replace(&first).await.expect("answered"), "read before the change");
    let stored = store.find(&first.identifiant).await.expect("answered").expect("stored");
    assert_eq!(stored, Account { revision: 1, ..renamed });
    assert!(store.replace(&stored).await.expect("answered"));
}

pub(super) async fn establishments_are_known_by_each_of_their_names(store: Arc<impl EstablishmentStore>) {
    let caf = "921".parse().expect("a code");
    let siret = "73282932000074".parse().expect("a SIRET");
    let communication = "AB12".parse().expect("an identifiant");
    let both = Establishment {
        caf,
        siret: Some(siret),
        identifiant_communication: Some(communication),
        nom: "Les Tilleuls".to_owned(),
    };
    store.put(&[]).await.expect("put");
    store.put(std::slice::from_ref(&both)).await.expect("put");
    assert_eq!(store.by_siret(caf, &siret).await.expect("answered"), Some(both.clone()));
    assert_eq!(store.by_communication(caf, &communication).await.expect("answered"), Some(both.clone()));
    let elsewhere = "751".parse().expect("a code");
    assert_eq!(store.by_siret(elsewhere, &siret).await.expect("answered"), None);
    assert_eq!(store.list().await.expect("listed"), [both.clone()]);

    let without_siret = Establishment { siret: None, ..both };
    store.put(std::slice::from_ref(&without_siret)).await.expect("put");
    assert_eq!(store.by_siret(caf, &siret).await.expect("answered"), None, "it took the other's place");
    assert_eq!(store.list().await.expect("listed"), [without_siret]);
}

pub(super) async fn a_session_is_kept_until_it_is_removed(store: Arc<impl SessionStore>) {
    let (id, record) = (session_id(1), record("a@esat.example", 0));
    let account = record.stage.holder().account().clone();
    assert_eq!(store.find(&id).await.expect("answered"), None);
    store.create(&id, &record, instant(3)).await.expect("created");
    assert_eq!(store.find(&id).await.expect("answered"), Some((record, instant(3))));
    assert!(store.remove(&id, &account).await.expect("answered"));
    assert_eq!(store.find(&id).await.expect("answered"), None);
    assert!(store.of_account(&account).await.expect("listed").is_empty());
}

pub(super) async fn time_never_goes_back_and_the_dead_stay_dead(store: Arc<impl SessionStore>) {
    let (id, record) = (session_id(1), record("a@esat.example", 0));
    let account = record.stage.holder().account().clone();
    assert!(!store.touch(&id, instant(1)).await.expect("answered"));
    store.create(&id, &record, instant(0)).await.expect("created");
    assert!(store.touch(&id, instant(20)).await.expect("answered"));
    assert!(store.touch(&id, instant(10)).await.expect("answered"));
    let (_, last) = store.find(&id).await.expect("answered").expect("alive");
    assert_eq!(last, instant(20));
    store.remove(&id, &account).await.expect("removed");
    assert!(!store.touch(&id, instant(30)).await.expect("answered"));
    assert_eq!(store.find(&id).await.expect("answered"), None);
}

pub(super) async fn one_of_many_removes_a_session(store: Arc<impl SessionStore + 'static>) {
    let (id, record) = (session_id(1), record("a@esat.example", 0));
    store.create(&id, &record, instant(0)).await.expect("created");
    let tries: Vec<_> = (0..32)
        .map(|_| {
            let (store, account) = (Arc::clone(&store), record.stage.holder().account().clone());
            tokio::spawn(async move { store.remove(&id, &account).await.expect("answered") })
        })
        .collect();
    let mut removed = 0;
    for each in tries {
        removed += usize::from(each.await.expect("ended"));
    }
    assert_eq!(removed, 1);
}

pub(super) async fn sessions_of_an_account_are_listed_the_oldest_first(store: Arc<impl SessionStore>) {
    for (number, signed_in) in [(7, 30), (9, 10), (8, 20)] {
        let record = record("a@esat.example", signed_in);
        store.create(&session_id(number), &record, instant(signed_in)).await.expect("created");
    }
    let other = record("aa@esat.example", 0);
    store.create(&session_id(1), &other, instant(0)).await.expect("created");
    let account = "a@esat.example".parse().expect("a name");
    let listed = store.of_account(&account).await.expect("listed");
    let ids: Vec<SessionId> = listed.into_iter().map(|(id, ..)| id).collect();
    assert_eq!(ids, [session_id(9), session_id(8), session_id(7)]);
}

const LOCKOUT: AttemptRule = AttemptRule {
    max: 5,
    lockout: Duration::from_mins(15),
    grows: true,
    longest: Duration::from_mins(45),
    memory: Duration::from_hours(24),
};

pub(super) async fn a_hundred_guesses_count_a_hundred(store: Arc<impl Counters + 'static>) {
    let guesses: Vec<_> = (0..100)
        .map(|_| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.attempt("a", &LOCKOUT, instant(0)).await.expect("answered") })
        })
        .collect();
    let mut counts = BTreeSet::new();
    let mut locked = 0;
    for guess in guesses {
        match guess.await.expect("ended") {
            Attempt::Allowed { count } => assert!(counts.insert(count), "{count} twice"),
            Attempt::Locked { retry_after } => {
                assert_eq!(retry_after, LOCKOUT.lockout);
                locked += 1;
            }
        }
    }
    assert_eq!(counts, (1..=5).collect());
    assert_eq!(locked, 95);
}

pub(super) async fn locks_grow_and_are_forgotten(store: Arc<impl Counters>) {
    let at = async |seconds| store.attempt("a", &LOCKOUT, instant(seconds)).await.expect("answered");
    let locked = |minutes| Attempt::Locked { retry_after: Duration::from_mins(minutes) };
    for count in 1..=5 {
        assert_eq!(at(0).await, Attempt::Allowed { count });
    }
    assert_eq!(at(0).await, locked(15));
    assert_eq!(at(899).await, Attempt::Locked { retry_after: Duration::from_secs(1) });
    assert_eq!(at(900).await, Attempt::Allowed { count: 6 });
    assert_eq!(at(900).await, locked(30));
    assert_eq!(at(2_700).await, Attempt::Allowed { count: 7 });
    assert_eq!(at(2_700).await, locked(45));
    assert_eq!(
        store.attempt("b", &LOCKOUT, instant(0)).await.expect("answered"),
        Attempt::Allowed { count: 1 }
    );
    store.forgive("a").await.expect("forgiven");
    assert_eq!(at(2_700).await, Attempt::Allowed { count: 1 });
    assert_eq!(at(2_700 + 86_399).await, Attempt::Allowed { count: 2 });
    assert_eq!(at(2_700 + 86_399 + 86_400).await, Attempt::Allowed { count: 1 });
}

pub(super) async fn a_count_starts_anew_after_a_lock_that_does_not_grow(store: Arc<impl Counters>) {
    let rule = AttemptRule { max: 2, grows: false, memory: Duration::from_mins(15), ..LOCKOUT };
    let at = async |seconds| store.attempt("a", &rule, instant(seconds)).await.expect("answered");
    assert_eq!(at(0).await, Attempt::Allowed { count: 1 });
    assert_eq!(at(60).await, Attempt::Allowed { count: 2 });
    assert_eq!(at(60).await, Attempt::Locked { retry_after: Duration::from_mins(15) });
    assert_eq!(at(960).await, Attempt::Allowed { count: 1 });
    assert_eq!(at(960).await, Attempt::Allowed { count: 2 });
}

pub(super) async fn replicas_that_start_together_share_a_key(store: Arc<impl SigningKeyStore>) {
    let key = |id: &str| StoredKey { id: id.to_owned(), created_at: instant(0), pkcs8: "x".to_owned() };
    assert!(store.keys().await.expect("answered").is_empty());
    let (a, b) = (key("a"), key("b"));
    let (first, second) = tokio::join!(store.add_key(&a, 0, 2), store.add_key(&b, 0, 2));
    let (first, second) = (first.expect("answered"), second.expect("answered"));
    assert_eq!((first.len(), &first[0].id), (1, &second[0].id));
    store.add_key(&key("c"), 1, 2).await.expect("answered");
    let last = store.add_key(&key("d"), 2, 2).await.expect("answered");
    assert_eq!(last.iter().map(|key| key.id.as_str()).collect::<Vec<_>>(), ["c", "d"]);
    assert!(store.keys().await.expect("answered") == last);
}
