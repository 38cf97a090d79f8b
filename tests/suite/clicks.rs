//! A form that is sent twice at once, as two clicks do: the second leads to where the first went, and a token that
//! was replaced opens nothing else, for nobody else.

use crate::harness::client::{Client, Response};
use crate::harness::world::{COMMUNICATION, ONE_CAF, PASSWORD, TWO_CAFS, UNKNOWN_SIRET, World};
use crate::on_each_store;

const FIREFOX: &str = "Mozilla/5.0 (Windows NT 10.0; rv:115.0) Gecko/20100101 Firefox/115.0";

fn click(client: &mut Client, path: &str, form: &[(&str, &str)]) -> Response {
    client.post(path).header("Sec-Fetch-Mode", "navigate").form(form).send()
}

/// The same browser as it was before an answer came.
fn before(world: &World, client: &Client) -> Client {
    let mut same = world.gateway.client();
    same.jar.clone_from(&client.jar);
    same
}

fn led(answer: &Response) -> (u16, String) {
    (answer.status, answer.header("location").unwrap_or_default().to_owned())
}

fn to(place: &str) -> (u16, String) {
    (303, place.to_owned())
}

on_each_store! {
    fn the_second_click_goes_where_the_first_went(kind: Kind) {
        let world = World::new(kind);
        let mut first = world.signed_in(UNKNOWN_SIRET);
        for (path, form, place) in [
            ("/portail/caf", ("caf", "921"), "/portail/etablissement"),
            ("/portail/etablissement", ("identifiant_communication", COMMUNICATION), "/"),
            ("/portail/quitter", ("", ""), "/portail/caf"),
            ("/portail/caf", ("caf", "751"), "/portail/etablissement"),
        ] {
            let (mut second, mut third) = (before(&world, &first), before(&world, &first));
            assert_eq!(led(&click(&mut first, path, &[form])), to(place), "{path}");
            // Each of them is answered with a cookie that lives, once those before it are forgotten.
            assert_eq!(led(&click(&mut second, path, &[form])), to(place), "{path}, again");
            assert_eq!(led(&click(&mut third, path, &[form])), to(place), "{path}, once more");
            assert_eq!(first.get("/portail/session").send().status, 401, "one session, one token");
            first = third;
            assert_eq!(first.get("/portail/session").send().status, 200, "{path}");
        }
        let told = first.get("/portail/sessions").program().send().json();
        assert_eq!(told["sessions"].as_array().map(Vec::len), Some(1), "{told}");
    }

    fn two_clicks_at_once_both_lead_on(kind: Kind) {
        let world = World::new(kind);
        for _ in 0..5 {
            let client = world.signed_in(TWO_CAFS);
            let (mut first, mut second) = (before(&world, &client), before(&world, &client));
            let answers = std::thread::scope(|scope| {
                let one = scope.spawn(|| led(&click(&mut first, "/portail/caf", &[("caf", "751")])));
                let other = scope.spawn(|| led(&click(&mut second, "/portail/caf", &[("caf", "751")])));
                (one.join().unwrap(), other.join().unwrap())
            });
            assert_eq!(answers, (to("/"), to("/")));
            let alive = [&mut first, &mut second].map(|client| client.get("/portail/session").send().status);
            assert!(alive.contains(&200) && alive.contains(&401), "one of the two cookies lives: {alive:?}");
        }
    }

    fn a_password_that_is_changed_twice_at_once_is_changed(kind: Kind) {
        let world = World::new(kind);
        let form = [
            ("mot_de_passe_actuel", PASSWORD),
            ("nouveau_mot_de_passe", "Bruyere-violette-27"),
            ("confirmation", "Bruyere-violette-27"),
        ];
        let named = [form.as_slice(), &[("identifiant", TWO_CAFS)]].concat();
        let known = world.signed_in(ONE_CAF);
        for (form, client, place) in [(form.as_slice(), &known, "/"), (&named, &world.gateway.client(), "/portail/caf")] {
            let mut clients = [(); 2].map(|()| before(&world, client));
            let answers = std::thread::scope(|scope| {
                let click = |client| scope.spawn(move || led(&click(client, "/portail/mot-de-passe", form)));
                clients.each_mut().map(click).map(|answer| answer.join().unwrap())
            });
            assert_eq!(answers, [to(place), to(place)]);
            let alive = clients.map(|mut client| client.get("/portail/session").send().status);
            assert!(alive.contains(&200), "one of the two cookies lives at least: {alive:?}");
        }
        // Two who want different ones: the second is told that the password it knew is none any more.
        let fresh = |password: &str| {
            let form = [("identifiant", TWO_CAFS), ("mot_de_passe_actuel", "Bruyere-violette-27"), ("nouveau_mot_de_passe", password)];
            world.gateway.client().post("/portail/mot-de-passe").program().form(&form).send()
        };
        let answers = std::thread::scope(|scope| {
            ["Bruyere-bleue-2027", "Bruyere-rousse-2027"].map(|password| scope.spawn(move || fresh(password))).map(|answer| answer.join().unwrap())
        });
        let mut told: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
        told.sort_unstable();
        assert_eq!(told, [200, 401], "{}", answers[0].text());
    }

    fn a_token_that_was_replaced_opens_nothing_else(kind: Kind) {
        let world = World::new(kind);
        let mut client = world.signed_in(TWO_CAFS);
        let old = before(&world, &client);
        assert_eq!(click(&mut client, "/portail/caf", &[("caf", "751")]).status, 303);
        let dead = |answer: Response| {
            let opened = answer.header("set-cookie").is_some_and(|cookie| cookie.starts_with("octroi="));
            assert!(!opened && answer.status != 200 && answer.header("location") != Some("/"), "{}", answer.status);
        };
        for path in ["/", "/portail/session", "/portail/caf", "/portail/sessions", "/portail/quitter"] {
            dead(before(&world, &old).get(path).program().send());
            dead(before(&world, &old).get(path).header("Sec-Fetch-Mode", "navigate").page().send());
        }
        for path in ["/portail/session/continuer", "/portail/deconnexion", "/portail/sessions/fermer", "/declaration"] {
            dead(click(&mut before(&world, &old), path, &[("session", "autres")]));
        }
        // A program sends nothing twice by mistake; nor is another browser the one that clicked.
        let json = serde_json::json!({"caf": "751"});
        dead(before(&world, &old).post("/portail/caf").json(&json).send());
        dead(before(&world, &old).post("/portail/caf").form(&[("caf", "751")]).send());
        let elsewhere = ("User-Agent", FIREFOX);
        for (name, value) in [("Sec-Fetch-Mode", "cors"), ("Sec-Fetch-Mode", "navigate")] {
            let mut other = before(&world, &old);
            let click = other.post("/portail/caf").header(name, value).header(elsewhere.0, elsewhere.1);
            dead(click.form(&[("caf", "751")]).send());
        }
        assert_eq!(client.get("/portail/session").send().status, 200, "the person is not disturbed");
        // Nor does it open what was ended.
        assert_eq!(client.post("/portail/deconnexion").page().send().status, 303);
        dead(click(&mut before(&world, &old), "/portail/caf", &[("caf", "751")]));
    }
}
