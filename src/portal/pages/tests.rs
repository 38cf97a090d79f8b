//! Every template, with values that would break out of it if they could.

use std::sync::Arc;
use std::time::Duration;

use super::site::STYLESHEET;
use super::*;
use crate::config::{Color, Theme};
use crate::domain::LocalPath;

const HOSTILE: &str = "\"'><script>alert(1)</script><img src=x onerror=y>&amp;{{7*7}}{% raw %}";

fn frame(complaint: Option<Complaint>) -> Frame {
    Frame {
        site: Arc::new(Site::new("/portail", Duration::from_mins(30), &Theme::default())),
        who: Some(HOSTILE.to_owned()),
        retour: LocalPath::parse("/a?\"'><script>alert(1)</script>"),
        complaint,
        notices: vec![Notice { title: HOSTILE.to_owned(), detail: HOSTILE.to_owned(), link: None }],
    }
}

fn complaint() -> Complaint {
    Complaint {
        title: HOSTILE.to_owned(),
        detail: HOSTILE.to_owned(),
        points: vec![HOSTILE.to_owned()],
        field: Some("identifiant"),
        request_id: HOSTILE.to_owned(),
        code: "volet-ferme",
        wait_s: Some(61),
        caf: Some((HOSTILE.to_owned(), HOSTILE.to_owned())),
        stays: false,
    }
}

fn hostile_pages() -> Vec<(&'static str, String)> {
    let said = || HOSTILE.to_owned();
    let framed = || frame(Some(complaint()));
    let pages = [
        (
            "connexion",
            Page::SignIn(SignInPage { frame: framed(), identifiant: said(), expired: Some(said()) }),
        ),
        (
            "expirée",
            Page::SignIn(SignInPage { frame: frame(None), identifiant: said(), expired: Some(said()) }),
        ),
        ("accueil", Page::Home(HomePage { frame: framed(), caf: said(), several: true, others: Vec::new() })),
        (
            "mot de passe",
            Page::Password(PasswordPage {
                frame: Frame { who: None, ..framed() },
                identifiant: said(),
                due: Some(PasswordDue::Old),
                min_length: 8,
                history: 5,
                max_age: said(),
            }),
        ),
        (
            "caf",
            Page::Caf(CafPage {
                frame: framed(),
                cafs: vec![(said(), said())],
                current: Some(said()),
                chosen: Some(said()),
            }),
        ),
        (
            "établissement",
            Page::Establishment(EstablishmentPage {
                frame: framed(),
                caf: said(),
                contact: said(),
                siret: said(),
                several: true,
                typed: said(),
            }),
        ),
        ("quitter", Page::Leave(LeavePage { frame: framed(), caf: Some(said()) })),
    ];
    let problem = ProblemPage { frame: framed(), suite: Some(said()) };
    let mut html: Vec<_> = pages.into_iter().map(|(name, page)| (name, page.html())).collect();
    html.push(("problème", problem.html()));
    html
}

#[test]
fn nothing_breaks_out_of_a_page() {
    let own = "<script src=\"/portail/session.js\" defer data-inactivite=\"1800\"></script>";
    for (name, html) in hostile_pages() {
        let helper = format!("<script src=\"{}\" defer></script>", frame(None).site.script);
        let html = html.replacen(own, "", 1).replacen(&helper, "", 1);
        assert!(html.starts_with("<!DOCTYPE html>") && html.trim_end().ends_with("</html>"), "{name}");
        assert!(html.contains("&#60;script&#62;"), "{name} shows nothing of it");
        for broken in ["<script", "<img", "\"'>", "'><", "49"] {
            assert!(!html.contains(broken), "{name} holds {broken}:\n{html}");
        }
    }
}

#[test]
fn every_page_has_one_heading_a_title_of_its_own_and_no_inline_style_or_script() {
    let pages = hostile_pages();
    for (name, html) in &pages {
        assert_eq!(html.matches("<h1>").count(), 1, "{name}");
        assert!(!html.contains(" style=") && !html.contains("<style"), "{name}");
        assert!(html.matches("<label for=").count() >= html.matches("required").count(), "{name}");
    }
    let titles: std::collections::HashSet<_> = pages
        .iter()
        .filter(|(name, _)| *name != "expirée")
        .map(|(_, html)| html.split("<title>").nth(1).and_then(|rest| rest.split("</title>").next()))
        .collect();
    assert_eq!(titles.len(), pages.len() - 1);
}

#[test]
fn the_stylesheet_is_found_under_the_prefix_by_its_content() {
    let site = Site::new("/porte", Duration::from_mins(30), &Theme::default());
    assert!(site.stylesheet.starts_with("/porte/style.css?v="));
    assert!(!STYLESHEET.contains("url(") && !STYLESHEET.contains("@import"));
}

#[test]
fn a_themes_colours_take_each_their_own_place() {
    let own = Theme::default();
    let swapped = Theme { color: own.focus, focus: own.color, ..Theme::default() };
    let style = |theme: &Theme| {
        let site = Site::new("/p", Duration::from_mins(30), theme);
        String::from_utf8(site.style.to_vec()).expect("text")
    };
    assert_eq!(style(&own), STYLESHEET);
    let count = |style: &str, color: Color| style.matches(&color.css()).count();
    assert_eq!(count(&style(&swapped), own.focus), count(STYLESHEET, own.color));
    assert_eq!(count(&style(&swapped), own.color), count(STYLESHEET, own.focus));
    assert!(!style(&swapped).contains("#142b54"));
}

#[test]
fn browsers_ten_years_old_can_read_the_script_and_the_stylesheet() {
    for young in ["=>", "`", "const ", "let ", "?.", "async ", "class ", "innerHTML", "eval("] {
        assert!(!SCRIPT.contains(young), "{young:?}");
    }
    for young in ["var(", ":has(", ":is(", "grid", "gap:", "inset:", "clamp(", "min("] {
        assert!(!STYLESHEET.contains(young), "{young:?}");
    }
}
