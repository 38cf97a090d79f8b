//! The session's life and its cookie (rule 6; contract, sections 1 to 3).

use serde_json::json;

use crate::harness::client::Client;
use crate::harness::world::{Kind, ONE_CAF, PASSWORD, World, sign_in};
use crate::on_each_store;

const DEAD: (u16, &str) = (401, "session-expiree");

/// Seconds left, as the state tells them; nothing is extended by asking.
fn left(client: &mut Client) -> i64 {
    let state = client.get("/portail/session").program().send();
    assert_eq!(state.status, 200, "{}", state.text());
    state.json()["session"]["expire_dans_s"].as_i64().unwrap()
}

fn is_dead(client: &mut Client) -> bool {
    let answer = client.get("/portail/session").program().send();
    if answer.status == 200 {
        return false;
    }
    assert_eq!(answer.problem(), (DEAD.0, DEAD.1.to_owned()));
    true
}

/// A body that nobody needs, and that comes after its head, as some programs send it.
#[test]
fn signing_out_leaves_the_connection_to_the_next_request() {
    use std::io::Write as _;
    let world = World::new(Kind::Embedded);
    for _ in 0..5 {
        let client = world.admitted();
        let mut stream = crate::harness::client::connect(world.gateway.public);
        let head = format!(
            "POST /portail/deconnexion HTTP/1.1\r\nHost: a\r\nAccept: application/json\r\nCookie: {}\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 3\r\n\r\n",
            client.cookies()
        );
        stream.write_all(head.as_bytes()).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(20));
        stream.write_all(b"a=b").unwrap();
        let left = crate::harness::client::read_response(&mut stream, false).expect("an answer");
        assert_eq!(left.status, 200, "{}", left.text());
        stream.write_all(b"GET /portail/session HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        let next = crate::harness::client::read_response(&mut stream, false).expect("the next one's");
        assert_eq!(next.status, 401);
    }
}

on_each_store! {
    fn thirty_minutes_without_an_action_end_it_to_the_second(kind: Kind) {
        let mut world = World::new(kind);
        let (mut client, mut other) = (world.admitted(), world.admitted());
        world.gateway.advance(1_799);
        assert_eq!(left(&mut client), 1);
        assert_eq!(client.get("/").program().send().status, 200, "a second before");
        world.gateway.advance(1);
        assert_eq!(other.get("/").program().send().problem(), (DEAD.0, DEAD.1.to_owned()), "at that second");
        assert_eq!(left(&mut client), 1_799, "the action put the idle time back to full");
        world.gateway.advance(1_799);
        assert!(is_dead(&mut client));
        assert_eq!(client.get("/").program().send().problem(), (DEAD.0, DEAD.1.to_owned()));
    }

    fn asking_for_the_state_never_extends(kind: Kind) {
        let mut world = World::new(kind);
        let mut client = world.admitted();
        for minute in 1..30 {
            world.gateway.advance(60);
            assert_eq!(left(&mut client), 1_800 - minute * 60);
        }
        world.gateway.advance(60);
        assert!(is_dead(&mut client));
    }

    fn continuer_puts_the_idle_time_back_and_revives_nothing(kind: Kind) {
        let mut world = World::new(kind);
        let mut client = world.admitted();
        world.gateway.advance(1_799);
        let answer = client.post("/portail/session/continuer").program().send();
        assert_eq!(answer.etat(), "admis");
        let full = json!({"expire_dans_s": 1_800, "alerte_dans_s": 1_500});
        assert_eq!(answer.json()["session"], full);
        world.gateway.advance(1_800);
        let answer = client.post("/portail/session/continuer").program().send();
        assert_eq!(answer.problem(), (DEAD.0, DEAD.1.to_owned()));
        assert_eq!(client.get("/").program().send().problem(), (DEAD.0, DEAD.1.to_owned()));
    }

    fn twelve_hours_end_it_whatever_one_does(kind: Kind) {
        let mut world = World::new(kind);
        let mut client = world.admitted();
        for _ in 0..35 {
            world.gateway.advance(1_200);
            assert_eq!(client.get("/").program().send().status, 200);
        }
        world.gateway.advance(1_199);
        assert_eq!(client.get("/").program().send().status, 200, "a second before 12 h");
        assert_eq!(left(&mut client), 1);
        world.gateway.advance(1);
        assert!(is_dead(&mut client));
    }

    fn the_last_action_outlives_a_restart(kind: Kind) {
        let mut world = World::new(kind);
        let mut client = world.admitted();
        world.gateway.advance(1_000);
        assert_eq!(client.get("/").program().send().status, 200);
        world.gateway.terminate();
        assert!(world.gateway.ended().success());
        world.restart();
        world.gateway.advance(1_000 + 1_799);
        let mut client = world.gateway.known(&client);
        assert_eq!(left(&mut client), 1);
        world.gateway.advance(1);
        assert!(is_dead(&mut client));
    }
}

#[test]
fn without_a_cookie_there_is_no_session() {
    let world = World::new(Kind::Embedded);
    let answer = world.gateway.client().get("/portail/session").program().send();
    assert_eq!(answer.problem(), (401, "session-absente".to_owned()));
    let answer = world.gateway.client().post("/portail/session/continuer").program().send();
    assert_eq!(answer.problem(), (401, "session-absente".to_owned()));
}

#[test]
fn what_a_page_loads_or_polls_by_itself_is_no_action() {
    let mut world = World::with(Kind::Embedded, |settings| {
        settings.set("session", "passive_paths", r#"["/teleprocedure/notifications"]"#);
    });
    let mut client = world.admitted();
    for dest in ["image", "style", "script", "font", "audio", "video", "track", "manifest"] {
        world.gateway.advance(60);
        let before = left(&mut client);
        assert_eq!(client.get("/x").header("Sec-Fetch-Dest", dest).send().status, 200, "{dest}");
        assert_eq!(left(&mut client), before, "{dest}");
    }
    for path in [
        "/teleprocedure/notifications",
        "/teleprocedure/notifications/12?a=b",
        "/teleprocedure/%6Eotifications",
    ] {
        world.gateway.advance(60);
        let before = left(&mut client);
        assert_eq!(client.get(path).program().send().status, 200, "{path}");
        assert_eq!(left(&mut client), before, "{path}");
    }
    for (dest, path) in
        [("document", "/a"), ("empty", "/a"), ("iframe", "/a"), ("empty", "/teleprocedure/notif")]
    {
        world.gateway.advance(60);
        assert_eq!(client.get(path).header("Sec-Fetch-Dest", dest).send().status, 200);
        assert_eq!(left(&mut client), 1_800, "{dest} {path}");
    }
    // A page of the portal is an action, its looks are none.
    world.gateway.advance(60);
    assert_eq!(client.get("/portail/caf").page().send().status, 200);
    assert_eq!(left(&mut client), 1_800);
    let style = client.get("/portail/caf").page().send().text();
    let (_, style) = style.split_once("rel=\"stylesheet\" href=\"").unwrap();
    let style = style.split('"').next().unwrap().to_owned();
    world.gateway.advance(60);
    assert_eq!(client.get(&style).header("Sec-Fetch-Dest", "style").send().status, 200);
    assert_eq!(left(&mut client), 1_740);
}

#[test]
fn a_refused_request_is_no_action() {
    let mut world = World::new(Kind::Embedded);
    let mut client = world.admitted();
    world.gateway.advance(600);
    let foreign = client.post("/a").header("Sec-Fetch-Site", "cross-site").body("text/plain", b"x");
    assert_eq!(foreign.send().status, 403);
    assert_eq!(client.get("/a").header("X-Caf-Code", "751").send().status, 409);
    assert_eq!(client.get("/a%2Fb").send().status, 400);
    assert_eq!(left(&mut client), 1_200);
}

#[test]
fn the_cookie_is_the_contracts_on_plain_loopback() {
    let world = World::new(Kind::Embedded);
    let answer = sign_in(&mut world.gateway.client(), ONE_CAF, PASSWORD);
    let cookies = answer.all("set-cookie");
    assert_eq!(cookies.len(), 1);
    assert!(cookies[0].len() < 200);
    let mut parts = cookies[0].split("; ");
    let (name, value) = parts.next().unwrap().split_once('=').unwrap();
    assert_eq!(name, "octroi");
    assert!(value.len() >= 43, "256 bits: {value}");
    let mut attributes: Vec<&str> = parts.collect();
    attributes.sort_unstable();
    assert_eq!(attributes, ["HttpOnly", "Path=/", "SameSite=Lax"]);
}

#[test]
fn the_cookie_is_a_host_cookie_behind_tls() {
    let world = World::with(Kind::Embedded, |settings| {
        settings.set("server", "behind_tls_proxy", "true");
    });
    let mut client = world.gateway.client();
    let answer = sign_in(&mut client, ONE_CAF, PASSWORD);
    let cookie = answer.header("set-cookie").unwrap();
    assert!(cookie.starts_with("__Host-octroi="), "{cookie}");
    let mut attributes: Vec<&str> = cookie.split("; ").skip(1).collect();
    attributes.sort_unstable();
    assert_eq!(attributes, ["HttpOnly", "Path=/", "SameSite=Lax", "Secure"]);
    assert!(cookie.len() < 200);
    assert_eq!(client.get("/").program().send().status, 200);
    // The name of plain HTTP opens nothing here: it is just a cookie of somebody's.
    let value = client.jar.remove("__Host-octroi").unwrap();
    client.jar.insert("octroi".to_owned(), value);
    assert_eq!(client.get("/").program().send().problem(), (401, "session-absente".to_owned()));
}

#[test]
fn two_cookies_that_differ_are_refused() {
    let world = World::new(Kind::Embedded);
    let (mine, other) = (world.admitted(), world.admitted());
    let (mine, other) = (mine.session().unwrap().to_owned(), other.session().unwrap().to_owned());
    let mut client = world.gateway.client();
    let both = format!("octroi={mine}; octroi={other}");
    let answer = client.get("/").program().header("Cookie", &both).send();
    assert_eq!(answer.problem(), (400, "requete-invalide".to_owned()));
    let twice = client.get("/").program();
    let twice =
        twice.header("Cookie", &format!("octroi={mine}")).header("Cookie", &format!("octroi={other}"));
    assert_eq!(twice.send().status, 400);
    assert_eq!(world.caf921.count(), 0);
}

#[test]
fn signing_in_again_in_a_browser_takes_its_own_sessions_place_and_no_others() {
    let world = World::with(Kind::Embedded, |settings| {
        settings.set("session", "max_per_account", "3");
    });
    let mut others = [world.admitted(), world.admitted()];
    let mut client = world.admitted();
    let former = client.clone();
    for _ in 0..3 {
        assert_eq!(sign_in(&mut client, ONE_CAF, PASSWORD).etat(), "admis");
    }
    assert!(is_dead(&mut former.clone()), "its cookie was shown");
    assert!(others.iter_mut().all(|other| !is_dead(other)), "the other browsers keep theirs");
    assert_eq!(sign_in(&mut client, ONE_CAF, "faux").code(), "identifiants-invalides");
    assert!(!is_dead(&mut client), "a wrong password ends nothing");
}

#[test]
fn the_oldest_session_of_an_account_makes_room() {
    let mut world = World::with(Kind::Embedded, |settings| {
        settings.set("session", "max_per_account", "3");
    });
    let mut clients = Vec::new();
    for _ in 0..4 {
        clients.push(world.admitted());
        world.gateway.advance(1);
    }
    let alive: Vec<bool> = clients.iter_mut().map(|client| !is_dead(client)).collect();
    assert_eq!(alive, [false, true, true, true]);
}

#[test]
fn a_dead_session_leads_a_navigation_home_which_says_so() {
    let mut world = World::new(Kind::Embedded);
    let mut client = world.admitted();
    world.gateway.advance(1_800);
    let (status, location) = client.get("/teleprocedure/x").page().send().redirect();
    assert_eq!(status, 303);
    assert!(location.starts_with("/portail/connexion?retour="), "{location}");
    let home = client.get(&location).page().send();
    assert_eq!(home.status, 200);
    assert!(home.text().contains("30 minutes"), "it says that the session ended, and why");
    let fields = [("identifiant", ONE_CAF), ("mot_de_passe", PASSWORD), ("retour", "/teleprocedure/x")];
    let back = client.post("/portail/connexion").form(&fields).send();
    assert_eq!(back.redirect(), (303, "/teleprocedure/x".to_owned()));
}

#[test]
fn our_own_answers_are_never_stored() {
    let world = World::new(Kind::Embedded);
    let mut client = world.at("921");
    for path in ["connexion", "mot-de-passe", "caf", "quitter", "session"] {
        let answer = client.get(&format!("/portail/{path}")).page().send();
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{path}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"), "{path}: {policy}");
    }
}
