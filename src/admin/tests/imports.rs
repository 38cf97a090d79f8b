//! Files, right and wrong.

use axum::body::Body;
use serde_json::json;

use super::{Desk, HASH, ONE, errors};

#[tokio::test]
async fn every_bad_row_is_told_and_nothing_is_imported() {
    let desk = Desk::new();
    assert_eq!(desk.import(ONE.replace("a@", "old@")).await.0, 200);
    let file = [
        ONE,
        "",
        &ONE.replace("a@", "A@"),
        &ONE.replace("a@", "old@"),
        "{",
        &ONE.replace("a@esat", "b").replace("74", "75"),
        &ONE.replace("[\"921\"]", "[]").replace("a@", "c@"),
        &ONE.replace("921", "999").replace("a@", "d@"),
        &ONE.replace("\"nom\"", "\"name\"").replace("a@", "e@"),
        &ONE.replace('}', ",\"password_hash\":\"secret-hash\"}").replace("a@", "f@"),
        &ONE.replace('}', ",\"password_changed_at\":\"2099-01-01T00:00:00Z\"}").replace("a@", "g@"),
        &ONE.replace("Les", "\\u001b[31m").replace("a@", "h@"),
        &ONE.replace("\"73282932000074\"", "73282932000074").replace("a@", "i@"),
    ];
    let (status, problem) = desk.import(file.join("\n")).await;
    assert_eq!((status, &problem["detail"]), (422, &json!("10 rows are wrong; nothing was imported")));
    let told: Vec<(u64, &str)> = errors(&problem).iter().map(|(line, field, _)| (*line, *field)).collect();
    let expected = [
        (3, "identifiant"),
        (5, ""),
        (6, "identifiant"),
        (6, "siret"),
        (7, "cafs"),
        (8, "cafs"),
        (9, "name"),
        (10, "password_hash"),
        (11, "password_changed_at"),
        (12, "nom"),
        (13, "siret"),
    ];
    assert_eq!(told, expected);
    assert!(!problem.to_string().contains("secret-hash"));
    assert_eq!(errors(&problem)[0].2, "the same account as on line 1");
    assert_eq!(desk.names().await, ["old@esat.example"]);
}

#[tokio::test]
async fn a_dry_run_changes_nothing_and_refuses_the_same() {
    let desk = Desk::new();
    let dry = "/v1/accounts/import?dry_run=true";
    let (status, done) = desk.ask("POST", dry, ONE).await;
    let differences = json!([{"is": "new", "name": "a@esat.example"}]);
    let foreseen = json!({
        "dry_run": true, "read_as": "JSON Lines", "created": 1, "changed": 0, "unchanged": 0, "gone": 0,
        "gone_are": "kept", "differences": differences, "provisional_passwords": []
    });
    assert_eq!((status, done), (200, foreseen));
    assert!(desk.names().await.is_empty());
    let (status, done) = desk.import(ONE).await;
    assert_eq!((status, &done["provisional_passwords"][0]["identifiant"]), (200, &json!("a@esat.example")));
    let (status, done) = desk.ask("POST", dry, ONE).await;
    assert_eq!((status, &done["unchanged"]), (200, &json!(1)));
    assert_eq!(desk.ask("POST", dry, ONE.replace("74", "75")).await.0, 422);
    for query in ["gone=delete", "gone=", "progress=2"] {
        assert_eq!(desk.ask("POST", &format!("/v1/accounts/import?{query}"), ONE).await.0, 400, "{query}");
    }
    assert_eq!(desk.ask("POST", "/v1/accounts/import?dry_run=maybe", ONE).await.0, 400);
    assert_eq!(desk.ask("POST", "/v1/accounts/import?dryrun=true", ONE).await.0, 400);
}

#[tokio::test]
async fn files_as_windows_saves_them() {
    let desk = Desk::new();
    let file = format!("\u{feff}{ONE}\r\n\r\n   \r\n{}\r\n", ONE.replace("a@", "b@"));
    let chunk = |bytes: &[u8]| Ok::<_, std::io::Error>(bytes.to_vec());
    let chunks: Vec<_> = file.as_bytes().chunks(7).map(chunk).collect();
    let body = Body::from_stream(futures_util::stream::iter(chunks));
    assert_eq!(desk.import(body).await.0, 200);
    assert_eq!(desk.names().await, ["a@esat.example", "b@esat.example"]);
}

#[tokio::test]
async fn hostile_files() {
    let desk = Desk::new();
    let long = "x".repeat(1 << 20);
    let deep = format!("{{\"identifiant\":{}1{}}}", "[".repeat(20_000), "]".repeat(20_000));
    let deep_value = format!("{{\"identifiant\":{}1{}}}", "[".repeat(100), "]".repeat(100));
    let twice = ONE.replace("\"cafs\"", "\"siret\":\"1\",\"cafs\"");
    let mut file = Vec::new();
    let lines: [&[u8]; 8] = [
        b"\xff\xfe{}",
        long.as_bytes(),
        deep.as_bytes(),
        deep_value.as_bytes(),
        twice.as_bytes(),
        b"{}\0",
        b"\xef\xbb\xbf{}",
        ONE.as_bytes(),
    ];
    for line in lines {
        file.extend_from_slice(line);
        file.push(b'\n');
    }
    let (status, problem) = desk.import(file).await;
    assert_eq!(status, 422);
    let mut told: Vec<u64> = errors(&problem).iter().map(|(line, ..)| *line).collect();
    told.dedup();
    assert_eq!(told, [1, 2, 3, 4, 5, 6, 7]);
    let reasons: Vec<&str> = errors(&problem).iter().map(|(_, _, reason)| *reason).collect();
    assert_eq!(reasons[0], "the text is not UTF-8");
    assert_eq!(reasons[1], "this line is longer than 64 KiB");
    assert!(reasons.iter().any(|reason| reason.contains("\"siret\" is there twice")), "{reasons:?}");
    assert!(desk.names().await.is_empty());
}

#[tokio::test]
async fn a_file_of_nothing_but_wrong_lines_does_not_fill_the_memory() {
    let desk = Desk::new();
    let (status, problem) = desk.import("x\n".repeat(100_000)).await;
    assert_eq!((status, errors(&problem).len()), (422, 20_000));
    assert_eq!(problem["detail"], "more than 20000 rows are wrong; nothing was imported");
}

#[tokio::test]
async fn a_body_that_is_too_large_or_breaks_off() {
    let desk = Desk::new();
    let chunk = vec![b' '; 1 << 20];
    let endless = futures_util::stream::iter((0..70).map(move |_| Ok::<_, std::io::Error>(chunk.clone())));
    assert_eq!(desk.import(Body::from_stream(endless)).await.0, 413);
    let broken = [Ok(ONE.as_bytes().to_vec()), Err(std::io::Error::other("gone"))];
    assert_eq!(desk.import(Body::from_stream(futures_util::stream::iter(broken))).await.0, 400);
    assert!(desk.names().await.is_empty());
}

#[tokio::test]
async fn twenty_thousand_accounts_with_hashes() {
    let desk = Desk::new();
    let line = |n: usize| {
        format!(
            r#"{{"identifiant":"u{n}@esat.example","siret":"73282932000074","cafs":["921"],"password_hash":"{HASH}"}}"#
        )
    };
    let file: Vec<String> = (0..20_000).map(line).collect();
    let begin = tokio::time::Instant::now();
    let (status, done) = desk.import(file.join("\n")).await;
    assert_eq!((status, &done["created"]), (200, &json!(20_000)));
    assert!(begin.elapsed().as_secs() < 30, "{:?}", begin.elapsed());
}

#[tokio::test]
async fn establishments_are_imported_all_or_none() {
    let desk = Desk::new();
    let path = "/v1/establishments/import";
    let file = r#"{"caf":"921","siret":"73282932000074","identifiant_communication":"12345678","nom":"Les Tilleuls"}
{"caf":"751","siret":"73282932000074"}
{"caf":"751","identifiant_communication":"ab1"}"#;
    let (status, done) = desk.ask("POST", &format!("{path}?dry_run=true"), file).await;
    assert_eq!((status, &done["dry_run"], &done["created"]), (200, &json!(true), &json!(3)));
    assert_eq!(desk.ask("POST", path, file).await.0, 200);
    let (_, done) = desk.ask("POST", path, r#"{"caf":"751","identifiant_communication":"00AB1"}"#).await;
    assert_eq!([&done["created"], &done["changed"], &done["unchanged"], &done["gone"]], [0, 0, 1, 2]);
    let wrong = r#"{"caf":"921","identifiant_communication":"1"}
{"caf":"921","identifiant_communication":"0001"}
{"caf":"751","identifiant_communication":"1"}
{"caf":"921"}
{"caf":"999","siret":"73282932000074"}
{"caf":"921","siret":"73282932000075"}
{"siret":"73282932000074"}"#;
    let (status, problem) = desk.ask("POST", path, wrong).await;
    assert_eq!(status, 422);
    let told: Vec<(u64, &str)> = errors(&problem).iter().map(|(line, field, _)| (*line, *field)).collect();
    let expected = [(2, "identifiant_communication"), (4, "siret"), (5, "caf"), (6, "siret"), (7, "caf")];
    assert_eq!(told, expected);
    let (_, list) = desk.ask("GET", "/v1/establishments", "").await;
    assert_eq!(list["establishments"].as_array().map(Vec::len), Some(3));
    assert_eq!(list["establishments"][2]["identifiant_communication"], "00012345678");
}

#[tokio::test]
async fn hostile_tables() {
    let desk = Desk::new();
    let head = "identifiant;siret;cafs\n";
    let right = "a@esat.example;73282932000074;921\n";
    let csv = async |body: Vec<u8>| desk.import_as("accounts", "text/csv", body).await;
    let long = format!("{head}{right}b@esat.example;{};921\n", "7".repeat(70_000));
    let name = "x".repeat(100_000);
    let wrong: [(Vec<u8>, &str); 9] = [
        (b"".to_vec(), "the file is empty"),
        (b"\r\n;;\n\n".to_vec(), "the file is empty"),
        (long.into_bytes(), "this row is longer than 64 KiB"),
        (format!("{head}{}", "x\n".repeat(100_000)).into_bytes(), "more than 20000 rows are wrong"),
        (format!("{name};{}", &head).into_bytes(), "there is no such column"),
        (";".repeat(1 << 20).into_bytes(), "a row has at most 200 fields"),
        (format!("{head}a\0@esat.example;7\0;9\n").into_bytes(), "an identifiant is an e-mail address"),
        (format!("{head}{}\"", &right).into_bytes(), "a quote is opened here and never closed"),
        (b"\xff\xfei\0d\0".to_vec(), "UTF-16"),
    ];
    for (body, told) in wrong {
        let (status, problem) = csv(body).await;
        let text = problem.to_string();
        assert!(status == 422 && text.contains(told), "{told}: {status} {}", &text[..text.len().min(500)]);
        assert!(!text.contains(&name[..65]));
    }
    let (status, problem) = csv(format!("{head}{}", right.repeat(60_000)).into_bytes()).await;
    assert_eq!((status, &problem["title"]), (413, &json!("Payload Too Large")));
    assert!(desk.names().await.is_empty());
    let (_, problem) =
        csv(b"sep=,\r\nidentifiant,siret,cafs\r\nb@esat.example,73282932000075,921\r\n".to_vec()).await;
    assert_eq!(
        errors(&problem).iter().map(|(line, field, _)| (*line, *field)).collect::<Vec<_>>(),
        [(3, "siret")]
    );
    let spaced = "identifiant;siret;cafs\na@esat.example;732\u{a0}829\u{202f}320 00074; 921 | 751 \n";
    assert_eq!(csv(spaced.into()).await.0, 200);
    assert_eq!(desk.names().await, ["a@esat.example"]);
}
