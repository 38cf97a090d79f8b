//! Which Caf, and entry to it (rules 3 and 4; contract, section 2).

use serde_json::{Value, json};

use crate::harness::client::{Client, Response};
use crate::harness::world::{
    COMMUNICATION, Kind, ONE_CAF, OTHER_SIRET, PASSWORD, SIRET, TWO_CAFS, UNKNOWN_SIRET, World, account,
    sign_in,
};
use crate::on_each_store;

fn choose(client: &mut Client, caf: &str) -> Response {
    client.post("/portail/caf").json(&json!({"caf": caf})).send()
}

fn identify(client: &mut Client, typed: &str) -> Response {
    client.post("/portail/etablissement").json(&json!({"identifiant_communication": typed})).send()
}

/// Someone whom a Caf does not know by their SIRET, at that Caf's door.
fn at_the_door(world: &World, caf: &str) -> Client {
    let mut client = world.signed_in(UNKNOWN_SIRET);
    assert_eq!(choose(&mut client, caf).etat(), "etablissement_a_identifier");
    client
}

on_each_store! {
    fn one_chooses_among_ones_own_cafs_and_may_turn_to_another(kind: Kind) {
        let world = World::new(kind);
        let mut client = world.signed_in(TWO_CAFS);
        let list = client.get("/portail/caf").program().send();
        let cafs = json!([
            {"code": "921", "nom": "Caf des Hauts-de-Seine"}, {"code": "751", "nom": "Caf de Paris"}
        ]);
        assert_eq!(list.json()["cafs"], cafs);
        for caf in ["751", "921", "751"] {
            let answer = choose(&mut client, caf);
            assert_eq!(answer.etat(), "admis");
            assert_eq!(answer.json()["caf"]["code"], caf);
            assert_eq!(client.get("/qui").program().send().text(), format!("Caf {caf}"));
        }
        assert_eq!((world.caf921.count(), world.caf751.count()), (1, 2));
    }

    fn a_caf_that_is_not_ones_own_is_refused(kind: Kind) {
        let world = World::new(kind);
        let refused = (403, "caf-non-habilitee".to_owned());
        let mut client = world.admitted();
        assert_eq!(choose(&mut client, "751").problem(), refused);
        assert_eq!(choose(&mut client, "999").problem(), refused, "nor one that is not there");
        assert_eq!(client.get("/").program().send().text(), "Caf 921", "nothing changed");
        assert_eq!(world.caf751.count(), 0);
        let mut client = world.signed_in(TWO_CAFS);
        assert_eq!(choose(&mut client, "999").problem(), refused);
        assert_eq!(client.get("/portail/session").send().etat(), "caf_a_choisir");
        let answer = client.post("/portail/caf").form(&[("caf", "131")]).send();
        assert_eq!(answer.status, 403);
    }

    fn an_unknown_siret_enters_by_the_identifiant_de_communication(kind: Kind) {
        let world = World::new(kind);
        let mut client = at_the_door(&world, "921");
        assert_eq!(client.get("/").program().send().problem(), (403, "etablissement-a-identifier".to_owned()));
        let answer = identify(&mut client, COMMUNICATION);
        assert_eq!(answer.etat(), "admis");
        assert_eq!(client.get("/").program().send().status, 200);
        let got = world.caf921.last();
        assert_eq!(got.one("x-esat-identifiant-communication"), "00012345678", "completed to 11 characters");
        assert_eq!(got.one("x-esat-siret"), OTHER_SIRET);
        assert_eq!(world.caf751.count(), 0);
    }

    fn five_wrong_identifiants_bar_the_way_for_a_quarter_of_an_hour(kind: Kind) {
        let mut world = World::new(kind);
        let mut client = at_the_door(&world, "921");
        for n in 1..=5 {
            let answer = identify(&mut client, &format!("9999{n}"));
            assert_eq!(answer.problem(), (403, "etablissement-inconnu".to_owned()), "try {n}");
            assert_eq!(answer.json()["contact"], "partenaires@caf921.example");
        }
        let barred = (429, "trop-d-essais".to_owned());
        let answer = identify(&mut client, COMMUNICATION);
        assert_eq!(answer.problem(), barred, "even the right one");
        assert!(answer.text().contains("partenaires@caf921.example"), "with the Caf's contact");
        let wait: i64 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=900).contains(&wait), "{wait}");
        // Signing in anew does not lift it: it is the account's, at this Caf.
        let mut again = at_the_door(&world, "921");
        assert_eq!(identify(&mut again, COMMUNICATION).problem(), barred);
        // The other Caf's door is another door.
        assert_eq!(choose(&mut again, "751").etat(), "etablissement_a_identifier");
        assert_eq!(identify(&mut again, "1").problem(), (403, "etablissement-inconnu".to_owned()));
        world.gateway.advance(wait - 1);
        let mut client = at_the_door(&world, "921");
        assert_eq!(identify(&mut client, COMMUNICATION).problem(), barred, "a second before");
        world.gateway.advance(1);
        assert_eq!(identify(&mut client, COMMUNICATION).etat(), "admis");
    }

    fn a_hundred_tries_at_once_are_five(kind: Kind) {
        let world = World::new(kind);
        let client = at_the_door(&world, "921");
        let tries: Vec<_> = (0..40).map(|n| {
            let mut client = client.clone();
            std::thread::spawn(move || identify(&mut client, &format!("8{n}")).status)
        }).collect();
        let statuses: Vec<u16> = tries.into_iter().map(|it| it.join().unwrap()).collect();
        assert_eq!(statuses.iter().filter(|status| **status == 403).count(), 5, "{statuses:?}");
        assert_eq!(statuses.iter().filter(|status| **status == 429).count(), 35, "{statuses:?}");
    }
}

#[test]
fn one_caf_goes_straight_through() {
    let world = World::new(Kind::Embedded);
    let answer = sign_in(&mut world.gateway.client(), ONE_CAF, PASSWORD);
    assert_eq!(answer.etat(), "admis");
    assert_eq!(answer.json()["caf"]["code"], "921");
}

#[test]
fn one_caf_that_does_not_know_the_siret_asks_for_the_identifiant_at_once() {
    let world = World::new(Kind::Embedded);
    world.gateway.accounts(&[account("seule@esat.example", OTHER_SIRET, &["921"])]);
    let mut client = world.gateway.client();
    let answer = sign_in(&mut client, "seule@esat.example", PASSWORD);
    assert_eq!(answer.etat(), "etablissement_a_identifier");
    assert_eq!(answer.json()["suite"], "/portail/etablissement");
    assert_eq!(identify(&mut client, COMMUNICATION).etat(), "admis");
}

#[test]
fn both_sides_are_compared_padded_and_upper_cased() {
    let world = World::new(Kind::Embedded);
    world.gateway.establishments(&[
        json!({"caf": "921", "identifiant_communication": "00000ab12cd", "nom": "ESAT du Lac"}),
    ]);
    for typed in [
        "12345678",
        "00012345678",
        "012345678",
        " 12345678 ",
        "AB12CD",
        "ab12cd",
        "00000Ab12cD",
        "00 01 23 45 678",
    ] {
        let mut client = at_the_door(&world, "921");
        assert_eq!(identify(&mut client, typed).etat(), "admis", "{typed:?}");
    }
    // Zeros on the right are other digits.
    let mut client = at_the_door(&world, "921");
    assert_eq!(identify(&mut client, "12345678000").problem(), (403, "etablissement-inconnu".to_owned()));
}

#[test]
fn what_is_no_identifiant_de_communication_is_no_try() {
    let world = World::new(Kind::Embedded);
    let mut client = at_the_door(&world, "921");
    for wrong in ["", "123456789012", "12-34", "é"] {
        assert_eq!(identify(&mut client, wrong).problem(), (400, "requete-invalide".to_owned()), "{wrong:?}");
    }
    for n in 1..=4 {
        assert_eq!(identify(&mut client, &format!("7{n}")).status, 403);
    }
    assert_eq!(identify(&mut client, COMMUNICATION).etat(), "admis", "four tries were counted");
}

#[test]
fn the_right_identifiant_frees_no_guesses_at_others() {
    let world = World::new(Kind::Embedded);
    let mut client = at_the_door(&world, "921");
    for n in 1..=4 {
        assert_eq!(identify(&mut client, &format!("7{n}")).status, 403);
    }
    assert_eq!(identify(&mut client, COMMUNICATION).etat(), "admis");
    let mut again = at_the_door(&world, "921");
    assert_eq!(identify(&mut again, "75").status, 403, "the fifth wrong one");
    assert_eq!(identify(&mut again, "76").problem(), (429, "trop-d-essais".to_owned()));
}

#[test]
fn an_identifiant_is_known_at_its_own_caf_alone() {
    let world = World::new(Kind::Embedded);
    let mut client = at_the_door(&world, "751");
    let answer = identify(&mut client, COMMUNICATION);
    assert_eq!(answer.problem(), (403, "etablissement-inconnu".to_owned()));
    assert_eq!(answer.json()["contact"], "partenaires@caf751.example");
    assert_eq!(client.get("/").program().send().status, 403);
    // Back to the choice, and through the other door.
    assert_eq!(choose(&mut client, "921").etat(), "etablissement_a_identifier");
    assert_eq!(identify(&mut client, COMMUNICATION).etat(), "admis");
}

#[test]
fn the_unknown_establishment_is_sent_to_the_cafs_contact_on_the_page_too() {
    let world = World::new(Kind::Embedded);
    let mut client = at_the_door(&world, "921");
    let page = client.get("/portail/etablissement").page().send().text();
    assert!(page.contains("Caf des Hauts-de-Seine") && page.contains("partenaires@caf921.example"));
    let answer = client.post("/portail/etablissement").form(&[("identifiant_communication", "4242")]).send();
    assert_eq!(answer.status, 403);
    let html = answer.text();
    assert!(html.contains("partenaires@caf921.example"));
    assert!(html.contains("name=\"identifiant_communication\""), "the form again");
}

#[test]
fn a_request_for_another_caf_than_the_sessions_goes_nowhere() {
    let world = World::new(Kind::Embedded);
    let mut client = world.at("921");
    let mut ask = |caf: &str| client.get("/a").program().header("X-Caf-Code", caf).send();
    assert_eq!(ask("921").status, 200);
    assert_eq!(ask("751").problem(), (409, "caf-differente".to_owned()));
    assert_eq!(ask("").problem(), (409, "caf-differente".to_owned()));
    assert_eq!(ask("921, 751").problem(), (409, "caf-differente".to_owned()));
    assert_eq!((world.caf921.count(), world.caf751.count()), (1, 0));
}

#[test]
fn an_account_knows_only_its_cafs() {
    let world = World::new(Kind::Embedded);
    let codes = |state: &Value| {
        let cafs = state["cafs"].as_array().unwrap().iter();
        cafs.map(|caf| caf["code"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    world.gateway.accounts(&[account("paris@esat.example", SIRET, &["751"])]);
    let mut client = world.signed_in("paris@esat.example");
    assert_eq!(codes(&client.get("/portail/caf").program().send().json()), ["751"]);
    let page = client.get("/portail/caf").page().send().text();
    assert!(page.contains("Caf de Paris") && !page.contains("Hauts-de-Seine"));
}

#[test]
fn leaving_one_of_several_cafs_leads_back_to_the_choice() {
    let world = World::new(Kind::Embedded);
    let mut client = world.at("921");
    let page = client.get("/portail/quitter").page().send();
    assert_eq!(page.status, 200);
    assert!(page.text().contains("method=\"post\""), "it asks first");
    assert_eq!(client.get("/").program().send().status, 200, "nothing happened yet");
    assert_eq!(client.post("/portail/quitter").form(&[]).send().redirect(), (303, "/portail/caf".to_owned()));
    assert_eq!(client.get("/").program().send().problem(), (403, "caf-a-choisir".to_owned()));
    assert_eq!(choose(&mut client, "751").etat(), "admis");
    assert_eq!(client.get("/").program().send().text(), "Caf 751");
}

#[test]
fn leaving_the_only_caf_ends_the_session_after_a_confirmation() {
    let world = World::new(Kind::Embedded);
    let mut client = world.admitted();
    let ghost = client.clone();
    assert_eq!(client.get("/portail/quitter").page().send().status, 200);
    assert_eq!(client.get("/").program().send().status, 200, "GET ends nothing");
    let answer = client.post("/portail/quitter").form(&[]).send();
    assert_eq!(answer.redirect(), (303, "/portail/connexion".to_owned()));
    assert_eq!(client.session(), None);
    let mut ghost = ghost;
    assert_eq!(ghost.get("/").program().send().problem(), (401, "session-expiree".to_owned()));
}
