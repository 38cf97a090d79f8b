//! What people are told beside what they came for, and that it reaches those whom signing in leads straight to their
//! only Caf, past the pages that tell: a password in its last days or in the way of the campaign, tries that failed.

use serde_json::json;

use crate::harness::client::Client;
use crate::harness::world::{Kind, ONE_CAF, PASSWORD, SIRET, TWO_CAFS, World, account, sign_in};

/// Signs in with a browser's form; where that leads.
fn led(client: &mut Client, identifiant: &str, retour: &str) -> String {
    let fields = [("identifiant", identifiant), ("mot_de_passe", PASSWORD), ("retour", retour)];
    let answer = client.post("/portail/connexion").form(&fields).send();
    assert_eq!(answer.status, 303, "{}", answer.text());
    answer.header("location").unwrap_or_default().to_owned()
}

/// What the page of the path says, no-break spaces as others.
fn says(client: &mut Client, path: &str) -> String {
    client.get(path).page().send().text().replace("&nbsp;", " ").replace('\u{a0}', " ")
}

#[test]
fn the_last_days_of_a_password_are_told_on_the_way_in() {
    let mut world = World::new(Kind::Embedded);
    for (instant, left) in [
        ("2027-03-02T11:59:59+01:00", None),
        ("2027-03-03T12:00:00+01:00", Some("Il reste 14 jours")),
        ("2027-03-10T12:00:00+01:00", Some("Il reste 7 jours")),
        ("2027-03-16T12:00:00+01:00", Some("Il reste 1 jour ")),
        ("2027-03-17T11:59:59+01:00", Some("Il reste 1 jour ")),
    ] {
        world.gateway.set_clock(instant);
        let mut client = world.gateway.client();
        let place = led(&mut client, ONE_CAF, "/declaration?mois=3");
        let Some(left) = left else {
            assert_eq!(
                place, "/declaration?mois=3",
                "{instant}: who has nothing to know goes straight through"
            );
            continue;
        };
        assert_eq!(place, "/portail/connexion?retour=%2Fdeclaration%3Fmois%3D3", "{instant}");
        let page = says(&mut client, &place);
        for words in [
            left,
            "il expire le 17 mars 2027 à 12 h 00",
            "href=\"/declaration?mois=3\">Continuer",
            "/portail/mot-de-passe\">Le changer maintenant",
        ] {
            assert!(page.contains(words), "{instant}: {words}: {page}");
        }
        // It stands in nobody's way, and comes once a sitting.
        assert_eq!(client.get("/declaration").page().send().status, 200);
        let state = sign_in(&mut world.gateway.client(), ONE_CAF, PASSWORD).json();
        assert_eq!(
            (&state["etat"], &state["suite"]),
            (&json!("admis"), &json!("/portail/connexion")),
            "{state}"
        );
        // With several Cafs, the choice tells it.
        let mut several = world.gateway.client();
        assert_eq!(led(&mut several, TWO_CAFS, ""), "/portail/caf");
        assert!(says(&mut several, "/portail/caf").contains(left), "{instant}");
    }
    world.gateway.set_clock("2027-03-17T12:00:00+01:00");
    assert_eq!(led(&mut world.gateway.client(), ONE_CAF, ""), "/portail/mot-de-passe");
}

#[test]
fn many_failed_tries_are_told_on_the_way_in_and_ones_own_slips_later() {
    let world = World::new(Kind::Embedded);
    for (tries, place) in [(2, "/"), (3, "/portail/connexion"), (0, "/")] {
        for _ in 0..tries {
            assert_eq!(sign_in(&mut world.gateway.client(), ONE_CAF, "Faux-2026").status, 401);
        }
        let mut client = world.gateway.client();
        assert_eq!(led(&mut client, ONE_CAF, ""), place, "{tries} tries");
        let told = says(&mut client, "/portail/connexion").contains(&format!("{tries} essais de connexion"));
        assert_eq!(told, tries > 0, "{tries} tries");
    }
}

/// All November: to who has an older password, until it is changed, and again once a change lasts to the end.
#[test]
fn in_november_a_password_that_ends_in_the_campaign_is_told_on_the_way_in() {
    let mut world = World::new(Kind::Embedded);
    let rows = [
        ("octobre@esat.example", "2026-10-20T12:00:00+02:00"),
        ("suivi@esat.example", "2026-11-02T12:00:00+01:00"),
    ];
    for (instant, october, followed) in [
        ("2026-11-01T00:00:00+01:00", "/portail/connexion", "/"),
        ("2026-11-15T12:00:00+01:00", "/portail/connexion", "/"),
        ("2026-11-28T23:59:59+01:00", "/portail/connexion", "/"),
        ("2026-11-29T00:00:00+01:00", "/portail/connexion", "/portail/connexion"),
        ("2026-11-30T23:59:59+01:00", "/portail/connexion", "/portail/connexion"),
        ("2026-12-01T00:00:00+01:00", "/", "/"),
    ] {
        world.gateway.set_clock(instant);
        for ((identifiant, changed), expected) in rows.into_iter().zip([october, followed]) {
            if changed > instant {
                continue;
            }
            let mut row = account(identifiant, SIRET, &["921"]);
            row["password_changed_at"] = json!(changed);
            world.gateway.accounts(&[row]);
            assert_eq!(
                led(&mut world.gateway.client(), identifiant, ""),
                expected,
                "{identifiant} at {instant}"
            );
            let state = sign_in(&mut world.gateway.client(), identifiant, PASSWORD).json();
            assert_eq!(state["etat"], "admis", "it bars nobody's way: {state}");
            assert_eq!(state["mot_de_passe"]["expire_pendant_la_campagne"], true, "{state}");
        }
    }
}

/// Days of 24 hours, written as a clock in Paris shows them: over both changes of time, and a 29 February.
#[test]
fn a_passwords_end_is_told_as_a_clock_in_paris_shows_it() {
    let mut world = World::new(Kind::Embedded);
    for (number, (changed, now, words)) in [
        ("2027-01-10T12:00:00+01:00", "2027-04-06T09:00:00+02:00", "Il reste 7 jours pour le changer : il expire le 12 avril 2027 à 13 h 00"),
        ("2026-08-10T12:00:00+02:00", "2026-11-09T09:00:00+01:00", "Il reste 2 jours pour le changer : il expire le 10 novembre 2026 à 11 h 00"),
        ("2027-11-29T12:00:00+01:00", "2028-02-28T23:00:00+01:00", "il expire le 29 février 2028 à 12 h 00"),
        ("2026-11-28T12:00:00+01:00", "2026-11-29T09:00:00+01:00", "Il expire le 28 février 2027 à 12 h 00, alors que vous déclarerez peut-être. Changé dès maintenant, il servira jusqu’à la fin de la campagne, le 28 février 2027 inclus."),
        ("2026-11-20T12:00:00+01:00", "2026-11-28T23:59:59+01:00", "Changé à partir du 29 novembre 2026, il servira jusqu’à la fin de la campagne, le 28 février 2027 inclus."),
        ("2027-11-20T12:00:00+01:00", "2027-11-29T23:59:59+01:00", "Changé à partir du 30 novembre 2027, il servira jusqu’à la fin de la campagne, le 29 février 2028 inclus."),
        ("2027-11-20T12:00:00+01:00", "2027-11-30T00:00:00+01:00", "Changé dès maintenant, il servira jusqu’à la fin de la campagne, le 29 février 2028 inclus."),
    ].into_iter().enumerate() {
        let identifiant = format!("personne{number}@esat.example");
        let mut row = account(&identifiant, SIRET, &["921"]);
        row["password_changed_at"] = json!(changed);
        world.gateway.set_clock(now);
        world.gateway.accounts(&[row]);
        let mut client = world.gateway.client();
        led(&mut client, &identifiant, "");
        let page = says(&mut client, "/portail/connexion");
        assert!(page.contains(words), "{changed}, at {now}: {words}: {page}");
    }
}

/// The day that the advice names is right to the second: a password of that midnight opens in the campaign's last.
#[test]
fn a_password_of_the_day_that_is_advised_lasts_to_the_campaigns_end() {
    let mut world = World::new(Kind::Embedded);
    for (changed, last, over) in [
        ("2026-11-29T00:00:00+01:00", "2027-02-28T23:59:59+01:00", "2027-03-01T00:00:00+01:00"),
        ("2027-11-30T00:00:00+01:00", "2028-02-29T23:59:59+01:00", "2028-03-01T00:00:00+01:00"),
    ] {
        let identifiant = format!("novembre{}@esat.example", &changed[..4]);
        let mut row = account(&identifiant, SIRET, &["921"]);
        row["password_changed_at"] = json!(changed);
        world.gateway.set_clock(last);
        world.gateway.accounts(&[row]);
        assert_eq!(sign_in(&mut world.gateway.client(), &identifiant, PASSWORD).etat(), "admis", "{changed}");
        world.gateway.set_clock(over);
        let due = sign_in(&mut world.gateway.client(), &identifiant, PASSWORD);
        assert_eq!(due.etat(), "mot_de_passe_a_changer", "{changed}");
    }
}
