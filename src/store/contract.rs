//! What every store promises, asked of each through its traits alone. Time is moved by hand.

mod letters;
mod life;
mod registers;

use std::sync::Arc;

use serde_json::json;

use super::Store;
use crate::account::Account;
use crate::domain::{Identifiant, Timestamp};
use crate::session::{Record, SessionId, Sitting, Token};

pub(super) use letters::*;
pub(super) use life::*;
pub(super) use registers::*;

/// Makes a test of each promise; `$open` gives a new store, and what must live as long as it.
macro_rules! contract {
    ($open:path) => {
        $crate::store::contract::contract! { $open =>
            accounts_are_added_all_or_none
            a_name_met_twice_in_one_import_is_taken
            an_account_is_replaced_only_by_one_who_read_it
            of_many_who_replace_one_wins
            accounts_are_added_and_replaced_together_or_not_at_all
            many_rows_are_written_and_listed
            an_account_is_removed_once
            establishments_are_found_by_both_names
            an_establishment_takes_the_place_of_all_it_meets
            establishments_that_are_gone_leave_room_for_new_ones
            establishments_are_listed_once_in_order
            a_session_is_kept_as_it_was
            a_touch_never_moves_time_back_nor_revives
            of_many_removers_one_is_told
            the_sessions_of_an_account_are_the_oldest_first
            sittings_are_listed_in_order_and_swept
            tries_lock_at_max_and_locks_double
            a_count_is_forgotten_after_its_memory
            without_growth_a_lock_once_served_is_forgotten
            a_try_taken_back_leaves_the_others
            a_pardon_forgets_all
            a_lock_is_seen_and_not_counted
            a_hundred_at_once_count_a_hundred
            keys_of_counters_do_not_meet
            a_recovery_is_taken_once
            a_parked_form_is_taken_once
            a_key_is_added_by_one_of_many
            only_the_latest_keys_are_kept
            what_is_drained_stays_so_until_it_is_put_back
            a_sweep_leaves_the_living
            an_errand_is_claimed_by_one_of_many
            errands_are_claimed_when_due_the_oldest_first
            a_claim_that_ended_is_anothers
            the_same_errand_waits_once
            an_outbox_has_an_end
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
        "sitting": Sitting::new(at(ends)).expect("entropy"),
    }))
    .expect("a session")
}

pub(super) fn name(text: &str) -> Identifiant {
    text.parse().expect("an address")
}

pub(super) fn new_id() -> SessionId {
    Token::random().expect("entropy").id()
}
