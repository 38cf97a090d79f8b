//! The warning in pages that nobody made for it: each warns, over all else, and lets its user go on.

use std::io::Write as _;
use std::sync::Arc;

use fantoccini::key::Key;
use serde_json::json;

use crate::harness::backend::{Received, Script, Then};
use crate::harness::browser::Browser;
use crate::harness::world::{Kind, ONE_CAF, World};
use crate::warning_seen::{OVER, SOON, dialog, in_a_browser, no_dialog, ready, sign_in};

/// Pages, by the last part of their path; each has an `h1` once it is as its makers want it.
const PAGES: [(&str, &str, &str); 12] = [
    ("ailleurs", "", "<!doctype html><head><base href='https://cdn.example/x/' target=_blank><title>a</title></head><h1>a</h1>"),
    ("nomme", "", "<!doctype html><div id=octroi></div><a name=octroi></a><h1>a</h1>"),
    (
        "style",
        "",
        "<!doctype html><style>* { all: unset !important; font: 1px serif !important; visibility: hidden !important }
         html > div, dialog { display: none !important; opacity: 0 !important; transform: scale(0) !important }
         html { pointer-events: none; letter-spacing: 3em }</style><h1>a</h1>",
    ),
    (
        "fige",
        "",
        "<!doctype html><script>[Object, Array, Function, String, Node, Element, XMLHttpRequest].forEach(function (it) {
         Object.freeze(it.prototype); Object.freeze(it); });</script><h1>a</h1>",
    ),
    (
        "ecrit",
        "",
        "<!doctype html><p>avant<script>addEventListener('load', function () { setTimeout(function () {
         document.open(); document.write('<!doctype html><title>b</title><h1>apres</h1>'); document.close(); }); });</script>",
    ),
    (
        "remplace",
        "",
        "<!doctype html><script>var seen, html = document.documentElement;
         new MutationObserver(function () { var it = html.lastElementChild;
         if (!seen && it.localName === 'div') { seen = 1; html.removeChild(it); } }).observe(html, { childList: true });
         </script><h1>a</h1>",
    ),
    ("meta", "", "<!doctype html><head><meta http-equiv=Content-Security-Policy content=\"default-src 'self'\"></head><h1>a</h1>"),
    ("strict", "Content-Security-Policy: script-src 'strict-dynamic' 'nonce-abc'; connect-src 'none'; style-src 'none'\r\n", "<!doctype html><h1>a</h1>"),
    ("casse", "", "<!-- <head> --><p><table><h1>a</h1><scr<b></i></head></html><body <td>"),
    ("cadre", "", "<!doctype html><h1>a</h1><iframe src='/passif/casse'></iframe>"),
    (
        "jeu",
        "",
        "<!doctype html><html><head><title>jeu de cadres</title></head><frameset cols='50%,50%'><frame src=/passif/casse>
         <frame src=/passif/style></frameset></html>",
    ),
    (
        "horloge",
        "",
        "<!doctype html><script>var now = Date.now; window.skip = -5 * 3600e3;
         Date.now = function () { return now.call(Date) + skip; };</script><h1>a</h1>",
    ),
];

/// Reading it is no action: the end comes on by itself.
fn pages() -> Script {
    Arc::new(|received: &Received, stream| {
        let name = received.line().split(' ').nth(1).unwrap().rsplit('/').next().unwrap();
        let (_, headers, html) =
            PAGES.into_iter().find(|(own, ..)| *own == name).unwrap_or(("", "", "<h1>a</h1>"));
        let _ = write!(
            stream,
            "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n{headers}Content-Length: {}\r\n\r\n{html}",
            html.len()
        );
        Then::Keep
    })
}

fn world() -> World {
    let world = World::with(Kind::Embedded, |settings| {
        settings.set("session", "passive_paths", "[\"/passif\"]");
    });
    world.caf921.script(pages());
    world
}

#[test]
fn pages_that_are_in_the_way_warn() {
    let mut world = world();
    in_a_browser(&mut world, async |world, browser| all_warn(world, browser, &PAGES[..5]).await);
}

#[test]
fn pages_that_are_not_whole_warn() {
    let mut world = world();
    in_a_browser(&mut world, async |world, browser| all_warn(world, browser, &PAGES[5..]).await);
}

async fn all_warn(world: &mut World, browser: &Browser, pages: &[(&str, &str, &str)]) {
    sign_in(world, browser, ONE_CAF).await;
    for (name, ..) in pages {
        ready(browser).await;
        world.gateway.advance(1_499);
        browser.open(&format!("http://{}/passif/{name}", world.gateway.public)).await;
        browser.until(name, "return document.querySelector('h1, frameset')").await;
        no_dialog(browser).await;
        world.gateway.advance(1);
        // Nothing touches the page: its own clock tells it.
        let seen = dialog(browser, SOON).await;
        browser.picture(name).await;
        assert_eq!((&seen["focus"], &seen["modal"]), (&json!("Continuer"), &json!("true")), "{name}");
        assert_eq!(seen["href"], format!("http://{}/portail/quitter", world.gateway.public), "{name}");
        is_on_top(browser, name).await;
        frames_are_quiet(browser, name).await;
        browser.key(Key::Enter).await;
        no_dialog(browser).await;
    }
}

/// A machine that slept, or whose clock is put right: what the server says is asked again, soon.
#[test]
fn a_clock_that_is_wrong_or_jumps_deceives_nobody() {
    let mut world = world();
    in_a_browser(&mut world, async |world, browser| {
        sign_in(world, browser, ONE_CAF).await;
        ready(browser).await;
        browser.open(&format!("http://{}/passif/horloge", world.gateway.public)).await;
        world.gateway.advance(1_500);
        jump(browser, 1_500).await;
        dialog(browser, SOON).await;
        browser.key(Key::Enter).await;
        no_dialog(browser).await;
        world.gateway.advance(1_500);
        jump(browser, -7_200).await;
        let seen = dialog(browser, SOON).await;
        assert!(
            seen["described"].as_str().unwrap().contains(" 4 minutes")
                || seen["described"].as_str().unwrap().contains(" 5 minutes"),
            "{seen}"
        );
        browser.key(Key::Enter).await;
        no_dialog(browser).await;
        world.gateway.advance(1_800);
        jump(browser, 1_800).await;
        dialog(browser, OVER).await;
    });
}

async fn jump(browser: &Browser, seconds: i32) {
    browser.window.execute(&format!("window.skip += {seconds}e3"), Vec::new()).await.unwrap();
}

/// What a pointer meets in the middle of the window is the dialog.
async fn is_on_top(browser: &Browser, name: &str) {
    let script =
        "return document.elementFromPoint(innerWidth / 2, 150) === document.documentElement.lastElementChild";
    browser.until(name, script).await;
}

/// One dialog, in the window that holds all.
async fn frames_are_quiet(browser: &Browser, name: &str) {
    let script = "return Array.from(document.querySelectorAll('iframe, frame')).map(function (frame) {
        return [frame.contentWindow.octroi, frame.contentDocument.querySelectorAll('[data-caf]').length]; });";
    let frames = browser.window.execute(script, Vec::new()).await.unwrap();
    assert_eq!(
        frames,
        match name {
            "cadre" => json!([[null, 1]]),
            "jeu" => json!([[null, 1], [null, 1]]),
            _ => json!([]),
        }
    );
}

#[test]
fn fifty_megabytes_show_and_warn_and_memory_stays_flat() {
    const LINE: &str = "Dupont 1234,56 euros et une ligne de plus\n";
    let mut world = world();
    let row = format!("<p hidden>{}</p>\n", LINE.repeat(1_000));
    let rows = 50_000_000 / row.len();
    world.caf921.script(Arc::new(move |received: &Received, stream| {
        let rows = if received.line().contains("/passif/long") { rows } else { 0 };
        let _ = write!(
            stream,
            "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\n\r\n<h1>a</h1>",
            10 + rows * row.len()
        );
        for _ in 0..rows {
            let _ = stream.write_all(row.as_bytes());
        }
        Then::Keep
    }));
    in_a_browser(&mut world, async |world, browser| {
        sign_in(world, browser, ONE_CAF).await;
        ready(browser).await;
        world.gateway.advance(1_499);
        let before = peak(world.gateway.pid());
        browser.open(&format!("http://{}/passif/long", world.gateway.public)).await;
        let script = "return document.readyState === 'complete' && document.querySelectorAll('p').length";
        let shown = browser.until("all of it is there", script).await;
        assert_eq!(shown, rows);
        let after = peak(world.gateway.pid());
        assert!(after < before + 20_000, "{before} KiB before, {after} KiB at most");
        world.gateway.advance(1);
        dialog(browser, SOON).await;
        browser.key(Key::Enter).await;
        no_dialog(browser).await;
    });
}

/// The most that a process ever had in memory, in KiB.
fn peak(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse().unwrap()
}
