//! What keeps the pages safe: their headers, what is kept by a browser, where one may be sent back to; and a theme.

use crate::harness::backend::answer_with;
use crate::harness::client::Response;
use crate::harness::gateway::Settings;
use crate::harness::world::{Kind, ONE_CAF, PASSWORD, World};

/// Header, by its name, of an answer; empty without.
fn said(answer: &Response, name: &str) -> String {
    answer.header(name).unwrap_or_default().to_owned()
}

#[test]
fn every_page_says_what_a_browser_may_do_with_it() {
    let world = World::new(Kind::Embedded);
    let (anonymous, inside) = (world.gateway.client(), world.admitted());
    let pages =
        ["/connexion", "/mot-de-passe", "/mot-de-passe/oubli", "/mot-de-passe/reinitialisation?jeton=a"];
    let own = [
        "/connexion",
        "/mot-de-passe",
        "/caf",
        "/etablissement",
        "/quitter",
        "/sessions",
        "/declaration-en-attente",
    ];
    let mut seen = 0;
    for (mut client, paths) in [(anonymous, pages.as_slice()), (inside, own.as_slice())] {
        for path in paths.iter().chain(&["/nulle-part"]) {
            let page = client.get(&format!("/portail{path}")).page().send();
            assert!(said(&page, "content-type").starts_with("text/html"), "{path}: {}", page.status);
            let policy = said(&page, "content-security-policy");
            for part in
                ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"]
            {
                assert!(policy.contains(part), "{path}: {policy}");
            }
            assert!(
                !policy.contains("unsafe") && !policy.contains('*') && !policy.contains("data:"),
                "{policy}"
            );
            assert_eq!(said(&page, "cache-control"), "no-store", "{path}");
            assert_eq!(said(&page, "x-content-type-options"), "nosniff", "{path}");
            assert_eq!(said(&page, "referrer-policy"), "same-origin", "{path}");
            assert_eq!(said(&page, "x-frame-options"), "DENY", "{path}");
            assert!(said(&page, "permissions-policy").contains("camera=()"), "{path}");
            let html = page.text();
            for inline in ["<script>", " style=", " onclick", " onload", "javascript:", "<style"] {
                assert!(!html.contains(inline), "{path} holds {inline}");
            }
            seen += 1;
        }
    }
    assert_eq!(seen, 13);
}

#[test]
fn what_a_page_loads_is_small_and_kept() {
    let world = World::new(Kind::Embedded);
    let mut client = world.admitted();
    let page = client.get("/portail/mot-de-passe").page().send().text();
    let mut bytes = page.len();
    for (from, to) in
        [("href=\"/portail/style", '"'), ("src=\"/portail/pages", '"'), ("src=\"/portail/session", '"')]
    {
        let path = page.split(from).nth(1).and_then(|rest| rest.split(to).next()).unwrap();
        let start = from.split('"').nth(1).unwrap();
        let loaded = client.get(&format!("{start}{path}")).send();
        assert_eq!(loaded.status, 200);
        assert!(said(&loaded, "cache-control").starts_with("public, max-age="));
        bytes += loaded.text().len();
    }
    assert!(bytes < 30_000, "{bytes} bytes");
}

#[test]
fn retour_never_leads_to_another_origin() {
    let world = World::new(Kind::Embedded);
    for retour in [
        "https://evil.example/",
        "//evil.example/",
        "///evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "/%5Cevil.example",
        "/%2F/evil.example",
        "/.//evil.example",
        "/a/..//evil.example",
        "/%09/evil.example",
        "/\t/evil.example",
        " //evil.example",
        "/ /evil.example",
        "http:evil.example",
        "http:/evil.example",
        "javascript:alert(1)",
        "data:text/html,x",
        "@evil.example",
        ".evil.example",
        "evil.example",
        "/a\r\nSet-Cookie: x=1",
        "/a%0d%0aSet-Cookie:%20x=1",
        "/portail/deconnexion",
        "/PORTAIL/quitter",
        "/x/../portail/quitter",
        "/é",
        "",
    ] {
        let fields = [("identifiant", ONE_CAF), ("mot_de_passe", PASSWORD), ("retour", retour)];
        let answer = world.gateway.client().post("/portail/connexion").page().form(&fields).send();
        let known = [303, 400].contains(&answer.status);
        assert!(known, "{retour:?}: {}", answer.status);
        if answer.status == 303 {
            assert_eq!(said(&answer, "location"), "/", "{retour:?}");
        }
        assert!(answer.header("x").is_none() && !said(&answer, "set-cookie").starts_with("x="), "{retour:?}");
    }
}

#[test]
fn a_backends_pages_are_kept_by_no_browser_but_what_they_load_may_be() {
    let world = World::new(Kind::Embedded);
    let mut client = world.admitted();
    for (headers, kept) in [
        ("Content-Type: text/html; charset=utf-8\r\n", "no-store"),
        ("Content-Type: TEXT/HTML\r\n", "no-store"),
        ("Content-Type: application/xhtml+xml\r\n", "no-store"),
        (
            "Content-Type: text/html\r\nCache-Control: private, max-age=60\r\n",
            "private, max-age=60, no-store",
        ),
        ("Content-Type: text/html\r\nCache-Control: Public , max-age=60\r\n", "Public , max-age=60"),
        ("Content-Type: text/css\r\n", ""),
        ("Content-Type: application/json\r\nCache-Control: max-age=60\r\n", "max-age=60"),
        ("Content-Type: text/htmlx\r\n", ""),
    ] {
        world.caf921.script(answer_with(headers, "<p>Jeanne</p>"));
        let answer = client.get("/declaration").page().send();
        let all = answer.all("cache-control").join(", ");
        assert_eq!(all, kept, "{headers}");
    }
}

#[test]
fn a_theme_is_laid_over_the_pages() {
    let folder = tempfile::tempdir().unwrap();
    let (logo, notice) = (folder.path().join("logo.svg"), folder.path().join("notice.txt"));
    let (introduction, help) = (folder.path().join("introduction.txt"), folder.path().join("help.txt"));
    std::fs::write(
        &introduction,
        "\u{feff}Campagne 2027.\r\n\r\n<script>alert(1)</script> & déclarations\r\n",
    )
    .unwrap();
    std::fs::write(&help, "Du lundi au vendredi, de 9 h à 16 h.\n").unwrap();
    std::fs::write(&logo, "<svg xmlns='http://www.w3.org/2000/svg'/>").unwrap();
    std::fs::write(&notice, "Loi n° 88-19 & <b>maison</b>.\n\nCodes personnels.\n").unwrap();
    let world = World::with(Kind::Embedded, |settings: &mut Settings| {
        settings
            .set("portal.theme", "name", r#""Portail <des> Caf""#)
            .set("portal.theme", "color", r##""#7a1fa2""##)
            .set("portal.theme", "contact", r#""aide@caf.example""#)
            .set("portal.theme", "help_url", r#""https://aide.example/esat""#)
            .set("portal.theme", "logo", &format!("{:?}", logo.display().to_string()))
            .set("portal.theme", "introduction_file", &format!("{:?}", introduction.display().to_string()))
            .set("portal.theme", "help_file", &format!("{:?}", help.display().to_string()))
            .set("portal.theme", "notice_file", &format!("{:?}", notice.display().to_string()));
    });
    let mut client = world.gateway.client();
    let page = client.get("/portail/connexion").page().send().text();
    for part in [
        "<title>Connexion – Portail &#60;des&#62; Caf</title>",
        "<li>Loi n° 88-19 &#38; &#60;b&#62;maison&#60;/b&#62;.</li>",
        "<p>Campagne 2027.</p>\n\n<p>&#60;script&#62;alert(1)&#60;/script&#62; &#38; déclarations</p>",
        "<p>Du lundi au vendredi, de 9 h à 16 h.</p>",
        "href=\"mailto:aide@caf.example\"",
        "href=\"https://aide.example/esat\"",
        "<img class=\"logo\" src=\"/portail/logo?v=",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert!(!page.contains("5 janvier 1988"));
    let style = client.get("/portail/style.css").send().text();
    assert!(style.contains("#7a1fa2") && !style.contains("#1f3f77") && !style.contains("#142b54"));
    let logo = client.get("/portail/logo").send();
    assert_eq!((logo.status, said(&logo, "content-type").as_str()), (200, "image/svg+xml"));
    let told = client.get("/portail/connexion").program().send().json();
    assert_eq!(told["mention_legale"][1], "Codes personnels.");
    assert_eq!(World::new(Kind::Embedded).gateway.client().get("/portail/logo").send().status, 404);
}

#[test]
fn a_colour_that_could_not_be_read_is_refused_with_its_contrast() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("octroi.toml");
    for (theme, says) in [
        ("color = \"#7fa0d0\"", "portal.theme.color: found \"#7fa0d0\", whose contrast is 2.2:1"),
        ("color = \"blue\"", "portal.theme.color: found \"blue\", expected a colour such as"),
        ("focus = \"#ffcc00\"", "portal.theme.focus: found \"#ffcc00\", whose contrast is 1.3:1"),
        ("logo = \"/does/not/exist\"", "portal.theme.logo: found \"/does/not/exist\", which cannot be read"),
        ("help_file = \"/dev/null\"", "portal.theme.help_file: found \"/dev/null\", which is"),
        ("introduction_file = \"/does/not/exist\"", "portal.theme.introduction_file: found"),
        ("help_url = \"javascript:alert(1)\"", "portal.theme.help_url: found"),
        ("colour = \"#000000\"", "did you mean color?"),
    ] {
        let caf = "[[caf]]\ncode = \"921\"\nname = \"Caf\"\ncontact = \"a@b.fr\"\nbackends = [\"http://127.0.0.1:1\"]\n";
        std::fs::write(&file, format!("[portal.theme]\n{theme}\n{caf}")).unwrap();
        let done = std::process::Command::new(env!("CARGO_BIN_EXE_octroi"))
            .arg("check")
            .arg("--config")
            .arg(&file)
            .output();
        let done = done.unwrap();
        let told =
            String::from_utf8_lossy(&done.stderr).into_owned() + &String::from_utf8_lossy(&done.stdout);
        assert!(!done.status.success() && told.contains(says) && told.contains("octroi.toml:2:"), "{told}");
    }
}
