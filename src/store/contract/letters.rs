//! What waits to be sent: each errand is one claimer's at a time, and none is lost.

use std::sync::Arc;

use futures_util::future::join_all;

use super::{Tested, at, name};
use crate::outbox::{Claim, Errand, MOST, Outbox, Posted, Reason};

pub(in crate::store) async fn an_errand_is_claimed_by_one_of_many(store: Tested) {
    let asked = errand("a@esat.example", 0);
    assert_eq!(store.post(&asked, at(0)).await.expect("an answer"), Posted::Waiting);
    let claimers = (0..16).map(|_| {
        let store = Arc::clone(&store);
        tokio::spawn(async move { store.claim(at(0), at(60)).await.expect("an answer") })
    });
    let claims: Vec<Claim> =
        join_all(claimers).await.into_iter().filter_map(|done| done.expect("ended")).collect();
    assert_eq!(claims, [Claim { errand: asked, held_until: at(60) }]);
}

pub(in crate::store) async fn errands_are_claimed_when_due_the_oldest_first(store: Tested) {
    let outbox: &dyn Outbox = &*store;
    assert_eq!(outbox.claim(at(0), at(60)).await.expect("an answer"), None);
    for due in [30, 10, 20] {
        outbox.post(&errand("a@esat.example", due), at(due)).await.expect("posted");
    }
    assert_eq!(outbox.claim(at(9), at(69)).await.expect("an answer"), None);
    for due in [10, 20, 30] {
        let claim = outbox.claim(at(30), at(90 + due)).await.expect("an answer").expect("one is due");
        assert_eq!(claim.errand.asked_at, at(due));
    }
    assert_eq!(outbox.claim(at(30), at(90)).await.expect("an answer"), None);
}

pub(in crate::store) async fn a_claim_that_ended_is_anothers(store: Tested) {
    let outbox: &dyn Outbox = &*store;
    outbox.post(&errand("a@esat.example", 0), at(0)).await.expect("posted");
    let slow = outbox.claim(at(0), at(60)).await.expect("an answer").expect("a claim");
    assert_eq!(outbox.claim(at(59), at(119)).await.expect("an answer"), None);
    let next = outbox.claim(at(60), at(120)).await.expect("an answer").expect("it is free again");
    assert_eq!(next.errand, slow.errand);
    assert!(!outbox.put_off(&slow, at(61)).await.expect("an answer"), "it is another's");
    assert!(!outbox.strike(&slow).await.expect("an answer"), "it is another's");
    assert!(outbox.put_off(&next, at(130)).await.expect("an answer"));
    assert!(!outbox.strike(&next).await.expect("an answer"), "it was given back");
    assert_eq!(outbox.claim(at(129), at(189)).await.expect("an answer"), None);
    let last = outbox.claim(at(130), at(190)).await.expect("an answer").expect("it is due");
    assert!(outbox.strike(&last).await.expect("an answer"));
    assert!(!outbox.strike(&last).await.expect("an answer"));
    assert_eq!(outbox.claim(at(1_000), at(1_060)).await.expect("an answer"), None);
}

pub(in crate::store) async fn the_same_errand_waits_once(store: Tested) {
    let outbox: &dyn Outbox = &*store;
    let reminder = Errand::reminder(name("a@esat.example"), 14, at(-86_400), at(0));
    outbox.post(&reminder, at(0)).await.expect("posted");
    let claim = outbox.claim(at(0), at(60)).await.expect("an answer").expect("a claim");
    assert_eq!(claim.errand, reminder);
    assert_eq!(outbox.post(&reminder, at(0)).await.expect("an answer"), Posted::Waiting);
    assert_eq!(outbox.claim(at(1), at(61)).await.expect("an answer"), None, "it is still the first one's");
    assert!(outbox.strike(&claim).await.expect("an answer"));
    let (one, other) = (Errand::forgotten(None, at(0)), Errand::forgotten(None, at(0)));
    for errand in [one, other] {
        outbox.post(&errand.expect("entropy"), at(0)).await.expect("posted");
    }
    for _ in 0..2 {
        let claim = outbox.claim(at(2), at(62)).await.expect("an answer").expect("each of two");
        assert_eq!((claim.errand.to, claim.errand.reason), (None, Reason::ForgottenPassword));
    }
}

pub(in crate::store) async fn an_outbox_has_an_end(store: Tested) {
    let posts = (0..MOST).map(|n| {
        let (store, one) = (Arc::clone(&store), errand("a@esat.example", i64::try_from(n).expect("few")));
        tokio::spawn(async move { store.post(&one, at(0)).await.expect("an answer") })
    });
    assert!(join_all(posts).await.into_iter().all(|posted| matches!(posted, Ok(Posted::Waiting))));
    assert_eq!(store.post(&errand("b@esat.example", 0), at(0)).await.expect("an answer"), Posted::Full);
    let same = errand("a@esat.example", 0);
    assert_eq!(store.post(&same, at(0)).await.expect("an answer"), Posted::Waiting);
    let claim = Outbox::claim(&*store, at(0), at(60)).await.expect("an answer").expect("a claim");
    assert!(Outbox::strike(&*store, &claim).await.expect("an answer"));
    assert_eq!(store.post(&errand("b@esat.example", 0), at(0)).await.expect("an answer"), Posted::Waiting);
}

fn errand(to: &str, asked: i64) -> Errand {
    Errand {
        to: Some(name(to)),
        reason: Reason::ForgottenPassword,
        asked_at: at(asked),
        nonce: "n".to_owned(),
    }
}
