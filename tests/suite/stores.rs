//! What a store must survive: a killed gateway, a Redis that goes and comes back, several replicas.

use std::time::Duration;

use serde_json::json;

use crate::harness::client::Client;
use crate::harness::gateway::Gateway;
use crate::harness::world::{Kind, ONE_CAF, PASSWORD, SIRET, TWO_CAFS, World, account, sign_in};
use crate::harness::{eventually, within};
use crate::on_each_store;

fn status(client: &mut Client) -> u16 {
    client.get("/").program().send().status
}

/// The same person at another replica.
fn at(replica: &Gateway, client: &Client) -> Client {
    let mut other = replica.client();
    other.jar.clone_from(&client.jar);
    other
}

on_each_store! {
    fn a_killed_gateway_loses_nothing_it_acknowledged(kind: Kind) {
        let mut world = World::new(kind);
        let client = world.admitted();
        world.gateway.accounts(&[account("dernier@esat.example", SIRET, &["751"])]);
        let suspended = world.gateway.admin().post(&format!("/v1/accounts/{TWO_CAFS}/suspend")).send();
        assert_eq!(suspended.status, 200, "{}", suspended.text());
        let mut owner = world.gateway.client();
        let body = json!({"identifiant": "dernier@esat.example", "mot_de_passe_actuel": PASSWORD, "nouveau_mot_de_passe": "Nouveau-2027"});
        assert_eq!(owner.post("/portail/mot-de-passe").json(&body).send().status, 200);
        for _ in 0..3 {
            assert_eq!(sign_in(&mut world.gateway.client(), ONE_CAF, "faux").status, 401);
        }
        world.gateway.kill();

        let again = Gateway::start(&world.settings);
        eventually("it is ready", || again.admin().get("/readyz").send().status == 200);
        assert_eq!(status(&mut at(&again, &client)), 200, "a session");
        assert_eq!(status(&mut at(&again, &owner)), 200, "the session of a changed password");
        assert_eq!(sign_in(&mut again.client(), "dernier@esat.example", "Nouveau-2027").etat(), "admis");
        assert_eq!(sign_in(&mut again.client(), TWO_CAFS, PASSWORD).status, 401, "suspended it was");
        for _ in 0..2 {
            assert_eq!(sign_in(&mut again.client(), ONE_CAF, "faux").status, 401);
        }
        assert_eq!(sign_in(&mut again.client(), ONE_CAF, PASSWORD).code(), "trop-d-essais", "wrong guesses are kept");
    }
}

#[test]
fn without_redis_nobody_is_let_in_and_nobody_is_told_expired() {
    let mut world = World::new(Kind::Redis);
    let mut client = world.admitted();
    let before = client.session().unwrap().to_owned();
    world.redis.as_mut().unwrap().kill();
    within(Duration::from_secs(1), "the signed-in are told", || {
        client.get("/").program().send().status == 503
    });
    let refused = client.get("/").program().send();
    assert_eq!(refused.problem(), (503, "service-indisponible".to_owned()));
    assert!(refused.header("retry-after").is_some() && refused.header("set-cookie").is_none());
    let refused = sign_in(&mut world.gateway.client(), ONE_CAF, PASSWORD);
    assert_eq!(refused.problem(), (503, "service-indisponible".to_owned()));
    assert_eq!(world.gateway.admin().get("/readyz").send().status, 503);
    // The page that says so has its looks, whatever cookies its browser shows.
    let shown = client.get("/").page().send();
    assert_eq!((shown.status, shown.header("content-type")), (503, Some("text/html; charset=utf-8")));
    let mut twice = world.gateway.client();
    twice.jar.insert("octroi".to_owned(), "A".repeat(43));
    for client in [&mut client, &mut twice] {
        for file in ["style.css", "pages.js", "session.js", ".well-known/jwks.json"] {
            let got = client.get(&format!("/portail/{file}")).send();
            assert!(got.status == 200 && got.body.len() > 50, "{file}: {} {}", got.status, got.text());
        }
        assert_eq!(client.post("/portail/style.css").program().send().status, 405);
        assert_eq!(client.get("/portail/session").program().send().status, 503);
    }
    let reached = world.caf921.count();
    world.redis.as_mut().unwrap().restart();
    eventually("it is back by itself", || client.get("/").program().send().status == 200);
    assert_eq!(client.session(), Some(before.as_str()));
    assert_eq!(world.caf921.count(), reached + 1);
}

/// A full Redis refuses what would be kept, and takes nothing away.
#[test]
fn a_full_redis_leaves_everybody_where_they_were() {
    let world = World::new(Kind::Redis);
    let redis = world.redis.as_ref().unwrap();
    let mut several = world.signed_in(TWO_CAFS);
    several.post("/portail/caf").json(&json!({"caf": "921"})).send();
    let mut unknown = world.signed_in(TWO_CAFS);
    let change = json!({"mot_de_passe_actuel": PASSWORD, "nouveau_mot_de_passe": "Nouveau-2027"});
    redis.ask("CONFIG SET maxmemory 1");
    for (path, body) in [
        ("/portail/caf", json!({"caf": "751"})),
        ("/portail/quitter", json!({})),
        ("/portail/mot-de-passe", change),
    ] {
        let before = several.session().unwrap().to_owned();
        let refused = several.post(path).json(&body).send();
        assert_eq!(refused.problem(), (503, "service-indisponible".to_owned()), "{path}");
        assert_eq!(several.session(), Some(before.as_str()), "{path}");
    }
    assert_eq!(unknown.post("/portail/caf").json(&json!({"caf": "751"})).send().status, 503);
    let (code, _, why) = world.gateway.cli(&["account", "suspend", ONE_CAF]);
    assert!(code == 1 && why.contains("out of reach or full"), "{why}");
    eventually("the operator is told why", || world.gateway.logs().contains("OOM"));
    assert!(!world.gateway.logs().contains("holds what cannot be read"), "{}", world.gateway.logs());
    redis.ask("CONFIG SET maxmemory 0");
    assert_eq!(several.get("/portail/session").program().send().etat(), "admis");
    assert_eq!(unknown.get("/portail/session").program().send().etat(), "caf_a_choisir");
    eventually("what was refused works again", || {
        several.post("/portail/caf").json(&json!({"caf": "751"})).send().status == 200
    });
}

#[test]
fn two_replicas_share_sessions_and_revoke_them_within_a_second() {
    let world = World::new(Kind::Redis);
    let other = world.replica();
    let second = Duration::from_secs(1);
    for revoke in ["suspend", "reset-password"] {
        let name = format!("{revoke}@esat.example");
        world.gateway.accounts(&[account(&name, SIRET, &["921"])]);
        let mut here = world.signed_in(&name);
        let mut there = at(&other, &here);
        assert_eq!((status(&mut here), status(&mut there)), (200, 200));
        let done = other.admin().post(&format!("/v1/accounts/{name}/{revoke}")).send();
        assert_eq!(done.status, 200, "{}", done.text());
        within(second, "it is over here", || status(&mut here) == 401);
        within(second, "and there", || status(&mut there) == 401);
    }
    let here = world.admitted();
    let mut there = at(&other, &here);
    assert_eq!(status(&mut there), 200);
    here.clone().post("/portail/deconnexion").program().send();
    within(second, "signed out there too", || status(&mut there) == 401);
}

#[test]
fn a_record_that_cannot_be_read_keeps_no_other_session_alive() {
    let world = World::new(Kind::Redis);
    let (broken, mut alive) = (world.admitted(), world.admitted());
    let redis = world.redis.as_ref().unwrap();
    let keys = redis.ask("KEYS octroi:session:*");
    let key = keys.lines().find(|line| line.starts_with("octroi:session:")).unwrap().to_owned();
    assert!(redis.ask(&format!("SET {key} {{}}")).contains("OK"));
    // The gateway hears of it from Redis a moment later.
    eventually("its user signs in again, and no other", || {
        let mut statuses = [status(&mut broken.clone()), status(&mut alive)];
        statuses.sort_unstable();
        statuses == [200, 401]
    });
    for _ in 0..6 {
        assert_eq!(sign_in(&mut world.gateway.client(), ONE_CAF, PASSWORD).etat(), "admis");
    }
    assert_eq!(sign_in(&mut broken.clone(), ONE_CAF, PASSWORD).etat(), "admis", "with its cookie shown, too");
    let suspended = world.gateway.admin().post(&format!("/v1/accounts/{ONE_CAF}/suspend")).send();
    assert_eq!(suspended.status, 200, "{}", suspended.text());
    eventually("all are over", || [status(&mut broken.clone()), status(&mut alive)] == [401, 401]);
}

#[test]
fn an_action_at_one_replica_keeps_the_session_alive_at_the_other() {
    let mut world = World::new(Kind::Redis);
    let mut other = world.replica();
    let mut here = world.admitted();
    let mut there = at(&other, &here);
    assert_eq!(status(&mut there), 200);
    world.gateway.advance(1_700);
    other.advance(1_700);
    assert_eq!(status(&mut here), 200);
    // The action is written within a second; then the other replica, whose own copy looks expired, asks the store.
    eventually("the action is in the store", || world.last_action_is(1_700));
    world.gateway.advance(200);
    other.advance(200);
    assert_eq!(status(&mut there), 200);
}

#[test]
fn a_hundred_guesses_at_two_replicas_count_a_hundred() {
    let world = World::new(Kind::Redis);
    let other = world.replica();
    let guesses: Vec<_> = (0..100)
        .map(|number| {
            let mut client = if number % 2 == 0 { world.gateway.client() } else { other.client() };
            std::thread::spawn(move || sign_in(&mut client, ONE_CAF, "faux").status)
        })
        .collect();
    let verdicts: Vec<u16> = guesses.into_iter().map(|guess| guess.join().unwrap()).collect();
    assert_eq!(verdicts.iter().filter(|status| **status == 401).count(), 5, "{verdicts:?}");
    assert!(verdicts.iter().all(|status| [401, 429].contains(status)), "{verdicts:?}");
}
