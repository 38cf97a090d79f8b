//! Contract, section 1: what each state makes possible, and where it leads everybody else.

use serde_json::json;

use crate::harness::client::{Client, Response};
use crate::harness::world::{ONE_CAF, PASSWORD, PROVISIONAL, TWO_CAFS, UNKNOWN_SIRET, World, sign_in};
use crate::on_each_store;

/// Each state that is not `admis`: its page, the problem it is to a program.
const STATES: [(&str, &str, (u16, &str)); 4] = [
    ("anonyme", "/portail/connexion", (401, "session-absente")),
    ("mot_de_passe_a_changer", "/portail/mot-de-passe", (403, "mot-de-passe-a-changer")),
    ("caf_a_choisir", "/portail/caf", (403, "caf-a-choisir")),
    ("etablissement_a_identifier", "/portail/etablissement", (403, "etablissement-a-identifier")),
];

/// Someone in a state.
fn someone(world: &World, state: &str) -> Client {
    let mut client = world.gateway.client();
    let identifiant = match state {
        "anonyme" => return client,
        "mot_de_passe_a_changer" => PROVISIONAL,
        "caf_a_choisir" => TWO_CAFS,
        "etablissement_a_identifier" => UNKNOWN_SIRET,
        _ => ONE_CAF,
    };
    let mut answer = sign_in(&mut client, identifiant, PASSWORD);
    if state == "etablissement_a_identifier" {
        answer = client.post("/portail/caf").json(&json!({"caf": "921"})).send();
    }
    assert_eq!(answer.etat(), state);
    client
}

/// Page and `retour` of a redirection.
fn led(answer: &Response) -> (String, Option<String>) {
    let (status, location) = answer.redirect();
    assert_eq!(status, 303, "{}", answer.text());
    let (page, query) = location.split_once('?').unwrap_or((&location, ""));
    let mut fields = form_urlencoded::parse(query.as_bytes());
    let retour = fields.find(|(name, _)| name == "retour").map(|(_, value)| value.into_owned());
    (page.to_owned(), retour)
}

on_each_store! {
    fn a_navigation_is_led_to_the_page_of_its_state(kind: Kind) {
        let world = World::new(kind);
        let asked = "/teleprocedure/changement-activite/12?mois=11&nom=%C3%89rables";
        for (state, page, _) in STATES {
            let mut client = someone(&world, state);
            let answer = client.get(asked).page().send();
            assert_eq!(led(&answer), (page.to_owned(), Some(asked.to_owned())), "{state}");
            let answer = client.request("HEAD", "/").page().send();
            assert_eq!(led(&answer), (page.to_owned(), Some("/".to_owned())), "{state}");
            assert_eq!(client.get(page).page().send().status, 200, "the page of {state} is there");
        }
        assert_eq!((world.caf921.count(), world.caf751.count()), (0, 0));
    }

    fn a_program_is_told_the_problem_and_never_redirected(kind: Kind) {
        let world = World::new(kind);
        for (state, page, (status, code)) in STATES {
            let mut client = someone(&world, state);
            let expected = (status, code.to_owned());
            let told = client.get("/api/declarations").program().send();
            assert_eq!(told.problem(), expected, "{state}");
            assert_eq!(told.json()["suite"], page, "{state}");
            let bare = client.get("/api/declarations").send();
            assert_eq!(bare.problem(), expected, "{state}, no Accept");
            let xhr = client.get("/api").header("Accept", "*/*").header("Sec-Fetch-Dest", "empty");
            assert_eq!(xhr.send().problem(), expected, "{state}, XHR");
            let put = client.request("PUT", "/api").program().body("text/plain", b"abc");
            assert_eq!(put.send().problem(), expected, "{state}, PUT");
            let json = client.post("/api").json(&json!({"a": 1}));
            assert_eq!(json.send().problem(), expected, "{state}, JSON");
        }
        assert_eq!((world.caf921.count(), world.caf751.count()), (0, 0));
    }
}

#[test]
fn a_script_is_told_the_problem_even_where_it_accepts_html() {
    let world = World::new(crate::harness::world::Kind::Embedded);
    for (state, _, (status, _)) in STATES {
        for (name, value) in [("Sec-Fetch-Mode", "cors"), ("X-Requested-With", "XMLHttpRequest")] {
            let told = someone(&world, state).get("/teleprocedure").page().header(name, value).send();
            assert_eq!((told.status, told.header("location")), (status, None), "{state}: {name}");
        }
        let link = someone(&world, state).get("/a").page().header("Sec-Fetch-Mode", "navigate").send();
        assert_eq!(link.status, 303, "{state}: a link");
    }
    assert_eq!((world.caf921.count(), world.caf751.count()), (0, 0));
}

#[test]
fn a_program_that_names_no_media_type_is_not_redirected() {
    let world = World::new(crate::harness::world::Kind::Embedded);
    for state in ["mot_de_passe_a_changer", "caf_a_choisir", "admis"] {
        let mut client = someone(&world, state);
        for accept in [None, Some("*/*")] {
            let request = client.post("/portail/session/continuer");
            let answer =
                accept.into_iter().fold(request, |request, any| request.header("Accept", any)).send();
            assert_eq!((answer.status, answer.etat().as_str()), (200, state), "{accept:?}");
        }
        let script = client.post("/portail/deconnexion").header("Sec-Fetch-Mode", "cors");
        let script = script.body("application/x-www-form-urlencoded", b"").send();
        assert_eq!((script.status, script.header("location")), (200, None), "{state}");
    }
}

#[test]
fn a_form_that_comes_too_early_is_refused_and_never_redirected() {
    let world = World::new(crate::harness::world::Kind::Embedded);
    for (state, _, (status, _)) in STATES {
        let answer = someone(&world, state).post("/declaration").form(&[("salaire", "812")]).send();
        assert_eq!(answer.status, status, "{state}");
        assert_eq!(answer.header("location"), None, "{state}");
    }
    assert_eq!(world.caf921.count(), 0);
}

#[test]
fn each_state_opens_its_own_pages_and_no_other() {
    let world = World::new(crate::harness::world::Kind::Embedded);
    let pages = ["mot-de-passe", "caf", "etablissement"];
    for (state, page, _) in STATES {
        let open: &[&str] = match state {
            "caf_a_choisir" => &["mot-de-passe", "caf"],
            "etablissement_a_identifier" => &pages,
            _ => &["mot-de-passe"],
        };
        for name in pages {
            let path = format!("/portail/{name}");
            let answer = someone(&world, state).get(&path).page().send();
            if open.contains(&name) {
                assert_eq!(answer.status, 200, "{state}: {name}");
            } else {
                assert_eq!(led(&answer).0, page, "{state}: {name}");
            }
        }
    }
}

#[test]
fn signing_out_is_possible_in_each_state() {
    let world = World::new(crate::harness::world::Kind::Embedded);
    for (state, ..) in &STATES[1..] {
        let mut client = someone(&world, state);
        let ended = client.clone();
        assert_eq!(client.post("/portail/deconnexion").program().send().etat(), "anonyme", "{state}");
        assert_eq!(client.session(), None, "{state}: the cookie is taken back");
        let mut ghost = ended;
        assert_eq!(ghost.get("/portail/session").send().problem(), (401, "session-expiree".to_owned()));
    }
}

#[test]
fn one_who_is_admitted_may_use_the_whole_portal() {
    let world = World::new(crate::harness::world::Kind::Embedded);
    let mut client = world.admitted();
    for name in ["connexion", "mot-de-passe", "caf", "quitter", "session"] {
        let answer = client.get(&format!("/portail/{name}")).page().send();
        assert_eq!(answer.status, 200, "{name}");
    }
    assert_eq!(world.caf921.count(), 0, "the portal's paths reach no backend");
}

#[test]
fn what_the_portal_does_not_have_reaches_no_backend() {
    let world = World::new(crate::harness::world::Kind::Embedded);
    let mut client = world.admitted();
    for path in ["/portail/rien", "/portail/connexion/x", "/portail/caf/..;/x", "/portail/"] {
        let _ = client.get(path).program().send();
        let _ = client.post(path).json(&json!({})).send();
    }
    assert_eq!(world.caf921.count(), 0);
    // A path that only begins with the same letters is the backend's.
    assert_eq!(client.get("/portailx").program().send().status, 200);
    assert_eq!(world.caf921.last().line(), "GET /portailx HTTP/1.1");
}

#[test]
fn the_way_back_is_kept_through_every_state() {
    let world = World::new(crate::harness::world::Kind::Embedded);
    let asked = "/teleprocedure/certificat-emploi/2026?page=2";
    let mut client = world.gateway.client();
    let fields = [("identifiant", UNKNOWN_SIRET), ("mot_de_passe", PASSWORD), ("retour", "/a/b?c=d")];
    let answer = client.post("/portail/connexion").form(&fields).send();
    assert_eq!(led(&answer), ("/portail/caf".to_owned(), Some("/a/b?c=d".to_owned())));
    let answer = client.post("/portail/caf").form(&[("caf", "921"), ("retour", asked)]).send();
    assert_eq!(led(&answer), ("/portail/etablissement".to_owned(), Some(asked.to_owned())));
    let fields = [("identifiant_communication", "12345678"), ("retour", asked)];
    let answer = client.post("/portail/etablissement").form(&fields).send();
    assert_eq!(answer.redirect(), (303, asked.to_owned()));
}

#[test]
fn the_way_back_never_leads_to_another_origin() {
    let world = World::new(crate::harness::world::Kind::Embedded);
    for evil in [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example",
        "\\\\evil.example",
        "/%09/evil.example",
        "javascript:alert(1)",
        "evil",
        " //evil.example",
        "/a\r\nSet-Cookie: x=y",
        "http:evil.example",
        "///evil.example",
        "/..//evil.example",
    ] {
        let mut client = world.gateway.client();
        let fields = [("identifiant", ONE_CAF), ("mot_de_passe", PASSWORD), ("retour", evil)];
        let answer = client.post("/portail/connexion").form(&fields).send();
        // Refused outright, or forgotten: never followed.
        if answer.status != 400 {
            assert_eq!(answer.redirect(), (303, "/".to_owned()), "{evil:?}");
        }
        assert_eq!(answer.all("set-cookie").len(), usize::from(answer.status == 303), "{evil:?}");
    }
}
