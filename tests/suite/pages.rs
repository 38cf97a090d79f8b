//! Every page and state of the portal in a real Chromium: no violation by axe-core (WCAG 2.2 AA and its best
//! practices), nothing to scroll sideways at 320 CSS pixels (WCAG 1.4.10: 1,280 at a zoom of 400 %), titles that
//! differ, and the pictures under `tests/screenshots`.
//!
//! Pictures (those of the warning are taken by `warning_seen`) are for people to look at. Fonts differ between
//! machines, so neither their pixels nor their heights are compared: what is, is each page's outline, a list of its
//! headings, fields, buttons and links in the order they are read. `OCTROI_TEST_PICTURES=DIR` writes the pictures
//! anew into `DIR` and the outlines in their place; the pictures are then to be reduced to 16 colours, and looked
//! at, before they take the place of the old ones.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::harness::backend::answer_with;
use crate::harness::browser::Browser;
use crate::harness::gateway::Settings;
use crate::harness::world::{
    Kind, ONE_CAF, PASSWORD, PROVISIONAL, SIRET, TWO_CAFS, UNKNOWN_SIRET, World, account,
};
use crate::harness::{closed_address, eventually};

const AXE: &str = include_str!("../vendor/axe.min.js");
const OUTLINE: &str = r"
    var parts = [], marks = document.querySelectorAll(
        'h1,h2,legend,label,input:not([type=hidden]):not(.cache),button,a,[role=alert],[role=status]');
    Array.prototype.forEach.call(marks, function (e) {
        var name = e.name ? ' ' + e.name : '', text = /^(INPUT|DIV|P)$/.test(e.tagName) ? '' : ' ' + e.textContent.trim();
        parts.push((e.getAttribute('role') || e.tagName.toLowerCase()) + name + text.replace(/\s+/g, ' '));
    });
    return document.title + '\n' + parts.join('\n') + '\n';";

struct Walk {
    world: World,
    browser: Browser,
    titles: BTreeMap<String, String>,
    wrong: Vec<String>,
}

impl Walk {
    async fn open(&self, path: &str) {
        self.browser.open(&format!("http://{}{path}", self.world.gateway.public)).await;
    }

    async fn sign_in(&self, identifiant: &str) {
        self.open("/portail/connexion").await;
        self.browser.type_in("identifiant", identifiant).await;
        self.browser.type_in("mot_de_passe", PASSWORD).await;
        self.browser.press("Se connecter").await;
    }

    /// Sends the form of a backend's page, past the script that would have hidden it.
    async fn open_form(&self) {
        let send = "setTimeout(function () { document.forms[0].submit(); }, 0)";
        self.browser.window.execute(send, Vec::new()).await.unwrap();
        self.browser.reads("n’a pas été transmis").await;
    }

    async fn sign_out(&self) {
        self.open("/portail/mot-de-passe").await;
        self.browser.press("Se déconnecter").await;
        self.browser.reads("88-19").await;
    }

    /// Looks at the page that is open.
    async fn look(&mut self, name: &str) {
        let title = self.browser.window.title().await.unwrap();
        if let Some(other) = self.titles.insert(title.clone(), name.to_owned()) {
            self.wrong.push(format!("{name} and {other} have one title: {title}"));
        }
        self.axe(name).await;
        let moving = "return document.getAnimations().length";
        assert_eq!(self.browser.window.execute(moving, Vec::new()).await.unwrap(), 0, "{name} moves");
        self.outline(name).await;
        for width in [320, 360, 1280] {
            self.browser.resize(width).await;
            let over = "return document.documentElement.scrollWidth > innerWidth && document.documentElement.scrollWidth";
            let over = self.browser.window.execute(over, Vec::new()).await.unwrap();
            if over != Value::Bool(false) {
                self.wrong.push(format!("{name} is {over} pixels wide on {width}"));
            }
            if width != 320 {
                self.browser.picture(&format!("{name}-{width}")).await;
            }
        }
    }

    async fn axe(&mut self, name: &str) {
        self.browser.window.execute(AXE, Vec::new()).await.unwrap();
        let run = r"var done = arguments[arguments.length - 1];
            axe.run().then(function (found) { done(found.violations.map(function (v) {
                return v.id + ': ' + v.help + ': ' + v.nodes.map(function (n) { return n.html; }).join(' ');
            })); }, function (e) { done(['axe: ' + e]); });";
        let found = self.browser.window.execute_async(run, Vec::new()).await.unwrap();
        let found = found.as_array().unwrap();
        self.wrong.extend(found.iter().map(|violation| format!("{name}: {violation}")));
    }

    async fn outline(&mut self, name: &str) {
        let outline = self.browser.window.execute(OUTLINE, Vec::new()).await.unwrap();
        let (outline, file) = (outline.as_str().unwrap(), screenshots().join(format!("{name}.txt")));
        if std::env::var_os("OCTROI_TEST_PICTURES").is_some() {
            std::fs::write(&file, outline).unwrap();
        }
        let expected = std::fs::read_to_string(&file).unwrap_or_default();
        if outline != expected {
            self.wrong.push(format!("{name} reads\n{outline}\nin the place of\n{expected}"));
        }
    }
}

fn screenshots() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/screenshots")
}

/// Runs a walk, then tells all that was wrong on its way.
fn walk(change: impl FnOnce(&mut Settings), steps: impl AsyncFnOnce(&mut Walk)) {
    walk_on(Kind::Embedded, change, steps);
}

fn walk_on(kind: Kind, change: impl FnOnce(&mut Settings), steps: impl AsyncFnOnce(&mut Walk)) {
    let world = World::with(kind, change);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let browser = Browser::start(true).await;
        let mut walk = Walk { world, browser, titles: BTreeMap::new(), wrong: Vec::new() };
        steps(&mut walk).await;
        walk.browser.close().await;
        assert!(walk.wrong.is_empty(), "{}", walk.wrong.join("\n\n"));
    });
}

#[test]
fn the_pages_before_a_session() {
    let letters = tempfile::tempdir().unwrap();
    walk(
        |settings| {
            let letters = letters.path();
            settings.set("mail", "url", &format!("{:?}", format!("file:{}", letters.display())));
            settings.set("mail", "from", r#""extranet@caf.example""#);
        },
        async |walk| {
            walk.open("/portail/connexion").await;
            walk.look("connexion").await;
            walk.browser.type_in("identifiant", ONE_CAF).await;
            walk.browser.type_in("mot_de_passe", "faux").await;
            walk.browser.press("Se connecter").await;
            walk.look("connexion-erreur").await;
            forced_colours(walk).await;
            walk.open("/portail/mot-de-passe/oubli").await;
            walk.look("oubli").await;
            walk.browser.type_in("identifiant", ONE_CAF).await;
            walk.browser.press("Recevoir le lien").await;
            walk.look("oubli-demande").await;
            walk.open(&link_of(letters.path())).await;
            walk.look("reinitialisation").await;
            walk.open("/portail/mot-de-passe/reinitialisation?jeton=abc").await;
            walk.look("lien-mort").await;
            walk.open("/portail/mot-de-passe").await;
            walk.look("mot-de-passe").await;
            walk.open("/portail/nulle-part").await;
            walk.look("introuvable").await;
            walk.open("/a%2Fb").await;
            walk.look("illisible").await;
        },
    );
}

/// The link of the one letter that was written, without its origin.
fn link_of(letters: &Path) -> String {
    let path = "/portail/mot-de-passe/reinitialisation?jeton=";
    let mut token = String::new();
    eventually("a letter is written", || {
        let files = std::fs::read_dir(letters).unwrap();
        let all: String = files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap()).collect();
        let letter = all.replace("=\r\n", "").replace("=3D", "=");
        let rest = letter.split_once(path).map_or("", |(_, rest)| rest);
        token = rest.chars().take_while(|c| c.is_ascii_alphanumeric() || "-_".contains(*c)).collect();
        letter.contains("</html>")
    });
    format!("{path}{token}")
}

/// With the colours of a person's own system, what can be filled in and pressed still has an edge, and what is
/// wrong as well.
async fn forced_colours(walk: &mut Walk) {
    let media = |value: &str| json!({"features": [{"name": "forced-colors", "value": value}]});
    walk.browser.emulate("Emulation.setEmulatedMedia", media("active")).await;
    let edges = "return matchMedia('(forced-colors: active)').matches && Array.prototype.every.call(
        document.querySelectorAll('main button, main input:not([type=hidden]), .erreur'), function (e) {
            var style = getComputedStyle(e), ground = getComputedStyle(document.body).backgroundColor;
            return parseFloat(style.borderLeftWidth) >= 2 && style.borderLeftColor !== ground;
        });";
    let seen = walk.browser.window.execute(edges, Vec::new()).await.unwrap();
    assert_eq!(seen, true, "forced colours hide an edge");
    walk.browser.emulate("Emulation.setEmulatedMedia", media("none")).await;
}

#[test]
fn the_pages_of_a_session() {
    walk(
        |_| (),
        async |walk| {
            walk.sign_in(PROVISIONAL).await;
            walk.look("mot-de-passe-provisoire").await;
            walk.browser.type_in("mot_de_passe_actuel", PASSWORD).await;
            walk.browser.type_in("nouveau_mot_de_passe", "court1").await;
            walk.browser.type_in("confirmation", "court1").await;
            walk.browser.press("Valider").await;
            walk.look("mot-de-passe-refuse").await;
            walk.sign_out().await;
            walk.sign_in(UNKNOWN_SIRET).await;
            walk.look("caf").await;
            // As from a browser too old to know that a choice is required.
            let send = "setTimeout(function () { document.querySelector('main form').submit(); }, 0)";
            walk.browser.window.execute(send, Vec::new()).await.unwrap();
            walk.browser.reads("Aucune Caf n’est choisie").await;
            walk.look("caf-erreur").await;
            walk.browser.find("[value=\"921\"]").await.click().await.unwrap();
            walk.browser.press("Valider").await;
            walk.look("etablissement").await;
            walk.browser.type_in("identifiant_communication", "99").await;
            walk.browser.press("Valider").await;
            walk.look("etablissement-inconnu").await;
            for _ in 0..5 {
                walk.browser.type_in("identifiant_communication", "99").await;
                walk.browser.press("Valider").await;
            }
            walk.browser.reads("Trop d’essais").await;
            walk.look("etablissement-barre").await;
            walk.open("/portail/deconnexion").await;
            walk.look("pas-ainsi").await;
            walk.sign_out().await;
        },
    );
}

#[test]
fn the_pages_of_one_who_tries_too_often_or_comes_back_late() {
    walk(
        |_| (),
        async |walk| {
            walk.open("/portail/connexion").await;
            for _ in 0..6 {
                walk.browser.type_in("identifiant", ONE_CAF).await;
                walk.browser.type_in("mot_de_passe", "faux").await;
                walk.browser.press("Se connecter").await;
            }
            walk.browser.reads("Trop d’essais").await;
            walk.look("connexion-fermee").await;
            walk.world.gateway.advance(93 * 86_400);
            walk.sign_in(TWO_CAFS).await;
            walk.browser.reads("plus de 92 jours").await;
            walk.look("mot-de-passe-ancien").await;
        },
    );
}

#[test]
fn the_pages_of_a_house_with_many_cafs() {
    walk(
        |settings| {
            let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
            for (code, name) in MANY {
                settings.caf(code, name, &[nobody]);
            }
            settings
                .set("portal.theme", "name", r#""Portail des partenaires""#)
                .set("portal.theme", "color", r##""#006b3c""##)
                .set("portal.theme", "contact", r#""01 23 45 67 89, de 9 h à 16 h""#)
                .set("portal.theme", "help_url", r#""https://aide.example/esat""#);
        },
        async |walk| {
            let codes: Vec<&str> = ["921", "751"].into_iter().chain(MANY.map(|(code, _)| code)).collect();
            walk.world.gateway.accounts(&[account("partout@esat.example", SIRET, &codes)]);
            walk.sign_in("partout@esat.example").await;
            walk.look("caf-longue").await;
            walk.browser.type_in_css("#chercher", "hau").await;
            walk.browser.reads("3 Caf sur 12").await;
            walk.axe("caf-cherchee").await;
        },
    );
}

const MANY: [(&str, &str); 10] = [
    ("011", "Caf de l’Ain"),
    ("131", "Caf des Bouches-du-Rhône"),
    ("291", "Caf du Finistère"),
    ("311", "Caf de la Haute-Garonne"),
    ("341", "Caf de l’Hérault"),
    ("351", "Caf d’Ille-et-Vilaine"),
    ("591", "Caf du Nord"),
    ("681", "Caf du Haut-Rhin"),
    ("931", "Caf de la Seine-Saint-Denis"),
    ("974", "Caf de la Réunion"),
];

#[test]
fn the_page_when_the_store_is_out_of_reach() {
    walk_on(
        Kind::Redis,
        |_| (),
        async |walk| {
            walk.sign_in(ONE_CAF).await;
            walk.world.redis.as_mut().unwrap().kill();
            let world = &walk.world;
            eventually("nobody is let in", || {
                world
                    .gateway
                    .client()
                    .get("/portail/caf")
                    .header("Cookie", &format!("octroi={}", "A".repeat(43)))
                    .page()
                    .send()
                    .status
                    == 503
            });
            walk.open("/portail/caf").await;
            walk.look("service-indisponible").await;
        },
    );
}

#[test]
fn the_pages_of_one_who_is_in() {
    walk(
        |_| (),
        async |walk| {
            walk.sign_in(TWO_CAFS).await;
            walk.browser.find("[value=\"751\"]").await.click().await.unwrap();
            walk.browser.press("Valider").await;
            walk.open("/portail/connexion").await;
            walk.look("accueil").await;
            let _elsewhere = walk.world.signed_in(TWO_CAFS);
            walk.browser.find("a[href$=\"/sessions\"]").await.click().await.unwrap();
            walk.browser.reads("Fermer toutes les autres sessions").await;
            walk.look("sessions").await;
            walk.browser.press("Fermer cette session").await;
            walk.browser.reads("Aucune autre session").await;
            walk.open("/portail/quitter").await;
            walk.look("quitter-caf").await;
            walk.sign_out().await;
            walk.sign_in(ONE_CAF).await;
            walk.open("/portail/quitter").await;
            walk.look("quitter").await;
            walk.world.gateway.advance(31 * 60);
            walk.open("/declaration").await;
            walk.look("session-expiree").await;
            walk.sign_in(ONE_CAF).await;
            walk.open("/portail/declaration-en-attente").await;
            walk.look("saisie-aucune").await;
        },
    );
}

#[test]
fn the_pages_of_a_form_that_waits() {
    walk(
        |_| (),
        async |walk| {
            let form = "<!doctype html><title>Saisie</title><form method=post action=/saisie>\
                        <input name=nom value=Jeanne><input name=salaire value=1234><button>Envoyer</button></form>";
            walk.world.caf921.script(answer_with("Content-Type: text/html; charset=utf-8\r\n", form));
            walk.sign_in(ONE_CAF).await;
            walk.world.gateway.advance(31 * 60);
            walk.open_form().await;
            walk.look("saisie-gardee").await;
            walk.sign_in(ONE_CAF).await;
            walk.browser.reads("Jeanne").await;
            walk.look("saisie-en-attente").await;
            walk.sign_out().await;
            walk.world.gateway.advance(80 * 86_400);
            walk.sign_in(ONE_CAF).await;
            walk.open("/portail/connexion").await;
            walk.browser.reads("expire bientôt").await;
            walk.look("accueil-avis").await;
        },
    );
}

#[test]
fn the_pages_when_something_is_closed_or_down() {
    let (_closed, nobody) = closed_address();
    walk(
        |settings| {
            settings.caf("131", "Caf des Bouches-du-Rhône", &[nobody]);
            // In an hour, however long the walk takes, no more than these.
            settings.set("limits", "login_per_client", r#"{ rate = "1/h", burst = 4 }"#);
        },
        async |walk| {
            walk.world.gateway.accounts(&[account("panne@esat.example", SIRET, &["131"])]);
            walk.world.gateway.establishments(&[json!({"caf": "131", "siret": SIRET, "nom": "ESAT"})]);
            walk.sign_in("panne@esat.example").await;
            walk.look("caf-indisponible").await;
            walk.sign_out().await;
            walk.world.gateway.set_clock("2027-06-15T12:00:00+02:00");
            walk.world.gateway.accounts(&[json!({
                "identifiant": "juin@esat.example", "siret": SIRET, "nom": "ESAT", "cafs": ["921"],
                "password_hash": account("x@y.fr", SIRET, &["921"])["password_hash"], "password_changed_at": "2027-06-10T08:00:00Z",
                "must_change": false, "status": "active"
            })]);
            walk.sign_in("juin@esat.example").await;
            walk.open("/teleprocedure/certificat-emploi").await;
            walk.look("volet-ferme").await;
            walk.sign_out().await;
            for _ in 0..3 {
                walk.open("/portail/connexion").await;
                walk.browser.type_in("identifiant", ONE_CAF).await;
                walk.browser.type_in("mot_de_passe", "faux").await;
                walk.browser.press("Se connecter").await;
            }
            walk.look("trop-de-requetes").await;
            let first = walk.browser.find("[role=timer]").await.text().await.unwrap();
            assert!(first.starts_with("Encore "), "{first}");
            let script = format!("return document.querySelector('[role=timer]').textContent !== {first:?}");
            walk.browser.until("the wait counts down", &script).await;
        },
    );
}

#[test]
fn the_reference_pictures_are_there_and_small() {
    let mut pictures = 0;
    for file in std::fs::read_dir(screenshots()).unwrap() {
        let file = file.unwrap();
        if file.path().extension().is_some_and(|ending| ending == "png") {
            pictures += 1;
            assert!(file.metadata().unwrap().len() < 40_000, "{}", file.path().display());
        } else {
            for width in [360, 1280] {
                let picture = file.path().with_extension("").display().to_string() + &format!("-{width}.png");
                assert!(Path::new(&picture).exists(), "{picture}");
            }
        }
    }
    assert!(pictures >= 30, "{pictures}");
}

/// What a form meets that is too long, or that another site's page sends: pages that a person sees as any other.
#[test]
fn the_pages_of_forms_that_are_refused() {
    walk(
        |settings| {
            settings.set("limits", "body", "\"1KiB\"");
        },
        async |walk| {
            walk.sign_in(ONE_CAF).await;
            let public = walk.world.gateway.public;
            for (from, words, name) in [
                (format!("http://{public}/portail/quitter"), "1 Kio", "formulaire-trop-grand"),
                ("data:text/html,".to_owned(), "autre site", "autre-site"),
            ] {
                walk.browser.open(&from).await;
                let send = format!(
                    "var form = document.createElement('form'), field = document.createElement('input');
                     form.method = 'post'; form.action = 'http://{public}/declaration'; field.name = 'texte';
                     field.value = new Array(2000).join('x'); form.appendChild(field); document.body.appendChild(form);
                     setTimeout(function () {{ form.submit(); }}, 0)"
                );
                walk.browser.window.execute(&send, Vec::new()).await.unwrap();
                walk.browser.reads(words).await;
                walk.axe(name).await;
            }
        },
    );
}
