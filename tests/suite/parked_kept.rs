//! How a form that waits is kept: sealed, for one browser, over restarts and replicas; and what it looks like.

use std::io::Write as _;
use std::sync::Arc;

use serde_json::json;

use crate::forwarding::resident_kb;
use crate::harness::backend::Then;
use crate::harness::client::{Client, Response, connect, find, read_response};
use crate::harness::eventually;
use crate::harness::world::{
    COMMUNICATION, Kind, ONE_CAF, OTHER_SIRET, PASSWORD, TWO_CAFS, World, account, sign_in,
};
use crate::on_each_store;
use crate::parked::{BODY, FORM, KEPT, TARGET, WAITING, back_at, late, post, waiting, word};

const MULTIPART: &str = "multipart/form-data; boundary=----WebKitFormBoundaryAbC";

/// As a browser posts the form of a page in Latin-1, with a file.
fn with_a_file() -> Vec<u8> {
    let part = |head: &[u8], body: &[u8]| {
        [b"------WebKitFormBoundaryAbC\r\nContent-Disposition: form-data; ", head, b"\r\n\r\n", body, b"\r\n"]
            .concat()
    };
    let file = b"name=\"bulletin\"; filename=\"paie d\xe9cembre.pdf\"\r\nContent-Type: application/pdf";
    [
        part(b"name=\"pr\xe9nom\"", b"Zo\xeb"),
        part(file, b"%PDF-1.7\r\n\x00\xff--"),
        part(b"name=\"prime\"", b"12 \x80"),
        b"------WebKitFormBoundaryAbC--\r\n".to_vec(),
    ]
    .concat()
}

fn is_lost(answer: &Response) -> bool {
    assert_eq!((answer.status, answer.header("set-cookie")), (401, None), "{}", answer.text());
    answer.text().contains("n’a pas pu être gardé") && answer.text().contains("target=\"_blank\"")
}

on_each_store! {
    fn the_store_cannot_read_it(kind: Kind) {
        let mut world = World::new(kind);
        let mut client = late(&mut world);
        let secret = client.jar["octroi-attente"].clone();
        let stored = world.stored();
        assert!(find(&stored, TWO_CAFS.as_bytes()).is_some(), "these are the store's bytes");
        // Longer than what random bytes say by chance.
        for text in ["salarie", "Zo%C3%A9", "Petit", "712%2C50", "712,50", "jamais", TARGET, "urlencoded", secret.as_str()] {
            assert!(find(&stored, text.as_bytes()).is_none(), "{text} can be read");
        }
        assert!(!world.gateway.logs().contains("salarie") && !world.gateway.logs().contains(&secret));
        back_at(&mut client, "921");
        assert_eq!(waiting(&mut client)["champs"][0], json!({"nom": "salarie", "valeur": "Zoé Petit"}));
    }

    fn it_outlives_the_gateway(kind: Kind) {
        let mut world = World::new(kind);
        let client = late(&mut world);
        world.gateway.kill();
        world.restart();
        world.gateway.advance(1_800);
        let mut client = world.gateway.known(&client);
        back_at(&mut client, "921");
        let told = waiting(&mut client);
        assert_eq!(told["chemin"], TARGET, "{told}");
        assert_eq!(post(&mut client, TARGET, &word(&told)).status, 200);
        assert_eq!(world.caf921.last().body, KEPT.as_bytes());
    }

    fn another_establishment_does_not_see_it(kind: Kind) {
        let mut world = World::new(kind);
        let mut client = late(&mut world);
        world.gateway.accounts(&[account(TWO_CAFS, OTHER_SIRET, &["921", "751"])]);
        back_at(&mut client, "921");
        let entered =
            client.post("/portail/etablissement").json(&json!({"identifiant_communication": COMMUNICATION})).send();
        assert_eq!(entered.json()["suite"], "/", "{}", entered.text());
        assert_eq!(entered.etat(), "admis");
        assert!(waiting(&mut client).is_null());
        assert_eq!(client.post(WAITING).program().body(FORM, b"").send().status, 200);
        assert_eq!(world.caf921.count(), 0);
    }

    fn a_file_and_latin_1_come_back_as_they_were(kind: Kind) {
        let mut world = World::new(kind);
        let mut client = world.at("921");
        world.gateway.advance(1_800);
        let kept = client.post(TARGET).page().body(MULTIPART, &with_a_file()).send();
        assert!(kept.header("set-cookie").is_some(), "{}", kept.text());
        back_at(&mut client, "921");
        let told = waiting(&mut client);
        assert_eq!(told["champs"], json!([
            {"nom": "prénom", "valeur": "Zoë"},
            {"nom": "bulletin", "fichier": "paie décembre.pdf", "octets": 14},
            {"nom": "prime", "valeur": "12 €"},
        ]));
        let page = client.get(WAITING).page().send().text();
        assert!(page.contains("fichier paie décembre.pdf (14 octets)") && page.contains("12 €"), "{page}");
        assert!(page.contains("Caf des Hauts-de-Seine") && page.contains(TARGET), "{page}");
        assert_eq!(post(&mut client, TARGET, &word(&told)).status, 200);
        let got = world.caf921.last();
        assert_eq!((got.one("content-type"), &got.body), (MULTIPART, &with_a_file()));
    }
}

#[test]
fn it_is_found_at_another_replica() {
    let mut world = World::new(Kind::Redis);
    let client = late(&mut world);
    let mut replica = world.replica();
    replica.advance(1_800);
    let mut client = replica.known(&client);
    back_at(&mut client, "921");
    let told = waiting(&mut client);
    assert_eq!(post(&mut client, TARGET, &word(&told)).status, 200);
    assert_eq!(world.caf921.last().body, KEPT.as_bytes());
    let mut first = world.gateway.known(&client);
    assert!(waiting(&mut first).is_null(), "sent there, it is gone here");
}

#[test]
fn its_cookie_is_for_this_site_alone_and_for_half_an_hour() {
    for (behind_tls, name, secure) in
        [("false", "octroi-attente", None), ("true", "__Host-octroi-attente", Some("Secure"))]
    {
        let mut world = World::with(Kind::Embedded, |settings| {
            settings.set("server", "behind_tls_proxy", behind_tls);
        });
        let mut client = world.at("921");
        world.gateway.advance(1_800);
        let kept = post(&mut client, TARGET, BODY);
        let cookie = kept.header("set-cookie").unwrap();
        let (pair, attributes) = cookie.split_once("; ").unwrap();
        assert!(pair.starts_with(&format!("{name}=")) && cookie.len() < 200, "{cookie}");
        let mut attributes: Vec<&str> = attributes.split("; ").collect();
        attributes.sort_unstable();
        let expected = ["HttpOnly", "Max-Age=1800", "Path=/", "SameSite=Lax"].into_iter().chain(secure);
        assert_eq!(attributes, expected.collect::<Vec<_>>());
        back_at(&mut client, "921");
        client.get("/autre").program().send();
        assert!(!world.caf921.last().head.contains("attente"), "no backend sees it");
    }
}

#[test]
fn what_cannot_be_kept_is_said_to_be_lost_and_how_to_send_it_again() {
    let mut world = World::new(Kind::Embedded);
    let (mut client, mut later) = (world.at("921"), world.at("921"));
    world.gateway.advance(1_800);
    for length in [1024 * 1024 + 1, 8 << 20] {
        assert!(
            is_lost(&post(&mut client, TARGET, &format!("a={}", "x".repeat(length - 2)))),
            "{length} bytes"
        );
    }
    assert!(is_lost(&client.post(TARGET).page().body(MULTIPART, b"nothing of the kind").send()));
    assert!(
        post(&mut client, TARGET, &format!("a={}", "x".repeat(1024 * 1024 - 2)))
            .header("set-cookie")
            .is_some()
    );
    world.gateway.advance(1_800);
    assert!(is_lost(&post(&mut later, TARGET, &format!("a={}", "x".repeat(500_000)))));
    let mut stranger = world.gateway.client();
    assert!(is_lost(&post(&mut stranger, TARGET, BODY)));
    // A script of before Fetch Metadata shows no page.
    let script = client.post(TARGET).page().header("X-Requested-With", "XMLHttpRequest");
    let script = script.body(FORM, BODY.as_bytes()).send();
    assert!(script.header("set-cookie").is_none() && !script.text().contains("n’a pas pu être gardé"));
}

#[test]
fn many_small_forms_are_bounded_too() {
    let mut world = World::with(Kind::Embedded, |settings| {
        settings.set("session", "max_per_account", "30");
    });
    let mut people: Vec<Client> = (0..14).map(|_| world.at("921")).collect();
    world.gateway.advance(1_800);
    let kept = people
        .iter_mut()
        .map(|client| (0..5).filter(|_| post(client, TARGET, BODY).header("set-cookie").is_some()).count());
    assert_eq!(kept.sum::<usize>(), 64);
}

/// Whether it arrived cannot be known: it is not sent again, and its sender is told to look.
#[test]
fn what_a_backend_may_have_taken_is_not_sent_again() {
    let mut world = World::new(Kind::Embedded);
    let mut client = world.signed_in(ONE_CAF);
    world.gateway.advance(1_800);
    assert!(post(&mut client, TARGET, BODY).header("set-cookie").is_some());
    sign_in(&mut client, ONE_CAF, PASSWORD);
    let told = waiting(&mut client);
    world.caf921.script(Arc::new(|_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200");
        Then::Close
    }));
    let failed = post(&mut client, TARGET, &word(&told));
    assert_eq!(failed.status, 502);
    assert!(failed.text().contains("vérifiez qu’elle est bien arrivée"), "{}", failed.text());
    assert!(waiting(&mut client).is_null());
    assert_eq!(world.caf921.count(), 1);
}

#[test]
fn of_a_form_that_nobody_will_be_asked_for_nothing_is_held() {
    let world = World::new(Kind::Embedded);
    let mut client = world.gateway.client();
    let mut bytes = client.post(TARGET).page().body(FORM, &vec![b'x'; 1_000_000]).bytes();
    let last = bytes.split_off(bytes.len() - 10);
    let resident = || resident_kb(world.gateway.pid());
    let before = resident();
    let mut held: Vec<_> = (0..60)
        .map(|_| {
            let mut stream = connect(client.address);
            stream.write_all(&bytes).unwrap();
            stream
        })
        .collect();
    let (mut now, mut same) = (0, 0);
    eventually("nothing grows any more", || {
        let then = std::mem::replace(&mut now, resident());
        same = if now == then { same + 1 } else { 0 };
        same > 30
    });
    let grown = now.saturating_sub(before);
    assert!(grown < 20_000, "{grown} kB for 60 forms that nobody can have back");
    for stream in &mut held {
        stream.write_all(&last).unwrap();
        let answer = read_response(stream, false).expect("an answer once all was heard");
        assert_eq!(answer.status, 401);
    }
}
