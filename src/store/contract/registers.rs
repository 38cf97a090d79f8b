//! What lasts: accounts, establishments, signing keys, what is drained.

use std::sync::Arc;

use futures_util::future::join_all;

use super::{Tested, account, at};
use crate::account::{Account, AccountStore, Added, Status};
use crate::domain::{CafCode, IdentifiantCommunication, Siret};
use crate::drains::Drained;
use crate::entry::{SigningKeyStore, StoredKey};
use crate::establishment::{Establishment, EstablishmentStore};

pub(in crate::store) async fn accounts_are_added_all_or_none(store: Tested) {
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

pub(in crate::store) async fn a_name_met_twice_in_one_import_is_taken(store: Tested) {
    let accounts: &dyn AccountStore = &*store;
    let (a, b) = (account("a@esat.example"), account("b@esat.example"));
    let added = accounts.add(&[a.clone(), b, a.clone(), a.clone()]).await.expect("an answer");
    assert_eq!(added, Added::Taken(vec![a.identifiant]));
    assert_eq!(accounts.list().await.expect("a list"), []);
}

pub(in crate::store) async fn an_account_is_replaced_only_by_one_who_read_it(store: Tested) {
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

pub(in crate::store) async fn of_many_who_replace_one_wins(store: Tested) {
    let read = account("a@esat.example");
    AccountStore::add(&*store, std::slice::from_ref(&read)).await.expect("added");
    let replacers = (0..32).map(|n| {
        let (store, mine) = (Arc::clone(&store), Account { nom: n.to_string(), ..read.clone() });
        tokio::spawn(async move { AccountStore::replace(&*store, &mine).await.expect("an answer") })
    });
    let wins = join_all(replacers).await.into_iter().filter(|win| matches!(win, Ok(true))).count();
    assert_eq!(wins, 1);
}

pub(in crate::store) async fn accounts_are_added_and_replaced_together_or_not_at_all(store: Tested) {
    let accounts: &dyn AccountStore = &*store;
    let (a, b, c) = (account("a@esat.example"), account("b@esat.example"), account("c@esat.example"));
    accounts.add(&[a.clone(), b.clone()]).await.expect("added");
    let (a, b) = (Account { nom: "a".to_owned(), ..a }, Account { nom: "b".to_owned(), ..b });
    let write =
        async |new: &[Account], changed: &[Account]| accounts.write(new, changed).await.expect("an answer");
    assert_eq!(write(std::slice::from_ref(&c), &[a.clone(), b.clone()]).await, Added::All);
    let (a1, b1) = (Account { revision: 1, ..a.clone() }, Account { revision: 1, ..b });
    assert_eq!(accounts.list().await.expect("a list"), [a1.clone(), b1.clone(), c.clone()]);
    let d = account("d@esat.example");
    let stale = Added::Stale(vec![a.identifiant.clone()]);
    assert_eq!(write(std::slice::from_ref(&d), &[b1.clone(), a.clone()]).await, stale);
    let removed = Added::Stale(vec![d.identifiant.clone()]);
    assert_eq!(write(&[], &[b1.clone(), d.clone()]).await, removed);
    let taken = Added::Taken(vec![c.identifiant.clone()]);
    assert_eq!(write(&[d, c.clone()], &[b1.clone(), a]).await, taken);
    assert_eq!(accounts.list().await.expect("a list"), [a1.clone(), b1, c], "nothing was written");
    assert_eq!(
        write(std::slice::from_ref(&a1), std::slice::from_ref(&a1)).await,
        Added::Taken(vec![a1.identifiant])
    );
}

pub(in crate::store) async fn many_rows_are_written_and_listed(store: Tested) {
    let many: Vec<Account> = (0..2_500).map(|n| account(&format!("u{n:04}@esat.example"))).collect();
    assert_eq!(store.add(&many).await.expect("an answer"), Added::All);
    assert_eq!(AccountStore::list(&*store).await.expect("a list"), many);
    assert_eq!(AccountStore::write(&*store, &[], &many).await.expect("an answer"), Added::All);
    let stored = AccountStore::find(&*store, &many[1_234].identifiant).await.expect("an answer");
    assert_eq!(stored.map(|account| account.revision), Some(1));
}

pub(in crate::store) async fn an_account_is_removed_once(store: Tested) {
    let accounts: &dyn AccountStore = &*store;
    let gone = account("a@esat.example");
    accounts.add(std::slice::from_ref(&gone)).await.expect("added");
    assert!(accounts.remove(&gone.identifiant).await.expect("an answer"));
    assert!(!accounts.remove(&gone.identifiant).await.expect("an answer"));
    assert_eq!(accounts.find(&gone.identifiant).await.expect("an answer"), None);
    assert_eq!(accounts.add(&[gone]).await.expect("an answer"), Added::All);
}

pub(in crate::store) async fn establishments_are_found_by_both_names(store: Tested) {
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

pub(in crate::store) async fn an_establishment_takes_the_place_of_all_it_meets(store: Tested) {
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

pub(in crate::store) async fn establishments_that_are_gone_leave_room_for_new_ones(store: Tested) {
    let establishments: &dyn EstablishmentStore = &*store;
    let both = known("921", Some(siret(1)), Some("A1"), "both");
    let other = known("921", Some(siret(2)), None, "other");
    establishments.put(&[both.clone(), other.clone()]).await.expect("put");
    let new = known("921", None, Some("A1"), "new");
    establishments
        .write(std::slice::from_ref(&new), &[both, known("751", None, Some("A1"), "none")])
        .await
        .expect("written");
    assert_eq!(establishments.list().await.expect("a list"), [new.clone(), other.clone()]);
    establishments.write(&[], &[new, other]).await.expect("written");
    assert_eq!(establishments.list().await.expect("a list"), []);
}

pub(in crate::store) async fn establishments_are_listed_once_in_order(store: Tested) {
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

pub(in crate::store) async fn a_key_is_added_by_one_of_many(store: Tested) {
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

pub(in crate::store) async fn only_the_latest_keys_are_kept(store: Tested) {
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

/// What is out of service is so for whoever asks, once, until it is put back.
pub(in crate::store) async fn what_is_drained_stays_so_until_it_is_put_back(store: Tested) {
    let whole = Drained { caf: "921".parse().expect("a code"), instance: None };
    let one = Drained { instance: Some("http://[::1]:8080".to_owned()), ..whole.clone() };
    assert_eq!(store.drained().await.expect("read"), []);
    for order in [&one, &whole, &one] {
        store.set_drained(order, true).await.expect("kept");
    }
    let mut drained = store.drained().await.expect("read");
    drained.sort();
    assert_eq!(drained, [whole.clone(), one.clone()]);
    for _ in 0..2 {
        store.set_drained(&whole, false).await.expect("kept");
    }
    assert_eq!(store.drained().await.expect("read"), [one]);
}
