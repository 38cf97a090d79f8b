//! A forgotten password: one answer to all, a letter to its owner, a token that works once.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::harness::client::{Client, Response};
use crate::harness::eventually;
use crate::harness::world::{ONE_CAF, PASSWORD, SIRET, TWO_CAFS, World, account, hash, sign_in};
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
        files(self.folder.path()).into_iter().map(|file| fs::read_to_string(file).unwrap()).collect()
    }

    /// Asks for a letter, and takes the token out of it.
    fn token(&self) -> String {
        let before = files(self.folder.path());
        assert_eq!(ask(&mut self.world.gateway.client(), ONE_CAF).status, 202);
        let mut letter = String::new();
        eventually("a letter is written", || {
            let new = files(self.folder.path()).into_iter().find(|file| !before.contains(file));
            letter = new.map(|file| fs::read_to_string(file).unwrap()).unwrap_or_default();
            letter.contains("</html>")
        });
        let letter = letter.replace("=\r\n", "").replace("=3D", "=");
        assert!(letter.contains(&format!("To: {ONE_CAF}")), "{letter}");
        let (_, rest) = letter.split_once("/portail/mot-de-passe/reinitialisation?jeton=").expect("a link");
        rest.chars().take_while(|c| c.is_ascii_alphanumeric() || "-_".contains(*c)).collect()
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
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
        let body = json!({"mot_de_passe_actuel": PASSWORD, "nouveau_mot_de_passe": "Platane-2027"});
        assert_eq!(owner.post("/portail/mot-de-passe").json(&body).send().status, 200);
        assert_eq!(reset(&mut post.world.gateway.client(), &token, NEW).code(), "requete-invalide");
    }

    fn it_dies_with_anything_else_that_is_done_to_the_account(kind: Kind) {
        let post = Post::new(kind);
        let gateway = &post.world.gateway;
        let mut client = gateway.client();
        let cli = |words: &[&str]| assert_eq!(gateway.cli(words).0, 0, "{words:?}");

        let token = post.token();
        cli(&["account", "suspend", ONE_CAF]);
        assert_eq!(reset(&mut client, &token, NEW).code(), "requete-invalide");
        cli(&["account", "reactivate", ONE_CAF]);
        assert_eq!(reset(&mut client, &token, NEW).code(), "requete-invalide", "it came back with the account");

        let token = post.token();
        cli(&["account", "force-change", ONE_CAF]);
        assert_eq!(reset(&mut client, &token, NEW).code(), "requete-invalide");

        let token = post.token();
        let mut row = account(ONE_CAF, SIRET, &["921"]);
        row["password_hash"] = json!(hash("Charme-2027"));
        gateway.accounts(&[row]);
        assert_eq!(reset(&mut client, &token, NEW).code(), "requete-invalide");
    }

    fn it_survives_what_helps_its_owner(kind: Kind) {
        let post = Post::new(kind);
        let token = post.token();
        assert_eq!(post.world.gateway.cli(&["account", "unlock", ONE_CAF]).0, 0);
        let mut owner = post.world.admitted();
        assert_eq!(owner.get("/").program().send().status, 200);
        assert_eq!(reset(&mut post.world.gateway.client(), &token, NEW).status, 200);
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
    assert_eq!(post.written_in_the_end(|identifiant| ask(&mut client, identifiant)), 3, "an hour at most");
}

#[test]
fn who_asks_for_somebody_elses_letters_does_not_leave_the_owner_without() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("{:?}", format!("file:{}", folder.path().display()));
    let world = World::with(crate::harness::world::Kind::Embedded, |settings| {
        settings.set("mail", "url", &url).set("mail", "from", r#""octroi@extranet.example""#);
        settings.set("server", "trusted_proxies", r#"["127.0.0.1/32"]"#);
    });
    let post = Post { world, folder };
    let anyone = post.world.gateway.client();
    let ask_from = |place: &str, identifiant: &str| {
        let mut client = anyone.clone();
        let asked = client.post("/portail/mot-de-passe/oubli").header("x-forwarded-for", place);
        let answer = asked.json(&json!({"identifiant": identifiant})).send();
        assert_eq!(answer.status, 202);
        answer
    };
    for _ in 0..5 {
        ask_from("203.0.113.9", ONE_CAF);
    }
    ask_from("198.51.100.7", ONE_CAF);
    eventually("three letters, and the owner's own", || post.letters().len() == 4);
    for place in 10..30 {
        ask_from(&format!("203.0.113.{place}"), ONE_CAF);
    }
    let all = post.written_in_the_end(|identifiant| ask_from("192.0.2.1", identifiant));
    assert_eq!(all, 12, "an hour at most");
}

impl Post {
    /// How many letters were ever written to [`ONE_CAF`]. They leave in the order in which they were asked for, a few
    /// at once: one that is asked for last, to somebody else, leaves none behind it but those in hand, and a gateway
    /// that ends finishes these.
    fn written_in_the_end(mut self, ask: impl FnOnce(&str) -> Response) -> usize {
        assert_eq!(ask(TWO_CAFS).status, 202);
        eventually("the last letter is written", || self.letters_to(TWO_CAFS) == 1);
        self.world.gateway.terminate();
        assert!(self.world.gateway.ended().success());
        self.letters_to(ONE_CAF)
    }

    fn letters_to(&self, name: &str) -> usize {
        let line = format!("To: {name}");
        self.letters().iter().filter(|letter| letter.contains(&line)).count()
    }
}

#[test]
fn a_letter_leaves_by_smtp() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("\"smtp://{}\"", server.local_addr().unwrap());
    let letters = std::thread::spawn(move || receive_one(&server));
    let world = World::with(crate::harness::world::Kind::Embedded, |settings| {
        settings.set("mail", "url", &url).set("mail", "from", r#""Extranet ESAT <octroi@extranet.example>""#);
    });
    assert_eq!(ask(&mut world.gateway.client(), ONE_CAF).status, 202);
    let dialogue = letters.join().unwrap();
    for line in
        ["MAIL FROM:<octroi@extranet.example>", &format!("RCPT TO:<{ONE_CAF}>"), "reinitialisation?jeton"]
    {
        assert!(dialogue.contains(line), "{line}: {dialogue}");
    }
}

/// A mail server that takes one letter; all that it was told.
fn receive_one(server: &TcpListener) -> String {
    let (stream, _) = server.accept().unwrap();
    let mut out = stream.try_clone().unwrap();
    let mut told = String::new();
    let mut in_letter = false;
    out.write_all(b"220 test\r\n").unwrap();
    for line in BufReader::new(stream).lines().map_while(Result::ok) {
        told += &line;
        told.push('\n');
        let answer: &[u8] = match line.as_str() {
            "." if in_letter => {
                in_letter = false;
                b"250 kept\r\n"
            }
            _ if in_letter => continue,
            "DATA" => {
                in_letter = true;
                b"354 go on\r\n"
            }
            "QUIT" => break,
            _ => b"250 fine\r\n",
        };
        out.write_all(answer).unwrap();
        if answer.starts_with(b"250 kept") {
            break;
        }
    }
    told
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
    let again = browser.post("/portail/mot-de-passe/reinitialisation").form(&fields).send();
    let page = again.text();
    assert!(again.status == 400 && page.contains("Ce lien ne sert plus"), "{page}");
    assert!(page.contains("href=\"/portail/mot-de-passe/oubli\"") && !page.contains("<form"), "{page}");
    assert!(!post.world.gateway.logs().contains(&token), "the token is in the log");
}
