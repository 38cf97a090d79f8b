//! The pages as people use them: by the keyboard alone, in two tabs, with *back* after leaving, with a double click.

use fantoccini::actions::{InputSource as _, MOUSE_BUTTON_LEFT, MouseActions, PointerAction};
use fantoccini::key::Key;

use crate::harness::backend::answer_with;
use crate::harness::browser::Browser;
use crate::harness::client::Client;
use crate::harness::gateway::Settings;
use crate::harness::world::{
    COMMUNICATION, Kind, ONE_CAF, PASSWORD, PROVISIONAL, SIRET, TWO_CAFS, UNKNOWN_SIRET, World, account,
};

const NEW: &str = "Nouveau-2027";
const HTML: &str = "Content-Type: text/html; charset=utf-8\r\n";

fn in_a_browser(javascript: bool, test: impl AsyncFnOnce(&World, &Browser)) {
    in_a_browser_with(javascript, |_| (), test);
}

/// The same, where sessions are counted: on Redis, which shows them.
fn in_a_browser_that_is_counted(javascript: bool, test: impl AsyncFnOnce(&World, &Browser)) {
    in_a_browser_on(Kind::Redis, javascript, |_| (), test);
}

fn in_a_browser_with(
    javascript: bool,
    change: impl FnOnce(&mut Settings),
    test: impl AsyncFnOnce(&World, &Browser),
) {
    in_a_browser_on(Kind::Embedded, javascript, change, test);
}

fn in_a_browser_on(
    kind: Kind,
    javascript: bool,
    change: impl FnOnce(&mut Settings),
    test: impl AsyncFnOnce(&World, &Browser),
) {
    let world = World::with(kind, change);
    for (backend, name) in [(&world.caf921, "921"), (&world.caf751, "751")] {
        let page =
            format!("<!doctype html><title>Salaires</title><h1>Caf {name}</h1><p>Jeanne : 1 234 euros</p>");
        backend.script(answer_with(HTML, &page));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let browser = Browser::start(javascript).await;
        test(&world, &browser).await;
        browser.close().await;
    });
}

async fn open(world: &World, browser: &Browser, path: &str) {
    browser.open(&format!("http://{}{path}", world.gateway.public)).await;
}

async fn sign_in(world: &World, browser: &Browser, identifiant: &str) {
    open(world, browser, "/portail/connexion").await;
    browser.type_in("identifiant", identifiant).await;
    browser.type_in("mot_de_passe", PASSWORD).await;
    browser.press("Se connecter").await;
}

/// How many sessions there are.
fn sessions(world: &World) -> usize {
    world.redis.as_ref().unwrap().ask("KEYS octroi:action:*").matches("octroi:action:").count()
}

/// Presses Tab until the focus is there; it must be seen wherever it stops.
pub async fn tab_to(browser: &Browser, css: &str) {
    for _ in 0..30 {
        browser.key(Key::Tab).await;
        let script = format!(
            "var e = document.activeElement, s = getComputedStyle(e), r = e.getBoundingClientRect();
            return [e.matches({css:?}), e.outerHTML.slice(0, 90),
                s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 2 && r.right > 0 && r.width > 0];"
        );
        let at = browser.window.execute(&script, Vec::new()).await.unwrap();
        assert_eq!(at[2], true, "the focus is not seen on {}", at[1]);
        if at[0] == true {
            return;
        }
    }
    panic!("the keyboard does not reach {css}: {}", browser.text().await);
}

pub async fn type_there(browser: &Browser, text: &str) {
    browser.window.active_element().await.unwrap().send_keys(text).await.unwrap();
}

/// Fills the fields in the order of the page and sends them, with Tab and Enter alone.
pub async fn fill(browser: &Browser, fields: &[(&str, &str)]) {
    for (name, text) in fields {
        tab_to(browser, &format!("[name={name}]")).await;
        type_there(browser, text).await;
    }
    browser.key(Key::Enter).await;
}

#[test]
fn the_keyboard_is_enough_with_javascript() {
    in_a_browser(true, by_keyboard);
}

#[test]
fn the_keyboard_is_enough_without_javascript() {
    in_a_browser(false, by_keyboard);
}

async fn by_keyboard(world: &World, browser: &Browser) {
    open(world, browser, "/portail/connexion").await;
    tab_to(browser, ".evitement").await;
    fill(browser, &[("identifiant", UNKNOWN_SIRET), ("mot_de_passe", "faux")]).await;
    browser.reads("incorrect").await;
    browser.until("the focus is on the error", "return document.activeElement.id === 'erreur'").await;
    tab_to(browser, "#erreur a").await;
    browser.key(Key::Enter).await;
    browser.until("the field to correct", "return document.activeElement.name === 'mot_de_passe'").await;
    type_there(browser, PASSWORD).await;
    browser.key(Key::Enter).await;
    browser.reads("À quelle Caf").await;
    tab_to(browser, "[name=caf]").await;
    browser.key(Key::Down).await;
    browser.until("the second Caf", "return document.activeElement.value === '921'").await;
    tab_to(browser, "main button").await;
    browser.key(Key::Enter).await;
    browser.reads("Elle ne connaît pas").await;
    fill(browser, &[("identifiant_communication", COMMUNICATION)]).await;
    browser.reads("Caf 921").await;
    open(world, browser, "/portail/quitter").await;
    tab_to(browser, "main button").await;
    browser.key(Key::Enter).await;
    browser.reads("À quelle Caf").await;
    tab_to(browser, "header button").await;
    browser.key(Key::Enter).await;
    browser.reads("88-19").await;
    fill(browser, &[("identifiant", PROVISIONAL), ("mot_de_passe", PASSWORD)]).await;
    browser.reads("provisoire").await;
    let fields = [("mot_de_passe_actuel", PASSWORD), ("nouveau_mot_de_passe", NEW), ("confirmation", NEW)];
    fill(browser, &fields).await;
    browser.reads("Caf 921").await;
}

#[test]
fn rules_are_ticked_while_the_password_is_typed() {
    in_a_browser(true, async |world, browser| {
        sign_in(world, browser, PROVISIONAL).await;
        let ticked = async |text: &str| {
            browser.type_in("nouveau_mot_de_passe", text).await;
            let script = "return document.querySelectorAll('[data-regle].tenue').length";
            browser.window.execute(script, Vec::new()).await.unwrap()
        };
        assert_eq!(ticked("é").await, 2, "a letter, and not the identifiant");
        assert_eq!(ticked("12345678").await, 3);
        assert_eq!(ticked(NEW).await, 4);
        assert_eq!(ticked(&format!("{PROVISIONAL}1")).await, 3, "it holds the identifiant");
        browser.reads("✓ respecté").await;
    });
}

#[test]
fn back_shows_nothing_of_a_session_that_was_left() {
    in_a_browser(true, nothing_comes_back);
}

#[test]
fn back_shows_nothing_of_a_session_that_was_left_without_javascript() {
    in_a_browser(false, nothing_comes_back);
}

async fn nothing_comes_back(world: &World, browser: &Browser) {
    sign_in(world, browser, ONE_CAF).await;
    open(world, browser, "/declaration").await;
    browser.reads("Jeanne").await;
    open(world, browser, "/portail/mot-de-passe").await;
    browser.reads(ONE_CAF).await;
    open(world, browser, "/portail/quitter").await;
    browser.press("Quitter").await;
    browser.reads("Se connecter").await;
    for step in 0..4 {
        browser.window.back().await.unwrap();
        browser.reads("Accès réservé").await;
        let text = browser.text().await;
        assert!(!text.contains("Jeanne") && !text.contains(ONE_CAF), "{step} steps back: {text}");
    }
}

#[test]
fn two_tabs_are_one_session() {
    in_a_browser_that_is_counted(true, async |world, browser| {
        sign_in(world, browser, TWO_CAFS).await;
        browser.reads("À quelle Caf").await;
        let first = browser.window.window().await.unwrap();
        let second = browser.window.new_window(true).await.unwrap().handle;
        browser.window.switch_to_window(second.clone()).await.unwrap();
        open(world, browser, "/portail/caf").await;
        choose(browser, "751").await;
        browser.reads("Caf 751").await;
        browser.window.switch_to_window(first).await.unwrap();
        choose(browser, "921").await;
        browser.reads("Caf 921").await;
        open(world, browser, "/portail/caf").await;
        browser.reads("Caf des Hauts-de-Seine (921, Caf actuelle)").await;
        browser.window.switch_to_window(second).await.unwrap();
        open(world, browser, "/declaration").await;
        browser.reads("Caf 921").await;
        assert_eq!(sessions(world), 1);
    });
}

#[test]
fn the_last_caf_is_proposed_first() {
    in_a_browser(false, async |world, browser| {
        let first = async || browser.find("[name=caf]").await.attr("value").await.unwrap().unwrap();
        sign_in(world, browser, TWO_CAFS).await;
        assert_eq!(first().await, "751", "by name, the first time");
        choose(browser, "921").await;
        browser.reads("Caf 921").await;
        open(world, browser, "/portail/mot-de-passe").await;
        browser.press("Se déconnecter").await;
        sign_in(world, browser, TWO_CAFS).await;
        browser.reads("Caf des Hauts-de-Seine (921, dernière utilisée)").await;
        assert_eq!(first().await, "921");
        browser.press("Valider").await;
        browser.reads("Caf 921").await;
    });
}

/// What is out of sight is not chosen: a Caf that was proposed, and is not among those looked for, gets nothing.
#[test]
fn one_of_many_cafs_is_found_by_the_keyboard() {
    in_a_browser_with(
        true,
        |settings| {
            let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
            for code in 101..109 {
                settings.caf(&code.to_string(), &format!("Caf de la Côte {code}"), &[nobody]);
            }
        },
        async |world, browser| {
            let codes: Vec<String> = (101..109).map(|code| code.to_string()).collect();
            let codes: Vec<&str> =
                ["921", "751"].into_iter().chain(codes.iter().map(String::as_str)).collect();
            world.gateway.accounts(&[account("partout@esat.example", SIRET, &codes)]);
            sign_in(world, browser, "partout@esat.example").await;
            choose(browser, "921").await;
            browser.reads("Caf 921").await;
            open(world, browser, "/portail/caf").await;
            let chosen = "var c = document.querySelector('[name=caf]:checked'); return c ? c.value : 'none'";
            assert_eq!(
                browser.window.execute(chosen, Vec::new()).await.unwrap(),
                "921",
                "the last one is proposed"
            );
            tab_to(browser, "#chercher").await;
            type_there(browser, "cote 10").await;
            browser.reads("8 Caf sur 10").await;
            assert_eq!(browser.window.execute(chosen, Vec::new()).await.unwrap(), "none");
            browser.type_in_css("#chercher", "PARIS").await;
            browser.reads("1 Caf sur 10").await;
            browser.key(Key::Enter).await;
            browser
                .until(
                    "it has the focus",
                    "return document.activeElement.value === '751' && document.activeElement.checked",
                )
                .await;
            browser.key(Key::Enter).await;
            browser.reads("Caf 751").await;
        },
    );
}

#[test]
fn a_double_click_has_one_effect() {
    in_a_browser_that_is_counted(true, async |world, browser| {
        open(world, browser, "/portail/connexion").await;
        browser.type_in("identifiant", PROVISIONAL).await;
        browser.type_in("mot_de_passe", PASSWORD).await;
        double_click(browser, "main button").await;
        browser.reads("provisoire").await;
        assert_eq!(sessions(world), 1);
        browser.type_in("mot_de_passe_actuel", PASSWORD).await;
        browser.type_in("nouveau_mot_de_passe", NEW).await;
        browser.type_in("confirmation", NEW).await;
        double_click(browser, "main button").await;
        browser.reads("Caf 921").await;
        assert_eq!(sessions(world), 1);
        open(world, browser, "/portail/mot-de-passe").await;
        browser.press("Se déconnecter").await;
        sign_in(world, browser, TWO_CAFS).await;
        browser.find("[name=caf][value=\"751\"]").await.click().await.unwrap();
        double_click(browser, "main button").await;
        browser.reads("Caf 751").await;
        assert_eq!(sessions(world), 1);
    });
}

/// Without JavaScript nothing holds the second form back, and the browser may have forgotten the first answer with
/// its cookie: the second leads to where the first went, in the same session.
#[test]
fn a_double_click_without_javascript_leads_on() {
    in_a_browser(false, async |world, browser| {
        open(world, browser, "/portail/connexion").await;
        browser.type_in("identifiant", TWO_CAFS).await;
        browser.type_in("mot_de_passe", PASSWORD).await;
        double_click(browser, "main button").await;
        browser.reads("À quelle Caf").await;
        browser.find("[name=caf][value=\"751\"]").await.click().await.unwrap();
        double_click(browser, "main button").await;
        browser.reads("Caf 751").await;
        open(world, browser, "/declaration").await;
        browser.reads("Caf 751").await;
    });
}

#[test]
fn sessions_elsewhere_are_found_and_ended_without_javascript() {
    in_a_browser_that_is_counted(false, async |world, browser| {
        let mut first = elsewhere(world);
        let mut others = [elsewhere(world), elsewhere(world)];
        sign_in(world, browser, TWO_CAFS).await;
        browser.reads("À quelle Caf").await;
        tab_to(browser, "a[href$=\"/sessions\"]").await;
        browser.key(Key::Enter).await;
        browser.reads("Chrome, Linux (cette session)").await;
        browser.reads("Firefox, Windows").await;
        // The one that was opened first stands first among the others.
        tab_to(browser, "main form button.second").await;
        browser.key(Key::Enter).await;
        browser.until("it is gone", "return document.querySelectorAll('.session').length === 3").await;
        assert_eq!(first.get("/portail/session").send().status, 401);
        assert_eq!(others[0].get("/portail/session").send().status, 200);
        browser.press("Fermer toutes les autres sessions").await;
        browser.reads("Aucune autre session n’est ouverte.").await;
        assert!(others.iter_mut().all(|other| other.get("/portail/session").send().status == 401));
        assert_eq!(sessions(world), 1);
    });
}

/// The same person in another browser.
fn elsewhere(world: &World) -> Client {
    let mut client = world.gateway.client();
    let firefox = "Mozilla/5.0 (Windows NT 10.0; rv:115.0) Gecko/20100101 Firefox/115.0";
    let fields = [("identifiant", TWO_CAFS), ("mot_de_passe", PASSWORD)];
    let answer = client.post("/portail/connexion").header("User-Agent", firefox).form(&fields).send();
    assert_eq!(answer.status, 303, "{}", answer.text());
    client
}

async fn choose(browser: &Browser, code: &str) {
    browser.find(&format!("[name=caf][value=\"{code}\"]")).await.click().await.unwrap();
    browser.press("Valider").await;
}

pub async fn double_click(browser: &Browser, css: &str) {
    let element = browser.find(css).await;
    let (down, up) =
        (PointerAction::Down { button: MOUSE_BUTTON_LEFT }, PointerAction::Up { button: MOUSE_BUTTON_LEFT });
    let there = PointerAction::MoveToElement { element, duration: None, x: 0., y: 0. };
    let mouse = MouseActions::new("mouse".to_owned()).then(there);
    let mouse = mouse.then(down.clone()).then(up.clone()).then(down).then(up);
    browser.window.perform_actions(mouse).await.unwrap();
}
