//! The calendar (rule 5): which volet is open when, to the second, whatever the path looks like.

use serde_json::json;

use crate::harness::client::Client;
use crate::harness::gateway::Gateway;
use crate::harness::world::{Kind, World, account};

const CAMPAIGN: &str = "/teleprocedure/certificat-emploi";

/// Someone admitted at that instant, whose password is young enough.
fn admitted_at(world: &mut World, now: &str) -> Client {
    world.gateway.set_clock(now);
    let identifiant = format!(
        "e{}@esat.example",
        now.bytes().filter(u8::is_ascii_digit).map(char::from).collect::<String>()
    );
    let mut account = account(&identifiant, crate::harness::world::SIRET, &["921"]);
    account["password_changed_at"] = json!(now);
    world.gateway.accounts(&[account]);
    world.signed_in(&identifiant)
}

fn is_open(gateway: &mut Gateway, client: &mut Client, now: &str) -> bool {
    gateway.set_clock(now);
    let answer = client.get(CAMPAIGN).program().send();
    if answer.status != 200 {
        assert_eq!(answer.problem(), (403, "volet-ferme".to_owned()), "{now}");
    }
    answer.status == 200
}

#[test]
fn both_midnights_are_those_of_paris_to_the_second() {
    let mut world = World::new(Kind::Embedded);
    for (before, after, opens) in [
        ("2026-11-30T23:59:59+01:00", "2026-12-01T00:00:00+01:00", true),
        ("2027-02-28T23:59:59+01:00", "2027-03-01T00:00:00+01:00", false),
        // A leap year has one day more.
        ("2028-02-28T23:59:59+01:00", "2028-02-29T00:00:00+01:00", true),
        ("2028-02-29T23:59:59+01:00", "2028-03-01T00:00:00+01:00", false),
        // 2100 is none.
        ("2100-02-28T23:59:59+01:00", "2100-03-01T00:00:00+01:00", false),
    ] {
        let mut client = admitted_at(&mut world, before);
        let was_open = is_open(&mut world.gateway, &mut client, before);
        assert_eq!(is_open(&mut world.gateway, &mut client, after), opens, "{after}");
        assert_eq!(was_open, !opens || before.starts_with("2028-02-28"), "{before}");
    }
}

#[test]
fn from_december_to_february_both_are_open_and_one_the_rest_of_the_year() {
    let mut world = World::new(Kind::Embedded);
    for (now, open) in [
        ("2026-12-24T10:00:00+01:00", true),
        ("2027-01-01T00:00:00+01:00", true),
        ("2027-02-14T10:00:00+01:00", true),
        ("2027-03-15T10:00:00+01:00", false),
        ("2027-07-14T10:00:00+02:00", false),
        ("2027-11-30T10:00:00+01:00", false),
    ] {
        let mut client = admitted_at(&mut world, now);
        assert_eq!(is_open(&mut world.gateway, &mut client, now), open, "{now}");
        let other = client.get("/teleprocedure/changement-activite").program().send();
        assert_eq!(other.status, 200, "{now}");
        let told = world.caf921.last().one("x-octroi-volets").to_owned();
        let expected = if open { "certificat-emploi,changement-activite" } else { "changement-activite" };
        assert_eq!(told.replace(' ', ""), expected, "{now}");
        let state = client.get("/portail/session").send().json();
        assert_eq!(state["volets"]["certificat-emploi"]["ouvert"], open);
        assert_eq!(state["volets"]["changement-activite"]["ouvert"], true);
    }
}

#[test]
fn a_closed_volet_says_when_it_opens() {
    let mut world = World::new(Kind::Embedded);
    let mut client = admitted_at(&mut world, "2027-07-14T10:00:00+02:00");
    let problem = client.get(CAMPAIGN).program().send();
    assert_eq!(problem.problem(), (403, "volet-ferme".to_owned()));
    let problem = problem.json();
    assert_eq!(problem["volet"], "certificat-emploi");
    assert_eq!((&problem["ouvre_le"], &problem["ferme_le"]), (&json!("2027-12-01"), &json!("2028-02-29")));
    let page = client.get(CAMPAIGN).page().send();
    assert_eq!(page.status, 403, "a page that says so, no redirection");
    assert!(page.text().contains("1er décembre 2027"), "{}", page.text());
    assert_eq!(client.post(CAMPAIGN).form(&[("a", "b")]).send().status, 403);
    assert_eq!(world.caf921.count(), 0);
}

#[test]
fn a_closed_volet_stays_closed_however_its_path_is_written() {
    let mut world = World::new(Kind::Embedded);
    let client = admitted_at(&mut world, "2027-07-14T10:00:00+02:00");
    let ask = |path: &str| {
        let cookies = client.cookies();
        let head =
            format!("GET {path} HTTP/1.1\r\nHost: a\r\nCookie: {cookies}\r\nConnection: close\r\n\r\n");
        client.raw(head.as_bytes()).map(|answer| answer.status)
    };
    for same in [
        "/teleprocedure/certificat-emploi/",
        "/teleprocedure/certificat-emploi/new",
        "/teleprocedure/certificat-emploi?x=y",
        "/teleprocedure/certificat%2Demploi",
        "/teleprocedure/certificat%2demploi",
        "/%74eleprocedure/certificat-emploi",
        "/teleprocedure/./certificat-emploi",
        "/teleprocedure/x/../certificat-emploi",
        "/teleprocedure/certificat-emploi;jsessionid=1",
        "/teleprocedure;a=b/certificat-emploi/x",
        "/TELEPROCEDURE/Certificat-Emploi",
        // As some backends read them.
        "/teleprocedure/certificat-emploi/../changement-activite",
        "/teleprocedure/certificat-emploi.",
        "/teleprocedure./certificat-emploi%20/new",
    ] {
        assert_eq!(ask(same), Some(403), "{same}");
    }
    for ambiguous in [
        "/teleprocedure//certificat-emploi",
        "//teleprocedure/certificat-emploi",
        "/teleprocedure%2Fcertificat-emploi",
        "/teleprocedure%2fcertificat-emploi",
        "/teleprocedure%5Ccertificat-emploi",
        "/teleprocedure\\certificat-emploi",
        "/teleprocedure/%2e/certificat-emploi",
        "/teleprocedure/%2E%2E/teleprocedure/certificat-emploi",
        "/teleprocedure/certificat-emploi%00",
        "/teleprocedure/certificat-emploi%3Bx",
        "/teleprocedure/%zz",
        "/teleprocedure/%",
        "/../teleprocedure/certificat-emploi",
        "/x/..;/teleprocedure/certificat-emploi",
    ] {
        assert_eq!(ask(ambiguous), Some(400), "{ambiguous}");
    }
    assert_eq!(world.caf921.count(), 0, "not a byte reached a backend");
    // What only begins alike is another path.
    for other in [
        "/teleprocedure/certificat-emplois",
        "/teleprocedure/certificat-emploi-2",
        "/teleprocedure/certificat-emploi.html",
        "/teleprocedure",
        "/x/../y/./z",
        "/x.",
    ] {
        assert_eq!(ask(other), Some(200), "{other}");
        assert_eq!(world.caf921.last().line(), format!("GET {other} HTTP/1.1"));
    }
}

#[test]
fn the_assertion_forgets_a_volet_at_midnight() {
    let mut world = World::new(Kind::Embedded);
    let mut client = admitted_at(&mut world, "2027-02-28T23:59:59+01:00");
    client.get("/").program().send();
    let before = world.caf921.last();
    world.gateway.set_clock("2027-03-01T00:00:00+01:00");
    client.get("/").program().send();
    let after = world.caf921.last();
    let told = |head: &crate::harness::backend::Received| head.one("x-octroi-volets").replace(' ', "");
    assert_eq!(told(&before), "certificat-emploi,changement-activite");
    assert_eq!(told(&after), "changement-activite");
    assert_ne!(before.one("x-octroi-assertion"), after.one("x-octroi-assertion"));
}
