//! What pages say to one who is stuck: which field, in the words of its form, and the way on.

use serde_json::json;

use crate::harness::client::{Client, Response};
use crate::harness::gateway::Settings;
use crate::harness::world::{COMMUNICATION, Kind, ONE_CAF, PASSWORD, TWO_CAFS, UNKNOWN_SIRET, World};

fn post(client: &mut Client, path: &str, fields: &[(&str, &str)]) -> Response {
    client.post(&format!("/portail{path}")).form(fields).send()
}

/// The page's text from its first heading on, without its markup.
fn words(answer: &Response) -> String {
    let html = answer.text().replace("&nbsp;", " ").replace('\u{a0}', " ");
    let main = html.split("<main").nth(1).unwrap_or_default();
    main.split('<')
        .filter_map(|part| part.split_once('>'))
        .map(|(_, text)| text.trim())
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn a_field_that_is_wrong_is_called_what_its_form_calls_it() {
    let world = World::new(Kind::Embedded);
    let (nobody, choosing) = (world.gateway.client(), world.signed_in(TWO_CAFS));
    let mut unknown = world.signed_in(UNKNOWN_SIRET);
    unknown.post("/portail/caf").json(&json!({"caf": "921"})).send();
    let name = "identifiant_communication";
    for (client, path, fields, says) in [
        (&nobody, "/connexion", [("identifiant", "a@b.fr")], "Remplissez le champ « Mot de passe »."),
        (&choosing, "/caf", [("x", "")], "Choisissez une Caf dans la liste."),
        (&choosing, "/caf", [("caf", "92")], "Un code de Caf a trois chiffres."),
        (&unknown, "/etablissement", [(name, " ")], "Remplissez le champ « Identifiant de communication »."),
        (&unknown, "/etablissement", [(name, "123456789012")], "a de 1 à 11 lettres ou chiffres"),
        (&unknown, "/etablissement", [(name, "12-34")], "a de 1 à 11 lettres ou chiffres"),
    ] {
        let answer = post(&mut client.clone(), path, &fields);
        let words = words(&answer);
        assert_eq!(answer.status, 400, "{path}: {words}");
        // Once in the summary, once beside the field.
        assert!(words.contains(says), "{path} {fields:?}: {words}");
        for raw in ["mot_de_passe", "identifiant_communication", "ne peut pas être lue"] {
            assert!(!words.contains(raw), "{path} {fields:?} says {raw}: {words}");
        }
    }
    let told = unknown.post("/portail/etablissement").json(&json!({name: ""})).send();
    assert_eq!((told.problem(), &told.json()["champ"]), ((400, "requete-invalide".to_owned()), &json!(name)));
}

#[test]
fn an_identifiant_de_communication_may_be_typed_as_a_letter_writes_it() {
    let world = World::new(Kind::Embedded);
    let mut unknown = world.signed_in(UNKNOWN_SIRET);
    unknown.post("/portail/caf").json(&json!({"caf": "921"})).send();
    let (four, rest) = COMMUNICATION.split_at(4);
    let answer = post(
        &mut unknown,
        "/etablissement",
        &[("identifiant_communication", &format!(" {four}\u{a0}{rest} "))],
    );
    assert_eq!(answer.redirect(), (303, "/".to_owned()));
}

#[test]
fn one_who_is_signed_in_is_told_that_it_is_the_present_password_that_is_wrong() {
    let world = World::new(Kind::Embedded);
    let mut client = world.admitted();
    let fields = [("mot_de_passe_actuel", "faux"), ("nouveau_mot_de_passe", "Nouveau-2027")];
    let page = post(&mut client, "/mot-de-passe", &fields);
    let words = words(&page);
    assert!(page.status == 401 && words.contains("Mot de passe actuel incorrect"), "{words}");
    assert!(page.text().contains("id=\"mot_de_passe_actuel-erreur\""), "beside its field");
    let answer =
        client.post("/portail/mot-de-passe").program().json(&json!({fields[0].0: "faux", fields[1].0: "x"}));
    assert_eq!(answer.send().problem(), (401, "identifiants-invalides".to_owned()));
}

#[test]
fn a_link_that_opens_nothing_leads_to_another() {
    let world = World::new(Kind::Embedded);
    let mut client = world.gateway.client();
    let new = ("nouveau_mot_de_passe", "Nouveau-2027");
    let path = "/portail/mot-de-passe/reinitialisation";
    let pages = [
        (200, client.get(path).page().send()),
        (200, client.get(&format!("{path}?jeton=abc")).page().send()),
        (400, post(&mut client, "/mot-de-passe/reinitialisation", &[new])),
        (
            400,
            post(
                &mut client,
                "/mot-de-passe/reinitialisation",
                &[new, ("jeton", "abc"), ("confirmation", new.1)],
            ),
        ),
    ];
    for (status, page) in pages {
        let html = page.text();
        assert_eq!(page.status, status);
        assert!(html.contains("class=\"bouton\" href=\"/portail/mot-de-passe/oubli\""), "{html}");
        assert!(
            !html.contains("type=\"password\"") && !html.contains("#jeton"),
            "nothing to fill in: {html}"
        );
    }
}

#[test]
fn the_way_back_outlives_a_session_that_ends_on_a_page_of_ours() {
    let world = World::new(Kind::Embedded);
    for (asked, kept) in [
        ("/portail/caf?retour=%2Fd%3Fx%3D1", "%2Fd%3Fx%3D1"),
        ("/portail/caf?retour=%2F%2Fevil.example", "%2Fportail%2Fcaf%3Fretour%3D%252F%252Fevil.example"),
        ("/portail/caf?retour=%2Fportail%2Fquitter", "%2Fportail%2Fcaf%3Fretour%3D%252Fportail%252Fquitter"),
        ("/d?retour=%2Fe", "%2Fd%3Fretour%3D%252Fe"),
    ] {
        let led = world.gateway.client().get(asked).page().send();
        assert_eq!(led.redirect(), (303, format!("/portail/connexion?retour={kept}")), "{asked}");
    }
}

#[test]
fn a_portal_elsewhere_is_told_where_one_wanted_to_go() {
    for (sign_in_url, led) in [
        ("https://portail.example/entrer", "https://portail.example/entrer?retour=%2Fd%3Fx%3D1"),
        ("https://portail.example/?de=esat", "https://portail.example/?de=esat&retour=%2Fd%3Fx%3D1"),
        ("https://portail.example/a#b", "https://portail.example/a?retour=%2Fd%3Fx%3D1#b"),
    ] {
        let world = World::with(Kind::Embedded, |settings: &mut Settings| {
            settings.set("portal", "pages", r#""off""#).set(
                "portal",
                "sign_in_url",
                &format!("{sign_in_url:?}"),
            );
        });
        let mut client = world.gateway.client();
        assert_eq!(client.get("/d?x=1").page().send().redirect(), (303, led.to_owned()));
        let told = client.get("/d?x=1").program().send();
        assert_eq!((told.status, &told.json()["suite"]), (401, &json!(sign_in_url)));
        let body = json!({"identifiant": ONE_CAF, "mot_de_passe": PASSWORD, "retour": "/d?x=1"});
        assert_eq!(client.post("/portail/connexion").json(&body).send().json()["suite"], "/d?x=1");
    }
}

#[test]
fn a_portal_elsewhere_is_told_which_page_was_asked_for() {
    let elsewhere = "https://portail.example/entrer";
    let world = World::with(Kind::Embedded, |settings: &mut Settings| {
        settings.set("portal", "pages", r#""off""#).set("portal", "sign_in_url", &format!("{elsewhere:?}"));
    });
    let (anonymous, admitted) = (world.gateway.client(), world.admitted());
    let cases = [
        (
            "/mot-de-passe/reinitialisation?jeton=a-_b%2B",
            "%2Fmot-de-passe%2Freinitialisation%3Fjeton%3Da-_b%252B",
        ),
        (
            "/mot-de-passe/reinitialisation?jeton=a&retour=%2Fd",
            "%2Fmot-de-passe%2Freinitialisation%3Fjeton%3Da%26retour%3D%252Fd",
        ),
        ("/mot-de-passe", "%2Fmot-de-passe"),
        ("/mot-de-passe/oubli", "%2Fmot-de-passe%2Foubli"),
        ("/caf", "%2Fcaf"),
        ("/etablissement", "%2Fetablissement"),
        ("/quitter?x=1", "%2Fquitter%3Fx%3D1"),
        ("/declaration-en-attente", "%2Fdeclaration-en-attente"),
        ("/sessions", "%2Fsessions"),
    ];
    for mut client in [anonymous, admitted] {
        for (asked, told) in cases {
            let led = client.get(&format!("/portail{asked}")).page().send().redirect();
            assert_eq!(led, (303, format!("{elsewhere}?retour=%2Fportail{told}")), "{asked}");
        }
        // That page is the other portal's own.
        let led = client.get("/portail/connexion").page().send().redirect();
        assert_eq!(led, (303, elsewhere.to_owned()));
        let led = client.get("/portail/caf?retour=%2Fd").page().send().redirect();
        assert_eq!(led, (303, format!("{elsewhere}?retour=%2Fd")));
    }
    let mut admitted = world.admitted();
    for asked in ["/portail/sessions", "/portail/declaration-en-attente", "/portail/session", "/portail/caf"]
    {
        let answer = admitted.get(asked).program().send();
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (200, Some("application/json")),
            "{asked}"
        );
    }
}

/// RFC 9110 section 12.5.1, between the two tongues that there are.
#[test]
fn the_tongue_that_weighs_more_is_spoken() {
    let world = World::new(Kind::Embedded);
    let mut client = world.gateway.client();
    for (accept, html) in [
        ("text/html;q=0.5, application/json", false),
        ("application/json;q=0.5, text/html", true),
        ("application/json, text/html", false),
        ("text/html;q=0.7, application/json;q=0.7", true),
        ("text/html;q=0.700, application/json;q=0.701", false),
        ("application/*", false),
        ("application/*;q=0.9, text/html;q=0.1", true),
        ("text/html;q=0, application/json;q=0.1", false),
        ("text/html, application/json;q=0", true),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8", true),
    ] {
        let page = client.get("/portail/connexion").header("Accept", accept).send();
        let media = if html { "text/html; charset=utf-8" } else { "application/json" };
        assert_eq!(page.header("content-type"), Some(media), "{accept}");
        let problem = client.post("/d").header("Accept", accept).send();
        let media = if html { media } else { "application/problem+json" };
        assert_eq!((problem.status, problem.header("content-type")), (401, Some(media)), "{accept}");
    }
}

#[test]
fn the_state_is_a_page_to_one_who_goes_there() {
    let world = World::new(Kind::Embedded);
    for (mut client, says) in
        [(world.admitted(), "Votre session est ouverte"), (world.signed_in(TWO_CAFS), "À quelle Caf")]
    {
        let page = client.get("/portail/session").page().send();
        assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
        assert!(words(&page).contains(says), "{}", page.text());
        for accept in ["*/*", "application/json"] {
            let state = client.get("/portail/session").header("Accept", accept).send();
            assert_eq!(state.header("content-type"), Some("application/json"), "{accept}");
        }
    }
}

/// A browser posts a form in its page's encoding; one that was made to use another is told, and no password is
/// mistaken for another.
#[test]
fn a_form_in_another_encoding_is_read_or_told() {
    let world = World::new(Kind::Embedded);
    let mut client = world.gateway.client();
    let form = |name: &str| format!("identifiant={name}&mot_de_passe={PASSWORD}");
    for (media, body, status) in [
        ("application/x-www-form-urlencoded; charset=UTF-8", form("une.caf%40esat.example"), 303),
        ("application/x-www-form-urlencoded;charset=iso-8859-1", form("une.caf%40esat.example"), 303),
        ("APPLICATION/X-WWW-FORM-URLENCODED", form("une.caf%40esat.example"), 303),
        ("application/x-www-form-urlencoded", form("%E9t%E9%40esat.example"), 400),
        ("multipart/form-data; boundary=x", form("a"), 400),
        ("text/plain", form("a"), 400),
    ] {
        let answer = client.post("/portail/connexion").page().body(media, body.as_bytes()).send();
        assert_eq!(answer.status, status, "{media}: {}", answer.text());
    }
}
