//! Lists of accounts and establishments: filtered, sorted, page after page (contract, section 5).

use serde_json::{Value, json};

use crate::harness::world::{ONE_CAF, SIRET, TWO_CAFS, World, account};
use crate::on_each_store;

fn names(page: &Value) -> Vec<String> {
    let rows = page["accounts"].as_array().unwrap().iter();
    rows.map(|one| one["identifiant"].as_str().unwrap().to_owned()).collect()
}

on_each_store! {
    fn who_expires_before_a_day_and_who_never_came_is_listed(kind: Kind) {
        let world = World::new(kind);
        // Changed at noon of 15 December, as everybody's: due on 17 March 2027.
        let mut early = account("tot@esat.example", SIRET, &["921"]);
        early["password_changed_at"] = json!("2026-10-20T09:00:00+02:00");
        let mut later = account("tard@esat.example", SIRET, &["751"]);
        later["password_changed_at"] = json!("2026-10-21T00:00:00+02:00");
        world.gateway.accounts(&[early, later]);
        world.signed_in(ONE_CAF);
        let list = |query: &str| {
            let page = world.gateway.admin().get(&format!("/v1/accounts?{query}")).send();
            assert_eq!(page.status, 200, "{query}: {}", page.text());
            page.json()
        };
        // Of 20 October at 9 h the end is 20 January at 8 h; of the 21st at midnight, the 20th at 23 h.
        assert_eq!(names(&list("expiring_before=2027-01-20")), Vec::<String>::new());
        assert_eq!(names(&list("expiring_before=2027-01-20T08:00:01%2B01:00")), ["tot@esat.example"]);
        assert_eq!(names(&list("expiring_before=2027-01-21&sort=expires")), ["tot@esat.example", "tard@esat.example"]);
        assert_eq!(names(&list("expiring_before=2027-01-21&sort=-expires")), ["tard@esat.example", "tot@esat.example"]);
        assert_eq!(names(&list("expiring_before=2027-01-21&caf=751")), ["tard@esat.example"]);
        let never = names(&list("never_signed_in=true"));
        assert!(!never.contains(&ONE_CAF.to_owned()) && never.contains(&TWO_CAFS.to_owned()), "{never:?}");
        assert_eq!(names(&list("sort=-last-sign-in&limit=1")), [ONE_CAF]);
        let tot = &list("expiring_before=2027-01-21&limit=1&sort=expires")["accounts"][0];
        assert_eq!(tot["password_days_left"], 36, "{tot}");

        let (exit, shown, said) = world.gateway.cli(&["account", "list", "--expiring-before", "2027-01-21", "--sort", "expires"]);
        assert_eq!((exit, said.as_str()), (0, ""));
        let rows: Vec<&str> = shown.lines().collect();
        assert!(rows.len() == 3 && rows[1].contains("until 2027-01-20, 36 days left") && rows[1].contains("never"), "{shown}");
        let (exit, shown, _) = world.gateway.cli(&["account", "list", "--never-signed-in", "--caf", "751", "--sort", "-identifiant"]);
        assert!(exit == 0 && shown.find(TWO_CAFS).unwrap() > shown.find("tard@").unwrap(), "{shown}");
    }

    fn pages_follow_each_other_whatever_the_order(kind: Kind) {
        let world = World::new(kind);
        let known = names(&world.gateway.admin().get("/v1/accounts").send().json());
        for sort in ["identifiant", "-identifiant", "siret", "expires", "-last-sign-in"] {
            let (mut seen, mut after) = (Vec::new(), String::new());
            loop {
                let page = world.gateway.admin().get(&format!("/v1/accounts?sort={sort}&limit=1{after}")).send().json();
                assert_eq!(page["total"], known.len());
                seen.extend(names(&page));
                match page["next"].as_str() {
                    Some(next) => {
                        let next: String = form_urlencoded::byte_serialize(next.as_bytes()).collect();
                        after = format!("&after={next}");
                    }
                    None => break,
                }
            }
            let mut sorted = seen.clone();
            sorted.sort();
            assert_eq!(sorted, known, "{sort}");
        }
        let (exit, shown, _) = world.gateway.cli(&["account", "list", "--limit", "2"]);
        assert!(exit == 0 && shown.contains("2 of 4 accounts.") && shown.contains("There are more: --after ~"), "{shown}");
        for (args, code) in [
            (["account", "list", "--sort", "nom"].as_slice(), 2),
            (&["account", "list", "--expiring-before", "20/01/2027"], 2),
            (&["account", "list", "--limit", "0"], 1),
            (&["account", "list", "--after", "x"], 1),
        ] {
            let (exit, _, said) = world.gateway.cli(args);
            assert!(exit == code && !said.is_empty(), "{args:?}: {exit} {said}");
        }
    }

    fn establishments_are_listed_by_caf_and_siret(kind: Kind) {
        let world = World::new(kind);
        let list = |query: &str| world.gateway.admin().get(&format!("/v1/establishments?{query}")).send();
        let count = |query: &str| list(query).json()["establishments"].as_array().unwrap().len();
        assert_eq!((count(""), count("caf=921"), count("caf=751"), count(&format!("siret={SIRET}"))), (3, 2, 1, 2));
        let first = list("limit=2").json();
        let next: String = form_urlencoded::byte_serialize(first["next"].as_str().unwrap().as_bytes()).collect();
        let second = list(&format!("limit=2&after={next}")).json();
        assert_eq!((second["establishments"].as_array().unwrap().len(), &second["next"]), (1, &Value::Null));
        for wrong in ["caf=9", "siret=1", "limit=0", "limit=10001", "after=x", "page=1"] {
            assert_eq!(list(wrong).status, 400, "{wrong}");
        }
        let (exit, shown, _) = world.gateway.cli(&["establishment", "list", "--caf", "751"]);
        assert!(exit == 0 && shown.contains(SIRET) && !shown.contains("921 "), "{shown}");
    }
}
