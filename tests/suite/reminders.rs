//! Passwords that fall due: letters 14 days, 7 days and a day before, once each, to the second.

use serde_json::{Value, json};

use crate::harness::client::Response;
use crate::harness::eventually;
use crate::harness::gateway::Gateway;
use crate::harness::mail::{Mail, MailServer};
use crate::harness::world::{Kind, PASSWORD, PROVISIONAL, SIRET, World, account, sign_in};

/// Due on 17 December 2026 at 11:00:00 in Paris, as many seconds of 86,400 s after a September of summer time.
const CHANGED: &str = "2026-09-16T10:00:00Z";
const OWNER: &str = "a.rappeler@esat.example";
/// What is due a second before the owner's; its letters show that the watch has looked.
const CHANGED_BEFORE: &str = "2026-09-16T09:59:59Z";
const WITNESS: &str = "temoin@esat.example";

const D14_LESS_1_S: &str = "2026-12-03T10:59:59+01:00";
const D14: &str = "2026-12-03T11:00:00+01:00";
const D7: &str = "2026-12-10T11:00:00+01:00";
const D3: &str = "2026-12-14T11:00:00+01:00";
const D1: &str = "2026-12-16T11:00:00+01:00";
const DUE: &str = "2026-12-17T11:00:00+01:00";

fn changed_at(identifiant: &str, at: &str) -> Value {
    let mut account = account(identifiant, SIRET, &["921"]);
    account["password_changed_at"] = json!(at);
    account
}

fn world(kind: Kind, server: &MailServer, now: &str) -> World {
    let mut world = World::with(kind, |settings| {
        settings.set("mail", "url", &format!("\"smtp://{}\"", server.address));
        settings.set("mail", "from", r#""octroi@extranet.example""#);
    });
    world.gateway.set_clock(now);
    world
}

fn of<'a>(letters: &'a [Mail], to: &str) -> Vec<&'a Mail> {
    letters.iter().filter(|mail| mail.to == to).collect()
}

fn wait_for(server: &MailServer, to: &str, count: usize) -> Vec<String> {
    eventually(&format!("{count} letters to {to}"), || of(&server.letters(), to).len() >= count);
    of(&server.letters(), to).into_iter().map(|mail| mail.text.clone()).collect()
}

fn state_of(gateway: &Gateway, identifiant: &str) -> Response {
    sign_in(&mut gateway.client(), identifiant, PASSWORD)
}

#[test]
fn each_mark_brings_one_letter_to_the_second_from_whichever_replica_is_up() {
    let server = MailServer::start();
    let mut world = world(Kind::Redis, &server, "2026-11-20T12:00:00+01:00");
    let mut other = world.replica();
    other.set_clock("2026-11-20T12:00:00+01:00");
    world.gateway.accounts(&[changed_at(OWNER, CHANGED), changed_at(WITNESS, CHANGED_BEFORE)]);
    let mut set = |now: &str| {
        world.gateway.set_clock(now);
        other.set_clock(now);
    };
    set(D14_LESS_1_S);
    wait_for(&server, WITNESS, 1);
    assert_eq!(of(&server.letters(), OWNER).len(), 0, "a second before");
    set(D14);
    let letters = wait_for(&server, OWNER, 1);
    for words in [
        "expire dans 14 jours",
        "17 décembre 2026 à 11\u{a0}h\u{a0}00",
        "/portail/mot-de-passe",
        "Les Tilleuls",
    ] {
        assert!(letters[0].contains(words), "{words}: {}", letters[0]);
    }
    set(D7);
    assert!(wait_for(&server, OWNER, 2)[1].contains("expire dans 7 jours"));
    wait_for(&server, WITNESS, 2);
    // The clock goes back and comes again: what was said is said.
    set(D14);
    set(D7);
    set(D1);
    assert!(wait_for(&server, OWNER, 3)[2].contains("expire dans 1 jour"));
    wait_for(&server, WITNESS, 3);
    set(DUE);
    drop(other);
    world.restart();
    world.gateway.set_clock(D1);
    // The witness of all that: another password passes its mark, and only then is nothing else seen to have left.
    world.gateway.accounts(&[changed_at("dernier@esat.example", CHANGED)]);
    wait_for(&server, "dernier@esat.example", 1);
    assert_eq!(server.letters().len(), 7);
}

#[test]
fn a_gateway_that_was_down_says_once_what_holds_now() {
    let server = MailServer::start();
    let mut world = world(Kind::Embedded, &server, "2026-11-20T12:00:00+01:00");
    world.gateway.accounts(&[changed_at(OWNER, CHANGED), changed_at(WITNESS, CHANGED_BEFORE)]);
    world.gateway.kill();
    world.settings.set("rehearsal", "now", &format!("{D3:?}"));
    world.restart();
    assert!(wait_for(&server, OWNER, 1)[0].contains("expire dans 3 jours"));
    wait_for(&server, WITNESS, 1);
    world.gateway.set_clock(D1);
    assert!(wait_for(&server, OWNER, 2)[1].contains("expire dans 1 jour"));
    wait_for(&server, WITNESS, 2);
    assert_eq!(server.letters().len(), 4);
}

#[test]
fn nobody_is_reminded_of_what_they_cannot_use_or_have_changed() {
    let server = MailServer::start();
    let mut world = world(Kind::Embedded, &server, "2026-12-01T12:00:00+01:00");
    let (mut suspended, mut provisional) =
        (changed_at("suspendu@esat.example", CHANGED), changed_at("neuf@esat.example", CHANGED));
    suspended["status"] = json!("suspended");
    provisional["must_change"] = json!(true);
    world.gateway.accounts(&[
        suspended,
        provisional,
        changed_at(OWNER, CHANGED),
        changed_at("z@esat.example", CHANGED),
    ]);
    let mut owner = world.gateway.client();
    assert_eq!(sign_in(&mut owner, OWNER, PASSWORD).etat(), "admis");
    let body = json!({"mot_de_passe_actuel": PASSWORD, "nouveau_mot_de_passe": "Platane-2027"});
    assert_eq!(owner.post("/portail/mot-de-passe").json(&body).send().etat(), "admis");
    world.gateway.set_clock(D14);
    wait_for(&server, "z@esat.example", 1);
    world.gateway.set_clock(D7);
    wait_for(&server, "z@esat.example", 2);
    assert_eq!(server.letters().len(), 2);
    assert_eq!(state_of(&world.gateway, "z@esat.example").json()["mot_de_passe"]["jours_restants"], 7);
}

#[test]
fn one_whose_password_was_changed_since_the_last_look_is_reminded_of_it() {
    let server = MailServer::start();
    let mut world = world(Kind::Embedded, &server, "2026-11-20T12:00:00+01:00");
    let body = json!({"mot_de_passe_actuel": PASSWORD, "nouveau_mot_de_passe": "Platane-2027", "identifiant": PROVISIONAL});
    assert_eq!(world.gateway.client().post("/portail/mot-de-passe").json(&body).send().etat(), "admis");
    // 92 days less 14, and 7.
    world.gateway.advance(78 * 86_400);
    assert!(wait_for(&server, PROVISIONAL, 1)[0].contains("expire dans 14 jours"));
    world.gateway.advance(7 * 86_400);
    assert!(wait_for(&server, PROVISIONAL, 2)[1].contains("expire dans 7 jours"));
}
