//! A form that is posted after its session ended is kept, and sent once when its owner says so.

use serde_json::{Value, json};

use crate::harness::backend::answer_with;
use crate::harness::browser::Browser;
use crate::harness::client::{Client, Response};
use crate::harness::eventually;
use crate::harness::world::{Kind, ONE_CAF, PASSWORD, SIRET, TWO_CAFS, World, account, sign_in};
use crate::on_each_store;

pub const TARGET: &str = "/teleprocedure/certificat-emploi/saisie?mois=11";
pub const BODY: &str = "salarie=Zo%C3%A9+Petit&salaire=712%2C50&mot_de_passe=jamais";
pub const KEPT: &str = "salarie=Zo%C3%A9+Petit&salaire=712%2C50";
pub const FORM: &str = "application/x-www-form-urlencoded";
pub const WAITING: &str = "/portail/declaration-en-attente";

/// Posts the form as a browser does.
pub fn post(client: &mut Client, target: &str, body: &str) -> Response {
    client.post(target).page().body(FORM, body.as_bytes()).send()
}

/// Someone at Caf 921 who let the session run out, and then posted the form.
pub fn late(world: &mut World) -> Client {
    let mut client = world.at("921");
    world.gateway.advance(1_800);
    let answer = post(&mut client, TARGET, BODY);
    assert_eq!((answer.status, answer.code_on_page()), (401, "session-expiree"), "{}", answer.text());
    assert!(answer.text().contains("gardé 30 minutes"), "{}", answer.text());
    client
}

impl Response {
    /// The problem's code where a page was wanted: what the page is about.
    fn code_on_page(&self) -> &'static str {
        if self.text().contains("Votre session est terminée") { "session-expiree" } else { "?" }
    }
}

pub fn waiting(client: &mut Client) -> Value {
    client.get(WAITING).program().send().json()
}

/// The body that sends what waits.
pub fn word(told: &Value) -> String {
    format!("{}={}", told["envoi"]["champ"].as_str().unwrap(), told["envoi"]["valeur"].as_str().unwrap())
}

pub fn back_at(client: &mut Client, caf: &str) -> Response {
    assert_eq!(sign_in(client, TWO_CAFS, PASSWORD).status, 200);
    client.post("/portail/caf").json(&json!({"caf": caf})).send()
}

on_each_store! {
    fn what_was_typed_is_shown_and_sent_once(kind: Kind) {
        let mut world = World::new(kind);
        let mut client = late(&mut world);
        assert_eq!(world.caf921.count(), 0, "nothing is sent of itself");
        let state = back_at(&mut client, "921").json();
        assert_eq!(state["suite"], WAITING, "{state}");
        let state = client.get("/portail/session").send().json();
        assert_eq!((&state["etat"], &state["suite"]), (&json!("admis"), &json!(WAITING)), "{state}");
        let told = waiting(&mut client);
        assert_eq!((&told["chemin"], &told["sans_mot_de_passe"]), (&json!(TARGET), &json!(true)), "{told}");
        assert_eq!(told["champs"], json!([
            {"nom": "salarie", "valeur": "Zoé Petit"}, {"nom": "salaire", "valeur": "712,50"},
        ]));
        assert_eq!(world.caf921.count(), 0);
        let sent = post(&mut client, TARGET, &word(&told));
        assert_eq!((sent.status, sent.text().as_str()), (200, "Caf 921"));
        let got = world.caf921.last();
        assert_eq!(got.line(), format!("POST {TARGET} HTTP/1.1"));
        assert_eq!((got.one("content-type"), got.body.as_slice()), (FORM, KEPT.as_bytes()));
        assert_eq!((got.one("x-esat-compte"), got.one("x-caf-code")), (TWO_CAFS, "921"));
        assert!(!got.head.contains("attente"), "{}", got.head);
        // A second press, or another tab, sends nothing more.
        for _ in 0..3 {
            let again = post(&mut client, TARGET, &word(&told));
            // Without the cookie, which is taken away, the word still is no declaration.
            assert!(again.status == 400 && again.text().contains("n’attend plus"), "{}", again.text());
        }
        assert!(waiting(&mut client).is_null());
        assert_eq!(world.caf921.count(), 1);
    }

    fn a_volet_that_has_closed_since_takes_nothing_and_the_page_says_so(kind: Kind) {
        let mut world = World::new(kind);
        world.gateway.set_clock("2027-02-28T23:20:00+01:00");
        let mut client = world.at("921");
        world.gateway.set_clock("2027-02-28T23:55:00+01:00");
        assert!(post(&mut client, TARGET, BODY).header("set-cookie").is_some());
        assert_eq!(back_at(&mut client, "921").json()["suite"], WAITING);
        let open = client.get(WAITING).page().send().text();
        assert!(open.contains("Envoyer cette saisie") && !open.contains("fermé"), "{open}");
        let asked = word(&waiting(&mut client));

        world.gateway.set_clock("2027-03-01T00:00:00+01:00");
        let told = waiting(&mut client);
        assert!(told.get("envoi").is_none(), "{told}");
        let closed = json!({"volet": "certificat-emploi", "ouvre_le": "2027-12-01", "ferme_le": "2028-02-29"});
        assert_eq!(told["volet_ferme"], closed);
        let page = client.get(WAITING).page().send().text();
        assert!(page.contains("Le volet de cette saisie est fermé") && page.contains("Zoé Petit"), "{page}");
        assert!(page.contains("du 1er décembre 2027 au 29 février 2028 inclus"), "{page}");
        assert!(!page.contains("Envoyer") && page.contains("Abandonner cette saisie"), "{page}");
        // A page that was opened before says so once it is pressed, and leads to the form.
        let refused = client.post(TARGET).program().body(FORM, asked.as_bytes()).send();
        assert_eq!(refused.problem(), (403, "volet-ferme".to_owned()));
        assert_eq!(refused.json()["suite"], WAITING);
        assert_eq!(client.post(WAITING).page().body(FORM, b"").send().status, 303);
        assert!(waiting(&mut client).is_null());
        assert_eq!(world.caf921.count(), 0);
    }

    fn a_word_that_comes_when_the_session_has_ended_is_no_form_of_its_own(kind: Kind) {
        let mut world = World::new(kind);
        let mut client = late(&mut world);
        back_at(&mut client, "921");
        let told = waiting(&mut client);
        client.post("/portail/deconnexion").program().send();
        let answer = post(&mut client, TARGET, &word(&told));
        assert_eq!((answer.status, answer.header("set-cookie")), (401, None), "{}", answer.text());
        assert!(!answer.text().contains("pu être gardé"), "{}", answer.text());
        back_at(&mut client, "921");
        let told_again = waiting(&mut client);
        assert_eq!(told_again["champs"], told["champs"], "it still waits");
        assert_eq!((post(&mut client, TARGET, &word(&told_again)).status, world.caf921.count()), (200, 1));
    }

    fn of_two_that_send_at_once_one_does(kind: Kind) {
        let mut world = World::new(kind);
        let mut client = late(&mut world);
        back_at(&mut client, "921");
        let told = waiting(&mut client);
        let bytes = client.post(TARGET).page().body(FORM, word(&told).as_bytes()).bytes();
        let answers: Vec<u16> = std::thread::scope(|scope| {
            let sent: Vec<_> = (0..8).map(|_| scope.spawn(|| client.raw(&bytes).unwrap().status)).collect();
            sent.into_iter().map(|sent| sent.join().unwrap()).collect()
        });
        assert_eq!(answers.iter().filter(|status| **status == 200).count(), 1, "{answers:?}");
        assert!(answers.iter().all(|status| [200, 400].contains(status)), "{answers:?}");
        assert_eq!(world.caf921.count(), 1);
    }

    fn it_goes_to_nobody_else(kind: Kind) {
        let mut world = World::new(kind);
        world.gateway.accounts(&[account("voisin@esat.example", SIRET, &["921", "751"])]);
        let mut client = late(&mut world);
        // Another account, in the same browser.
        assert_eq!(sign_in(&mut client, "voisin@esat.example", PASSWORD).status, 200);
        let state = client.post("/portail/caf").json(&json!({"caf": "921"})).send().json();
        assert_eq!(state["suite"], "/");
        assert!(waiting(&mut client).is_null());
        // The same account, at another Caf.
        let state = back_at(&mut client, "751").json();
        assert_eq!(state["suite"], "/");
        assert!(waiting(&mut client).is_null());
        // The same account and Caf, in another browser.
        let mut elsewhere = world.at("921");
        assert!(waiting(&mut elsewhere).is_null());
        assert_eq!((world.caf921.count(), world.caf751.count()), (0, 0));
        // It waited all the while.
        client.post("/portail/caf").json(&json!({"caf": "921"})).send();
        assert_eq!(waiting(&mut client)["chemin"], TARGET);
    }

    fn it_is_dropped_when_told_or_after_half_an_hour(kind: Kind) {
        let mut world = World::new(kind);
        let mut client = late(&mut world);
        back_at(&mut client, "921");
        let told = waiting(&mut client);
        let dropped = client.post(WAITING).program().body(FORM, b"").send();
        assert_eq!(dropped.status, 200, "{}", dropped.text());
        assert!(!client.jar.contains_key("octroi-attente"));
        assert!(waiting(&mut client).is_null());

        let mut client = late(&mut world);
        world.gateway.advance(1_700);
        back_at(&mut client, "921");
        let told_late = waiting(&mut client);
        assert_eq!(told_late["expire_dans_s"], 100);
        world.gateway.advance(100);
        assert!(waiting(&mut client).is_null());
        let refused = client.post(TARGET).program().body(FORM, word(&told_late).as_bytes()).send();
        assert_eq!(refused.problem(), (400, "requete-invalide".to_owned()));
        assert_eq!(world.caf921.count(), 0, "{told}");
    }

    fn a_closed_volet_or_a_dead_backend_leaves_it_waiting(kind: Kind) {
        let mut world = World::new(kind);
        world.gateway.set_clock("2027-02-28T23:20:00+01:00");
        world.gateway.accounts(&[{
            let mut fresh = account("tard@esat.example", SIRET, &["921"]);
            fresh["password_changed_at"] = json!("2027-02-01T08:00:00Z");
            fresh
        }]);
        let mut client = world.gateway.client();
        assert_eq!(sign_in(&mut client, "tard@esat.example", PASSWORD).status, 200);
        world.gateway.set_clock("2027-02-28T23:55:00+01:00");
        assert_eq!(post(&mut client, TARGET, BODY).status, 401);
        assert_eq!(sign_in(&mut client, "tard@esat.example", PASSWORD).status, 200);
        let told = waiting(&mut client);
        assert_eq!(told["chemin"], TARGET);
        world.gateway.set_clock("2027-03-01T00:00:00+01:00");
        let closed = client.post(TARGET).program().body(FORM, word(&told).as_bytes()).send();
        assert_eq!(closed.problem(), (403, "volet-ferme".to_owned()));
        assert_eq!(world.caf921.count(), 0);
        assert_eq!(waiting(&mut client)["chemin"], TARGET);
    }
}

#[test]
fn a_backend_that_cannot_be_reached_leaves_it_waiting() {
    let (_closed, dead) = crate::harness::closed_address();
    let mut world = World::with(Kind::Embedded, |settings| {
        settings.caf("131", "Caf des Bouches-du-Rhône", &[dead]);
    });
    world.gateway.accounts(&[account("sud@esat.example", SIRET, &["131"])]);
    world.gateway.establishments(&[json!({"caf": "131", "siret": SIRET})]);
    let mut client = world.gateway.client();
    sign_in(&mut client, "sud@esat.example", PASSWORD);
    world.gateway.advance(1_800);
    assert_eq!(post(&mut client, TARGET, BODY).status, 401);
    sign_in(&mut client, "sud@esat.example", PASSWORD);
    let told = waiting(&mut client);
    let failed = client.post(TARGET).program().body(FORM, word(&told).as_bytes()).send();
    assert_eq!(failed.code(), "caf-indisponible");
    assert_eq!(waiting(&mut client)["chemin"], TARGET, "it was certainly not sent");
}

#[test]
fn what_is_no_persons_form_is_not_kept() {
    let mut world = World::new(Kind::Embedded);
    let mut client = world.at("921");
    world.gateway.advance(1_800);
    let large = format!("a={}", "x".repeat(1024 * 1024));
    let json = client.post(TARGET).page().json(&json!({"a": 1})).send();
    let program = client.post(TARGET).program().body(FORM, BODY.as_bytes()).send();
    let script =
        client.post(TARGET).page().header("Sec-Fetch-Mode", "cors").body(FORM, BODY.as_bytes()).send();
    let put = client.request("PUT", TARGET).page().body(FORM, BODY.as_bytes()).send();
    let large = post(&mut client, TARGET, &large);
    let foreign =
        client.post(TARGET).page().header("Sec-Fetch-Site", "cross-site").body(FORM, BODY.as_bytes()).send();
    let named = client.post(TARGET).page().header("X-Caf-Code", "921").body(FORM, BODY.as_bytes()).send();
    assert_eq!(named.status, 401);
    assert!(
        named.text().contains("Votre session est terminée") && !named.text().contains("gardé"),
        "{}",
        named.text()
    );
    for answer in [&json, &program, &script, &put, &large, &foreign, &named] {
        assert!([401, 403].contains(&answer.status), "{}", answer.text());
        assert_eq!(answer.header("set-cookie"), None, "{}", answer.text());
    }
    // A cookie that never was a session's keeps nothing either.
    let mut stranger = world.gateway.client();
    stranger.jar.insert("octroi".to_owned(), "A".repeat(43));
    assert_eq!(post(&mut stranger, TARGET, BODY).header("set-cookie"), None);
    // One that was left has nothing to come back for.
    let mut gone = world.at("921");
    let left = gone.jar.clone();
    gone.post("/portail/deconnexion").program().body(FORM, b"").send();
    gone.jar = left;
    assert_eq!(post(&mut gone, TARGET, BODY).header("set-cookie"), None);
}

#[test]
fn a_dead_session_keeps_five_forms_and_no_more() {
    let mut world = World::new(Kind::Embedded);
    let mut client = world.at("921");
    world.gateway.advance(1_800);
    let kept = (0..8).filter(|_| post(&mut client, TARGET, BODY).header("set-cookie").is_some()).count();
    assert_eq!(kept, 5);
}

#[test]
fn a_small_post_of_ones_own_goes_through_beside_a_form_that_waits() {
    let mut world = World::new(Kind::Embedded);
    let mut client = late(&mut world);
    back_at(&mut client, "921");
    let length = word(&waiting(&mut client)).len();
    let own = format!("x={}", "y".repeat(length - 2));
    assert_eq!(post(&mut client, TARGET, &own).status, 200);
    assert_eq!(world.caf921.last().body, own.as_bytes());
    let asked = word(&waiting(&mut client));
    let other_path = client.post("/ailleurs").program().body(FORM, asked.as_bytes()).send();
    assert_eq!(other_path.problem(), (400, "requete-invalide".to_owned()));
}

#[test]
fn by_keyboard_in_a_browser_without_javascript() {
    let mut world = World::new(Kind::Embedded);
    world.caf921.script(answer_with(
        "Content-Type: text/html; charset=utf-8\r\n",
        "<!doctype html><form method=post action='/saisie'><input name=salaire><button>Valider</button></form>",
    ));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let browser = Browser::start(false).await;
        browser.open(&format!("http://{}/saisie", world.gateway.public)).await;
        browser.type_in("identifiant", ONE_CAF).await;
        browser.type_in("mot_de_passe", PASSWORD).await;
        browser.press("Se connecter").await;
        browser.type_in("salaire", "712,50 <b>").await;
        world.gateway.advance(1_800);
        browser.press("Valider").await;
        browser.reads("gardé 30 minutes").await;
        assert!(!world.caf921.received().iter().any(|got| got.line().starts_with("POST")));
        browser.open(&format!("http://{}/portail/connexion", world.gateway.public)).await;
        browser.type_in("identifiant", ONE_CAF).await;
        browser.type_in("mot_de_passe", PASSWORD).await;
        browser.press("Se connecter").await;
        browser.reads("Une saisie attend votre décision").await;
        browser.reads("712,50 <b>").await;
        let received = "<!doctype html><p>Déclaration reçue";
        world.caf921.script(answer_with("Content-Type: text/html; charset=utf-8\r\n", received));
        browser.press("Envoyer cette saisie à la Caf des Hauts-de-Seine").await;
        browser.reads("Déclaration reçue").await;
        assert_eq!(browser.place().await, "/saisie");
        browser.close().await;
    });
    let posts = world.caf921.received().into_iter().filter(|got| got.line().starts_with("POST"));
    let bodies: Vec<_> = posts.map(|got| String::from_utf8(got.body).unwrap()).collect();
    assert_eq!(bodies, ["salaire=712%2C50+%3Cb%3E"]);
}

#[test]
fn several_forms_are_all_found_again() {
    let mut world = World::new(Kind::Embedded);
    let mut client = world.at("921");
    world.gateway.advance(1_800);
    for number in 1..=3 {
        assert_eq!(post(&mut client, &format!("/saisie/{number}"), &format!("a={number}")).status, 401);
    }
    back_at(&mut client, "921");
    assert_eq!(waiting(&mut client)["chemin"], "/saisie/3");
    assert_eq!(client.post(WAITING).program().body(FORM, b"").send().status, 200);
    for number in [2, 1] {
        let told = waiting(&mut client);
        assert_eq!(told["chemin"], format!("/saisie/{number}"), "{told}");
        assert_eq!(post(&mut client, &format!("/saisie/{number}"), &word(&told)).status, 200);
    }
    assert!(waiting(&mut client).is_null());
    let bodies: Vec<_> = world.caf921.received().into_iter().map(|got| got.body).collect();
    assert_eq!(bodies, [b"a=2", b"a=1"]);
}

#[test]
fn what_is_anothers_is_not_dropped() {
    let mut world = World::new(Kind::Embedded);
    let mut client = late(&mut world);
    assert_eq!(sign_in(&mut client, ONE_CAF, PASSWORD).status, 200);
    assert_eq!(client.post(WAITING).program().body(FORM, b"").send().status, 200);
    back_at(&mut client, "921");
    assert_eq!(waiting(&mut client)["chemin"], TARGET);
}

#[test]
fn a_session_that_ended_long_ago_keeps_nothing() {
    let mut world = World::new(Kind::Embedded);
    let (mut soon, mut late) = (world.at("921"), world.at("921"));
    world.gateway.advance(1_800 + 1_799);
    assert!(post(&mut soon, TARGET, BODY).header("set-cookie").is_some());
    world.gateway.advance(1);
    assert_eq!(post(&mut late, TARGET, BODY).header("set-cookie"), None);
}

#[test]
fn one_address_cannot_fill_the_store() {
    let mut world = World::new(Kind::Embedded);
    let mut people: Vec<Client> = (0..5).map(|_| world.at("921")).collect();
    world.gateway.advance(1_800);
    let large = format!("a={}", "x".repeat(1024 * 1024 - 2));
    let tries = people.iter_mut().flat_map(|client| {
        (0..5).map(|_| post(client, TARGET, &large).header("set-cookie").is_some()).collect::<Vec<_>>()
    });
    assert_eq!(tries.filter(|kept| *kept).count(), 16, "16 MiB");
}

#[test]
fn it_is_sent_whole_even_if_the_browser_goes_away() {
    use std::io::{Read as _, Write as _};
    let slow = slow_backend();
    let address = slow.local_addr().unwrap();
    let mut world = World::with(Kind::Embedded, |settings| {
        settings.caf("131", "Caf des Bouches-du-Rhône", &[address]);
    });
    world.gateway.accounts(&[account("sud@esat.example", SIRET, &["131"])]);
    world.gateway.establishments(&[json!({"caf": "131", "siret": SIRET})]);
    let mut client = world.signed_in("sud@esat.example");
    world.gateway.advance(1_800);
    let form = format!("a={}", "x".repeat(1024 * 1024 - 2));
    assert!(post(&mut client, TARGET, &form).header("set-cookie").is_some());
    sign_in(&mut client, "sud@esat.example", PASSWORD);
    let asked = word(&waiting(&mut client));
    let bytes = client.post(TARGET).page().body(FORM, asked.as_bytes()).bytes();
    let mut click = crate::harness::client::connect(client.address);
    click.write_all(&bytes).unwrap();
    eventually("it is on its way", || waiting(&mut client).is_null());
    // A reset, not only an end: nobody is there any more.
    socket2::SockRef::from(&click).set_linger(Some(std::time::Duration::ZERO)).unwrap();
    drop(click);
    // Once both sides have had the time to hear of it.
    for _ in 0..20 {
        client.get("/portail/session").program().send();
    }
    let (mut backend, _) = slow.accept().unwrap();
    backend.set_read_timeout(Some(std::time::Duration::from_secs(5))).unwrap();
    let (mut got, mut buffer) = (Vec::new(), vec![0; 65_536]);
    while !got.ends_with(b"xxxx") || got.len() < form.len() {
        let read = backend.read(&mut buffer).expect("the rest of the form");
        assert!(read > 0, "the form was cut after {} bytes", got.len());
        got.extend_from_slice(&buffer[..read]);
    }
}

/// A backend that reads nothing until it is told; what it does not read stays with the gateway.
fn slow_backend() -> std::net::TcpListener {
    let slow = listening(8);
    slow.set_recv_buffer_size(4_096).unwrap();
    slow.into()
}

/// A backend whose queue is full: connections are neither taken nor refused, as long as what comes with the
/// address is kept.
pub fn full_backend() -> (impl Sized, std::net::SocketAddr) {
    let full = std::net::TcpListener::from(listening(0));
    let address = full.local_addr().unwrap();
    let soon = std::time::Duration::from_millis(300);
    let queued: Vec<_> =
        (0..8).map_while(|_| std::net::TcpStream::connect_timeout(&address, soon).ok()).collect();
    assert!(queued.len() < 8, "the queue is full");
    ((full, queued), address)
}

fn listening(queue: i32) -> socket2::Socket {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    socket.listen(queue).unwrap();
    socket
}
