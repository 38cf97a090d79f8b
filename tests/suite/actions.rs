//! What is an action of the user and what is none, to the letter (contract, section 1; rule 6).

use serde_json::json;

use crate::harness::client::{Client, Response};
use crate::harness::world::{Kind, TWO_CAFS, World};
use crate::on_each_store;

const FULL: i64 = 1_800;

/// A gateway whose Caf 921 has pages that poll by themselves.
fn world(kind: Kind) -> World {
    World::with(kind, |settings| {
        settings.set("session", "passive_paths", r#"["/suivi/etat"]"#);
        // Twelve hours would end the test.
        settings.set("session", "absolute_timeout", "\"200h\"");
    })
}

fn left(client: &mut Client) -> i64 {
    let state = client.get("/portail/session").program().send();
    state.json()["session"]["expire_dans_s"].as_i64().unwrap_or_else(|| panic!("{}", state.text()))
}

/// Whether a request, a minute later, puts the idle time back to full.
fn counts(world: &mut World, client: &mut Client, ask: impl FnOnce(&mut Client) -> Response) -> bool {
    assert_eq!(client.post("/portail/session/continuer").program().send().status, 200);
    world.gateway.advance(60);
    ask(client);
    let left = left(client);
    assert!([FULL, FULL - 60].contains(&left), "{left} s");
    left == FULL
}

on_each_store! {
    fn any_admitted_request_is_one(kind: Kind) {
        let mut world = world(kind);
        let mut client = world.admitted();
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
            assert!(counts(&mut world, &mut client, |client| client.request(method, "/a").send()), "{method}");
        }
        for dest in [
            "document", "iframe", "frame", "embed", "object", "empty", "worker", "sharedworker", "serviceworker",
            "audioworklet", "paintworklet", "report", "xslt", "json", "", "Image", "image, style", "inconnu",
        ] {
            let ask = |client: &mut Client| client.get("/a").header("Sec-Fetch-Dest", dest).send();
            assert!(counts(&mut world, &mut client, ask), "{dest:?}");
        }
        for path in ["/suivi", "/suivi/", "/suivi/etats", "/suivi/etat-civil", "/suivi?a=/suivi/etat", "/x/suivi/etat"] {
            assert!(counts(&mut world, &mut client, |client| client.get(path).send()), "{path}");
        }
    }

    fn what_pages_load_and_poll_by_themselves_is_none(kind: Kind) {
        let mut world = world(kind);
        let mut client = world.admitted();
        for dest in ["image", "style", "script", "font", "audio", "video", "track", "manifest"] {
            for (method, path) in [("GET", "/a"), ("POST", "/a"), ("GET", "/portail/caf")] {
                let ask = |client: &mut Client| client.request(method, path).header("Sec-Fetch-Dest", dest).send();
                assert!(!counts(&mut world, &mut client, ask), "{method} {path} as {dest}");
            }
        }
        for path in ["/suivi/etat", "/suivi/etat/", "/suivi/etat/12", "/suivi/etat?a=b", "/suivi/%65tat", "/suivi/./etat"] {
            for method in ["GET", "POST"] {
                let ask = |client: &mut Client| client.request(method, path).header("Sec-Fetch-Dest", "empty").send();
                assert!(!counts(&mut world, &mut client, ask), "{method} {path}");
            }
        }
    }

    fn of_the_portal_all_is_but_the_state_and_its_files(kind: Kind) {
        let mut world = world(kind);
        let mut client = world.admitted();
        for path in [
            "", "/", "/connexion", "/caf", "/mot-de-passe", "/mot-de-passe/oubli", "/mot-de-passe/reinitialisation",
            "/etablissement", "/quitter", "/sessions", "/declaration-en-attente", "/inconnu", "/session/inconnu",
        ] {
            let path = format!("/portail{path}");
            assert!(counts(&mut world, &mut client, |client| client.get(&path).page().send()), "{path}");
            assert!(counts(&mut world, &mut client, |client| client.request("HEAD", &path).program().send()), "{path}");
        }
        for path in ["/session/continuer", "/session", "/declaration-en-attente", "/sessions/fermer"] {
            let path = format!("/portail{path}");
            let ask = |client: &mut Client| client.post(&path).program().json(&json!({"session": "autres"})).send();
            assert!(counts(&mut world, &mut client, ask), "POST {path}");
        }
        let page = client.get("/portail/caf").page().send().text();
        let files: Vec<&str> = page.split('"').filter(|part| part.starts_with("/portail/") && part.contains('.')).collect();
        assert!(files.len() >= 3, "{files:?}");
        for path in files.into_iter().chain(["/portail/session", "/portail/session?a=b", "/portail/.well-known/jwks.json"]) {
            for method in ["GET", "HEAD"] {
                assert!(!counts(&mut world, &mut client, |client| client.request(method, path).send()), "{method} {path}");
            }
        }
    }

    fn what_is_turned_away_from_the_backends_is_none(kind: Kind) {
        let mut world = world(kind);
        let mut client = world.signed_in(TWO_CAFS);
        for ask in [
            (|client: &mut Client| client.get("/declaration").page().send()) as fn(&mut Client) -> Response,
            |client| client.get("/declaration").program().send(),
            |client| client.post("/declaration").form(&[("a", "b")]).send(),
        ] {
            assert!(!counts(&mut world, &mut client, ask), "before a Caf is chosen");
        }
        assert!(counts(&mut world, &mut client, |client| client.get("/portail/caf").page().send()));
        client.post("/portail/caf").json(&json!({"caf": "921"})).send();
        for ask in [
            (|client: &mut Client| client.get("/a").header("X-Caf-Code", "751").send()) as fn(&mut Client) -> Response,
            |client| client.get("/a%2Fb").send(),
            |client| client.post("/a").header("Sec-Fetch-Site", "cross-site").form(&[("a", "b")]).send(),
            |client| client.post("/portail/quitter").header("Sec-Fetch-Site", "cross-site").form(&[("a", "b")]).send(),
        ] {
            assert!(!counts(&mut world, &mut client, ask), "refused");
        }
        assert_eq!(world.caf921.count() + world.caf751.count(), 0);
    }
}
