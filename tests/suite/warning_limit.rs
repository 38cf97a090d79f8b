//! The warning before the end that nothing puts off: it does not promise what *Continuer* cannot do.

use fantoccini::key::Key;
use serde_json::json;

use crate::harness::backend::answer_with;
use crate::harness::browser::Browser;
use crate::harness::world::{Kind, ONE_CAF, World};
use crate::on_each_store;
use crate::warning_seen::{DIALOG, OVER, SOON, dialog, in_a_browser, look, no_dialog, ready, sign_in};

const PAGE: &str =
    "<!doctype html><html lang=fr><head><title>Saisie</title></head><body><input id=nom></body></html>";

/// Sessions of 40 minutes at most.
fn short() -> World {
    let world = World::with(Kind::Embedded, |settings| {
        settings.set("session", "absolute_timeout", "\"40m\"");
    });
    world.caf921.script(answer_with("Content-Type: text/html; charset=utf-8\r\n", PAGE));
    world
}

on_each_store! {
    fn the_state_tells_when_nothing_puts_the_end_off(kind: Kind) {
        let mut world = World::with(kind, |settings| {
            settings.set("session", "absolute_timeout", "\"40m\"");
        });
        let mut client = world.admitted();
        world.gateway.advance(599);
        let again = client.post("/portail/session/continuer").program().send().json();
        assert_eq!(again["session"], json!({"expire_dans_s": 1_800, "alerte_dans_s": 1_500}));
        world.gateway.advance(101);
        let again = client.post("/portail/session/continuer").program().send().json();
        let told = json!({"expire_dans_s": 1_700, "alerte_dans_s": 1_400, "prolongeable": false});
        assert_eq!(again["session"], told);
        assert_eq!(client.get("/portail/session").program().send().json()["session"], told);
    }
}

#[test]
fn a_session_at_its_limit_lets_its_user_finish() {
    let mut world = short();
    in_a_browser(&mut world, async |world, browser| {
        sign_in(world, browser, ONE_CAF).await;
        ready(browser).await;
        browser.find("#nom").await.send_keys("Jeanne").await.unwrap();
        world.gateway.advance(1_600);
        look(browser).await;
        assert_eq!(dialog(browser, SOON).await["keys"], json!(["Continuer", "Quitter"]));
        browser.key(Key::Enter).await;
        no_dialog(browser).await;
        world.gateway.advance(600);
        look(browser).await;
        let seen = dialog(browser, SOON).await;
        browser.picture("limite").await;
        let said = seen["described"].as_str().unwrap();
        assert!(said.contains("durée maximale") && said.contains("3 minutes"), "{seen}");
        assert_eq!(seen["keys"], json!(["Revenir à la page", "Quitter"]));
        back_to_the_page(browser).await;
        look(browser).await;
        world.gateway.advance(145);
        look(browser).await;
        dialog(browser, SOON).await;
        back_to_the_page(browser).await;
        world.gateway.advance(55);
        look(browser).await;
        let seen = dialog(browser, OVER).await;
        let said = seen["says"].as_str().unwrap();
        assert!(said.contains("durée maximale") && !said.contains("sans action"), "{seen}");
    });
}

/// One can go on, and the dialog stays away meanwhile.
async fn back_to_the_page(browser: &Browser) {
    browser.key(Key::Enter).await;
    no_dialog(browser).await;
    let typed = "return document.activeElement.id === 'nom' && document.activeElement.value";
    assert_eq!(browser.until("the focus is back", typed).await, "Jeanne");
}

#[test]
fn what_continuer_could_not_do_is_said() {
    let mut world = short();
    in_a_browser(&mut world, async |world, browser| {
        sign_in(world, browser, ONE_CAF).await;
        world.gateway.advance(550);
        browser.window.refresh().await.unwrap();
        ready(browser).await;
        world.gateway.advance(1_550);
        look(browser).await;
        assert_eq!(dialog(browser, SOON).await["focus"], "Continuer");
        browser.key(Key::Enter).await;
        let script = format!("return (function () {{ {DIALOG} }})().described.indexOf('durée maximale') > 0");
        browser.until("it says that it is the end", &script).await;
        assert_eq!(dialog(browser, SOON).await["focus"], "Revenir à la page");
    });
}
