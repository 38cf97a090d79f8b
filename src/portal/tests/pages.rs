//! The same, as a browser takes them.

use super::world::{PASSWORD, World};

fn contains(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
}

#[tokio::test]
async fn the_home_page_tells_the_law_before_the_form() {
    let world = World::new().await;
    let page = world.form("GET", "/portail/connexion?retour=%2Ft%3Fa%3Db%22%3E%3Cscript", "").await;
    let law = page.text.find("88-19 du 5 janvier 1988").expect("the notice");
    assert!(law < page.text.find("<form").expect("a form"));
    contains(
        &page.text,
        &[
            "<html lang=\"fr\">",
            "<title>Connexion – Extranet ESAT</title>",
            "autocomplete=\"username\"",
            "autocomplete=\"current-password\"",
            "Se connecter",
            "Mot de passe oublié",
            "href=\"/portail/mot-de-passe\">Mettre à jour votre mot de passe",
        ],
    );
    contains(&page.text, &["name=\"retour\" value=\"/t?a=b&#34;&#62;&#60;script\""]);
    assert!(!page.text.contains("<script>") && !page.text.contains("style="));
    let policy = page.header("content-security-policy");
    contains(
        policy,
        &["default-src 'none'", "style-src 'self'", "form-action 'self'", "frame-ancestors 'none'"],
    );
    for (name, value) in [
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "same-origin"),
        ("content-language", "fr"),
        ("strict-transport-security", ""),
    ] {
        assert_eq!(page.header(name), value, "{name}");
    }
}

#[tokio::test]
async fn a_wrong_password_shows_the_form_again_with_what_was_typed() {
    let world = World::new().await;
    let body = "identifiant=%22%3E%3Cscript%3Ealert(1)%3C%2Fscript%3E&mot_de_passe=S3cret-tape&retour=%2Ft";
    let page = world.form("POST", "/portail/connexion", body).await;
    assert_eq!(page.status, 401);
    contains(
        &page.text,
        &[
            "<title>Erreur&nbsp;: Identifiant ou mot de passe incorrect – Connexion",
            "role=\"alert\"",
            "aria-invalid=\"true\"",
            "aria-describedby=\"mot_de_passe-aide mot_de_passe-erreur\"",
            "value=\"&#34;&#62;&#60;script&#62;alert(1)&#60;/script&#62;\"",
            "name=\"retour\" value=\"/t\"",
            "req-1",
        ],
    );
    assert!(!page.text.contains("S3cret-tape") && !page.text.contains("<script>"));
}

#[tokio::test]
async fn a_walk_by_forms_is_a_chain_of_303() {
    let world = World::new().await;
    let body = format!("identifiant=deux%40esat.example&mot_de_passe={PASSWORD}&retour=%2Ft%3Fa%3Db");
    let answer = world.form("POST", "/portail/connexion", &body).await;
    assert_eq!((answer.status, answer.header("location")), (303, "/portail/caf?retour=%2Ft%3Fa%3Db"));
    contains(answer.header("set-cookie"), &["octroi=", "; Path=/; HttpOnly; SameSite=Lax"]);
    let page = world.form("GET", "/portail/caf?retour=%2Ft%3Fa%3Db", "").await;
    contains(
        &page.text,
        &["Caf de Paris", "value=\"751\"", "name=\"retour\" value=\"/t?a=b\"", "deux@esat.example"],
    );
    assert!(!page.text.contains("999"));
    let answer = world.form("POST", "/portail/caf", "caf=751&retour=%2Ft%3Fa%3Db").await;
    assert_eq!(answer.header("location"), "/portail/etablissement?retour=%2Ft%3Fa%3Db");
    let page = world.form("GET", "/portail/etablissement", "").await;
    contains(&page.text, &["Caf de Paris", "partenaires@caf751.example", "73282932000074"]);
    let wrong = world.form("POST", "/portail/etablissement", "identifiant_communication=zz9").await;
    assert_eq!(wrong.status, 403);
    contains(&wrong.text, &["value=\"zz9\"", "Il vous reste 4 essais", "partenaires@caf751.example"]);
    let body = "identifiant_communication=12345678&retour=%2Ft%3Fa%3Db";
    let answer = world.form("POST", "/portail/etablissement", body).await;
    assert_eq!((answer.status, answer.header("location")), (303, "/t?a=b"));
    let page = world.form("GET", "/portail/connexion", "").await;
    contains(&page.text, &["Votre session est ouverte", "Caf de Paris", "href=\"/\">Continuer", "Quitter"]);
    let page = world.form("GET", "/portail/quitter", "").await;
    contains(&page.text, &["Quitter la Caf de Paris&nbsp;?", "method=\"post\" action=\"/portail/quitter\""]);
    let answer = world.form("POST", "/portail/quitter", "").await;
    assert_eq!(answer.header("location"), "/portail/caf");
    let page = world.form("GET", "/portail/quitter", "").await;
    contains(&page.text, &["Quitter le service&nbsp;?"]);
    let answer = world.form("POST", "/portail/quitter", "").await;
    assert_eq!((answer.status, answer.header("location")), (303, "/portail/connexion"));
    let page = world.form("POST", "/portail/quitter", "").await;
    assert_eq!(page.status, 401);
    contains(&page.text, &["Il faut d’abord se connecter", "href=\"/portail/connexion\""]);
}

#[tokio::test]
async fn the_password_page_says_what_is_expected_and_what_is_wrong() {
    let world = World::new().await;
    let page = world.form("GET", "/portail/mot-de-passe", "").await;
    let rules = page.text.find("8 caractères au moins").expect("the rules");
    assert!(rules < page.text.find("<form").expect("a form"));
    contains(
        &page.text,
        &["name=\"identifiant\"", "autocomplete=\"new-password\"", "5 derniers mots de passe", "92 jours"],
    );
    let body = format!(
        "identifiant=une%40esat.example&mot_de_passe_actuel={PASSWORD}&nouveau_mot_de_passe=abc&confirmation=abc"
    );
    let page = world.form("POST", "/portail/mot-de-passe", &body).await;
    assert_eq!(page.status, 422);
    contains(
        &page.text,
        &[
            "value=\"une@esat.example\"",
            "<li>Il doit compter au moins 8 caractères.</li>",
            "<li>Il doit contenir au moins un chiffre.</li>",
            "id=\"nouveau_mot_de_passe-erreur\"",
        ],
    );
    assert!(!page.text.contains("value=\"abc\"") && !page.text.contains(PASSWORD));
    world.sign_in("provisoire@esat.example").await;
    let page = world.form("GET", "/portail/mot-de-passe", "").await;
    contains(&page.text, &["est provisoire", "provisoire@esat.example", "Se déconnecter"]);
    assert!(!page.text.contains("name=\"identifiant\""));
}

#[tokio::test]
async fn an_ended_session_and_a_password_near_its_end_are_told() {
    let world = World::new().await;
    world.sign_in("bientot@esat.example").await;
    let page = world.form("GET", "/portail/connexion", "").await;
    contains(&page.text, &["Il reste 7 jours"]);
    world.clock.advance(std::time::Duration::from_mins(30));
    let page = world.form("GET", "/portail/connexion", "").await;
    contains(&page.text, &["Votre session est terminée", "30 minutes sans action", "Se connecter"]);
    assert_eq!(page.header("set-cookie"), "", "a tab that lags behind must not end another's session");
}

#[tokio::test]
async fn in_november_one_is_told_of_a_password_that_ends_within_the_campaign() {
    let world = World::new().await;
    let told = [
        "Votre mot de passe expirera pendant la campagne",
        "le 23 février 2027 à 8\u{a0}h\u{a0}00",
        "/portail/mot-de-passe\">Le changer maintenant",
    ];
    world.sign_in("deux@esat.example").await;
    let page = world.form("GET", "/portail/caf", "").await;
    contains(&page.text, &told);
    contains(
        &page.text,
        &["Changé à partir du 29 novembre 2026", "jusqu’à la fin de la campagne, le 28 février 2027"],
    );
    let at = |instant: &str| world.clock.set(instant.parse().expect("an instant"));
    for (instant, suite) in [
        ("2026-11-28T23:59:59+01:00", "/"),
        ("2026-11-29T00:00:00+01:00", "/portail/connexion"),
        ("2026-11-30T23:59:59+01:00", "/portail/connexion"),
    ] {
        at(instant);
        let state = world.sign_in("une@esat.example").await;
        assert_eq!(state["mot_de_passe"]["expire_pendant_la_campagne"], true);
        assert_eq!(state["suite"], suite, "{instant}: it is told on the way in once a change is of use");
    }
    let page = world.form("GET", "/portail/connexion", "").await;
    contains(&page.text, &told);
    contains(&page.text, &["Changé dès maintenant"]);
    at("2026-12-01T00:00:00+01:00");
    let state = world.sign_in("une@esat.example").await;
    assert_eq!(state["suite"], "/");
    assert_eq!(state["mot_de_passe"]["expire_pendant_la_campagne"], true);
    let page = world.form("GET", "/portail/connexion", "").await;
    assert!(!page.text.contains("pendant la campagne"), "it is told in November");
    // A change on 1 December outlasts the campaign.
    let body = serde_json::json!({"mot_de_passe_actuel": PASSWORD, "nouveau_mot_de_passe": "Platane-2027"});
    let state = world.json("POST", "/portail/mot-de-passe", body).await.json();
    assert_eq!(
        state["mot_de_passe"],
        serde_json::json!({"expire_le": "2027-03-02T23:00:00Z", "jours_restants": 92})
    );
}

#[tokio::test]
async fn all_pages_together_are_light() {
    let world = World::new().await;
    let page = world.form("GET", "/portail/mot-de-passe", "").await;
    let style = world.form("GET", "/portail/style.css", "").await;
    assert!(page.text.len() + style.text.len() < 15_000);
}
