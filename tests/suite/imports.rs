//! Files in and out: accounts and establishments imported from tables and JSON Lines, and exported.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};

use crate::harness::client::{Client, Response};
use crate::harness::gateway::{Gateway, NOON};
use crate::harness::world::{
    Kind, ONE_CAF, OTHER_SIRET, PASSWORD, PROVISIONAL, SIRET, TWO_CAFS, UNKNOWN_SIRET, World, account, hash,
    sign_in,
};
use crate::harness::{eventually, within};
use crate::on_each_store;

/// Those whom each world knows from its beginning.
const PEOPLE: u64 = 4;

fn import(gateway: &Gateway, what: &str, kind: &str, file: &[u8]) -> Response {
    gateway.admin().post(&format!("/v1/{what}/import")).body(kind, file).send()
}

fn foreseen(gateway: &Gateway, rows: &[Value]) -> Value {
    let answer = gateway.import("/v1/accounts/import?dry_run=true", rows);
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

fn export(gateway: &Gateway, what: &str, format: &str) -> Vec<u8> {
    let answer = gateway.admin().get(&format!("/v1/{what}/export?format={format}")).send();
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    answer.body
}

fn shown(gateway: &Gateway, identifiant: &str) -> Value {
    gateway.admin().get(&format!("/v1/accounts/{identifiant}")).send().json()
}

fn total(gateway: &Gateway) -> u64 {
    gateway.admin().get("/v1/accounts?limit=1").send().json()["total"].as_u64().expect("a number")
}

/// Line, field and reason of each bad row.
fn bad_rows(answer: &Response) -> Vec<(u64, String, String)> {
    assert_eq!(answer.status, 422, "{}", answer.text());
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let rows = answer.json()["errors"].as_array().expect("errors").clone();
    rows.iter()
        .map(|row| (row["line"].as_u64().unwrap(), text(&row["field"]), text(&row["reason"])))
        .collect()
}

on_each_store! {
    fn a_table_is_taken_as_spreadsheets_save_it(kind: Kind) {
        let world = World::new(kind);
        let gateway = &world.gateway;
        let hash = hash(PASSWORD);
        let utf8 = format!(
            "\u{feff}Identifiant,SIRET,cafs,nom,password_hash,must_change\r\n\
             A@esat.example,732 829 320 00074,\"921, 751\",\"ESAT \"\"Les Érables\"\", Nanterre\",\"{hash}\",FAUX\r\n\r\n"
        );
        assert_eq!(import(gateway, "accounts", "text/csv", utf8.as_bytes()).status, 200);
        let a = shown(gateway, "a@esat.example");
        assert_eq!([&a["nom"], &a["cafs"], &a["must_change"]], [&json!("ESAT \"Les Érables\", Nanterre"), &json!(["921", "751"]), &json!(false)]);
        assert_eq!(sign_in(&mut gateway.client(), "a@esat.example", PASSWORD).etat(), "caf_a_choisir");

        let windows = b"siret;identifiant;nom;cafs;home_caf;status;;\r\n35600000049837;b@esat.example;\xc9rables \x80;921|751;751;suspended;;\r\n;;;;;;;\r\n";
        let done = import(gateway, "accounts", "text/csv", windows);
        assert_eq!(done.status, 200, "{}", done.text());
        let said = done.json();
        assert_eq!(said["read_as"], "CSV, Windows-1252, fields separated by \";\"");
        assert_eq!(said["provisional_passwords"][0]["identifiant"], "b@esat.example");
        let b = shown(gateway, "b@esat.example");
        assert_eq!([&b["nom"], &b["home_caf"], &b["status"]], ["Érables €", "751", "suspended"]);

        let establishments = "caf,identifiant_communication,siret,nom\n921,ab12,,Les Tilleuls\n751,AB12,73282932000074,\n";
        assert_eq!(import(gateway, "establishments", "text/csv; charset=utf-8", establishments.as_bytes()).status, 200);
        let list = gateway.admin().get("/v1/establishments").send().json().to_string();
        assert_eq!(list.matches("\"0000000AB12\"").count(), 2, "{list}");
    }

    fn a_dry_run_tells_what_differs_and_the_import_does_it(kind: Kind) {
        let world = World::new(kind);
        let gateway = &world.gateway;
        let people = [account(ONE_CAF, SIRET, &["921"]), account(TWO_CAFS, SIRET, &["751", "921"]), account("neuf@esat.example", SIRET, &["921"])];
        let mut rows = people.to_vec();
        rows[1]["home_caf"] = json!("921");
        rows[0]["cafs"] = json!(["921", "751"]);
        rows[0]["nom"] = json!("ESAT Les Chênes");
        let done = foreseen(gateway, &rows);
        assert_eq!([&done["created"], &done["changed"], &done["unchanged"], &done["gone"]], [1, 1, 1, 2]);
        let fields = json!([{"field": "nom", "old": "ESAT Les Tilleuls", "new": "ESAT Les Chênes"}, {"field": "cafs", "old": "921", "new": "921 751"}]);
        let mut differences = vec![
            json!({"is": "new", "name": "neuf@esat.example"}),
            json!({"is": "changed", "name": ONE_CAF, "fields": fields}),
        ];
        differences.extend([PROVISIONAL, UNKNOWN_SIRET].map(|name| json!({"is": "gone", "name": name})));
        assert_eq!(done["differences"], json!(differences));
        assert_eq!(shown(gateway, ONE_CAF)["nom"], "ESAT Les Tilleuls", "a dry run changes nothing");

        let mut unsettled = world.admitted();
        gateway.accounts(&rows);
        assert_eq!(shown(gateway, ONE_CAF)["cafs"], json!(["921", "751"]));
        assert_eq!(total(gateway), PEOPLE + 1, "nobody is deleted");
        assert_eq!(unsettled.get("/").program().send().problem(), (401, "session-expiree".to_owned()));
        assert_eq!(sign_in(&mut gateway.client(), ONE_CAF, PASSWORD).etat(), "caf_a_choisir");
        assert_eq!(foreseen(gateway, &rows)["unchanged"], 3, "the same file again changes nothing");

        let mut gone = world.signed_in(UNKNOWN_SIRET);
        let closing = gateway.import("/v1/accounts/import?gone=suspend", &rows).json();
        assert_eq!([&closing["gone"], &closing["gone_are"]], [&json!(2), &json!("suspended")]);
        assert_eq!(gone.get("/portail/session").program().send().code(), "session-expiree");
        assert_eq!(sign_in(&mut gateway.client(), UNKNOWN_SIRET, PASSWORD).code(), "identifiants-invalides");
    }

    fn a_file_brings_no_old_password_back(kind: Kind) {
        let mut world = World::new(kind);
        let old = account(ONE_CAF, SIRET, &["921"]);
        world.gateway.advance(3_600);
        let mut client = world.admitted();
        let change = json!({"mot_de_passe_actuel": PASSWORD, "nouveau_mot_de_passe": "Platane-2027"});
        assert_eq!(client.post("/portail/mot-de-passe").json(&change).send().etat(), "admis");
        let mut undated = old.clone();
        undated.as_object_mut().unwrap().remove("password_changed_at");
        let mut forced = old.clone();
        forced["must_change"] = json!(true);
        for row in [&old, &undated, &forced] {
            assert_eq!(foreseen(&world.gateway, std::slice::from_ref(row))["unchanged"], 1, "{row}");
            world.gateway.accounts(std::slice::from_ref(row));
        }
        assert_eq!(sign_in(&mut world.gateway.client(), ONE_CAF, "Platane-2027").etat(), "admis");
        assert_eq!(client.get("/").program().send().status, 200, "and no session ended");

        let mut newer = old;
        newer["password_hash"] = json!(hash("Bouleau-2027"));
        newer["password_changed_at"] = json!("2026-12-15T12:30:00Z");
        let told = foreseen(&world.gateway, std::slice::from_ref(&newer))["differences"][0]["fields"].clone();
        assert_eq!(told[1], json!({"field": "password_hash"}), "which is not told: {told}");
        world.gateway.accounts(&[newer]);
        assert_eq!(sign_in(&mut world.gateway.client(), ONE_CAF, "Bouleau-2027").etat(), "admis");
        assert_eq!(client.get("/").program().send().code(), "session-expiree");
    }

    fn an_export_imports_back_to_the_same_bytes(kind: Kind) {
        let world = World::new(kind);
        let mut odd = account("=1+1@esat.example", OTHER_SIRET, &["751", "921"]);
        let names = ["=HYPERLINK(\"http://x\";\"é\")", "@SUM(1)", "'t Huis", "'=1", " aux bords ", "a;b,c\"d", ""];
        let mut rows: Vec<Value> = names.iter().enumerate().map(|(n, nom)| { let mut row = account(&format!("n{n}@esat.example"), SIRET, &["921"]); row["nom"] = json!(nom); row }).collect();
        odd["home_caf"] = Value::Null;
        odd["status"] = json!("suspended");
        rows.push(odd);
        world.gateway.accounts(&rows);
        world.gateway.admin().post(&format!("/v1/accounts/{ONE_CAF}/reset-password")).send();
        world.gateway.establishments(&[json!({"caf": "751", "identifiant_communication": "x1", "nom": "=cmd|'/c calc'!A0"})]);
        let mut client = world.signed_in(TWO_CAFS);
        let change = json!({"mot_de_passe_actuel": PASSWORD, "nouveau_mot_de_passe": "Platane-2027"});
        assert_eq!(client.post("/portail/mot-de-passe").json(&change).send().status, 200);

        let table = String::from_utf8(export(&world.gateway, "accounts", "csv")).unwrap();
        assert!(table.starts_with("\u{feff}identifiant;siret;"), "{table}");
        for line in table.lines() {
            let formula = line.split(';').any(|field| field.trim_start_matches('"').starts_with(['=', '+', '-', '@']));
            assert!(!formula, "{line}");
        }
        let fresh = World::new(kind);
        for (what, format, media) in [("accounts", "jsonl", "application/jsonl"), ("accounts", "csv", "text/csv"), ("establishments", "jsonl", "application/jsonl"), ("establishments", "csv", "text/csv")] {
            let fresh = { clear(&fresh.gateway); &fresh.gateway };
            let out = export(&world.gateway, what, format);
            let done = import(fresh, what, media, &out);
            assert_eq!(done.status, 200, "{}", done.text());
            let back = export(fresh, what, format);
            assert!(out == back, "{what} {format}:\n{}\n{}", String::from_utf8_lossy(&out), String::from_utf8_lossy(&back));
            if what == "accounts" {
                assert_eq!(sign_in(&mut fresh.client(), TWO_CAFS, "Platane-2027").etat(), "caf_a_choisir");
                let used = json!({"identifiant": TWO_CAFS, "mot_de_passe_actuel": "Platane-2027", "nouveau_mot_de_passe": PASSWORD});
                assert_eq!(fresh.client().post("/portail/mot-de-passe").json(&used).send().code(), "mot-de-passe-refuse", "former passwords come along");
                assert!(shown(fresh, ONE_CAF)["provisional_until"].is_string(), "a provisional password stays one");
            }
        }
        world.gateway.terminate();
    }

    fn provisional_passwords_are_printed_once_and_kept_nowhere(kind: Kind) {
        let world = World::new(kind);
        let file = world.gateway.folder().join("neufs.csv");
        let rows: Vec<String> = (0..6).map(|n| format!("neuf{n}@esat.example;{SIRET};921 751")).collect();
        fs::write(&file, format!("identifiant;siret;cafs\n{}\n", rows.join("\n"))).unwrap();
        let (code, said, errors) = world.gateway.cli(&["account", "import", file.to_str().unwrap()]);
        assert!(code == 0 && errors.is_empty(), "{said}{errors}");
        assert!(said.contains("6 accounts created"), "{said}");
        let passwords: Vec<(&str, &str)> = said.lines().filter(|line| line.starts_with("neuf")).map(|line| line.split_once(' ').unwrap()).collect();
        assert_eq!(passwords.len(), 6, "{said}");
        for (name, password) in passwords {
            let password = password.trim();
            assert!(password.len() == 14 && !password.contains(['i', 'l', 'o', '0', '1']), "{password}");
            assert_eq!(sign_in(&mut world.gateway.client(), name, password).etat(), "mot_de_passe_a_changer");
            assert!(!world.gateway.logs().contains(password));
            let kept = String::from_utf8_lossy(&export(&world.gateway, "accounts", "jsonl")).into_owned();
            assert!(kept.contains(name) && !kept.contains(password));
            if let Some(redis) = &world.redis {
                assert!(!redis.ask("HVALS octroi:accounts").contains(password));
            }
        }
    }

    fn twenty_thousand_accounts_come_in_while_others_sign_in(kind: Kind) {
        let world = World::new(kind);
        let file: Vec<u8> = many(20_000).into_bytes();
        let admin = world.gateway.admin();
        let importing = std::thread::spawn(move || {
            let mut admin = admin;
            admin.post("/v1/accounts/import").body("application/jsonl", &file).send()
        });
        let mut beside = 0;
        while !importing.is_finished() {
            assert_eq!(sign_in(&mut world.gateway.client(), ONE_CAF, PASSWORD).etat(), "admis");
            beside += 1;
        }
        let done = importing.join().unwrap();
        assert_eq!((done.status, &done.json()["created"]), (200, &json!(20_000)));
        assert_eq!(total(&world.gateway), PEOPLE + 20_000);
        // The last may have ended after the import; an import that held up the others would leave that one alone.
        assert!(beside >= 2, "nobody signed in while the import went on");
    }

    fn a_gateway_killed_in_the_middle_of_an_import_leaves_all_or_nothing(kind: Kind) {
        const ROWS: u64 = 4_000;
        let mut world = World::new(kind);
        let file = many(ROWS);
        let mut outcomes = [0, 0];
        for round in 0..6 {
            let mut bytes = Client::new(world.gateway.admin).post("/v1/accounts/import").body("application/jsonl", file.as_bytes()).bytes();
            bytes.truncate(if round == 0 { bytes.len() / 2 } else { bytes.len() });
            let mut stream = crate::harness::client::connect(world.gateway.admin);
            std::io::Write::write_all(&mut stream, &bytes).unwrap();
            // Each round dies a little later on the way; nothing is waited for.
            std::thread::sleep(std::time::Duration::from_millis(round * 90));
            world.gateway.kill();
            world.restart();
            let there = total(&world.gateway);
            assert!(there == PEOPLE || there == PEOPLE + ROWS, "{there} accounts after {round}");
            outcomes[usize::from(there > PEOPLE)] += 1;
            assert_eq!(sign_in(&mut world.gateway.client(), ONE_CAF, PASSWORD).etat(), "admis");
            if there > PEOPLE {
                break;
            }
        }
        assert!(outcomes[0] > 0, "one was killed before its end");
    }
}

/// Leaves a gateway no account, and one establishment: a file of none is refused where the rest would be gone.
fn clear(gateway: &Gateway) {
    let names: Vec<String> = gateway.admin().get("/v1/accounts?limit=1000").send().json()["accounts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["identifiant"].as_str().unwrap().to_owned())
        .collect();
    for name in names {
        assert_eq!(gateway.cli(&["account", "delete", &name]).0, 0);
    }
    let left = json!({"caf": "921", "siret": SIRET});
    assert_eq!(gateway.import("/v1/establishments/import?gone=delete", &[left]).status, 200);
}

/// So many accounts in JSON Lines.
fn many(count: u64) -> String {
    let one = account("u@esat.example", SIRET, &["921", "751"]).to_string();
    let line = |n: u64| one.replace("u@esat.example", &format!("u{n}@esat{}.example", n % 1_500));
    (0..count).map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn every_bad_row_of_a_table_is_told_with_its_line() {
    let world = World::new(Kind::Embedded);
    let refused = |what: &str, file: &[u8]| {
        let rows = bad_rows(&import(&world.gateway, what, "text/csv", file));
        rows.into_iter().map(|(line, field, reason)| format!("{line} {field}: {reason}")).collect::<Vec<_>>()
    };
    let hash = hash(PASSWORD);
    let file = format!(
        "identifiant;siret;nom;cafs;password_hash;password_changed_at;must_change\n\
         a@esat.example;{SIRET};\"deux\nlignes\";921;;;\n\
         b@esat.example;73282932000075;;921;;;\n\
         A@esat.example;{SIRET};;921;;;\n\
         pas une adresse;7,32829E+13;;21;;;\n\
         c@esat.example;{SIRET};;921\n\
         d@esat.example;{SIRET};;999;$argon2i$v=19$m=8,t=1,p=1$c29tZXNhbHRzb21l$yQPTFBuGXvKWzaFFuaBDqVZ0iCZQCFoV3JZsUpA+Y5c;01/09/2026;peut-être\n\
         a@esat.example;{SIRET};;921;{hash};2026-09-01T08:00:00Z;vrai\n\
         e@esat.example;{SIRET};ESAT \"x\";921;;;\n\
         f@esat.example;{SIRET};;921;{hash};2099-01-01T00:00:00Z;\n\
         g@esat.example;{SIRET};\"jamais fermé;921;;;\n"
    );
    let told = refused("accounts", file.as_bytes());
    let expected = [
        "4 siret: the SIRET's key is wrong: one of its digits is mistyped",
        "5 identifiant: the same account as on line 2",
        "6 identifiant: an identifiant is an e-mail address, such as direction@esat.example",
        "6 siret: a SIRET is 14 digits; a spreadsheet shortened this number: give its column the format \"text\" before filling it",
        "6 cafs: a Caf code is three digits, such as 921; did a spreadsheet drop the zeros at its beginning?",
        "7 : 4 fields, where the first line names 7 columns",
        "8 must_change: invalid type: string \"peut-être\", expected a boolean; true or false is expected",
        "8 password_hash: only argon2id version 19 is taken",
        "8 password_changed_at: an instant such as 2026-09-01T08:00:00Z is expected",
        "8 cafs: there is no Caf 999 in the configuration",
        "9 identifiant: the same account as on line 2",
        "10 : a quote in the middle of a field; the whole field is to be quoted, and its quotes doubled",
        "11 password_changed_at: this instant is still to come",
        "12 : a quote is opened here and never closed",
    ];
    for line in expected {
        assert!(told.iter().any(|told| told == line), "{line}\n{told:#?}");
    }
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    assert_eq!(
        refused(
            "accounts",
            format!("identifiant;sirett;identifiant;home\na@esat.example;{SIRET};x;1\nb;;;\n").as_bytes()
        ),
        [
            "1 sirett: there is no such column, did you mean siret?",
            "1 identifiant: this column is there twice",
            "1 home: there is no such column",
            "1 siret: this column is missing",
            "1 cafs: this column is missing",
            "3 identifiant: an identifiant is an e-mail address, such as direction@esat.example",
        ]
    );
    let file = format!(
        "caf,siret,identifiant_communication\n921,,ab1\n921,,00000000AB1\n751,,AB1\n921,{SIRET},\n921,{SIRET},\n"
    );
    let told = refused("establishments", file.as_bytes());
    assert_eq!(
        told,
        [
            "3 identifiant_communication: 00000000AB1 at Caf 921 is on line 2 already",
            "6 siret: 73282932000074 at Caf 921 is on line 5 already"
        ]
        .map(str::to_owned)
    );
    // The identifiant of another one, which nothing is said of.
    let known = format!("caf,siret,identifiant_communication\n921,{OTHER_SIRET},ab1\n");
    assert_eq!(import(&world.gateway, "establishments", "text/csv", known.as_bytes()).status, 200);
    let taking = format!("caf,siret,identifiant_communication\n921,{SIRET},AB1\n");
    assert_eq!(
        refused("establishments", taking.as_bytes()),
        [format!(
            "2 identifiant_communication: 00000000AB1 at Caf 921 is SIRET {OTHER_SIRET}'s, which the file does not tell of"
        )]
    );
    let both = format!("{taking}921,{OTHER_SIRET},ab2\n");
    assert_eq!(import(&world.gateway, "establishments", "text/csv", both.as_bytes()).status, 200);
    assert_eq!(total(&world.gateway), PEOPLE);
    let unknown =
        import(&world.gateway, "accounts", "application/jsonl", b"{\"identifiant\":\"a@b.fr\",\"sirets\":1}");
    assert!(unknown.text().contains("there is no such key, did you mean siret?"), "{}", unknown.text());
}

#[test]
fn a_cell_of_several_lines_is_one_name_and_a_longer_one_is_refused() {
    let world = World::new(Kind::Embedded);
    let table = |nom: &str| {
        let file = format!("identifiant;siret;cafs;nom\r\nl@esat.example;{SIRET};921;\"{nom}\"\r\n");
        import(&world.gateway, "accounts", "text/csv", file.as_bytes())
    };
    assert_eq!(table("ESAT Les Tilleuls\r\n \n12 rue des Lilas\n").status, 200);
    assert_eq!(shown(&world.gateway, "l@esat.example")["nom"], "ESAT Les Tilleuls 12 rue des Lilas");
    assert_eq!(bad_rows(&table(&"é\n".repeat(101))).len(), 1);
    let macintosh = format!("identifiant;siret;cafs\rmac@esat.example;{SIRET};921\r");
    assert_eq!(import(&world.gateway, "accounts", "text/csv", macintosh.as_bytes()).status, 200);
    assert_eq!(shown(&world.gateway, "mac@esat.example")["cafs"], json!(["921"]));
}

#[test]
fn a_file_of_nobody_does_not_make_everybody_gone() {
    let world = World::new(Kind::Embedded);
    let folder = world.gateway.folder();
    let (table, lines) = (folder.join("table.csv"), folder.join("lines.jsonl"));
    fs::write(&table, "identifiant;siret;cafs\n").unwrap();
    fs::write(&lines, "\n").unwrap();
    for file in [&table, &lines] {
        let path = file.to_str().unwrap();
        let (code, _, why) = world.gateway.cli(&["account", "import", path, "--suspend-gone"]);
        assert!(code == 1 && why.contains("no row"), "{why}");
        assert_eq!(
            world.gateway.cli(&["account", "import", path]).0,
            0,
            "it names nobody, and nobody is gone"
        );
    }
    let (code, _, why) =
        world.gateway.cli(&["establishment", "import", lines.to_str().unwrap(), "--delete-gone"]);
    assert!(code == 1 && why.contains("no row"), "{why}");
    let active = world.gateway.admin().get("/v1/accounts?status=active").send().json();
    assert_eq!(active["total"].as_u64(), Some(PEOPLE));
    assert!(world.signed_in(TWO_CAFS).session().is_some());
}

#[test]
fn the_command_line_shows_a_difference_and_writes_private_files() {
    let world = World::new(Kind::Embedded);
    let folder = world.gateway.folder();
    let (table, list) = (folder.join("comptes.CSV"), folder.join("comptes.jsonl"));
    fs::write(&table, format!("identifiant;siret;cafs;nom\nneuf@esat.example;{SIRET};921;\n{ONE_CAF};{SIRET};921 751;Les Chênes\n")).unwrap();
    let (code, said, errors) =
        world.gateway.cli(&["account", "import", table.to_str().unwrap(), "--dry-run"]);
    assert!(code == 0 && errors.is_empty(), "{errors}");
    for line in [
        "+ neuf@esat.example",
        "~ une.caf@esat.example",
        "nom: ESAT Les Tilleuls -> Les Chênes",
        "cafs: 921 -> 921 751",
        "- provisoire@esat.example",
        "1 account would be created, 1 changed, 0 left as they are.",
        "3 accounts in the store but not in the file: they stay as they are",
        "Nothing was changed",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
    assert!(said.lines().all(|line| line.chars().count() <= 80), "{said}");
    let (code, said, errors) = world.gateway.cli(&["account", "export", "--output", list.to_str().unwrap()]);
    assert!(code == 0 && said.is_empty() && errors.contains("secret"), "{said}{errors}");
    assert_eq!(fs::metadata(&list).unwrap().permissions().mode() & 0o777, 0o600);
    let written = fs::read(&list).unwrap();
    assert!(
        written == export(&world.gateway, "accounts", "jsonl") && written.starts_with(b"{\"identifiant\":")
    );
    let (code, said, _) = world.gateway.cli(&["account", "import", list.to_str().unwrap()]);
    assert!(code == 0 && said.contains("4 left as they were"), "{said}");
    let (code, said, errors) = world.gateway.cli(&["establishment", "export", "--format", "csv"]);
    assert!(
        code == 0 && said.contains("921;73282932000074;;ESAT Les Tilleuls") && errors.is_empty(),
        "{said}{errors}"
    );
    assert_eq!(world.gateway.cli(&["account", "export", "--format", "xlsx"]).0, 2);
    assert_eq!(world.gateway.cli(&["account", "export", "--output", "/nowhere/x"]).0, 1);
}

#[test]
fn how_far_an_import_is_can_be_followed() {
    let world = World::new(Kind::Embedded);
    let rows: Vec<Value> = (0..20)
        .map(|n| json!({"identifiant": format!("u{n}@esat.example"), "siret": SIRET, "cafs": ["921"]}))
        .collect();
    let told = world.gateway.import("/v1/accounts/import?progress=true", &rows);
    assert_eq!(told.status, 200);
    let lines: Vec<Value> = told.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (last, steps) = lines.split_last().unwrap();
    assert_eq!((&last["status"], &last["answer"]["created"]), (&json!(200), &json!(20)));
    assert!(steps.iter().any(|step| step["stage"] == "hashing" && step["of"] == 20), "{steps:?}");
    let refused = world.gateway.import("/v1/accounts/import?progress=true", &[json!({})]).text();
    assert!(refused.starts_with("{\"status\":422,"), "{refused}");
}

#[test]
fn a_file_with_its_accounts_made_elsewhere_meanwhile_is_refused_whole() {
    let world = World::new(Kind::Redis);
    let rows: Vec<Value> = (0..60)
        .map(|n| json!({"identifiant": format!("u{n}@esat.example"), "siret": SIRET, "cafs": ["921"]}))
        .collect();
    let replica = world.replica();
    let both = std::thread::scope(|scope| {
        let first = scope.spawn(|| world.gateway.import("/v1/accounts/import", &rows).status);
        let second = scope.spawn(|| replica.import("/v1/accounts/import", &rows).status);
        [first.join().unwrap(), second.join().unwrap()]
    });
    assert!(both.contains(&200), "{both:?}");
    assert!(both.iter().all(|status| [200, 409].contains(status)), "{both:?}");
    within(std::time::Duration::from_secs(1), "all are there, once", || total(&world.gateway) == PEOPLE + 60);
    assert_eq!(
        shown(&world.gateway, "u7@esat.example")["password_changed_at"],
        json!(NOON.parse::<jiff::Timestamp>().unwrap())
    );
}

#[test]
fn an_import_whose_operator_left_makes_no_account_with_a_password_nobody_saw() {
    let world = World::new(Kind::Embedded);
    let rows: Vec<String> = (0..300)
        .map(|n| {
            json!({"identifiant": format!("u{n}@esat.example"), "siret": SIRET, "cafs": ["921"]}).to_string()
        })
        .collect();
    let given_up = || world.gateway.logs().matches("given up").count();
    for path in ["/v1/accounts/import", "/v1/accounts/import?progress=true"] {
        let mut admin = world.gateway.admin();
        let bytes = admin.post(path).body("application/jsonl", rows.join("\n").as_bytes()).bytes();
        let before = given_up();
        // One who leaves before the import has begun is not told of: then another comes and leaves.
        eventually("it was given up", || {
            let mut stream = crate::harness::client::connect(world.gateway.admin);
            std::io::Write::write_all(&mut stream, &bytes).unwrap();
            drop(stream);
            (0..50).any(|_| {
                std::thread::sleep(std::time::Duration::from_millis(10));
                given_up() > before
            })
        });
    }
    // Hashing 300 takes seconds; the given-up ones leave the pool to this one.
    let done = world.gateway.import(
        "/v1/accounts/import",
        &[json!({"identifiant": "z@esat.example", "siret": SIRET, "cafs": ["921"]})],
    );
    assert_eq!(done.json()["created"], 1, "{}", done.text());
    assert_eq!(total(&world.gateway), PEOPLE + 1);
}
