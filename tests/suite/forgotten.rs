//! A forgotten password: one answer to all, a letter to its owner, a token that works once.

use std::fs;
use std::path::Path;

use serde_json::json;

use crate::harness::client::{Client, Response};
use crate::harness::eventually;
use crate::harness::world::{ONE_CAF, PASSWORD, World, sign_in};
use crate::on_each_store;

const NEW: &str = "Nouveau-2027";

/// A world whose letters are written into a folder that goes with it.
struct Post {
    world: World,
    folder: tempfile::TempDir,
}

impl Post {
    fn new(kind: crate::harness::world::Kind) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("{:?}", format!("file:{}", folder.path().display()));
        let world = World::with(kind, |settings| {
            settings.set("mail", "url", &url).set("mail", "from", r#""octroi@extranet.example""#);
        });
        Self { world, folder }
    }

    fn letters(&self) -> Vec<String> {
        read_all(self.folder.path())
    }

    /// Asks for a letter, and takes the token out of it.
    fn token(&self) -> String {
        let before = self.letters();
        assert_eq!(ask(&mut self.world.gateway.client(), ONE_CAF).status, 202);
        let mut new = Vec::new();
        eventually("a letter is written", || {
            new = self.letters().into_iter().filter(|letter| !before.contains(letter)).collect();
            new.iter().any(|letter| letter.contains("</html>"))
        });
        let letter = new[0].replace("=\r\n", "").replace("=3D", "=");
        assert!(letter.contains(&format!("To: {ONE_CAF}")), "{letter}");
        let (_, rest) = letter.split_once("/portail/mot-de-passe/reinitialisation?jeton=").expect("a link");
        rest.chars().take_while(|c| c.is_ascii_alphanumeric() || "-_".contains(*c)).collect()
    }
}

fn read_all(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    entries.map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap()).collect()
}

fn ask(client: &mut Client, identifiant: &str) -> Response {
    client.post("/portail/mot-de-passe/oubli").json(&json!({ "identifiant": identifiant })).send()
}

fn reset(client: &mut Client, token: &str, new: &str) -> Response {
    let body = json!({"jeton": token, "nouveau_mot_de_passe": new});
    client.post("/portail/mot-de-passe/reinitialisation").json(&body).send()
}

on_each_store! {
    fn the_letters_token_opens_a_new_password_once(kind: Kind) {
        let post = Post::new(kind);
        let mut elsewhere = post.world.admitted();
        let token = post.token();
        let mut client = post.world.gateway.client();
        assert_eq!(reset(&mut client, &token, NEW).status, 200);
        assert_eq!(reset(&mut client, &token, "Encore-2027").status, 400);
        assert_eq!(elsewhere.get("/").program().send().problem(), (401, "session-expiree".to_owned()));
        assert_eq!(sign_in(&mut client, ONE_CAF, PASSWORD).code(), "identifiants-invalides");
        assert_eq!(sign_in(&mut client, ONE_CAF, NEW).etat(), "admis");
    }

    fn it_lives_a_quarter_of_an_hour(kind: Kind) {
        let mut post = Post::new(kind);
        let (late, early) = (post.token(), post.token());
        post.world.gateway.advance(899);
        let mut client = post.world.gateway.client();
        assert_eq!(reset(&mut client, &early, NEW).status, 200);
        post.world.gateway.advance(1);
        assert_eq!(reset(&mut client, &late, NEW).code(), "requete-invalide");
    }

    fn it_dies_with_any_other_change_of_the_password(kind: Kind) {
        let post = Post::new(kind);
        let token = post.token();
        let mut owner = post.world.admitted();
        // The clock stands still: a change in the same instant would look like none.
        let mut post = post;
        post.world.gateway.advance(1);
        let body = json!({"mot_de_passe_actuel": PASSWORD, "nouveau_mot_de_passe": "Platane-2027"});
        assert_eq!(owner.post("/portail/mot-de-passe").json(&body).send().status, 200);
        assert_eq!(reset(&mut post.world.gateway.client(), &token, NEW).code(), "requete-invalide");
    }

    fn a_refused_password_does_not_use_it_up(kind: Kind) {
        let post = Post::new(kind);
        let token = post.token();
        let mut client = post.world.gateway.client();
        let refused = reset(&mut client, &token, "court");
        assert_eq!(refused.problem(), (422, "mot-de-passe-refuse".to_owned()));
        assert_eq!(reset(&mut client, &token, PASSWORD).code(), "mot-de-passe-refuse", "it is the present one");
        assert_eq!(reset(&mut client, &token, NEW).status, 200);
    }

    fn a_forgotten_password_lifts_the_lock_that_guesses_brought(kind: Kind) {
        let post = Post::new(kind);
        let token = post.token();
        let mut client = post.world.gateway.client();
        for _ in 0..6 {
            sign_in(&mut client, ONE_CAF, "faux");
        }
        assert_eq!(sign_in(&mut client, ONE_CAF, PASSWORD).code(), "trop-d-essais");
        assert_eq!(reset(&mut client, &token, NEW).status, 200);
        assert_eq!(sign_in(&mut client, ONE_CAF, NEW).etat(), "admis");
    }
}

#[test]
fn every_name_gets_the_same_answer_and_only_owners_a_letter() {
    let post = Post::new(crate::harness::world::Kind::Embedded);
    let mut client = post.world.gateway.client();
    let known = ask(&mut client, ONE_CAF);
    for other in ["personne@esat.example", "pas une adresse", &"x".repeat(300)] {
        let answer = ask(&mut client, other);
        assert_eq!((answer.status, answer.json()), (known.status, known.json()), "{other}");
    }
    eventually("the one letter is written", || post.letters().len() == 1);
    for _ in 0..5 {
        ask(&mut client, ONE_CAF);
    }
    let another = post.token_of_nobody();
    assert!(another, "three letters an hour at most: {}", post.letters().len());
}

impl Post {
    /// Whether no more than three letters were ever written, seen once a later request has been answered.
    fn token_of_nobody(&self) -> bool {
        eventually("the last letters are written", || self.letters().len() == 3);
        self.letters().len() == 3
    }
}

#[test]
fn a_browser_is_led_through_it() {
    let post = Post::new(crate::harness::world::Kind::Embedded);
    let mut browser = post.world.gateway.client();
    let page = browser.get("/portail/mot-de-passe/oubli").page().send();
    assert!(page.status == 200 && page.text().contains("name=\"identifiant\""), "{}", page.text());
    let asked = browser.post("/portail/mot-de-passe/oubli").form(&[("identifiant", "a@b.fr")]).send();
    assert!(asked.status == 202 && asked.text().contains("demande est enregistrée"), "{}", asked.text());
    let token = post.token();
    let target = format!("/portail/mot-de-passe/reinitialisation?jeton={token}");
    let page = browser.get(&target).page().send();
    assert!(page.text().contains(&format!("name=\"jeton\" value=\"{token}\"")), "{}", page.text());
    let fields = [("jeton", token.as_str()), ("nouveau_mot_de_passe", NEW), ("confirmation", "autre")];
    let refused = browser.post("/portail/mot-de-passe/reinitialisation").form(&fields).send();
    assert!(refused.status == 422 && refused.text().contains(&token), "{}", refused.text());
    let fields = [("jeton", token.as_str()), ("nouveau_mot_de_passe", NEW), ("confirmation", NEW)];
    let done = browser.post("/portail/mot-de-passe/reinitialisation").form(&fields).send();
    assert_eq!(done.redirect(), (303, "/portail/connexion".to_owned()));
    assert!(!post.world.gateway.logs().contains(&token), "the token is in the log");
}
