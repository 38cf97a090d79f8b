//! What Prometheus reads (contract, section 5): counts that are right, and no account, address or path in a label.

use crate::harness::eventually;
use crate::harness::world::{Kind, ONE_CAF, SIRET, World, sign_in};

fn value(text: &str, series: &str) -> Option<f64> {
    let line = text.lines().find(|line| line.rsplit_once(' ').is_some_and(|(name, _)| name == series))?;
    line.rsplit_once(' ')?.1.parse().ok()
}

fn scrape(world: &World) -> String {
    let answer = world.gateway.admin().get("/metrics").send();
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (200, Some("text/plain; version=0.0.4; charset=utf-8"))
    );
    answer.text()
}

#[test]
fn requests_sign_ins_problems_and_failures_are_counted() {
    let (_closed, dead) = crate::harness::closed_address();
    let world = World::with(Kind::Embedded, |settings| {
        settings.caf("131", "Caf des Bouches-du-Rhône", &[dead]);
    });
    world.gateway.accounts(&[crate::harness::world::account("sud@esat.example", SIRET, &["131"])]);
    world.gateway.establishments(&[serde_json::json!({"caf": "131", "siret": SIRET})]);
    let mut client = world.admitted();
    for _ in 0..7 {
        assert_eq!(client.get("/secret/chemin?nir=1850578006084").program().send().status, 200);
    }
    assert_eq!(sign_in(&mut world.gateway.client(), ONE_CAF, "faux-2026").status, 401);
    world.gateway.client().get("/").program().send();
    let down = world.signed_in("sud@esat.example").get("/").program().send();
    assert!(down.status >= 500, "{}", down.text());

    let text = scrape(&world);
    for (series, expected) in [
        (r#"octroi_requests_total{etat="admis",caf="921",status="2xx"}"#, 7.0),
        (r#"octroi_requests_total{etat="admis",caf="131",status="5xx"}"#, 1.0),
        (r#"octroi_sign_ins_total{outcome="ok"}"#, 2.0),
        (r#"octroi_sign_ins_total{outcome="refused"}"#, 1.0),
        (r#"octroi_problems_total{code="identifiants-invalides"}"#, 1.0),
        (r#"octroi_problems_total{code="session-absente"}"#, 1.0),
        (r#"octroi_backend_errors_total{caf="131",reason="connect"}"#, 1.0),
        ("octroi_request_duration_seconds_count", 12.0),
        (r#"octroi_request_duration_seconds_bucket{le="+Inf"}"#, 12.0),
        ("octroi_store_reachable", 1.0),
    ] {
        assert_eq!(value(&text, series), Some(expected), "{series} in {text}");
    }
    eventually("closed connections are no longer counted", || {
        value(&scrape(&world), "octroi_connections") == Some(0.0)
    });
    for secret in [ONE_CAF, "esat.example", "127.0.0.1", "chemin", "1850578006084"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}

#[test]
fn a_store_out_of_reach_is_told() {
    let mut world = World::new(Kind::Redis);
    assert_eq!(value(&scrape(&world), "octroi_store_reachable"), Some(1.0));
    world.redis = None;
    eventually("it is told", || value(&scrape(&world), "octroi_store_reachable") == Some(0.0));
}

#[test]
fn whoever_asks_for_openmetrics_gets_it() {
    let world = World::new(Kind::Embedded);
    let accept = "application/openmetrics-text;version=1.0.0,text/plain;q=0.5";
    let answer = world.gateway.admin().get("/metrics").header("Accept", accept).send();
    assert_eq!(
        answer.header("content-type"),
        Some("application/openmetrics-text; version=1.0.0; charset=utf-8")
    );
    assert!(answer.text().ends_with("# EOF\n"));
}
