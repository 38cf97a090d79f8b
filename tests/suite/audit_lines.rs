//! Each decision is exactly one line: who, from where, what, how it fell, and the request's id.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::audit::{Audited, audited};
use crate::harness::client::Response;
use crate::harness::eventually;
use crate::harness::world::{
    COMMUNICATION, Kind, ONE_CAF, PASSWORD, PROVISIONAL, TWO_CAFS, UNKNOWN_SIRET, sign_in,
};
use crate::on_each_store;

const NEW: &str = "Bruyere-violette-27";
/// An identifiant de communication that nobody has; long enough that no hash says it by chance.
const TYPED: &str = "99999998";
const RESET: &str = "/portail/mot-de-passe/reinitialisation";

impl Audited {
    /// The lines that were added since there were so many, each as what, outcome, reason and Caf. Each tells who asked,
    /// from where, and in which request.
    fn added(&self, before: usize, who: Option<&str>, told: &[(&str, &str, Option<&str>, Option<&str>)]) {
        let mut lines = Vec::new();
        eventually(&format!("{told:?}"), || {
            lines = self.lines().split_off(before);
            lines.len() >= told.len()
        });
        let texts = lines.iter().map(|line| {
            let text = |name: &str| line[name].as_str();
            (text("what").unwrap(), text("outcome").unwrap(), text("reason"), text("caf"))
        });
        assert_eq!(texts.collect::<Vec<_>>(), told, "{lines:?}");
        for line in &lines {
            assert_eq!(line["who"].as_str(), who, "{line}");
            assert_eq!(line["from"], "127.0.0.1", "{line}");
            assert_eq!(line["request"].as_str().map(str::len), Some(32), "{line}");
        }
    }

    /// What an action adds.
    fn adds(
        &self,
        who: Option<&str>,
        told: &[(&str, &str, Option<&str>, Option<&str>)],
        action: impl FnOnce() -> Response,
    ) -> Response {
        let before = self.lines().len();
        let answer = action();
        self.added(before, who, told);
        answer
    }
}

on_each_store! {
    fn each_step_is_one_line(kind: Kind) {
        let audited = audited(kind, |_| ());
        let gateway = &audited.world.gateway;
        let client = || gateway.client();
        audited.adds(Some(ONE_CAF), &[("sign-in", "refused", Some("identifiants-invalides"), None)], || {
            sign_in(&mut client(), ONE_CAF, "faux-2026")
        });
        let entered = [
            ("sign-in", "ok", None, Some("921")),
            ("caf-choice", "ok", None, Some("921")),
            ("establishment", "ok", None, Some("921")),
        ];
        audited.adds(Some(ONE_CAF), &entered, || sign_in(&mut client(), ONE_CAF, PASSWORD));
        let mut two = client();
        audited.adds(Some(TWO_CAFS), &[("sign-in", "ok", None, None)], || sign_in(&mut two, TWO_CAFS, PASSWORD));
        let mut choose = |caf: &str| two.post("/portail/caf").json(&json!({"caf": caf})).send();
        audited.adds(Some(TWO_CAFS), &[("caf-choice", "refused", Some("caf-non-habilitee"), Some("131"))], || choose("131"));
        let chosen = [("caf-choice", "ok", None, Some("751")), ("establishment", "ok", None, Some("751"))];
        audited.adds(Some(TWO_CAFS), &chosen, || choose("751"));
        // Somebody else's name, typed where one is signed in: the line is about the name.
        audited.adds(Some(ONE_CAF), &[("sign-in", "refused", Some("identifiants-invalides"), None)], || {
            sign_in(&mut two, ONE_CAF, "faux-2026")
        });
        audited.adds(Some(PROVISIONAL), &[("password-reset-asked", "ok", None, None)], || {
            two.post("/portail/mot-de-passe/oubli").json(&json!({"identifiant": PROVISIONAL})).send()
        });
        audited.adds(Some(TWO_CAFS), &[("leave", "ok", None, Some("751"))], || {
            two.post("/portail/quitter").json(&json!({})).send()
        });
        audited.adds(Some(TWO_CAFS), &[("session-end", "ok", Some("signed-out"), None)], || {
            two.post("/portail/deconnexion").json(&json!({})).send()
        });

        let mut unknown = client();
        sign_in(&mut unknown, UNKNOWN_SIRET, PASSWORD);
        let barred = ("establishment", "barred", Some("etablissement-a-identifier"), Some("921"));
        audited.adds(Some(UNKNOWN_SIRET), &[("caf-choice", "ok", None, Some("921")), barred], || {
            unknown.post("/portail/caf").json(&json!({"caf": "921"})).send()
        });
        let mut identify = |typed: &str| {
            unknown.post("/portail/etablissement").json(&json!({"identifiant_communication": typed})).send()
        };
        let not_known = [("establishment", "refused", Some("etablissement-inconnu"), Some("921"))];
        audited.adds(Some(UNKNOWN_SIRET), &not_known, || identify(TYPED));
        audited.adds(Some(UNKNOWN_SIRET), &[("establishment", "ok", None, Some("921"))], || identify(COMMUNICATION));
        for _ in 0..4 {
            identify(TYPED);
        }
        let barred = [("establishment", "barred", Some("trop-d-essais"), Some("921"))];
        audited.adds(Some(UNKNOWN_SIRET), &barred, || identify(TYPED));

        let mut fresh = client();
        let provisional = [("sign-in", "ok", None, None)];
        audited.adds(Some(PROVISIONAL), &provisional, || sign_in(&mut fresh, PROVISIONAL, PASSWORD));
        let mut change = |new: &str| {
            let body = json!({"mot_de_passe_actuel": PASSWORD, "nouveau_mot_de_passe": new});
            fresh.post("/portail/mot-de-passe").json(&body).send()
        };
        let weak = [("password-change", "refused", Some("mot-de-passe-refuse"), None)];
        audited.adds(Some(PROVISIONAL), &weak, || change("court"));
        let changed = [
            ("password-change", "ok", None, Some("921")),
            ("caf-choice", "ok", None, Some("921")),
            ("establishment", "ok", None, Some("921")),
        ];
        audited.adds(Some(PROVISIONAL), &changed, || change(NEW));
        for _ in 0..5 {
            sign_in(&mut client(), TWO_CAFS, "faux-2026");
        }
        let locked = [("sign-in", "locked", Some("trop-d-essais"), None)];
        audited.adds(Some(TWO_CAFS), &locked, || sign_in(&mut client(), TWO_CAFS, PASSWORD));
        let text = fs::read_to_string(&audited.path).unwrap();
        for secret in [PASSWORD, NEW, "faux-2026", TYPED, COMMUNICATION, "argon2"] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }

    fn each_change_of_an_operator_is_one_line(kind: Kind) {
        let audited = audited(kind, |_| ());
        let admin = || audited.world.gateway.admin();
        for (method, action, what) in [
            ("POST", "/suspend", "account-suspend"),
            ("POST", "/reactivate", "account-reactivate"),
            ("POST", "/force-change", "account-force-change"),
            ("POST", "/unlock", "account-unlock"),
            ("POST", "/reset-password", "account-reset-password"),
            ("DELETE", "/sessions", "session-revoke"),
            ("DELETE", "", "account-delete"),
        ] {
            let path = format!("/v1/accounts/{TWO_CAFS}{action}");
            let before = audited.lines().len();
            let answer = admin().request(method, &path).header("X-Octroi-By", "marie").send();
            assert!([200, 204].contains(&answer.status), "{}", answer.text());
            audited.added(before, Some(TWO_CAFS), &[(what, "ok", None, None)]);
            let line = audited.lines().pop().unwrap();
            assert_eq!(line["by"], "marie");
            assert_eq!(line["request"].as_str(), answer.header("x-request-id"));
            if let Some(made) = answer.text().split("\"provisional_password\":\"").nth(1) {
                let text = fs::read_to_string(&audited.path).unwrap();
                assert!(!text.contains(&made[..14]), "a provisional password");
            }
        }
        audited.adds(Some(TWO_CAFS), &[("account-suspend", "refused", None, None)], || {
            admin().post(&format!("/v1/accounts/{TWO_CAFS}/suspend")).send()
        });
        assert_eq!(audited.lines().pop().unwrap()["detail"]["status"], 404);
    }
}

fn token(audited: &Audited, letters: &Path) -> String {
    let asked = json!({"identifiant": ONE_CAF});
    let answer = audited.world.gateway.client().post("/portail/mot-de-passe/oubli").json(&asked).send();
    assert_eq!(answer.status, 202);
    let mut letter = String::new();
    eventually("a letter is written", || {
        let mut files = fs::read_dir(letters).unwrap().map(|file| file.unwrap().path());
        letter = files.next().map(|file| fs::read_to_string(file).unwrap()).unwrap_or_default();
        letter.contains("</html>")
    });
    let letter = letter.replace("=\r\n", "").replace("=3D", "=");
    let (_, rest) = letter.split_once("?jeton=").expect("a link");
    rest.chars().take_while(|c| c.is_ascii_alphanumeric() || "-_".contains(*c)).collect()
}

#[test]
fn a_reset_names_whose_password_it_was_and_no_other() {
    let letters = tempfile::tempdir().unwrap();
    let url = format!("{:?}", format!("file:{}", letters.path().display()));
    let audited = audited(Kind::Embedded, |settings| {
        settings.set("mail", "url", &url).set("mail", "from", r#""octroi@extranet.example""#);
    });
    let token = token(&audited, letters.path());
    // By a browser where somebody else is signed in.
    let mut browser = audited.world.signed_in(TWO_CAFS);
    let reset = |jeton: &str, new: &str| json!({"jeton": jeton, "nouveau_mot_de_passe": new});
    let dead = [("password-reset", "refused", Some("requete-invalide"), None)];
    audited.adds(None, &dead, || browser.post(RESET).json(&reset("faux", NEW)).send());
    let weak = [("password-reset", "refused", Some("mot-de-passe-refuse"), None)];
    audited.adds(Some(ONE_CAF), &weak, || browser.post(RESET).json(&reset(&token, "court")).send());
    let _open = audited.world.admitted();
    let done = browser.post(RESET).json(&reset(&token, NEW)).send();
    assert_eq!((done.status, browser.session()), (200, None), "{}", done.text());
    let line = audited.has("password-reset", "ok", None, Some(ONE_CAF));
    assert_eq!(line["caf"], Value::Null);
    audited.has("session-end", "ok", Some("password-reset"), Some(ONE_CAF));
    audited.has("session-end", "ok", Some("replaced"), Some(TWO_CAFS));
    let text = fs::read_to_string(&audited.path).unwrap();
    assert!(!text.contains(&token) && !text.contains(NEW), "{text}");
}

#[test]
fn where_it_came_from_is_the_whole_address() {
    let audited = audited(Kind::Embedded, |settings| {
        settings.set("server", "trusted_proxies", r#"["127.0.0.0/8"]"#);
    });
    let address = "2001:db8:1:2:3:4:5:6";
    let mut client = audited.world.gateway.client();
    let body = json!({"identifiant": ONE_CAF, "mot_de_passe": PASSWORD});
    let sign_in = client.post("/portail/connexion").header("X-Forwarded-For", address).json(&body).send();
    assert_eq!(sign_in.etat(), "admis");
    assert_eq!(audited.has("sign-in", "ok", None, Some(ONE_CAF))["from"], address);
    assert_eq!(audited.world.gateway.cli(&["account", "suspend", ONE_CAF]).0, 0);
    assert_eq!(audited.has("session-end", "ok", Some("suspended"), Some(ONE_CAF))["from"], address);
}

#[test]
fn a_change_that_its_author_may_not_make_is_told() {
    let mut audited = audited(Kind::Embedded, |_| ());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tokens");
    let reader = crate::authority::token(&file, &["--name", "sonde", "--role", "read"]);
    audited.world.settings.set("admin", "tokens_file", &format!("{:?}", file.display().to_string()));
    audited.world.gateway.terminate();
    assert!(audited.world.gateway.ended().success());
    audited.world.restart();
    let path = format!("/v1/accounts/{ONE_CAF}/suspend");
    let admin = || audited.world.gateway.admin();
    let no_proof = [("admin-change", "refused", Some("no-proof"), None)];
    let refused = audited.adds(None, &no_proof, || admin().post(&path).send());
    assert_eq!(refused.status, 401);
    let bearer = format!("Bearer {reader}");
    let role = [("admin-change", "refused", Some("role"), None)];
    let refused = audited.adds(None, &role, || admin().post(&path).header("Authorization", &bearer).send());
    assert_eq!(refused.status, 403);
    let line = audited.lines().pop().unwrap();
    assert_eq!(
        (&line["by"], &line["detail"]["route"]),
        (&json!("sonde"), &json!("/v1/accounts/{identifiant}/suspend"))
    );
    assert!(!fs::read_to_string(&audited.path).unwrap().contains(&reader));
}
