//! Live sessions, as operators and their owners see and end them (contract, section 5).

use serde_json::{Value, json};

use crate::harness::client::Client;
use crate::harness::world::{Kind, ONE_CAF, PASSWORD, TWO_CAFS, World, sign_in};
use crate::harness::{eventually, within};
use crate::on_each_store;

const FIREFOX: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:145.0) Gecko/20100101 Firefox/145.0";

fn with_browser(world: &World, who: &str) -> Client {
    let mut client = world.gateway.client();
    let body = json!({"identifiant": who, "mot_de_passe": PASSWORD});
    let answer = client.post("/portail/connexion").header("User-Agent", FIREFOX).json(&body).send();
    assert_eq!(answer.status, 200, "{}", answer.text());
    client
}

fn list(world: &World, path: &str) -> Vec<Value> {
    let answer = world.gateway.admin().get(path).send();
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["sessions"].as_array().unwrap().clone()
}

fn etat(client: &mut Client) -> String {
    let answer = client.get("/portail/session").program().send();
    if answer.status == 200 { answer.etat() } else { answer.code() }
}

on_each_store! {
    fn an_operator_sees_sessions_and_ends_one(kind: Kind) {
        let mut world = World::new(kind);
        let mut first = with_browser(&world, ONE_CAF);
        world.gateway.advance(60);
        let mut second = world.admitted();
        let mut other = world.at("751");
        let all = list(&world, "/v1/sessions");
        assert_eq!(all.len(), 3, "{all:?}");
        let one = &all[0];
        assert_eq!((&one["account"], &one["caf"], &one["etat"]), (&json!(ONE_CAF), &json!("921"), &json!("admis")));
        assert_eq!((&one["from"], &one["agent"]), (&json!("127.0.0.1"), &json!("Firefox, Windows")));
        assert_eq!(one["signed_in_at"], "2026-12-15T11:00:00Z");
        assert_eq!(list(&world, &format!("/v1/accounts/{ONE_CAF}/sessions")).len(), 2);
        assert_eq!(list(&world, "/v1/sessions?caf=751").len(), 1);
        assert_eq!(list(&world, "/v1/sessions?caf=131").len(), 0);

        let name = one["session"].as_str().unwrap();
        let (code, said, why) = world.gateway.cli(&["session", "revoke", name]);
        assert!(code == 0 && said.contains("1 session ended"), "{said}{why}");
        assert_eq!((etat(&mut first), etat(&mut second)), ("session-expiree".to_owned(), "admis".to_owned()));
        let (code, _, why) = world.gateway.cli(&["session", "revoke", name]);
        assert!(code == 1 && why.contains("no such session"), "{why}");
        assert_eq!(world.gateway.cli(&["session", "revoke", "--account", ONE_CAF]).0, 0);
        assert_eq!((etat(&mut second), etat(&mut other)), ("session-expiree".to_owned(), "admis".to_owned()));
        let (code, table, _) = world.gateway.cli(&["session", "list"]);
        assert!(code == 0 && table.contains(TWO_CAFS) && !table.contains(ONE_CAF), "{table}");
        assert_eq!(world.gateway.cli(&["session", "list", "--account", "personne@esat.example"]).0, 1);
        assert_eq!(world.gateway.cli(&["session", "revoke"]).0, 2);
    }

    fn a_public_name_stays_and_opens_nothing(kind: Kind) {
        let world = World::new(kind);
        let mut client = world.signed_in(TWO_CAFS);
        let name = |world: &World| list(world, "/v1/sessions")[0]["session"].as_str().unwrap().to_owned();
        let before = name(&world);
        let token = client.session().unwrap().to_owned();
        assert_eq!(client.post("/portail/caf").json(&json!({"caf": "921"})).send().status, 200);
        assert_ne!(client.session().unwrap(), token);
        let all = list(&world, "/v1/sessions");
        assert!(all.len() == 1 && name(&world) == before, "{all:?}");
        let told = world.gateway.admin().get("/v1/sessions").send().text();
        assert!(!told.contains(client.session().unwrap()) && !told.contains("stage"), "{told}");
        let mut thief = world.gateway.client();
        thief.jar.insert("octroi".to_owned(), before.clone());
        assert_ne!(etat(&mut thief), "admis");
        for wrong in ["0", &"0".repeat(32), "%2e%2e", &before[1..]] {
            let gone = world.gateway.admin().request("DELETE", &format!("/v1/sessions/{wrong}")).send();
            assert_eq!(gone.status, 404, "{wrong}");
        }
        assert_eq!(world.gateway.cli(&["session", "revoke", &before]).0, 0);
        assert_eq!(etat(&mut client), "session-expiree");
    }

    fn sessions_are_listed_page_by_page(kind: Kind) {
        let world = World::new(kind);
        let _people: Vec<_> = (0..3).flat_map(|_| [world.admitted(), world.at("921")]).collect();
        // A choice of Caf leaves a dead name beside the living one, before or after it: at each page's end it may be either.
        for limit in 1..=6 {
            let (mut seen, mut after, mut pages) = (Vec::new(), String::new(), 0);
            loop {
                let page = world.gateway.admin().get(&format!("/v1/sessions?limit={limit}{after}")).send().json();
                let names: Vec<String> = page["sessions"].as_array().unwrap().iter().map(|one| one["session"].as_str().unwrap().to_owned()).collect();
                assert!(names.len() <= limit);
                seen.extend(names);
                pages += 1;
                let Some(next) = page["next"].as_str() else { break };
                after = format!("&after={next}");
            }
            assert_eq!((seen.len(), pages), (6, 6_usize.div_ceil(limit)), "{seen:?}");
            assert!(seen.is_sorted_by(|a, b| a < b));
        }
        for wrong in ["limit=0", "limit=1001", "limit=x", "after=x", "caf=x", "page=1"] {
            assert_eq!(world.gateway.admin().get(&format!("/v1/sessions?{wrong}")).send().status, 400, "{wrong}");
        }
    }

    fn one_sees_ones_other_sessions_and_ends_them(kind: Kind) {
        let world = World::new(kind);
        let (mut here, mut there, mut third) = (world.admitted(), with_browser(&world, ONE_CAF), world.admitted());
        let mut stranger = world.at("921");
        let told = here.get("/portail/sessions").program().send().json();
        let sessions = told["sessions"].as_array().unwrap();
        assert_eq!(sessions.len(), 3, "{told}");
        assert!(sessions[0]["courante"] == true && sessions[1..].iter().all(|one| one["courante"] == false), "{told}");
        let name = |client: &mut Client| client.get("/portail/sessions").program().send().json()["sessions"][0]["session"].as_str().unwrap().to_owned();
        let (own, firefox, strange) = (name(&mut here), name(&mut there), name(&mut stranger));
        let home = here.get("/portail/connexion").page().send().text();
        for words in ["ouvert ailleurs", "Firefox, Windows, depuis le 15 décembre 2026 à 12\u{a0}h\u{a0}00, adresse 127.0.0.1", "autres"] {
            assert!(home.contains(words), "{words}: {home}");
        }
        let state = here.get("/portail/session").page().send().text();
        assert!(state.contains("ouvert ailleurs"), "the same home page: {state}");
        assert!(!stranger.get("/portail/connexion").page().send().text().contains("ouvert ailleurs"));
        let page = here.get("/portail/sessions").page().send().text();
        for words in ["Firefox, Windows", "127.0.0.1", "15 décembre 2026 à 12\u{a0}h\u{a0}00", "(cette session)", &firefox] {
            assert!(page.contains(words), "{words}: {page}");
        }
        assert!(!page.contains(&strange));

        let closed = here.post("/portail/sessions/fermer").form(&[("session", &firefox)]).send();
        assert_eq!((closed.status, closed.header("location")), (303, Some("/portail/sessions")));
        assert_eq!(etat(&mut there), "session-expiree");
        // Somebody else's is left alone, and nothing is told of it.
        assert_eq!(here.post("/portail/sessions/fermer").json(&json!({"session": strange})).send().status, 200);
        assert_eq!((etat(&mut stranger), etat(&mut third)), ("admis".to_owned(), "admis".to_owned()));
        assert_eq!(here.post("/portail/sessions/fermer").json(&json!({"session": "autres"})).send().etat(), "admis");
        assert_eq!((etat(&mut third), etat(&mut here)), ("session-expiree".to_owned(), "admis".to_owned()));
        for wrong in [json!({}), json!({"session": ""}), json!({"session": "x"}), json!({"session": 1}), json!({"autre": "x"})] {
            assert_eq!(here.post("/portail/sessions/fermer").json(&wrong).send().problem(), (400, "requete-invalide".to_owned()), "{wrong}");
        }
        let left = here.post("/portail/sessions/fermer").json(&json!({"session": own})).send();
        assert!(left.status == 200 && here.session().is_none(), "{}", left.text());
    }
}

#[test]
fn a_session_that_an_operator_ends_is_gone_at_every_replica_within_a_second() {
    let world = World::new(Kind::Redis);
    let replica = world.replica();
    let client = world.admitted();
    let mut elsewhere = replica.known(&client);
    eventually("the replica knows it", || elsewhere.get("/").program().send().status == 200);
    assert_eq!(world.gateway.cli(&["session", "revoke", "--account", ONE_CAF]).0, 0);
    within(std::time::Duration::from_secs(1), "the replica forgets it", || {
        elsewhere.get("/").program().send().status == 401
    });
}

#[test]
fn sessions_are_for_those_who_are_in() {
    let world = World::new(Kind::Embedded);
    let mut nobody = world.gateway.client();
    assert_eq!(
        nobody.get("/portail/sessions").program().send().problem(),
        (401, "session-absente".to_owned())
    );
    assert_eq!(nobody.get("/portail/sessions").page().send().status, 303);
    let body = json!({"session": "autres"});
    assert_eq!(nobody.post("/portail/sessions/fermer").json(&body).send().status, 401);
    let mut due = world.gateway.client();
    assert_eq!(sign_in(&mut due, crate::harness::world::PROVISIONAL, PASSWORD).status, 200);
    assert_eq!(
        due.get("/portail/sessions").program().send().problem(),
        (403, "mot-de-passe-a-changer".to_owned())
    );
    let mut client = world.admitted();
    assert!(client.get("/portail/connexion").page().send().text().contains("/portail/sessions"));
    let foreign = client
        .post("/portail/sessions/fermer")
        .header("Origin", "https://evil.example")
        .form(&[("session", "autres")])
        .send();
    assert_eq!(foreign.status, 403);
}
