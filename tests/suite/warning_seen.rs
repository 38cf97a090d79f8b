//! The session's warning as a person meets it, in a real browser: its whole life, several tabs, a strict policy,
//! the keyboard alone.

use std::io::Write as _;
use std::sync::Arc;

use fantoccini::key::Key;
use serde_json::{Value, json};

use crate::harness::backend::{Script, Then, answer_with};
use crate::harness::browser::Browser;
use crate::harness::world::{Kind, ONE_CAF, PASSWORD, TWO_CAFS, World};

const STRICT: &str = "Content-Type: text/html; charset=utf-8\r\n\
                      Content-Security-Policy: default-src 'none'; require-trusted-types-for 'script'\r\n";
const PAGE: &str = "<!doctype html><html lang=fr><head><title>Saisie de Jeanne</title></head><body>\
                    <h1>Déclaration</h1><label>Nom <input id=nom></label> <button>Envoyer</button></body></html>";

/// What the dialog is, as a browser tells it.
pub const DIALOG: &str = "
    var host = document.documentElement.lastElementChild, root = host.shadowRoot;
    var dialog = root && root.querySelector('[role=alertdialog]');
    if (!dialog) return null;
    var text = function (ids) {
        return ids.split(' ').map(function (id) { return root.getElementById(id).textContent; }).join(' ');
    };
    return {
        name: text(dialog.getAttribute('aria-labelledby')),
        described: text(dialog.getAttribute('aria-describedby')),
        says: dialog.innerText,
        modal: dialog.matches(':modal') && dialog.getAttribute('aria-modal'),
        focus: root.activeElement && root.activeElement.textContent,
        keys: Array.from(root.querySelectorAll('a,button')).map(function (key) { return key.textContent; }),
        spoken: root.querySelector('[aria-live]').textContent,
        title: document.title,
        page: getComputedStyle(document.body).display,
        href: (root.querySelector('a') || {}).href
    };";

pub fn in_a_browser(world: &mut World, test: impl AsyncFnOnce(&mut World, &Browser)) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let browser = Browser::start(true).await;
        test(world, &browser).await;
        browser.close().await;
    });
}

pub async fn sign_in(world: &World, browser: &Browser, identifiant: &str) {
    browser.open(&format!("http://{}/portail/connexion?retour=/saisie", world.gateway.public)).await;
    browser.type_in("identifiant", identifiant).await;
    browser.type_in("mot_de_passe", PASSWORD).await;
    browser.press("Se connecter").await;
}

/// How often this page's script was told the state.
const READS: &str = "performance.getEntriesByType('resource').filter(function (it) {
    return /\\/portail\\/session(\\/continuer)?$/.test(it.name); }).length";

/// The script of this page has read the state, and told the other tabs that somebody is here.
pub async fn ready(browser: &Browser) {
    let script = format!("return {READS} && localStorage.getItem('octroi-session')");
    browser.until("the script has read the state", &script).await;
}

pub async fn dialog(browser: &Browser, name: &str) -> Value {
    browser
        .until(
            name,
            &format!("var it = (function () {{ {DIALOG} }})(); return it && it.name === {name:?} && it;"),
        )
        .await
}

pub async fn no_dialog(browser: &Browser) {
    browser.until("there is no dialog", &format!("return !(function () {{ {DIALOG} }})();")).await;
}

/// As when one comes back to a window.
async fn glance(browser: &Browser) {
    browser.window.execute("window.dispatchEvent(new Event('focus'))", Vec::new()).await.unwrap();
}

/// The same, until the state was asked for since then, and told. A question under way, which may be older, holds back
/// another: what counts is the one after it.
pub async fn look(browser: &Browser) {
    for _ in 0..2 {
        let before = browser.window.execute(&format!("return {READS}"), Vec::new()).await.unwrap();
        glance(browser).await;
        browser.until("the state is told", &format!("return {READS} > {before}")).await;
    }
}

pub const SOON: &str = "Votre session va se terminer";
pub const OVER: &str = "Votre session a expiré";
const STALE: &str = "Cette page n’est plus à jour";

#[test]
fn its_whole_life_under_a_strict_policy() {
    let mut world = World::new(Kind::Embedded);
    world.caf921.script(answer_with(STRICT, PAGE));
    in_a_browser(&mut world, async |world, browser| {
        sign_in(world, browser, ONE_CAF).await;
        ready(browser).await;
        no_dialog(browser).await;
        browser.find("#nom").await.send_keys("Jeanne").await.unwrap();
        world.gateway.advance(1_499);
        look(browser).await;
        no_dialog(browser).await;
        world.gateway.advance(1);
        look(browser).await;
        warned(browser).await;
        by_keyboard(browser).await;
        no_dialog(browser).await;
        let state = browser
            .until(
                "focus returned",
                "return document.activeElement.id === 'nom' && document.activeElement.value",
            )
            .await;
        assert_eq!(state, "Jeanne", "what was typed is still there, and the focus is back");
        counted_down_to_the_end(world, browser).await;
    });
}

async fn warned(browser: &Browser) {
    let seen = dialog(browser, SOON).await;
    browser.picture("alerte").await;
    assert!(
        seen["described"]
            .as_str()
            .unwrap()
            .starts_with("Sans action de votre part, elle se terminera dans : "),
        "{seen}"
    );
    assert!(seen["says"].as_str().unwrap().contains("minutes"), "{seen}");
    assert_eq!(seen["modal"], "true");
    assert_eq!(seen["keys"], json!(["Continuer", "Quitter"]));
    assert_eq!(seen["focus"], "Continuer");
    assert_ne!(seen["page"], "none");
    assert!(seen["href"].as_str().unwrap().ends_with("/portail/quitter"), "{seen}");
    let first = seen["described"].clone();
    browser.until("it counts", &format!("return (function () {{ {DIALOG} }})().described !== {first}")).await;
}

/// The focus goes round in the dialog, Escape loses nothing, Enter continues.
async fn by_keyboard(browser: &Browser) {
    let focus = format!("return (function () {{ {DIALOG} }})().focus");
    for expected in ["Quitter", "Continuer", "Quitter", "Continuer"] {
        browser.key(Key::Tab).await;
        assert_eq!(browser.window.execute(&focus, Vec::new()).await.unwrap(), expected);
    }
    for _ in 0..3 {
        browser.key(Key::Escape).await;
    }
    assert_eq!(browser.window.execute(&focus, Vec::new()).await.unwrap(), "Continuer");
    browser.key(Key::Enter).await;
}

async fn counted_down_to_the_end(world: &mut World, browser: &Browser) {
    world.gateway.advance(1_789);
    look(browser).await;
    dialog(browser, SOON).await;
    let spoken =
        browser.until("it is spoken", &format!("return (function () {{ {DIALOG} }})().spoken")).await;
    assert_eq!(spoken, "Il reste 10 secondes ");
    world.gateway.advance(8);
    look(browser).await;
    browser
        .until(
            "three seconds",
            &format!("return (function () {{ {DIALOG} }})().described.indexOf(' 2 secondes') > 0"),
        )
        .await;
    world.gateway.advance(3);
    let seen = dialog(browser, OVER).await;
    browser.picture("fin").await;
    assert!(seen["says"].as_str().unwrap().contains("après 30 minutes sans action"), "{seen}");
    assert_eq!((&seen["page"], &seen["title"]), (&json!("none"), &json!(OVER)));
    assert_eq!(
        (&seen["focus"], &seen["keys"]),
        (&json!("Revenir à l’accueil"), &json!(["Revenir à l’accueil"]))
    );
    browser.key(Key::Escape).await;
    dialog(browser, OVER).await;
    browser.key(Key::Enter).await;
    browser.reads("Se connecter").await;
    assert_eq!(browser.place().await, "/portail/connexion");
}

#[test]
fn two_tabs_share_one_countdown() {
    let mut world = World::new(Kind::Embedded);
    world.caf921.script(answer_with("Content-Type: text/html\r\n", PAGE));
    in_a_browser(&mut world, async |world, browser| {
        sign_in(world, browser, ONE_CAF).await;
        ready(browser).await;
        let first = browser.window.window().await.unwrap();
        let second = browser.window.new_window(true).await.unwrap().handle;
        browser.window.switch_to_window(second.clone()).await.unwrap();
        browser.open(&format!("http://{}/saisie", world.gateway.public)).await;
        ready(browser).await;
        world.gateway.advance(1_600);
        look(browser).await;
        dialog(browser, SOON).await;
        browser.window.switch_to_window(first.clone()).await.unwrap();
        look(browser).await;
        dialog(browser, SOON).await;
        browser.key(Key::Enter).await;
        no_dialog(browser).await;
        browser.window.switch_to_window(second.clone()).await.unwrap();
        no_dialog(browser).await;
        // A request that the page makes by itself counts, and is not assumed but read.
        world.gateway.advance(1_600);
        browser
            .window
            .execute("fetch('/donnees').then(function () { window.asked = 1; })", Vec::new())
            .await
            .unwrap();
        browser.until("the page has asked", "return window.asked").await;
        look(browser).await;
        no_dialog(browser).await;
        signed_out_elsewhere(world, browser, first, second).await;
    });
}

async fn signed_out_elsewhere(
    world: &World,
    browser: &Browser,
    first: fantoccini::wd::WindowHandle,
    second: fantoccini::wd::WindowHandle,
) {
    browser.open(&format!("http://{}/portail/quitter", world.gateway.public)).await;
    ready(browser).await;
    browser.press("Se déconnecter").await;
    browser.window.switch_to_window(first).await.unwrap();
    look(browser).await;
    let seen = dialog(browser, "Votre session est fermée").await;
    assert_eq!(seen["page"], "none");
    // Once the same person is back at the same Caf, what they were typing is there again.
    browser.window.switch_to_window(second.clone()).await.unwrap();
    sign_in(world, browser, ONE_CAF).await;
    browser.find("#nom").await;
}

#[test]
fn a_page_of_another_caf_is_blocked() {
    let mut world = World::new(Kind::Embedded);
    world.caf921.script(answer_with("Content-Type: text/html\r\n", PAGE));
    world.caf751.script(answer_with("Content-Type: text/html\r\n", PAGE));
    in_a_browser(&mut world, async |world, browser| {
        sign_in(world, browser, TWO_CAFS).await;
        choose(browser, "921").await;
        ready(browser).await;
        let first = browser.window.window().await.unwrap();
        let second = browser.window.new_window(true).await.unwrap().handle;
        browser.window.switch_to_window(second.clone()).await.unwrap();
        browser.open(&format!("http://{}/portail/caf?retour=/saisie", world.gateway.public)).await;
        choose(browser, "751").await;
        browser.window.switch_to_window(first.clone()).await.unwrap();
        // The other tab's page has told this one: nothing needs to be touched here.
        let seen = dialog(browser, STALE).await;
        browser.picture("autre-caf").await;
        assert_eq!((&seen["page"], &seen["keys"]), (&json!("none"), &json!(["Continuer"])));
        browser.window.switch_to_window(second).await.unwrap();
        no_dialog(browser).await;
        browser.open(&format!("http://{}/portail/caf?retour=/saisie", world.gateway.public)).await;
        choose(browser, "921").await;
        browser.window.switch_to_window(first).await.unwrap();
        no_dialog(browser).await;
        assert_eq!(browser.window.title().await.unwrap(), "Saisie de Jeanne");
    });
}

async fn choose(browser: &Browser, code: &str) {
    browser.find(&format!("[name=caf][value=\"{code}\"]")).await.click().await.unwrap();
    browser.press("Valider").await;
    browser.find("#nom").await;
}

/// Latin-1, no head, an image that never ends its way here; and a page with a dialog of its own.
fn oddities() -> Script {
    Arc::new(|_, stream| {
        let html = b"<p id=mot>D\xe9claration<dialog id=sien><input></dialog>";
        let _ = write!(
            stream,
            "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=iso-8859-1\r\nContent-Length: {}\r\n\r\n",
            html.len()
        );
        let _ = stream.write_all(html);
        Then::Keep
    })
}

#[test]
fn an_odd_page_a_lost_network_and_the_portals_own_pages() {
    let mut world = World::new(Kind::Embedded);
    world.caf921.script(oddities());
    in_a_browser(&mut world, async |world, browser| {
        sign_in(world, browser, ONE_CAF).await;
        ready(browser).await;
        let shown =
            browser.window.execute("return document.getElementById('mot').firstChild.data", Vec::new());
        assert_eq!(shown.await.unwrap(), "Déclaration");
        // Above the page's own modal dialog, which makes all else inert.
        browser.window.execute("document.getElementById('sien').showModal()", Vec::new()).await.unwrap();
        world.gateway.advance(1_600);
        look(browser).await;
        assert_eq!(dialog(browser, SOON).await["focus"], "Continuer");
        browser.key(Key::Enter).await;
        no_dialog(browser).await;
        // The portal's own pages warn too.
        browser.open(&format!("http://{}/portail/mot-de-passe", world.gateway.public)).await;
        world.gateway.advance(1_600);
        browser.window.refresh().await.unwrap();
        world.gateway.advance(1_600);
        look(browser).await;
        dialog(browser, SOON).await;
        browser.picture("portail").await;
        world.gateway.kill();
        glance(browser).await;
        browser
            .until(
                "it says so",
                &format!("return (function () {{ {DIALOG} }})().says.indexOf('ne répond pas') > 0"),
            )
            .await;
        browser.picture("reseau").await;
    });
}
