//! A form that comes too late as a person meets it, in a real browser: kept or not, it is not lost.

use std::io::Write as _;
use std::sync::Arc;

use crate::harness::backend::{Received, Script, Then};
use crate::harness::browser::Browser;
use crate::harness::eventually;
use crate::harness::world::{Kind, ONE_CAF, PASSWORD, World};
use crate::pages_walks::double_click;

/// A form, and what it is answered: how much came.
fn form() -> Script {
    Arc::new(|received: &Received, stream| {
        let html = if received.line().starts_with("POST") {
            format!("<!doctype html><h1>Reçu : {} octets</h1>", received.body.len())
        } else {
            "<!doctype html><form method=post action=/saisie><textarea name=notes></textarea><button>Valider</button></form>"
                .to_owned()
        };
        let _ = write!(
            stream,
            "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\n\r\n{html}",
            html.len()
        );
        Then::Keep
    })
}

fn in_a_browser(javascript: bool, test: impl AsyncFnOnce(&mut World, &Browser)) {
    let mut world = World::new(Kind::Embedded);
    world.caf921.script(form());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let browser = Browser::start(javascript).await;
        test(&mut world, &browser).await;
        browser.close().await;
    });
}

async fn sign_in(world: &World, browser: &Browser) {
    browser.open(&format!("http://{}/portail/connexion?retour=/saisie", world.gateway.public)).await;
    browser.type_in("identifiant", ONE_CAF).await;
    browser.type_in("mot_de_passe", PASSWORD).await;
    browser.press("Se connecter").await;
}

fn posts(world: &World) -> Vec<usize> {
    let posts = world.caf921.received().into_iter().filter(|got| got.line().starts_with("POST"));
    posts.map(|got| got.body.len()).collect()
}

#[test]
fn a_double_click_sends_it_once_with_javascript() {
    in_a_browser(true, async |world, browser| sent_once(world, browser, &["Reçu : 14 octets"]).await);
}

#[test]
fn a_double_click_sends_it_once_without_javascript() {
    // Where the first click's request has left already, the browser sends the second's too, and shows its answer alone.
    let either = ["Reçu : 14 octets", "déjà été envoyée"];
    in_a_browser(false, async |world, browser| sent_once(world, browser, &either).await);
}

async fn sent_once(world: &mut World, browser: &Browser, told: &[&str]) {
    sign_in(world, browser).await;
    browser.type_in("notes", "712,50").await;
    world.gateway.advance(1_800);
    browser.press("Valider").await;
    browser.reads("gardé 30 minutes").await;
    sign_in(world, browser).await;
    browser.reads("Une saisie attend votre décision").await;
    assert_eq!(posts(world), [0; 0], "nothing is sent of itself");
    double_click(browser, "main form button").await;
    browser.reads_any(told).await;
    eventually("it is sent", || posts(world) == [14]);
    // Going back sends nothing again.
    browser.open(&format!("http://{}/portail/declaration-en-attente", world.gateway.public)).await;
    browser.reads("Aucune saisie en attente").await;
    assert_eq!(posts(world), [14]);
}

/// Larger than what is kept: the browser has it still.
#[test]
fn what_is_too_large_to_be_kept_is_sent_again_by_the_browser() {
    in_a_browser(true, async |world, browser| {
        sign_in(world, browser).await;
        let typed = "document.querySelector('[name=notes]').value = 'x'.repeat(3e6)";
        browser.find("[name=notes]").await;
        browser.window.execute(typed, Vec::new()).await.unwrap();
        world.gateway.advance(1_800);
        browser.press("Valider").await;
        browser.reads("n’a pas pu être gardé").await;
        let first = browser.window.window().await.unwrap();
        browser.find("main a[target=_blank]").await.click().await.unwrap();
        let second = other_tab(browser, &first).await;
        browser.window.switch_to_window(second).await.unwrap();
        sign_in(world, browser).await;
        browser.find("[name=notes]").await;
        browser.window.switch_to_window(first).await.unwrap();
        browser.window.refresh().await.unwrap();
        browser.reads("Reçu : 3000006 octets").await;
        assert_eq!(posts(world), [3_000_006]);
    });
}

async fn other_tab(browser: &Browser, own: &fantoccini::wd::WindowHandle) -> fantoccini::wd::WindowHandle {
    for _ in 0..500 {
        let mut tabs = browser.window.windows().await.unwrap();
        tabs.retain(|tab| tab != own);
        if let Some(tab) = tabs.pop() {
            return tab;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("no tab was opened");
}
