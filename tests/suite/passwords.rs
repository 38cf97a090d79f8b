//! The password's life (rule 2; contract, section 2).

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::harness::client::{Client, Response};
use crate::harness::eventually;
use crate::harness::gateway::NOON;
use crate::harness::world::{Kind, ONE_CAF, PASSWORD, PROVISIONAL, SIRET, TWO_CAFS, World, account, sign_in};
use crate::on_each_store;

const NEW: &str = "Platane-2027";

fn change(client: &mut Client, current: &str, new: &str) -> Response {
    let body = json!({"mot_de_passe_actuel": current, "nouveau_mot_de_passe": new});
    client.post("/portail/mot-de-passe").json(&body).send()
}

fn etat(client: &mut Client) -> String {
    client.get("/portail/session").send().etat()
}

/// An account whose password was changed then.
fn changed_at(identifiant: &str, cafs: &[&str], at: &str) -> Value {
    let mut account = account(identifiant, SIRET, cafs);
    account["password_changed_at"] = json!(at);
    account
}

on_each_store! {
    fn a_provisional_password_opens_nothing_but_its_change(kind: Kind) {
        let world = World::new(kind);
        let mut client = world.gateway.client();
        assert_eq!(sign_in(&mut client, PROVISIONAL, PASSWORD).etat(), "mot_de_passe_a_changer");
        let refused = (403, "mot-de-passe-a-changer".to_owned());
        assert_eq!(client.get("/").program().send().problem(), refused);
        assert_eq!(client.post("/portail/caf").json(&json!({"caf": "921"})).send().problem(), refused);
        let idc = json!({"identifiant_communication": "1"});
        assert_eq!(client.post("/portail/etablissement").json(&idc).send().problem(), refused);
        assert_eq!(world.caf921.count(), 0);

        let answer = change(&mut client, PASSWORD, NEW);
        assert_eq!(answer.etat(), "admis", "one Caf: straight through");
        assert_eq!(client.get("/").program().send().status, 200);
        assert_eq!(sign_in(&mut world.gateway.client(), PROVISIONAL, NEW).etat(), "admis");
        let old = sign_in(&mut world.gateway.client(), PROVISIONAL, PASSWORD);
        assert_eq!(old.problem(), (401, "identifiants-invalides".to_owned()));
    }

    fn the_other_sessions_of_the_account_end_with_a_change(kind: Kind) {
        let world = World::new(kind);
        let (mut here, mut there) = (world.admitted(), world.admitted());
        let mut neighbour = world.at("751");
        assert_eq!(change(&mut here, PASSWORD, NEW).etat(), "admis");
        assert_eq!(there.get("/").program().send().problem(), (401, "session-expiree".to_owned()));
        assert_eq!(here.get("/").program().send().status, 200);
        assert_eq!(neighbour.get("/").program().send().status, 200, "another account is not touched");
    }

    fn the_last_five_passwords_may_not_come_back(kind: Kind) {
        let world = World::new(kind);
        let mut client = world.admitted();
        let taken: Vec<String> = (1..=6).map(|n| format!("Platane-202{n}")).collect();
        let mut current = PASSWORD.to_owned();
        for new in &taken {
            assert_eq!(change(&mut client, &current, new).etat(), "admis", "{new}");
            current.clone_from(new);
        }
        // The current one and the five before it.
        for used in &taken {
            let answer = change(&mut client, &current, used);
            assert_eq!(answer.problem(), (422, "mot-de-passe-refuse".to_owned()), "{used}");
            assert_eq!(answer.json()["regles"], json!(["deja-utilise"]));
        }
        assert_eq!(change(&mut client, &current, PASSWORD).etat(), "admis", "the sixth before it may");
    }
}

/// The first of two clicks has changed it, and the token: the second is not asked for what its form never had.
#[test]
fn a_second_click_on_its_change_is_told_that_the_session_went_on() {
    let world = World::new(Kind::Embedded);
    let mut client = world.signed_in(ONE_CAF);
    let mut second = world.gateway.known(&client);
    let fields = [("mot_de_passe_actuel", PASSWORD), ("nouveau_mot_de_passe", "Nouveau-2027")];
    assert_eq!(client.post("/portail/mot-de-passe").program().form(&fields).send().status, 200);
    let told = second.post("/portail/mot-de-passe").program().form(&fields).send();
    assert_eq!(told.problem(), (401, "session-expiree".to_owned()));
    assert_eq!(client.get("/").program().send().status, 200);
}

#[test]
fn ninety_two_days_count_to_the_second_at_sign_in() {
    let mut world = World::new(Kind::Embedded);
    let mut age = |seconds: i64, expected: &str| {
        // Changed at NOON; put the clock so many seconds later.
        world.gateway.set_clock(NOON);
        world.gateway.advance(seconds);
        let answer = sign_in(&mut world.gateway.client(), ONE_CAF, PASSWORD);
        assert_eq!(answer.etat(), expected, "{seconds} s");
        answer.json()
    };
    assert_eq!(age(92 * 86_400 - 1, "admis")["mot_de_passe"]["jours_restants"], 1);
    let due = age(92 * 86_400, "mot_de_passe_a_changer");
    assert_eq!(due["mot_de_passe"]["jours_restants"], 0);
    assert!(due.get("cafs").is_none_or(Value::is_null), "no Caf is told yet");
}

#[test]
fn ninety_two_days_count_to_the_second_at_the_entry_to_a_caf() {
    let mut world = World::new(Kind::Embedded);
    let signed_in_at = "2026-12-15T12:00:00+01:00";
    let (late, in_time) = ("tard@esat.example", "a.temps@esat.example");
    // Due ten minutes after the sign-in, and a second later.
    world.gateway.accounts(&[
        changed_at(late, &["921", "751"], "2026-09-14T11:10:00Z"),
        changed_at(in_time, &["921", "751"], "2026-09-14T11:10:01Z"),
    ]);
    let enter = |world: &mut World, identifiant: &str| {
        world.gateway.set_clock(signed_in_at);
        let mut client = world.signed_in(identifiant);
        world.gateway.advance(600);
        let answer = client.post("/portail/caf").json(&json!({"caf": "921"})).send();
        (answer, client)
    };
    let (answer, mut client) = enter(&mut world, in_time);
    assert_eq!(answer.etat(), "admis");
    // A sitting in progress is not cut.
    world.gateway.advance(1_200);
    assert_eq!(client.get("/").program().send().status, 200);
    // The next entry asks for the change.
    let answer = client.post("/portail/caf").json(&json!({"caf": "751"})).send();
    assert_eq!(answer.etat(), "mot_de_passe_a_changer");
    let (answer, mut client) = enter(&mut world, late);
    assert_eq!(answer.etat(), "mot_de_passe_a_changer");
    assert_eq!(change(&mut client, PASSWORD, NEW).etat(), "caf_a_choisir", "on where one was");
}

#[test]
fn a_change_starts_the_ninety_two_days_anew() {
    let mut world = World::new(Kind::Embedded);
    world.gateway.advance(92 * 86_400);
    let mut client = world.gateway.client();
    assert_eq!(sign_in(&mut client, ONE_CAF, PASSWORD).etat(), "mot_de_passe_a_changer");
    let answer = change(&mut client, PASSWORD, NEW);
    assert_eq!(answer.json()["mot_de_passe"]["jours_restants"], 92);
    world.gateway.advance(92 * 86_400 - 1);
    assert_eq!(sign_in(&mut world.gateway.client(), ONE_CAF, NEW).etat(), "admis");
    world.gateway.advance(1);
    assert_eq!(sign_in(&mut world.gateway.client(), ONE_CAF, NEW).etat(), "mot_de_passe_a_changer");
}

#[test]
fn every_rule_that_is_broken_is_listed() {
    let world = World::new(Kind::Embedded);
    let mut client = world.admitted();
    for (candidate, rules) in [
        ("", json!(["longueur", "lettre", "chiffre"])),
        ("abc1", json!(["longueur"])),
        ("abcdefgh", json!(["chiffre"])),
        ("12345678", json!(["lettre"])),
        ("Tilleul-2026", json!(["deja-utilise"])),
        ("x1-UNE.caf@esat.example", json!(["identifiant"])),
    ] {
        let answer = change(&mut client, PASSWORD, candidate);
        assert_eq!(answer.problem(), (422, "mot-de-passe-refuse".to_owned()), "{candidate}");
        assert_eq!(answer.json()["regles"], rules, "{candidate}");
    }
    // Eight characters are enough; longer and richer ones are welcome.
    assert_eq!(change(&mut client, PASSWORD, "abcdef12").etat(), "admis");
    assert_eq!(change(&mut client, "abcdef12", "été 2027 à Brest, près du pont !").etat(), "admis");
    assert_eq!(etat(&mut client), "admis");
}

#[test]
fn the_confirmation_counts_where_it_is_given() {
    let world = World::new(Kind::Embedded);
    let mut client = world.admitted();
    let typed = |confirmation: &str| json!({"mot_de_passe_actuel": PASSWORD, "nouveau_mot_de_passe": NEW, "confirmation": confirmation});
    let answer = client.post("/portail/mot-de-passe").json(&typed("Platane-2028")).send();
    assert_eq!(answer.problem(), (422, "mot-de-passe-refuse".to_owned()));
    assert_eq!(answer.json()["regles"], json!(["confirmation"]));
    assert_eq!(client.post("/portail/mot-de-passe").json(&typed(NEW)).send().etat(), "admis");
}

#[test]
fn the_current_password_must_be_right() {
    let world = World::new(Kind::Embedded);
    let mut client = world.admitted();
    let answer = change(&mut client, "Erable-2026", NEW);
    assert_eq!(answer.problem(), (401, "identifiants-invalides".to_owned()));
    assert_eq!(sign_in(&mut world.gateway.client(), ONE_CAF, PASSWORD).etat(), "admis");
    assert_eq!(etat(&mut client), "admis", "the session is not lost");
}

#[test]
fn it_can_be_changed_from_the_home_page_without_a_session() {
    let world = World::new(Kind::Embedded);
    let mut elsewhere = world.signed_in(TWO_CAFS);
    let mut client = world.gateway.client();
    let body = json!({"identifiant": TWO_CAFS, "mot_de_passe_actuel": PASSWORD, "nouveau_mot_de_passe": NEW});
    let answer = client.post("/portail/mot-de-passe").json(&body).send();
    assert_eq!(answer.etat(), "caf_a_choisir", "it signs in");
    assert!(client.session().is_some());
    assert_eq!(elsewhere.get("/portail/session").send().problem(), (401, "session-expiree".to_owned()));
    let mut client = world.gateway.client();
    let answer = client.post("/portail/mot-de-passe").json(&body).send();
    assert_eq!(answer.problem(), (401, "identifiants-invalides".to_owned()));
}

#[test]
fn a_form_changes_it_too_and_leads_on() {
    let world = World::new(Kind::Embedded);
    let mut client = world.gateway.client();
    sign_in(&mut client, PROVISIONAL, PASSWORD);
    let page = client.get("/portail/mot-de-passe").page().send().text();
    let rules = page.find("8 caractères").expect("the rules are shown");
    assert!(rules < page.find("name=\"nouveau_mot_de_passe\"").unwrap(), "before the form");
    let typed = |new: &'static str| {
        [
            ("mot_de_passe_actuel", PASSWORD),
            ("nouveau_mot_de_passe", new),
            ("confirmation", new),
            ("retour", "/a"),
        ]
    };
    let answer = client.post("/portail/mot-de-passe").form(&typed("court1")).send();
    assert_eq!(answer.status, 422);
    assert!(answer.text().contains("name=\"nouveau_mot_de_passe\""), "the form again");
    assert!(!answer.text().contains("court1"));
    let answer = client.post("/portail/mot-de-passe").form(&typed(NEW)).send();
    assert_eq!(answer.redirect(), (303, "/a".to_owned()));
}

#[test]
fn a_caf_may_force_a_change_at_any_time() {
    let world = World::new(Kind::Embedded);
    let done = world.gateway.admin().post(&format!("/v1/accounts/{ONE_CAF}/force-change")).send();
    assert_eq!(done.status, 200, "{}", done.text());
    let mut client = world.gateway.client();
    assert_eq!(sign_in(&mut client, ONE_CAF, PASSWORD).etat(), "mot_de_passe_a_changer");
    assert_eq!(change(&mut client, PASSWORD, NEW).etat(), "admis");
}

#[test]
fn what_is_guessed_first_is_refused_with_its_reason() {
    let world = World::new(Kind::Embedded);
    let mut client = world.admitted();
    for (candidate, rule, sentence) in [
        ("Passw0rd", "trop-faible", "trop facile à deviner"),
        ("abcd1234", "trop-faible", "trop facile à deviner"),
        ("une-Caf-2027", "identifiant", "votre identifiant"),
        ("73282932000074-a", "etablissement", "votre SIRET"),
        ("Hauts-de-Seine92", "etablissement", "nom de votre Caf"),
        ("Tilleuls-2027", "etablissement", "nom de votre ESAT"),
        ("Motdepasse1", "trop-faible", "beaucoup de personnes"),
    ] {
        let answer = change(&mut client, PASSWORD, candidate);
        assert_eq!(answer.problem(), (422, "mot-de-passe-refuse".to_owned()), "{candidate}");
        assert_eq!(answer.json()["regles"], json!([rule]), "{candidate}");
        let fields = [
            ("mot_de_passe_actuel", PASSWORD),
            ("nouveau_mot_de_passe", candidate),
            ("confirmation", candidate),
        ];
        let page = client.post("/portail/mot-de-passe").form(&fields).send();
        assert!(page.status == 422 && page.text().contains(sentence), "{candidate}: {}", page.text());
    }
    let mut current = PASSWORD;
    for accepted in ["Nouveau2026x", "abcdef12", "Tilleuls et girafe 27"] {
        assert_eq!(change(&mut client, current, accepted).etat(), "admis", "{accepted}");
        current = accepted;
    }
}

#[test]
fn the_least_strength_is_the_operators_and_provisional_passwords_are_exempt() {
    let world = World::with(Kind::Embedded, |settings| {
        settings.set("password", "min_strength", "4");
    });
    let mut client = world.admitted();
    assert_eq!(change(&mut client, PASSWORD, NEW).json()["regles"], json!(["trop-faible"]));
    assert_eq!(change(&mut client, PASSWORD, "girafe violette 42 tambours").etat(), "admis");
    let reset = world.gateway.admin().post(&format!("/v1/accounts/{ONE_CAF}/reset-password")).send();
    assert_eq!(reset.status, 200, "{}", reset.text());
}

#[test]
fn a_stolen_password_is_refused_by_the_operators_list() {
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("pwned.txt");
    // SHA-1 of Platane-2027, between two others, as Have I Been Pwned writes them.
    let stolen = sha1(NEW);
    let mut lines =
        [format!("{stolen}:12"), format!("{}:3", "0".repeat(40)), format!("{}:1", "F".repeat(40))];
    lines.sort();
    std::fs::write(&list, lines.join("\r\n") + "\r\n").unwrap();
    let world = World::with(Kind::Embedded, |settings| {
        settings.set("password", "breached_file", &format!("{:?}", list.display().to_string()));
    });
    let mut client = world.admitted();
    let answer = change(&mut client, PASSWORD, NEW);
    assert_eq!(answer.problem(), (422, "mot-de-passe-refuse".to_owned()));
    assert_eq!(answer.json()["regles"], json!(["compromis"]));
    assert_eq!(change(&mut client, PASSWORD, "Platane-2028").etat(), "admis");
    // A list that breaks later bars nobody's way.
    std::fs::write(&list, "broken").unwrap();
    assert_eq!(change(&mut client, "Platane-2028", NEW).etat(), "admis");
    eventually("the operator is told", || world.gateway.logs().contains("breached_file"));
}

fn sha1(text: &str) -> String {
    use std::fmt::Write as _;
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes());
    hash.as_ref().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02X}");
        text
    })
}

on_each_store! {
    fn the_next_sign_in_tells_of_those_that_failed(kind: Kind) {
        let mut world = World::new(kind);
        let first = sign_in(&mut world.gateway.client(), TWO_CAFS, PASSWORD);
        assert!(first.json().get("derniere_connexion").is_none(), "{}", first.text());
        world.gateway.advance(60);
        for _ in 0..3 {
            sign_in(&mut world.gateway.client(), TWO_CAFS, "Erable-2026");
        }
        let mut client = world.gateway.client();
        let told = json!({"le": "2026-12-15T11:00:00Z", "echecs_depuis": 3});
        assert_eq!(sign_in(&mut client, TWO_CAFS, PASSWORD).json()["derniere_connexion"], told);
        assert_eq!(client.post("/portail/caf").json(&json!({"caf": "921"})).send().json()["derniere_connexion"], told);
        let page = client.get("/portail/connexion").page().send().text();
        let said = "3 essais de connexion à votre compte ont échoué depuis votre connexion du 15 décembre 2026 à 12\u{a0}h\u{a0}00";
        assert!(page.contains(said), "{page}");
        // Those that a lock kept out are told of, too, and a day's silence forgets none.
        for _ in 0..7 {
            sign_in(&mut world.gateway.client(), TWO_CAFS, "Erable-2026");
        }
        world.gateway.advance(3 * 86_400);
        let told = json!({"le": "2026-12-15T11:01:00Z", "echecs_depuis": 7});
        assert_eq!(sign_in(&mut world.gateway.client(), TWO_CAFS, PASSWORD).json()["derniere_connexion"], told);
        let told = json!({"le": "2026-12-18T11:01:00Z", "echecs_depuis": 0});
        assert_eq!(sign_in(&mut world.gateway.client(), TWO_CAFS, PASSWORD).json()["derniere_connexion"], told);
    }
}

#[test]
fn a_flood_of_sign_ins_is_shed_and_yields_to_everybody() {
    let world = World::new(Kind::Embedded);
    let mut admitted = world.admitted();
    let guesses: Vec<_> = (0..200)
        .map(|number| {
            let mut client = world.gateway.client();
            std::thread::spawn(move || {
                sign_in(&mut client, &format!("x{number}@flood.example"), "Erable-2026")
            })
        })
        .collect();
    assert_eq!(admitted.get("/").program().send().status, 200);
    let (mut judged, mut shed) = (0, 0);
    for answer in guesses.into_iter().map(|guess| guess.join().unwrap()) {
        if answer.status == 401 {
            judged += 1;
        } else {
            assert_eq!(answer.problem(), (503, "service-indisponible".to_owned()));
            assert!(answer.header("retry-after").is_some());
            shed += 1;
        }
    }
    assert!(judged > 0 && shed > 0, "{judged} judged, {shed} shed");
    // The 19th field (proc(5)); the name, in brackets, is the second.
    let tasks = std::fs::read_dir(format!("/proc/{}/task", world.gateway.pid())).unwrap();
    let niceness = |stat: &str| stat.rsplit(')').next()?.split_whitespace().nth(16)?.parse::<i32>().ok();
    let stats: Vec<String> = tasks
        .map(|task| std::fs::read_to_string(task.unwrap().path().join("stat")).unwrap_or_default())
        .collect();
    let nice = |name: &str| -> Vec<i32> {
        stats.iter().filter(|stat| stat.contains(name)).filter_map(|stat| niceness(stat)).collect()
    };
    let own = nice("(octroi-worker")[0];
    let hashing = nice("(octroi-hash");
    assert!(!hashing.is_empty() && hashing.iter().all(|niceness| *niceness > own), "{stats:?}");
}

#[test]
fn an_owner_whose_sign_ins_were_shed_is_not_locked_out() {
    let world = World::new(Kind::Embedded);
    let over = std::sync::atomic::AtomicBool::new(false);
    let mut shed = 0;
    let mut owner = world.gateway.client();
    std::thread::scope(|scope| {
        for number in 0..100 {
            let (gateway, over) = (&world.gateway, &over);
            scope.spawn(move || {
                let mut client = gateway.client();
                while !over.load(std::sync::atomic::Ordering::Relaxed) {
                    sign_in(&mut client, &format!("x{number}@flood.example"), "Erable-2026");
                }
            });
        }
        // One more in a row than wrong passwords are borne; one that has luck begins anew.
        let begun = Instant::now();
        while shed <= 5 && begun.elapsed() < Duration::from_mins(1) {
            let status = sign_in(&mut owner, ONE_CAF, PASSWORD).status;
            if status == 429 {
                break;
            }
            shed = if status == 503 { shed + 1 } else { 0 };
        }
        over.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    assert!(shed > 5, "shed only {shed} times in a row");
    assert_eq!(sign_in(&mut owner, ONE_CAF, PASSWORD).etat(), "admis");
}
