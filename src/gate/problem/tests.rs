//! Every code of the contract, as a program and as a browser read it.

use http_body_util::BodyExt as _;
use jiff::civil::date;

use super::*;
use crate::domain::{CafCode, PasswordRule, StoreError, VoletState};
use crate::entry::NotAdmitted;
use crate::limits::TooMany;
use crate::portal::tests::world::{Answer, World, caf, read};
use crate::portal::{BodyError, CafContact, Cause, FieldFault, Refusal};

const SOON: Duration = Duration::from_millis(1_500);

fn problems() -> Vec<(&'static str, u16, Problem)> {
    let paris = caf("751", "Caf de Paris");
    let contact = || Box::new(CafContact::of(paris.code, Some(&paris)));
    let because = |cause: Cause| Problem::from(Refusal::from(cause));
    let nine: CafCode = "999".parse().expect("a code");
    let days = Some((date(2026, 12, 1), date(2027, 2, 28)));
    let closed = NotAdmitted::Closed {
        volet: "certificat-emploi".to_owned(),
        state: VoletState { open: false, days },
    };
    let broken = vec![PasswordRule::Length, PasswordRule::Digit];
    let field = BodyError::Field { name: "caf", fault: FieldFault::Malformed };
    let unreachable = || StoreError::Unreachable("redis://:secret@10.0.0.1".to_owned());
    let gateway = |status| Problem::caf_unavailable(status, Some(&paris), true);
    vec![
        ("session-absente", 401, because(Cause::NoSession)),
        ("session-expiree", 401, because(Cause::Gone)),
        ("identifiants-invalides", 401, because(Cause::Credentials)),
        ("mot-de-passe-a-changer", 403, because(Cause::PasswordDue)),
        ("mot-de-passe-refuse", 422, because(Cause::Rules { broken, min_length: 8 })),
        ("caf-a-choisir", 403, because(Cause::NoCaf)),
        ("etablissement-a-identifier", 403, because(Cause::NoEstablishment)),
        ("caf-non-habilitee", 403, because(Cause::NotGranted(nine))),
        ("caf-differente", 409, Problem::other_caf(Some(&paris))),
        ("etablissement-inconnu", 403, because(Cause::Unknown { caf: contact(), tries_left: 1 })),
        ("volet-ferme", 403, closed.into()),
        ("origine-refusee", 403, Problem::foreign_origin()),
        ("trop-de-requetes", 429, TooMany { retry_after: SOON }.into()),
        ("trop-d-essais", 429, because(Cause::Locked { retry_after: SOON })),
        ("trop-d-essais", 429, because(Cause::Barred { caf: contact(), retry_after: SOON })),
        ("requete-invalide", 400, because(field.into())),
        ("requete-invalide", 400, Problem::several_sessions()),
        ("corps-trop-grand", 413, because(BodyError::TooLarge.into())),
        ("entetes-trop-grands", 431, Problem::headers_too_large()),
        ("introuvable", 404, Problem::not_found()),
        ("methode-refusee", 405, because(Cause::Method { allowed: "GET, HEAD" })),
        ("caf-indisponible", 502, gateway(StatusCode::BAD_GATEWAY)),
        ("caf-indisponible", 503, gateway(StatusCode::SERVICE_UNAVAILABLE)),
        ("caf-indisponible", 504, gateway(StatusCode::GATEWAY_TIMEOUT)),
        ("service-indisponible", 503, unreachable().into()),
        ("service-indisponible", 503, because(unreachable().into())),
        ("service-indisponible", 503, because(Cause::Busy)),
        ("service-indisponible", 503, because(Cause::Machine)),
        ("service-indisponible", 503, NotAdmitted::NoKey.into()),
        ("caf-a-choisir", 403, NotAdmitted::NotReady.into()),
    ]
}

async fn answers(rendering: Rendering) -> Vec<(&'static str, u16, Answer)> {
    let portal = World::new().await.portal;
    let mut answers = Vec::new();
    for (code, status, problem) in problems() {
        assert_eq!((problem.code(), problem.status().as_u16()), (code, status));
        answers.push((code, status, read(problem.respond(rendering, "req-<1>", &portal)).await));
    }
    answers
}

#[tokio::test]
async fn a_program_reads_rfc_9457() {
    for (code, status, answer) in answers(Rendering::Json).await {
        let said = answer.json();
        assert_eq!((answer.status, answer.header("content-type")), (status, "application/problem+json"));
        assert_eq!(said["type"], format!("urn:octroi:probleme:{code}"));
        assert_eq!((&said["code"], &said["status"]), (&json!(code), &json!(status)));
        assert_eq!(said["requete"], "req-<1>");
        assert!(
            said["title"].as_str().is_some_and(|title| (5..60).contains(&title.chars().count())),
            "{said}"
        );
        assert!(said["detail"].as_str().is_some_and(|detail| detail.len() > 30), "{said}");
        assert_eq!((answer.header("content-language"), answer.header("cache-control")), ("fr", "no-store"));
        assert_eq!(!answer.header("retry-after").is_empty(), status == 429 || code == "service-indisponible");
        assert_eq!(!answer.header("www-authenticate").is_empty(), status == 401);
        assert!(!answer.text.contains("secret"), "{}", answer.text);
    }
}

#[tokio::test]
async fn a_browser_reads_a_page() {
    for (code, status, answer) in answers(Rendering::Page).await {
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (status, "text/html; charset=utf-8"),
            "{code}"
        );
        assert!(answer.text.contains("req-&#60;1&#62;") && answer.text.contains("<h1>"), "{code}");
        assert!(!answer.text.contains("secret"), "{code}");
    }
}

#[tokio::test]
async fn what_a_program_needs_stands_beside_the_words() {
    let mut all = answers(Rendering::Json).await.into_iter();
    let mut said =
        |code: &str| all.find(|(known, ..)| *known == code).map(|(.., answer)| answer).expect("a code");
    let rules = said("mot-de-passe-refuse").json();
    assert_eq!(rules["regles"], json!(["longueur", "chiffre"]));
    assert!(
        rules["detail"]
            .as_str()
            .is_some_and(|detail| detail.contains("8 caractères") && detail.contains("chiffre"))
    );
    let unknown = said("etablissement-inconnu").json();
    assert_eq!(unknown["caf"], json!({"code": "751", "nom": "Caf de Paris"}));
    assert_eq!(
        (&unknown["contact"], &unknown["essais_restants"]),
        (&json!("partenaires@caf751.example"), &json!(1))
    );
    let volet = said("volet-ferme").json();
    assert_eq!(volet["volet"], "certificat-emploi");
    assert_eq!((&volet["ouvre_le"], &volet["ferme_le"]), (&json!("2026-12-01"), &json!("2027-02-28")));
    assert!(
        volet["detail"]
            .as_str()
            .is_some_and(|detail| detail.contains("du 1er décembre 2026 au 28 février 2027"))
    );
    assert_eq!(said("trop-de-requetes").header("retry-after"), "2");
    assert_eq!(said("requete-invalide").json()["champ"], "caf");
    assert_eq!(said("methode-refusee").header("allow"), "GET, HEAD");
    let down = said("caf-indisponible").json();
    assert_eq!(down["caf"], json!({"code": "751", "nom": "Caf de Paris"}));
    assert_eq!(down["contact"], "partenaires@caf751.example");
}

#[test]
fn a_caf_without_a_contact_tells_none() {
    let mut paris = caf("751", "Caf de Paris");
    paris.contact = String::new();
    let down = Problem::caf_unavailable(StatusCode::BAD_GATEWAY, Some(&paris), false);
    assert!(down.0.extra.contains_key("caf") && !down.0.extra.contains_key("contact"), "{down:?}");
}

#[tokio::test]
async fn the_page_to_go_to_is_told() {
    let portal = World::new().await.portal;
    let problem = Problem::must_choose_caf().leading_to("/portail/caf");
    let response = problem.respond(Rendering::Json, "req-1", &portal);
    let bytes = response.into_body().collect().await.expect("a body").to_bytes();
    let said: Value = serde_json::from_slice(&bytes).expect("JSON");
    assert_eq!(said["suite"], "/portail/caf");
}
