//! `octroi explain`: what it says is what happens (contract, section 5).

use serde_json::{Value, json};

use crate::harness::backend::{Backend, respond};
use crate::harness::eventually;
use crate::harness::world::{
    Kind, ONE_CAF, PASSWORD, PROVISIONAL, SIRET, TWO_CAFS, UNKNOWN_SIRET, World, sign_in,
};
use crate::on_each_store;

const CERTIFICATE: &str = "/teleprocedure/certificat-emploi/saisie?x=1";

/// The explanation, as JSON on the command line.
fn explain(world: &World, account: &str, caf: &str, path: &str, more: &[&str]) -> Value {
    let mut words = vec!["explain", "--account", account, "--caf", caf, "--path", path, "--json"];
    words.extend_from_slice(more);
    let (code, out, err) = world.gateway.cli(&words);
    assert_eq!(code, 0, "{err}");
    serde_json::from_str(&out).unwrap()
}

/// Whether it would be forwarded, the code, and the first step that does not pass.
fn fate(told: &Value) -> (bool, &str, &str) {
    let steps = told["steps"].as_array().unwrap();
    let met = steps
        .iter()
        .find(|step| step["outcome"] != "passes")
        .map_or("-", |step| step["step"].as_str().unwrap());
    (told["forwarded"].as_bool().unwrap(), told["code"].as_str().unwrap_or("-"), met)
}

on_each_store! {
    fn each_reason_is_told_and_is_true(kind: Kind) {
        let world = World::new(kind);
        let told = explain(&world, ONE_CAF, "921", CERTIFICATE, &[]);
        assert_eq!(fate(&told), (true, "-", "-"), "{told}");
        assert_eq!(world.admitted().get(CERTIFICATE).program().send().status, 200);

        let told = explain(&world, ONE_CAF, "751", "/", &[]);
        assert_eq!(fate(&told), (false, "caf-non-habilitee", "caf"), "{told}");
        let told = explain(&world, PROVISIONAL, "921", "/", &[]);
        assert_eq!(fate(&told), (false, "mot-de-passe-a-changer", "password"), "{told}");
        let told = explain(&world, UNKNOWN_SIRET, "921", "/", &[]);
        assert_eq!(fate(&told), (false, "etablissement-a-identifier", "establishment"), "{told}");
        let told = explain(&world, ONE_CAF, "921", "/portail/caf", &[]);
        assert_eq!(fate(&told), (false, "-", "path"), "{told}");
        let long = format!("/{}", "a".repeat(16 * 1024));
        for path in ["/a//b", "/a%2Fb", "/%00", "/../x", "/a#b", "/a?b#c", "/a b", "/a?b c", "/a?\"b", "/a<", "/a?b=<", "/a\tb", &long] {
            let told = explain(&world, ONE_CAF, "921", path, &[]);
            assert_eq!(fate(&told), (false, "requete-invalide", "path"), "{told}");
        }

        assert_eq!(world.gateway.cli(&["account", "suspend", ONE_CAF]).0, 0);
        let told = explain(&world, ONE_CAF, "921", "/", &[]);
        assert_eq!(fate(&told), (false, "identifiants-invalides", "sign-in"), "{told}");
        // Each step is told, also behind one that stops.
        let told = explain(&world, ONE_CAF, "751", "/", &[]);
        let caf = told["steps"].as_array().unwrap().iter().find(|step| step["step"] == "caf").unwrap();
        assert_eq!(caf["code"], "caf-non-habilitee", "{told}");
    }

    fn a_lock_is_told_where_it_holds_and_asking_counts_nothing(kind: Kind) {
        let world = World::new(kind);
        for password in ["faux-2026"; 4].into_iter().chain([PASSWORD]) {
            sign_in(&mut world.gateway.client(), TWO_CAFS, password);
        }
        let told = explain(&world, TWO_CAFS, "921", "/", &[]);
        assert_eq!(fate(&told), (true, "-", "-"), "the last one was right: {told}");
        for _ in 0..5 {
            sign_in(&mut world.gateway.client(), TWO_CAFS, "faux-2026");
        }
        for _ in 0..10 {
            let told = explain(&world, TWO_CAFS, "921", "/", &["--from", "127.0.0.1"]);
            assert_eq!(fate(&told), (false, "trop-d-essais", "lock"), "{told}");
        }
        let told = explain(&world, TWO_CAFS, "921", "/", &["--from", "192.0.2.1"]);
        assert_eq!(fate(&told), (true, "-", "-"), "{told}");
        let over = explain(&world, TWO_CAFS, "921", "/", &["--from", "127.0.0.1", "--at", "2026-12-15T12:15:00+01:00"]);
        assert_eq!(fate(&over), (true, "-", "-"), "{over}");
        // Who asks on the telephone does not know an address.
        let told = explain(&world, TWO_CAFS, "921", "/", &[]);
        assert_eq!(fate(&told), (false, "trop-d-essais", "lock"), "{told}");
        let (_, table, _) = world.gateway.cli(&["explain", "--account", TWO_CAFS, "--caf", "921", "--path", "/"]);
        assert!(table.contains("until 2026-12-15 12:15:00 in Paris"), "{table}");
        // What the gateway says first of one who is suspended too.
        assert_eq!(world.gateway.cli(&["account", "suspend", TWO_CAFS]).0, 0);
        let told = explain(&world, TWO_CAFS, "921", "/", &[]);
        assert_eq!(fate(&told), (false, "trop-d-essais", "lock"), "{told}");
        assert_eq!(sign_in(&mut world.gateway.client(), TWO_CAFS, "faux-2026").code(), "trop-d-essais");
        assert_eq!(world.gateway.cli(&["account", "reactivate", TWO_CAFS]).0, 0);

        assert_eq!(world.gateway.cli(&["account", "unlock", TWO_CAFS]).0, 0);
        for more in [&["--from", "127.0.0.1"][..], &[]] {
            let told = explain(&world, TWO_CAFS, "921", "/", more);
            assert_eq!(fate(&told), (true, "-", "-"), "{told}");
        }
    }

    fn one_who_typed_too_many_identifiants_is_barred_and_it_is_told(kind: Kind) {
        let world = World::new(kind);
        let mut client = world.signed_in(UNKNOWN_SIRET);
        assert_eq!(client.post("/portail/caf").json(&json!({"caf": "921"})).send().etat(), "etablissement_a_identifier");
        let mut kind_of = |typed: &str| {
            client.post("/portail/etablissement").json(&json!({"identifiant_communication": typed})).send()
        };
        for _ in 0..5 {
            assert_eq!(kind_of("999").code(), "etablissement-inconnu");
        }
        assert_eq!(kind_of("999").code(), "trop-d-essais");
        let told = explain(&world, UNKNOWN_SIRET, "921", "/", &[]);
        assert_eq!(fate(&told), (false, "trop-d-essais", "establishment"), "{told}");
        let told = explain(&world, UNKNOWN_SIRET, "751", "/", &[]);
        assert_eq!(fate(&told), (false, "etablissement-a-identifier", "establishment"), "{told}");
        let later = ["--at", "2026-12-15T12:15"];
        let told = explain(&world, UNKNOWN_SIRET, "921", "/", &later);
        assert_eq!(fate(&told), (false, "etablissement-a-identifier", "establishment"), "{told}");
    }
}

#[test]
fn a_request_that_real_ones_are_refused_for_is_refused_and_no_other() {
    let world = World::new(Kind::Embedded);
    let client = world.admitted();
    for path in [
        "/a\"b", "/a{b}", "/a|b", "/a?b'c", "/a?b\"c", "/a?{b}|c", "/a`b", "/a?`", "/a^b", "/a>b", "/café",
        "/a?é",
    ] {
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: a\r\nCookie: {}\r\nConnection: close\r\n\r\n",
            client.cookies()
        );
        let answered = client.raw(head.as_bytes()).map(|answer| answer.status);
        let told = explain(&world, ONE_CAF, "921", path, &[]);
        let expected =
            if answered == Some(200) { (true, "-", "-") } else { (false, "requete-invalide", "path") };
        assert_eq!(fate(&told), expected, "{path} is answered {answered:?}: {told}");
    }
}

#[test]
fn a_backend_that_takes_nothing_stops_the_present_alone() {
    let world = World::new(Kind::Embedded);
    let step = |told: &Value| {
        let last = told["steps"].as_array().unwrap().last().unwrap();
        (last["step"].clone(), last["outcome"].clone(), last["reason"].as_str().unwrap().to_owned())
    };
    let told = explain(&world, ONE_CAF, "921", "/", &[]);
    assert_eq!(step(&told), (json!("backend"), json!("passes"), "1 of 1 instances up".to_owned()));
    let url = format!("http://{}", world.caf921.address);
    for more in [&["--instance", &url][..], &[]] {
        let order = |what: &str| {
            let words: Vec<&str> = ["caf", what, "921"].iter().chain(more).copied().collect();
            assert_eq!(world.gateway.cli(&words).0, 0);
        };
        order("drain");
        let told = explain(&world, ONE_CAF, "921", "/", &[]);
        assert_eq!(fate(&told), (false, "caf-indisponible", "backend"), "{told}");
        assert_eq!(
            world.admitted().get("/").program().send().problem(),
            (503, "caf-indisponible".to_owned())
        );
        // The present, as a clock shows it.
        let told = explain(&world, ONE_CAF, "921", "/", &["--at", "2026-12-15T12:00"]);
        assert_eq!(fate(&told), (false, "caf-indisponible", "backend"), "{told}");
        for another in ["2026-12-15T12:01", "2026-12-16"] {
            let told = explain(&world, ONE_CAF, "921", "/", &["--at", another]);
            assert_eq!(fate(&told), (true, "-", "-"), "{told}");
        }
        let (_, table, _) =
            world.gateway.cli(&["explain", "--account", ONE_CAF, "--caf", "921", "--path", "/"]);
        assert!(
            table.contains("STOP  backend ") && table.contains("the answer is caf-indisponible"),
            "{table}"
        );
        assert!(table.lines().all(|line| line.chars().count() <= 100), "{table}");
        order("undrain");
    }
    assert_eq!(fate(&explain(&world, ONE_CAF, "921", "/", &[])), (true, "-", "-"));
    assert_eq!(fate(&explain(&world, ONE_CAF, "921", "/portail/caf", &[])), (false, "-", "path"));
}

#[test]
fn instances_that_fail_their_checks_are_told_and_one_that_is_well_is_enough() {
    let (up, down) = (Backend::start("131"), Backend::start("131"));
    let unwell = || respond("HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n");
    let world = World::with(Kind::Embedded, |settings| {
        settings.set("backend", "check_interval", r#""50ms""#);
        settings.caf("131", "Caf des Bouches-du-Rhône", &[up.address, down.address]);
        settings.caf_line("check_path = \"/sante\"");
    });
    world.gateway.accounts(&[crate::harness::world::account("sud@esat.example", SIRET, &["131"])]);
    world.gateway.establishments(&[json!({"caf": "131", "siret": SIRET})]);
    let ask = || explain(&world, "sud@esat.example", "131", "/", &[]);
    let reason = |told: &Value| {
        told["steps"].as_array().unwrap().last().unwrap()["reason"].as_str().unwrap().to_owned()
    };
    down.script(unwell());
    eventually("one fails", || reason(&ask()) == "1 of 2 instances up");
    assert_eq!(fate(&ask()), (true, "-", "-"));
    up.script(unwell());
    eventually("both do", || !ask()["forwarded"].as_bool().unwrap());
    let told = ask();
    assert_eq!(fate(&told), (false, "caf-indisponible", "backend"), "{told}");
    assert_eq!(reason(&told), "none of 2 instances is up: 0 drained, 2 failing checks");
}

#[test]
fn an_instant_is_judged_to_the_second() {
    let world = World::new(Kind::Embedded);
    let mut account = crate::harness::world::account("avance@esat.example", SIRET, &["921"]);
    account["password_changed_at"] = json!("2026-12-10T08:00:00Z");
    world.gateway.accounts(&[account]);
    let at = |instant: &str, path: &str| {
        let told = explain(&world, "avance@esat.example", "921", path, &["--at", instant]);
        let (forwarded, code, _) = fate(&told);
        (forwarded, code.to_owned())
    };
    let open = (true, "-".to_owned());
    let closed = (false, "volet-ferme".to_owned());
    assert_eq!(at("2026-11-30T23:59:59+01:00", CERTIFICATE), closed);
    assert_eq!(at("2026-12-01T00:00:00+01:00", CERTIFICATE), open);
    assert_eq!(at("2027-02-28T23:59:59+01:00", CERTIFICATE), open);
    assert_eq!(at("2027-03-01T00:00:00+01:00", CERTIFICATE), closed);
    assert_eq!(at("2028-02-29T12:00:00+01:00", CERTIFICATE).1, "mot-de-passe-a-changer");
    // As a clock in Paris shows it, and from elsewhere.
    assert_eq!(at("2026-11-30T23:59:59", CERTIFICATE), closed);
    assert_eq!(at("2026-12-01", CERTIFICATE), open);
    assert_eq!(at("2027-02-28 23:59", CERTIFICATE), open);
    assert_eq!(at("2027-03-01", CERTIFICATE), closed);
    assert_eq!(at("2027-02-28T17:59:59-05:00", CERTIFICATE), open);
    assert_eq!(at("2027-02-28T18:00:00-05:00", CERTIFICATE), closed);
    // 92 × 86,400 s after the change.
    assert_eq!(at("2027-03-12T07:59:59Z", "/"), open);
    assert_eq!(at("2027-03-12T08:00:00Z", "/"), (false, "mot-de-passe-a-changer".to_owned()));
}

#[test]
fn it_reads_well_and_refuses_what_it_cannot_explain() {
    let world = World::new(Kind::Embedded);
    let ask = |account: &str, caf: &str, path: &str| {
        world.gateway.cli(&["explain", "--account", account, "--caf", caf, "--path", path])
    };
    let (code, out, _) = ask(ONE_CAF, "921", CERTIFICATE);
    assert_eq!(code, 0);
    assert!(out.lines().all(|line| line.chars().count() <= 100), "{out}");
    assert!(out.contains("volet certificat-emploi is open on 2026-12-15, until 2027-02-28"), "{out}");
    assert!(out.trim_end().ends_with("Forwarded to Caf 921."), "{out}");
    let (_, out, _) = ask(UNKNOWN_SIRET, "921", "/");
    let until = "Not forwarded until what is asked for is given: the answer is etablissement-a-identifier.";
    assert!(out.trim_end().ends_with(until), "{out}");
    for (account, caf, path, exit, said) in [
        ("personne@esat.example", "921", "/", 1, "there is no account personne@esat.example"),
        (ONE_CAF, "999", "/", 1, "no Caf 999"),
        (ONE_CAF, "921", "sans-barre", 2, "begins with /"),
        ("pas une adresse", "921", "/", 2, "pas une adresse"),
        (ONE_CAF, "92", "/", 2, "92"),
    ] {
        let (code, _, err) = ask(account, caf, path);
        assert_eq!(code, exit, "{err}");
        assert!(err.contains(said), "{err}");
    }
    for at in ["demain", "2027-02-29", "2027-02-28T23:59+99:00"] {
        let words = ["explain", "--account", ONE_CAF, "--caf", "921", "--path", "/", "--at", at];
        let (code, _, err) = world.gateway.cli(&words);
        assert_eq!(code, 2, "{err}");
        assert!(err.contains("2027-01-20T12:00"), "{err}");
    }
    let mut admin = world.gateway.admin();
    let mut told_at = |at: &str| {
        admin.get(&format!("/v1/explain?account={ONE_CAF}&caf=921&path=/&at={at}")).program().send()
    };
    assert_eq!(told_at("2027-02-28T23:59").json()["at"], "2027-02-28T22:59:00Z");
    assert_eq!(told_at("2027-02-28T23:59:00+01:00").json()["at"], "2027-02-28T22:59:00Z");
    assert_eq!(told_at("demain").status, 400);
}
