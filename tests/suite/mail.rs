//! Letters: none is lost and none is sent twice, whatever becomes of the mail server or of the gateway.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rcgen::{CertificateParams, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use serde_json::json;

use crate::harness::client::{Client, Response};
use crate::harness::gateway::{Gateway, Settings};
use crate::harness::mail::{MailServer, Mood, Security};
use crate::harness::world::{Kind, ONE_CAF, SIRET, TWO_CAFS, World, account, sign_in};
use crate::harness::{closed_address, eventually};
use crate::on_each_store;

const NEW: &str = "Nouveau-2027";
const NOBODY: [&str; 3] = ["personne@esat.example", "pas une adresse", ""];

fn world(kind: Kind, server: SocketAddr) -> World {
    world_with(kind, |settings| {
        settings.set("mail", "url", &format!("\"smtp://{server}\""));
    })
}

fn world_with(kind: Kind, change: impl FnOnce(&mut Settings)) -> World {
    World::with(kind, |settings| {
        settings.set("mail", "from", r#""Extranet ESAT <octroi@extranet.example>""#);
        change(settings);
    })
}

fn ask(gateway: &Gateway, identifiant: &str) -> Response {
    let body = json!({ "identifiant": identifiant });
    gateway.client().post("/portail/mot-de-passe/oubli").json(&body).send()
}

fn reset(client: &mut Client, token: &str) -> Response {
    let body = json!({"jeton": token, "nouveau_mot_de_passe": NEW});
    client.post("/portail/mot-de-passe/reinitialisation").json(&body).send()
}

fn errors(gateway: &Gateway, message: &str) -> Vec<String> {
    gateway
        .logs()
        .lines()
        .filter(|line| line.contains("ERROR") && line.contains(message))
        .map(str::to_owned)
        .collect()
}

/// What waits in Redis.
fn waiting(world: &World) -> String {
    world.redis.as_ref().unwrap().ask("ZRANGE octroi:outbox 0 -1 WITHSCORES")
}

/// As if the time for which a replica holds its letters were over.
fn let_go(world: &World) {
    let script =
        "for _, m in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do redis.call('ZADD', KEYS[1], 0, m) end";
    world.redis.as_ref().unwrap().ask(&format!("EVAL \"{script}\" 1 octroi:outbox"));
}

on_each_store! {
    fn a_letter_asked_for_while_the_server_is_down_leaves_when_it_is_back(kind: Kind) {
        let (_place, address) = closed_address();
        let mut world = world(kind, address);
        let known = ask(&world.gateway, ONE_CAF);
        assert_eq!(known.status, 202);
        for other in &NOBODY[..2] {
            let answer = ask(&world.gateway, other);
            assert_eq!((answer.status, answer.json()), (202, known.json()), "{other}");
        }
        eventually("a try failed", || !errors(&world.gateway, "letters do not leave").is_empty());
        // Nor is it lost with the gateway.
        world.gateway.kill();
        if kind == Kind::Redis {
            let_go(&world);
        }
        let server = MailServer::start_at(address, Security::None, Mood::Takes);
        world.restart();
        let letters = server.wait_for(1);
        assert_eq!(letters[0].to, ONE_CAF);
        assert_eq!(reset(&mut world.gateway.client(), &letters[0].token()).status, 200);
        assert_eq!(sign_in(&mut world.gateway.client(), ONE_CAF, NEW).etat(), "admis");
        if kind == Kind::Redis {
            eventually("nothing waits any more", || waiting(&world) == "*0\r\n+OK\r\n");
        }
        assert_eq!(server.letters().len(), 1);
    }

    fn every_letter_is_sent_once_by_one_of_two(kind: Kind) {
        let server = MailServer::start();
        let world = world(kind, server.address);
        let names: Vec<String> = (0..20).map(|n| format!("a{n}@esat.example")).collect();
        world.gateway.accounts(&names.iter().map(|name| account(name, SIRET, &["921"])).collect::<Vec<_>>());
        let other = (kind == Kind::Redis).then(|| world.replica());
        for (n, name) in names.iter().enumerate() {
            let gateway = other.as_ref().filter(|_| n % 2 == 0).unwrap_or(&world.gateway);
            assert_eq!(ask(gateway, name).status, 202);
        }
        let mut to: Vec<String> = server.wait_for(names.len()).into_iter().map(|mail| mail.to).collect();
        to.sort();
        let mut expected = names;
        expected.sort();
        assert_eq!(to, expected);
        // What came later than all of them has left: so has any second copy.
        assert_eq!(ask(&world.gateway, ONE_CAF).status, 202);
        assert_eq!(server.wait_for(21).len(), 21);
    }

    fn a_server_that_refuses_for_now_is_asked_again(kind: Kind) {
        let server = MailServer::start();
        let world = world(kind, server.address);
        server.mood(Mood::Refuses("451 4.7.1 later"));
        assert_eq!(ask(&world.gateway, ONE_CAF).status, 202);
        eventually("it is tried twice", || server.heard("RCPT") >= 2);
        server.mood(Mood::Takes);
        assert_eq!(server.wait_for(1)[0].to, ONE_CAF);
        eventually("that is told", || world.gateway.logs().contains("letters leave again"));
        assert_eq!(errors(&world.gateway, "given up"), Vec::<String>::new());
    }
}

#[test]
fn a_letter_is_given_up_loudly_when_its_link_would_open_nothing() {
    let (_place, address) = closed_address();
    let mut world = world(Kind::Redis, address);
    assert_eq!(ask(&world.gateway, ONE_CAF).status, 202);
    eventually("a try failed", || !errors(&world.gateway, "letters do not leave").is_empty());
    world.gateway.advance(899);
    let server = MailServer::start_at(address, Security::None, Mood::Refuses("451 later"));
    // However long it is put off by a try between the two.
    eventually("it is still tried", || {
        let_go(&world);
        server.heard("RCPT") >= 1
    });
    world.gateway.advance(1);
    // However long the waits have become.
    eventually("it is given up", || {
        let_go(&world);
        !errors(&world.gateway, "a letter is given up").is_empty()
    });
    server.mood(Mood::Takes);
    assert_eq!(ask(&world.gateway, TWO_CAFS).status, 202);
    assert_eq!(server.wait_for(1)[0].to, TWO_CAFS);
}

#[test]
fn an_addressee_refused_for_good_is_given_up_at_once_and_loudly() {
    let server = MailServer::start();
    let world = world(Kind::Redis, server.address);
    server.mood(Mood::Refuses("550 5.1.1 no such mailbox"));
    assert_eq!(ask(&world.gateway, ONE_CAF).status, 202);
    eventually("it is given up", || errors(&world.gateway, "a letter is given up").len() == 1);
    assert!(errors(&world.gateway, "a letter is given up")[0].contains("no such mailbox"));
    eventually("nothing waits any more", || waiting(&world) == "*0\r\n+OK\r\n");
    assert_eq!(server.heard("RCPT"), 1);
}

#[test]
fn a_letter_in_the_hands_of_a_killed_replica_is_taken_up_by_another() {
    let server = MailServer::start();
    let mut world = world(Kind::Redis, server.address);
    server.mood(Mood::Hangs);
    assert_eq!(ask(&world.gateway, ONE_CAF).status, 202);
    eventually("the letter is under way", || server.heard("DATA") == 1);
    let other = world.replica();
    world.gateway.kill();
    server.mood(Mood::Takes);
    // It is nobody else's for a minute.
    let held = waiting(&world);
    assert!(held.contains("forgotten-password") && held.contains(ONE_CAF), "{held}");
    let_go(&world);
    let letters = server.wait_for(1);
    assert_eq!(reset(&mut other.client(), &letters[0].token()).status, 200);
    eventually("nothing waits any more", || waiting(&world) == "*0\r\n+OK\r\n");
}

#[test]
#[expect(clippy::disallowed_methods, reason = "what a client's own watch shows")]
fn a_server_that_hangs_is_felt_by_nobody_who_asks() {
    let server = MailServer::start();
    let world = world(Kind::Redis, server.address);
    server.mood(Mood::Hangs);
    let mut times = Vec::new();
    for identifiant in [ONE_CAF, NOBODY[0], TWO_CAFS, NOBODY[1]].repeat(2) {
        let began = Instant::now();
        assert_eq!(ask(&world.gateway, identifiant).status, 202);
        times.push(began.elapsed());
    }
    // The server is given 10 s and more.
    assert!(times.iter().all(|time| *time < Duration::from_secs(1)), "{times:?}");
    eventually("two letters are under way", || server.heard("DATA") >= 2);
    let held = waiting(&world);
    assert!(held.contains(ONE_CAF) && !held.contains("jeton"), "errands wait, no links: {held}");
}

#[test]
fn a_store_out_of_reach_loses_no_letter_that_was_promised() {
    let server = MailServer::start();
    let mut world = world(Kind::Redis, server.address);
    world.redis.as_mut().unwrap().kill();
    eventually("no promise is made", || {
        [ONE_CAF, NOBODY[0]].iter().all(|name| ask(&world.gateway, name).status == 503)
    });
    world.redis.as_mut().unwrap().restart();
    eventually("it is promised again", || ask(&world.gateway, ONE_CAF).status == 202);
    assert_eq!(server.wait_for(1)[0].to, ONE_CAF);
}

/// An authority of the tests, and a server's certificate from it.
struct Authority {
    pem: String,
    server: Arc<ServerConfig>,
}

fn authority() -> Authority {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let own = params.self_signed(&key).unwrap();
    let issuer = Issuer::new(params, key);
    let server_key = KeyPair::generate().unwrap();
    let names = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
    let certificate = CertificateParams::new(names).unwrap().signed_by(&server_key, &issuer).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(server_key.serialize_der()).unwrap(),
        );
    Authority { pem: own.pem(), server: Arc::new(config.unwrap()) }
}

fn quoted(path: &Path) -> String {
    format!("{:?}", path.display().to_string())
}

/// A world whose mail server's URL is in a file, with the authority's certificate beside it.
fn secured(folder: &Path, url: &str, ca: &str) -> World {
    let (url_file, ca_file) = (folder.join("mail-url"), folder.join("ca.pem"));
    std::fs::write(&url_file, format!("{url}\n")).unwrap();
    std::fs::write(&ca_file, ca).unwrap();
    world_with(Kind::Embedded, |settings| {
        settings.set("mail", "url_file", &quoted(&url_file)).set("mail", "ca", &quoted(&ca_file));
    })
}

#[test]
fn letters_leave_encrypted_with_credentials_from_a_file() {
    let (authority, folder) = (authority(), tempfile::tempdir().unwrap());
    for (scheme, security) in [
        ("smtp", Security::StartTls(Arc::clone(&authority.server))),
        ("smtps", Security::Implicit(Arc::clone(&authority.server))),
    ] {
        let server = MailServer::start_with(security);
        let url = format!("{scheme}://octroi:s%40cret@{}", server.address);
        let world = secured(folder.path(), &url, &authority.pem);
        assert_eq!(ask(&world.gateway, ONE_CAF).status, 202);
        let letters = server.wait_for(1);
        assert!(letters[0].encrypted, "{scheme}");
        // NUL octroi NUL s@cret (RFC 4616).
        assert_eq!(server.heard("AUTH PLAIN AG9jdHJvaQBzQGNyZXQ="), 1, "{scheme}");
        let logs = world.gateway.logs();
        assert!(!logs.contains("cret") && !logs.contains(&letters[0].token()), "{logs}");
    }
}

#[test]
fn a_server_that_nobody_vouches_for_or_that_cannot_encrypt_gets_nothing() {
    let (authority, other, folder) = (authority(), authority(), tempfile::tempdir().unwrap());
    for (scheme, security, ca) in [
        ("smtp", Security::StartTls(Arc::clone(&authority.server)), &other.pem),
        ("smtps", Security::Implicit(Arc::clone(&authority.server)), &other.pem),
        ("smtp", Security::None, &authority.pem),
    ] {
        let server = MailServer::start_with(security);
        let world = secured(folder.path(), &format!("{scheme}://octroi:secret@{}", server.address), ca);
        assert_eq!(ask(&world.gateway, ONE_CAF).status, 202);
        eventually("that is told", || errors(&world.gateway, "letters do not leave").len() == 1);
        assert_eq!(
            (server.heard("MAIL"), server.heard("AUTH"), server.letters().len()),
            (0, 0, 0),
            "{scheme}"
        );
    }
}

#[test]
fn a_ca_file_that_is_none_is_told_at_start() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("octroi.toml");
    std::fs::write(folder.path().join("ca.pem"), "no certificate").unwrap();
    let text = "[mail]\nurl = \"smtps://mail.example\"\nfrom = \"a@b.fr\"\nca = \"CA\"\n[[caf]]\ncode = \"921\"\n\
                name = \"n\"\ncontact = \"c@d.fr\"\nbackends = [\"http://127.0.0.1:1\"]\n";
    std::fs::write(&config, text.replace("CA", folder.path().join("ca.pem").to_str().unwrap())).unwrap();
    let checked = std::process::Command::new(env!("CARGO_BIN_EXE_octroi"))
        .args(["check", "--config"])
        .arg(&config)
        .output()
        .unwrap();
    let said = String::from_utf8(checked.stdout).unwrap() + &String::from_utf8(checked.stderr).unwrap();
    assert!(!checked.status.success() && said.contains(":4:6: mail.ca:"), "{said}");
}

#[test]
fn a_port_that_is_taken_is_told_though_letters_are_to_be_sent() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    for (server, admin) in
        [(address.to_string(), "127.0.0.1:0".to_owned()), ("127.0.0.1:0".to_owned(), address.to_string())]
    {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("octroi.toml");
        std::fs::write(
            &config,
            format!(
                "[server]\nlisten=[\"{server}\"]\n[admin]\nlisten=\"{admin}\"\n[store]\nurl=\"memory:\"\n\
             [mail]\nurl=\"smtp://127.0.0.1:9\"\nfrom=\"o@extranet.example\"\n\
             [[caf]]\ncode=\"921\"\nname=\"x\"\ncontact=\"y\"\nbackends=[\"http://127.0.0.1:9\"]\n"
            ),
        )
        .unwrap();
        let ended = Command::new(env!("CARGO_BIN_EXE_octroi"))
            .arg("run")
            .arg("--config")
            .arg(&config)
            .output()
            .unwrap();
        let said = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(1), "{said}");
        assert!(said.contains(&format!("cannot listen on {address}")), "{said}");
        assert_eq!(said.matches("Address already in use").count(), 1, "{said}");
    }
}
