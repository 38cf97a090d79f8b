//! The users' rules, by their numbers.

use serde_json::{Value, json};

use crate::harness::client::Client;
use crate::harness::world::{
    COMMUNICATION, ONE_CAF, OTHER_SIRET, PASSWORD, PROVISIONAL, SIRET, TWO_CAFS, UNKNOWN_SIRET, World,
    account, sign_in,
};
use crate::on_each_store;

const NEW: &str = "Nouveau-2027";

fn change(client: &mut Client, current: &str, new: &str) -> crate::harness::client::Response {
    let body = json!({"mot_de_passe_actuel": current, "nouveau_mot_de_passe": new});
    client.post("/portail/mot-de-passe").json(&body).send()
}

fn choose(client: &mut Client, caf: &str) -> crate::harness::client::Response {
    client.post("/portail/caf").json(&json!({ "caf": caf })).send()
}

fn identify(client: &mut Client, typed: &str) -> crate::harness::client::Response {
    client.post("/portail/etablissement").json(&json!({ "identifiant_communication": typed })).send()
}

fn state(client: &mut Client) -> Value {
    client.get("/portail/session").program().send().json()
}

on_each_store! {
    fn rule_1_the_home_page_carries_the_legal_notice_before_the_form(kind: Kind) {
        let world = World::new(kind);
        let page = world.gateway.client().get("/portail/connexion").page().send();
        let text = page.text();
        let (law, form) = (text.find("5 janvier 1988").unwrap(), text.find("<form").unwrap());
        assert!(law < form, "{text}");
        assert!(text.contains("88-19"), "{text}");
    }

    fn rule_1_one_answer_for_unknown_wrong_and_suspended(kind: Kind) {
        let world = World::new(kind);
        let mut suspended = account("suspendu@esat.example", SIRET, &["921"]);
        suspended["status"] = json!("suspended");
        world.gateway.accounts(&[suspended]);
        let mut client = world.gateway.client();
        let mut answers = Vec::new();
        for (who, password) in [
            ("personne@esat.example", PASSWORD), (ONE_CAF, "Faux-2026"), ("suspendu@esat.example", PASSWORD),
        ] {
            let answer = sign_in(&mut client, who, password);
            assert_eq!(answer.problem(), (401, "identifiants-invalides".to_owned()), "{who}");
            let mut said = answer.json();
            said["requete"] = json!("");
            answers.push(said);
            assert!(client.session().is_none());
        }
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    }

    fn rule_2_a_provisional_password_only_opens_its_change(kind: Kind) {
        let world = World::new(kind);
        let mut client = world.gateway.client();
        assert_eq!(sign_in(&mut client, PROVISIONAL, PASSWORD).etat(), "mot_de_passe_a_changer");
        assert_eq!(client.get("/").program().send().problem(), (403, "mot-de-passe-a-changer".to_owned()));
        assert_eq!(choose(&mut client, "921").problem(), (403, "mot-de-passe-a-changer".to_owned()));
        assert_eq!(world.caf921.count(), 0);
        let before = client.session().unwrap().to_owned();
        assert_eq!(change(&mut client, PASSWORD, NEW).etat(), "admis");
        assert_ne!(client.session().unwrap(), before);
        assert_eq!(client.get("/").program().send().status, 200);
        let mut again = world.gateway.client();
        assert_eq!(sign_in(&mut again, PROVISIONAL, PASSWORD).code(), "identifiants-invalides");
        assert_eq!(sign_in(&mut again, PROVISIONAL, NEW).etat(), "admis");
    }

    fn rule_2_ninety_two_days_to_the_second(kind: Kind) {
        let mut world = World::new(kind);
        world.gateway.advance(92 * 86_400 - 1);
        let mut client = world.gateway.client();
        let answer = sign_in(&mut client, ONE_CAF, PASSWORD);
        assert_eq!(answer.etat(), "admis");
        assert_eq!(answer.json()["mot_de_passe"]["jours_restants"], 1);
        world.gateway.advance(1);
        // A sitting is not cut in its middle.
        assert_eq!(client.get("/").program().send().status, 200);
        let mut late = world.gateway.client();
        assert_eq!(sign_in(&mut late, ONE_CAF, PASSWORD).etat(), "mot_de_passe_a_changer");
        assert_eq!(late.get("/").program().send().code(), "mot-de-passe-a-changer");
        assert_eq!(change(&mut late, PASSWORD, NEW).etat(), "admis");
    }

    fn rule_2_the_password_is_looked_at_when_entering_a_caf(kind: Kind) {
        let mut world = World::new(kind);
        world.gateway.advance(92 * 86_400 - 1);
        let mut client = world.signed_in(TWO_CAFS);
        assert_eq!(choose(&mut client, "921").etat(), "admis");
        world.gateway.advance(1);
        assert_eq!(choose(&mut client, "751").etat(), "mot_de_passe_a_changer");
    }

    fn rule_2_the_rules_that_a_new_password_breaks_are_told(kind: Kind) {
        let world = World::new(kind);
        let mut client = world.admitted();
        for (new, rules) in [
            ("court1", json!(["longueur"])),
            ("sansunchiffre", json!(["chiffre"])),
            ("1234567890", json!(["lettre"])),
            (PASSWORD, json!(["deja-utilise"])),
        ] {
            let refused = change(&mut client, PASSWORD, new);
            assert_eq!(refused.problem(), (422, "mot-de-passe-refuse".to_owned()), "{new}");
            assert_eq!(refused.json()["regles"], rules, "{new}");
        }
        assert_eq!(change(&mut client, "faux", NEW).problem(), (401, "identifiants-invalides".to_owned()));
    }

    fn rule_2_the_last_five_passwords_are_not_taken_again(kind: Kind) {
        let world = World::new(kind);
        let mut client = world.admitted();
        let mut current = PASSWORD.to_owned();
        for number in 1..=5 {
            let new = format!("Nouveau-{number}-2027");
            assert_eq!(change(&mut client, &current, &new).etat(), "admis");
            current = new;
        }
        assert_eq!(change(&mut client, &current, PASSWORD).json()["regles"], json!(["deja-utilise"]));
        assert_eq!(change(&mut client, &current, "Nouveau-6-2027").etat(), "admis");
        assert_eq!(change(&mut client, "Nouveau-6-2027", PASSWORD).etat(), "admis");
    }

    fn rule_2_a_change_ends_every_other_session(kind: Kind) {
        let world = World::new(kind);
        let (mut here, mut there) = (world.admitted(), world.admitted());
        assert_eq!(change(&mut here, PASSWORD, NEW).etat(), "admis");
        assert_eq!(there.get("/").program().send().problem(), (401, "session-expiree".to_owned()));
        assert_eq!(here.get("/").program().send().status, 200);
    }

    fn rule_2_it_can_be_changed_from_the_home_page(kind: Kind) {
        let world = World::new(kind);
        let mut client = world.gateway.client();
        let body = json!({"identifiant": ONE_CAF, "mot_de_passe_actuel": PASSWORD, "nouveau_mot_de_passe": NEW});
        assert_eq!(client.post("/portail/mot-de-passe").json(&body).send().etat(), "admis");
        assert_eq!(sign_in(&mut world.gateway.client(), ONE_CAF, NEW).etat(), "admis");
    }

    fn rule_3_one_caf_goes_straight_through_and_several_are_chosen_from(kind: Kind) {
        let world = World::new(kind);
        let mut one = world.gateway.client();
        let answer = sign_in(&mut one, ONE_CAF, PASSWORD);
        assert_eq!((answer.etat().as_str(), &answer.json()["caf"]["code"]), ("admis", &json!("921")));
        let mut several = world.gateway.client();
        assert_eq!(sign_in(&mut several, TWO_CAFS, PASSWORD).etat(), "caf_a_choisir");
        assert_eq!(several.get("/").program().send().problem(), (403, "caf-a-choisir".to_owned()));
        let before = several.session().unwrap().to_owned();
        assert_eq!(choose(&mut several, "751").json()["caf"]["nom"], "Caf de Paris");
        assert_ne!(several.session().unwrap(), before);
        assert_eq!(choose(&mut one, "751").problem(), (403, "caf-non-habilitee".to_owned()));
        assert_eq!(choose(&mut one, "999").problem(), (403, "caf-non-habilitee".to_owned()));
    }

    fn rule_4_an_unknown_siret_types_its_identifiant_de_communication(kind: Kind) {
        let world = World::new(kind);
        let mut client = world.signed_in(UNKNOWN_SIRET);
        assert_eq!(choose(&mut client, "921").etat(), "etablissement_a_identifier");
        assert_eq!(client.get("/").program().send().problem(), (403, "etablissement-a-identifier".to_owned()));
        let wrong = identify(&mut client, "99");
        assert_eq!(wrong.problem(), (403, "etablissement-inconnu".to_owned()));
        assert!(wrong.text().contains("partenaires@caf921.example"), "{}", wrong.text());
        assert_eq!(identify(&mut client, &format!("000{COMMUNICATION}")).etat(), "admis");
        client.get("/").program().send();
        let told = world.caf921.last();
        assert_eq!(told.one("x-esat-identifiant-communication"), "00012345678");
        assert_eq!(told.one("x-esat-siret"), OTHER_SIRET);
        assert_eq!(choose(&mut client, "751").etat(), "etablissement_a_identifier");
        assert_eq!(identify(&mut client, COMMUNICATION).code(), "etablissement-inconnu", "another Caf, another name");
    }

    fn rule_4_five_wrong_identifiants_bar_the_way_for_a_quarter_of_an_hour(kind: Kind) {
        let mut world = World::new(kind);
        let mut client = world.signed_in(UNKNOWN_SIRET);
        choose(&mut client, "921");
        for wrong in ["1", "2", "3", "4", "5"] {
            assert_eq!(identify(&mut client, wrong).code(), "etablissement-inconnu");
        }
        let barred = identify(&mut client, COMMUNICATION);
        assert_eq!(barred.problem(), (429, "trop-d-essais".to_owned()));
        assert!(barred.text().contains("partenaires@caf921.example"), "{}", barred.text());
        assert_eq!(barred.header("retry-after"), Some("900"));
        world.gateway.advance(900);
        assert_eq!(identify(&mut client, COMMUNICATION).etat(), "admis");
    }

    fn rule_5_both_midnights_are_paris_midnights_to_the_second(kind: Kind) {
        let mut world = World::new(kind);
        let path = "/teleprocedure/certificat-emploi/1";
        for (instant, open) in [
            ("2026-11-30T23:59:59+01:00", false), ("2026-12-01T00:00:00+01:00", true),
            ("2027-02-28T23:59:59+01:00", true), ("2027-03-01T00:00:00+01:00", false),
            ("2028-02-29T23:59:59+01:00", true), ("2028-03-01T00:00:00+01:00", false),
        ] {
            world.gateway.set_clock(instant);
            let mut fresh = account(&format!("a{}@esat.example", instant.len() + usize::from(open)), SIRET, &["921"]);
            fresh["identifiant"] = json!(format!("a{}@esat.example", instant.replace([':', '+'], "-")));
            fresh["password_changed_at"] = json!(instant);
            world.gateway.accounts(std::slice::from_ref(&fresh));
            let mut client = world.signed_in(fresh["identifiant"].as_str().unwrap());
            let answer = client.get(path).program().send();
            if open {
                assert_eq!(answer.status, 200, "{instant}");
                assert_eq!(world.caf921.last().one("x-octroi-volets"), "certificat-emploi,changement-activite");
            } else {
                assert_eq!(answer.problem(), (403, "volet-ferme".to_owned()), "{instant}");
                assert_eq!(client.get("/teleprocedure/changement-activite").program().send().status, 200);
                assert_eq!(world.caf921.last().one("x-octroi-volets"), "changement-activite");
            }
        }
    }

    fn rule_5_no_spelling_of_a_path_opens_a_closed_volet(kind: Kind) {
        let mut world = World::new(kind);
        world.gateway.set_clock("2026-11-23T12:00:00+01:00");
        let mut client = world.admitted();
        for path in [
            "/teleprocedure/certificat-emploi", "/teleprocedure/certificat-emploi/", "/teleprocedure/%63ertificat-emploi",
            "/teleprocedure/x/../certificat-emploi", "/teleprocedure/certificat-emploi;a=b", "/./teleprocedure/certificat-emploi?x",
        ] {
            assert_eq!(client.get(path).program().send().code(), "volet-ferme", "{path}");
        }
        for path in ["/teleprocedure//certificat-emploi", "/teleprocedure/%2e/certificat-emploi", "/teleprocedure%2Fcertificat-emploi"] {
            assert_eq!(client.get(path).program().send().problem(), (400, "requete-invalide".to_owned()), "{path}");
        }
        assert_eq!(world.caf921.count(), 0);
    }

    fn rule_6_thirty_minutes_without_action_end_the_session(kind: Kind) {
        let mut world = World::new(kind);
        let mut client = world.admitted();
        world.gateway.advance(1_799);
        let seen = state(&mut client);
        assert_eq!((&seen["etat"], &seen["session"]["expire_dans_s"]), (&json!("admis"), &json!(1)));
        assert_eq!(client.get("/").program().send().status, 200);
        world.gateway.advance(1_799);
        assert_eq!(state(&mut client)["session"], json!({"expire_dans_s": 1, "alerte_dans_s": 0}));
        world.gateway.advance(1);
        assert_eq!(client.get("/").program().send().problem(), (401, "session-expiree".to_owned()));
        let revived = client.post("/portail/session/continuer").program().send();
        assert_eq!(revived.problem(), (401, "session-expiree".to_owned()));
    }

    fn rule_6_only_a_users_action_counts(kind: Kind) {
        let mut world = World::with(kind, |settings| {
            settings.set("session", "passive_paths", r#"["/notifications"]"#);
        });
        let mut client = world.admitted();
        world.gateway.advance(1_000);
        assert_eq!(state(&mut client)["session"]["expire_dans_s"], 800);
        client.get("/notifications/1").program().send();
        client.get("/logo.png").header("Sec-Fetch-Dest", "image").send();
        client.get("/portail/style.css").send();
        assert_eq!(state(&mut client)["session"]["expire_dans_s"], 800);
        assert_eq!(client.post("/portail/session/continuer").program().send().json()["session"]["expire_dans_s"], 1_800);
        world.gateway.advance(600);
        client.get("/page").header("Sec-Fetch-Dest", "document").send();
        assert_eq!(state(&mut client)["session"], json!({"expire_dans_s": 1800, "alerte_dans_s": 1500}));
    }

    fn rule_6_twelve_hours_end_any_session(kind: Kind) {
        let mut world = World::new(kind);
        let mut client = world.admitted();
        for _ in 0..27 {
            world.gateway.advance(1_599);
            assert_eq!(client.get("/").program().send().status, 200);
        }
        assert_eq!(state(&mut client)["session"]["expire_dans_s"], 43_200 - 27 * 1_599);
        world.gateway.advance(43_200 - 27 * 1_599);
        assert_eq!(client.get("/").program().send().code(), "session-expiree");
    }

    fn rule_7_leaving_shows_the_cafs_again_or_ends_the_session(kind: Kind) {
        let world = World::new(kind);
        let mut several = world.signed_in(TWO_CAFS);
        choose(&mut several, "921");
        assert_eq!(several.post("/portail/quitter").program().send().etat(), "caf_a_choisir");
        let mut one = world.admitted();
        let confirm = one.get("/portail/quitter").page().send();
        assert!(confirm.status == 200 && confirm.text().contains("action=\"/portail/quitter\""), "{}", confirm.text());
        assert_eq!(one.get("/").program().send().status, 200, "asking ends nothing");
        assert_eq!(one.post("/portail/quitter").form(&[]).send().redirect(), (303, "/portail/connexion".to_owned()));
        assert!(one.session().is_none());
    }

    fn rule_8_a_request_reaches_the_backend_of_its_sessions_caf_and_no_other(kind: Kind) {
        let world = World::new(kind);
        let mut client = world.signed_in(TWO_CAFS);
        choose(&mut client, "921");
        let stale = client.clone();
        choose(&mut client, "751");
        assert_eq!(client.get("/").header("X-Caf-Code", "921").send().problem(), (409, "caf-differente".to_owned()));
        assert_eq!(client.get("/").header("X-Caf-Code", "751").send().text(), "Caf 751");
        for header in ["X-Forwarded-Host", "X_Caf_Code", "X-Original-URL", "Forwarded"] {
            assert_eq!(client.get("/").header(header, "921").send().text(), "Caf 751");
        }
        let mut stale = stale;
        assert_eq!(stale.get("/").program().send().code(), "session-expiree", "a tab of the former Caf");
        assert_eq!(world.caf921.count(), 0);
    }
}
