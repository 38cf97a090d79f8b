//! The demonstration as the README tells it, by the keyboard alone: to sign in, choose a Caf, declare, be warned,
//! continue, expire, find a form again, send it and leave.

use fantoccini::key::Key;

use crate::harness::browser::Browser;
use crate::harness::gateway::{Gateway, NOON};
use crate::harness::world::sign_in;
use crate::pages_walks::{fill, tab_to, type_there};
use crate::warning_seen::{look, ready};

const ACCOUNT: [(&str, &str); 2] =
    [("identifiant", "plusieurs.cafs@esat.example"), ("mot_de_passe", "Platane-2026")];
const DECLARATION: [(&str, &str); 2] = [("salarie", "Jeanne"), ("remuneration", "1234")];
const RECEIVED: &str = "Reçu par la Caf de Paris : Jeanne, 1234 €.";

/// What the demonstration prints about itself is true from the first connection on.
#[test]
fn whoever_comes_first_is_known() {
    for _ in 0..5 {
        let demo = Gateway::demo();
        for (identifiant, password, etat) in [
            ("perime@esat.example", "Ancienne-2026", "mot_de_passe_a_changer"),
            ("une.caf@esat.example", "Tilleul-2026", "admis"),
        ] {
            assert_eq!(sign_in(&mut demo.client(), identifiant, password).etat(), etat);
        }
    }
}

fn rehearse(javascript: bool, walk: impl AsyncFnOnce(&mut Gateway, &Browser)) {
    let mut gateway =
        Gateway::demo_with(&[("OCTROI_REHEARSAL__NOW", NOON), ("OCTROI_SESSION__IDLE_TIMEOUT", "20m")]);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let browser = Browser::start(javascript).await;
        walk(&mut gateway, &browser).await;
        browser.close().await;
    });
}

async fn enter(browser: &Browser, css: &str) {
    tab_to(browser, css).await;
    browser.key(Key::Enter).await;
}

/// Signs in at the page that is open, and chooses the Caf that comes first: by its name, then as the last used.
async fn to_paris(browser: &Browser) {
    fill(browser, &ACCOUNT).await;
    browser.reads("À quelle Caf").await;
    tab_to(browser, "[name=caf][value=\"751\"]").await;
    type_there(browser, " ").await;
    browser.key(Key::Enter).await;
}

async fn leave(browser: &Browser) {
    enter(browser, "a[href=\"/portail/quitter\"]").await;
    browser.reads("Quitter la Caf de Paris ?").await;
    enter(browser, "main button").await;
    browser.reads("À quelle Caf").await;
    enter(browser, "header button").await;
    browser.reads("88-19").await;
}

const ASKED: &str = "var host = document.documentElement.lastElementChild, root = host.shadowRoot;
    return root && root.querySelector('h2').textContent === ";

#[test]
fn one_declares_is_warned_continues_and_expires() {
    rehearse(true, async |gateway, browser| {
        browser.open(&format!("http://{}/", gateway.public)).await;
        to_paris(browser).await;
        browser.reads("téléprocédure de démonstration").await;
        fill(browser, &DECLARATION).await;
        browser.reads(RECEIVED).await;
        ready(browser).await;
        gateway.advance(16 * 60);
        look(browser).await;
        browser.until("the warning", &format!("{ASKED}'Votre session va se terminer'")).await;
        browser.key(Key::Enter).await;
        browser.until("it is gone", "return !document.documentElement.lastElementChild.shadowRoot").await;
        gateway.advance((16 + 21) * 60);
        look(browser).await;
        browser.until("the end", &format!("{ASKED}'Votre session a expiré'")).await;
        let said = "return document.documentElement.lastElementChild.shadowRoot.textContent";
        let said = browser.window.execute(said, Vec::new()).await.unwrap();
        assert!(said.as_str().unwrap().contains("après 20 minutes sans action"), "{said}");
        browser.key(Key::Enter).await;
        browser.reads("Une session se ferme après 20 minutes sans action").await;
        to_paris(browser).await;
        browser.reads("téléprocédure de démonstration").await;
        leave(browser).await;
    });
}

#[test]
fn a_form_that_came_too_late_is_found_again() {
    rehearse(false, async |gateway, browser| {
        browser.open(&format!("http://{}/", gateway.public)).await;
        to_paris(browser).await;
        browser.reads("téléprocédure de démonstration").await;
        gateway.advance(31 * 60);
        fill(browser, &DECLARATION).await;
        browser.reads("n’a pas été transmis").await;
        enter(browser, "main .bouton").await;
        to_paris(browser).await;
        browser.reads("Une saisie attend votre décision").await;
        browser.reads("Jeanne").await;
        enter(browser, "main button").await;
        browser.reads(RECEIVED).await;
        leave(browser).await;
    });
}
