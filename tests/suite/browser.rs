//! One walk through the pages of every state, in a real browser, with JavaScript and without.

use crate::harness::browser::Browser;
use crate::harness::world::{
    COMMUNICATION, Kind, ONE_CAF, PASSWORD, PROVISIONAL, TWO_CAFS, UNKNOWN_SIRET, World,
};

const NEW: &str = "Nouveau-2027";

#[test]
fn the_walk_with_javascript() {
    walk(true, once_in);
}

#[test]
fn the_walk_without_javascript() {
    walk(false, once_in);
}

#[test]
fn the_walk_past_hindrances_with_javascript() {
    walk(true, past_hindrances);
}

#[test]
fn the_walk_past_hindrances_without_javascript() {
    walk(false, past_hindrances);
}

fn walk(javascript: bool, steps: impl AsyncFnOnce(&mut World, &Browser)) {
    let mut world = World::new(Kind::Embedded);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let browser = Browser::start(javascript).await;
        steps(&mut world, &browser).await;
        browser.close().await;
    });
}

async fn once_in(world: &mut World, browser: &Browser) {
    signing_in(world, browser).await;
    several_cafs(world, browser).await;
    a_forgotten_password(world, browser).await;
}

async fn past_hindrances(world: &mut World, browser: &Browser) {
    go(world, browser, "/portail/connexion").await;
    a_provisional_password(browser).await;
    an_unknown_siret(browser).await;
    an_old_password(world, browser).await;
}

async fn sign_in(browser: &Browser, identifiant: &str, password: &str) {
    browser.type_in("identifiant", identifiant).await;
    browser.type_in("mot_de_passe", password).await;
    browser.press("Se connecter").await;
}

async fn signing_in(world: &World, browser: &Browser) {
    browser.open(&format!("http://{}/declaration?mois=11", world.gateway.public)).await;
    browser.reads("5 janvier 1988").await;
    assert_eq!(browser.place().await, "/portail/connexion");
    sign_in(browser, ONE_CAF, "faux").await;
    browser.find("[role=alert]").await;
    let password = browser.find("[name=mot_de_passe]").await;
    assert_eq!(password.prop("value").await.unwrap().unwrap_or_default(), "", "no password comes back");
    assert_eq!(password.attr("aria-invalid").await.unwrap().as_deref(), Some("true"));
    let identifiant = browser.find("[name=identifiant]").await;
    assert_eq!(identifiant.prop("value").await.unwrap().as_deref(), Some(ONE_CAF));
    sign_in(browser, ONE_CAF, PASSWORD).await;
    browser.reads("Caf 921").await;
    assert_eq!(browser.place().await, "/declaration");
    // The browser asks for the site's icon as well, when it likes.
    let received = world.caf921.received();
    let first = received.iter().find(|got| !got.line().contains("favicon")).unwrap();
    assert_eq!(first.line(), "GET /declaration?mois=11 HTTP/1.1");
    browser.open(&format!("http://{}/portail/quitter", world.gateway.public)).await;
    browser.press("Quitter").await;
    browser.reads("Se connecter").await;
    // The portal's pages are kept by no browser: going back asks the gateway again.
    browser.window.back().await.unwrap();
    browser.reads("Se connecter").await;
}

async fn a_provisional_password(browser: &Browser) {
    sign_in(browser, PROVISIONAL, PASSWORD).await;
    browser.reads("provisoire").await;
    assert_eq!(browser.place().await, "/portail/mot-de-passe");
    browser.type_in("mot_de_passe_actuel", PASSWORD).await;
    browser.type_in("nouveau_mot_de_passe", "court1").await;
    browser.type_in("confirmation", "court1").await;
    browser.press("Valider").await;
    browser.find("[role=alert]").await;
    browser.type_in("mot_de_passe_actuel", PASSWORD).await;
    browser.type_in("nouveau_mot_de_passe", NEW).await;
    browser.type_in("confirmation", NEW).await;
    browser.press("Valider").await;
    browser.reads("Caf 921").await;
    leave(browser).await;
}

async fn several_cafs(world: &World, browser: &Browser) {
    sign_in(browser, TWO_CAFS, PASSWORD).await;
    browser.reads("Caf de Paris").await;
    assert_eq!(browser.place().await, "/portail/caf");
    choose(browser, "751").await;
    browser.reads("Caf 751").await;
    go(world, browser, "/portail/quitter").await;
    browser.press("Quitter").await;
    browser.reads("Hauts-de-Seine").await;
    assert_eq!(browser.place().await, "/portail/caf", "with several, the choice again");
    choose(browser, "921").await;
    browser.reads("Caf 921").await;
    go(world, browser, "/portail/caf").await;
    sign_out(browser).await;
}

async fn an_unknown_siret(browser: &Browser) {
    sign_in(browser, UNKNOWN_SIRET, PASSWORD).await;
    browser.reads("Caf de Paris").await;
    choose(browser, "921").await;
    browser.reads("identifiant de communication").await;
    browser.reads("partenaires@caf921.example").await;
    browser.type_in("identifiant_communication", "99").await;
    browser.press("Valider").await;
    browser.find("[role=alert]").await;
    browser.type_in("identifiant_communication", COMMUNICATION).await;
    browser.press("Valider").await;
    browser.reads("Caf 921").await;
    leave(browser).await;
    sign_out(browser).await;
}

async fn an_old_password(world: &mut World, browser: &Browser) {
    world.gateway.advance(92 * 86_400);
    sign_in(browser, ONE_CAF, PASSWORD).await;
    browser.reads("Choisissez-en un nouveau").await;
    browser.type_in("mot_de_passe_actuel", PASSWORD).await;
    browser.type_in("nouveau_mot_de_passe", NEW).await;
    browser.type_in("confirmation", NEW).await;
    browser.press("Valider").await;
    browser.reads("Caf 921").await;
    go(world, browser, "/teleprocedure/certificat-emploi").await;
    browser.reads("fermé").await;
    leave(browser).await;
}

async fn a_forgotten_password(world: &World, browser: &Browser) {
    go(world, browser, "/portail/mot-de-passe/oubli").await;
    browser.reads("gestionnaire des habilitations").await;
}

/// Chooses a Caf of the list.
async fn choose(browser: &Browser, code: &str) {
    let choice = browser.find(&format!("[name=caf][value=\"{code}\"]")).await;
    choice.click().await.unwrap();
    browser.press("Valider").await;
}

async fn go(world: &World, browser: &Browser, path: &str) {
    browser.open(&format!("http://{}{path}", world.gateway.public)).await;
}

/// Quitter, from wherever one is.
async fn leave(browser: &Browser) {
    let mut url = browser.window.current_url().await.unwrap();
    url.set_path("/portail/quitter");
    url.set_query(None);
    browser.open(url.as_str()).await;
    browser.press("Quitter").await;
}

async fn sign_out(browser: &Browser) {
    browser.press("Se déconnecter").await;
    browser.reads("Se connecter").await;
}
