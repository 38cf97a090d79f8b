//! How much one may ask, and how often one may guess (contract, sections 2 and 5).

use serde_json::json;

use crate::harness::client::Response;
use crate::harness::world::{Kind, ONE_CAF, PASSWORD, TWO_CAFS, World, sign_in};
use crate::on_each_store;

const LOCKED: (u16, &str) = (429, "trop-d-essais");
const MANY: (u16, &str) = (429, "trop-de-requetes");
const WRONG: (u16, &str) = (401, "identifiants-invalides");

fn said(answer: &Response) -> (u16, String) {
    answer.problem()
}

fn is(expected: (u16, &str)) -> (u16, String) {
    (expected.0, expected.1.to_owned())
}

fn wait(answer: &Response) -> i64 {
    answer.header("retry-after").expect("Retry-After").parse().expect("seconds")
}

fn guess(world: &World, identifiant: &str) -> Response {
    sign_in(&mut world.gateway.client(), identifiant, "Erable-2026")
}

on_each_store! {
    fn five_wrong_passwords_lock_the_account_for_a_growing_time(kind: Kind) {
        let mut world = World::new(kind);
        for _ in 0..5 {
            assert_eq!(said(&guess(&world, ONE_CAF)), is(WRONG));
        }
        let locked = sign_in(&mut world.gateway.client(), ONE_CAF, PASSWORD);
        assert_eq!(said(&locked), is(LOCKED), "even the right one");
        let first = wait(&locked);
        assert!((899..=901).contains(&first), "{first}");
        world.gateway.advance(first - 1);
        assert_eq!(said(&guess(&world, ONE_CAF)), is(LOCKED), "a second before");
        world.gateway.advance(1);
        assert_eq!(said(&guess(&world, ONE_CAF)), is(WRONG));
        let second = wait(&guess(&world, ONE_CAF));
        assert!((1_799..=1_801).contains(&second), "twice as long: {second}");
        world.gateway.advance(second);
        assert_eq!(sign_in(&mut world.gateway.client(), ONE_CAF, PASSWORD).etat(), "admis");
        // The right password forgives: five more tries.
        for _ in 0..5 {
            assert_eq!(said(&guess(&world, ONE_CAF)), is(WRONG));
        }
        assert_eq!(said(&guess(&world, ONE_CAF)), is(LOCKED));
        // Nobody else is locked.
        assert_eq!(sign_in(&mut world.gateway.client(), TWO_CAFS, PASSWORD).etat(), "caf_a_choisir");
    }

    fn unknown_names_are_counted_alike(kind: Kind) {
        let world = World::new(kind);
        let mut answers = Vec::new();
        for identifiant in [ONE_CAF, "personne@esat.example", "pas une adresse"] {
            let tries: Vec<_> = (0..7).map(|_| said(&guess(&world, identifiant))).collect();
            answers.push(tries);
        }
        answers.dedup();
        assert_eq!(answers.len(), 1, "a lock tells nothing: {answers:?}");
        assert_eq!(answers[0].iter().filter(|it| **it == is(LOCKED)).count(), 2);
    }

    fn a_hundred_guesses_at_once_are_five(kind: Kind) {
        let world = World::new(kind);
        let guesses: Vec<_> = (0..40).map(|_| {
            let mut client = world.gateway.client();
            std::thread::spawn(move || sign_in(&mut client, ONE_CAF, "Erable-2026").status)
        }).collect();
        let statuses: Vec<u16> = guesses.into_iter().map(|it| it.join().unwrap()).collect();
        assert_eq!(statuses.iter().filter(|status| **status == 401).count(), 5, "{statuses:?}");
        assert_eq!(statuses.iter().filter(|status| **status == 429).count(), 35, "{statuses:?}");
    }

    fn changing_the_password_is_guessing_too(kind: Kind) {
        let world = World::new(kind);
        let mut client = world.admitted();
        let body = json!({"mot_de_passe_actuel": "Erable-2026", "nouveau_mot_de_passe": "Platane-2027"});
        for _ in 0..5 {
            assert_eq!(said(&client.post("/portail/mot-de-passe").json(&body).send()), is(WRONG));
        }
        assert_eq!(said(&client.post("/portail/mot-de-passe").json(&body).send()), is(LOCKED));
        assert_eq!(said(&guess(&world, ONE_CAF)), is(LOCKED));
    }

    fn guesses_from_many_places_meet_the_backstop(kind: Kind) {
        let mut world = World::with(kind, |settings| {
            settings.set("login", "max_failures_per_account", "8");
            settings.set("server", "trusted_proxies", r#"["127.0.0.0/8"]"#);
        });
        let from = |world: &World, place: &str, password: &str| {
            let body = json!({"identifiant": ONE_CAF, "mot_de_passe": password});
            world.gateway.client().post("/portail/connexion").header("X-Forwarded-For", place).json(&body).send()
        };
        for n in 1..=8 {
            assert_eq!(said(&from(&world, &format!("203.0.113.{n}"), "Erable-2026")), is(WRONG), "{n}");
        }
        let locked = from(&world, "198.51.100.1", PASSWORD);
        assert_eq!(said(&locked), is(LOCKED), "from anywhere");
        assert_eq!(said(&from(&world, "2001:db8::1", PASSWORD)), is(LOCKED));
        world.gateway.advance(wait(&locked));
        assert_eq!(from(&world, "198.51.100.1", PASSWORD).etat(), "admis");
    }

    fn an_owner_elsewhere_gets_in_while_an_attacker_is_locked_out(kind: Kind) {
        let world = World::with(kind, |settings| {
            settings.set("server", "trusted_proxies", r#"["127.0.0.0/8"]"#);
        });
        let from = |place: &str, password: &str| {
            let body = json!({"identifiant": ONE_CAF, "mot_de_passe": password});
            world.gateway.client().post("/portail/connexion").header("X-Forwarded-For", place).json(&body).send()
        };
        for _ in 0..5 {
            assert_eq!(said(&from("203.0.113.1", "Erable-2026")), is(WRONG));
        }
        assert_eq!(said(&from("203.0.113.1", PASSWORD)), is(LOCKED));
        assert_eq!(from("198.51.100.1", PASSWORD).etat(), "admis");
        // An IPv6 attacker who walks through a /64 stays in one place.
        for n in 1..=5 {
            assert_eq!(said(&from(&format!("2001:db8:1:2::{n}"), "Erable-2026")), is(WRONG));
        }
        assert_eq!(said(&from("2001:db8:1:2:ffff::1", "Erable-2026")), is(LOCKED));
        assert_eq!(said(&from("2001:db8:1:3::1", "Erable-2026")), is(WRONG));
    }
}

#[test]
fn one_client_may_ask_so_much() {
    let world = World::with(Kind::Embedded, |settings| {
        settings.set("limits", "per_client", r#"{ rate = "1/m", burst = 12 }"#);
        settings.set("server", "trusted_proxies", r#"["127.0.0.0/8"]"#);
    });
    let from = |place: &str| {
        world.gateway.client().get("/portail/session").program().header("X-Forwarded-For", place).send()
    };
    for n in 0..12 {
        assert_eq!(from("203.0.113.1").status, 401, "{n}");
    }
    let refused = from("203.0.113.1");
    assert_eq!(said(&refused), is(MANY));
    assert!((1..=60).contains(&wait(&refused)));
    assert_eq!(from("203.0.113.2").status, 401, "another client is not touched");
    for n in 0..12 {
        assert_eq!(from(&format!("2001:db8::{n}")).status, 401, "{n}");
    }
    assert_eq!(said(&from("2001:db8::ffff:1")), is(MANY), "an IPv6 client is its /64");
    assert_eq!(from("2001:db8:0:1::1").status, 401);
    // A client who is no trusted proxy's has one address, whatever it says.
}

#[test]
fn a_client_is_not_believed_about_its_address() {
    let world = World::with(Kind::Embedded, |settings| {
        settings.set("limits", "per_client", r#"{ rate = "1/m", burst = 12 }"#);
    });
    let from = |place: &str| {
        let mut client = world.gateway.client();
        let request = client.get("/portail/session").program().header("X-Forwarded-For", place);
        request.header("Forwarded", &format!("for={place}")).header("X-Real-IP", place).send().status
    };
    let statuses: Vec<u16> = (0..20).map(|n| from(&format!("203.0.113.{n}"))).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 429).count(), 8, "{statuses:?}");
}

#[test]
fn one_session_may_ask_so_much() {
    let world = World::with(Kind::Embedded, |settings| {
        settings.set("limits", "per_session", r#"{ rate = "1/m", burst = 12 }"#);
    });
    let (mut one, mut other) = (world.admitted(), world.admitted());
    let statuses: Vec<u16> = (0..16).map(|_| one.get("/").program().send().status).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 12, "{statuses:?}");
    let refused = one.get("/").program().send();
    assert_eq!(said(&refused), is(MANY));
    assert!(wait(&refused) >= 1);
    assert_eq!(other.get("/").program().send().status, 200);
    assert_eq!(world.caf921.count(), 13);
}

#[test]
fn one_client_may_try_to_sign_in_so_often() {
    let world = World::with(Kind::Embedded, |settings| {
        settings.set("limits", "login_per_client", r#"{ rate = "2/m", burst = 3 }"#);
    });
    for n in 0..3 {
        let identifiant = format!("personne{n}@esat.example");
        assert_eq!(said(&guess(&world, &identifiant)), is(WRONG));
    }
    let refused = sign_in(&mut world.gateway.client(), ONE_CAF, PASSWORD);
    assert_eq!(said(&refused), is(MANY));
    assert!((1..=30).contains(&wait(&refused)));
    assert_eq!(
        world.gateway.client().get("/portail/connexion").page().send().status,
        200,
        "the page is free"
    );
    let page = world
        .gateway
        .client()
        .post("/portail/connexion")
        .form(&[("identifiant", "a@b.fr"), ("mot_de_passe", "x")])
        .send();
    assert_eq!(page.status, 429);
    assert!(page.header("retry-after").is_some());
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
}

#[test]
fn unlocking_an_account_lifts_the_backstop() {
    let world = World::with(Kind::Embedded, |settings| {
        settings.set("login", "max_failures_per_account", "5");
        settings.set("login", "max_failures", "5");
        settings.set("server", "trusted_proxies", r#"["127.0.0.0/8"]"#);
    });
    for _ in 0..5 {
        assert_eq!(said(&guess(&world, ONE_CAF)), is(WRONG));
    }
    let from = |place: &str| {
        let body = json!({"identifiant": ONE_CAF, "mot_de_passe": PASSWORD});
        world.gateway.client().post("/portail/connexion").header("X-Forwarded-For", place).json(&body).send()
    };
    assert_eq!(said(&from("203.0.113.9")), is(LOCKED));
    let done = world.gateway.admin().post(&format!("/v1/accounts/{ONE_CAF}/unlock")).send();
    assert_eq!(done.status, 200, "{}", done.text());
    assert_eq!(from("203.0.113.9").etat(), "admis");
}
