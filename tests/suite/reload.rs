//! Certificates, tokens and lists read again while requests go on: `octroi reload`, `POST /v1/reload`, SIGHUP.

use std::fs;
use std::io::Write as _;

use serde_json::{Value, json};

use crate::harness::client::read_response;
use crate::harness::eventually;
use crate::harness::world::{Kind, ONE_CAF, PASSWORD, World};
use crate::tls::{config, connect, secured, sign_in_request, write};

/// Puts one text in the place of another in a gateway's configuration.
fn edit(world: &World, from: &str, to: &str) {
    let text = fs::read_to_string(world.gateway.file()).unwrap();
    assert!(text.contains(from), "{from} in {text}");
    fs::write(world.gateway.file(), text.replacen(from, to, 1)).unwrap();
}

#[test]
fn a_new_certificate_counts_once_reloaded_and_what_is_open_goes_on() {
    let secured = secured();
    let (gateway, address) = (&secured.world.gateway, secured.world.gateway.public);
    let mut open = connect(address, config(&rustls::version::TLS13, &[]));
    let kept = sign_in_request().replace("Connection: close\r\n", "");
    open.write_all(kept.as_bytes()).unwrap();
    assert_eq!(read_response(&mut open, false).unwrap().etat(), "admis");
    let (exit, shown, said) = gateway.cli(&["reload"]);
    assert_eq!((exit, said.as_str()), (0, ""));
    assert!(shown.contains("server.tls") && shown.contains("has not changed"), "{shown}");

    let made = rcgen::generate_simple_self_signed(vec!["esat.extranet.example".to_owned()]).unwrap();
    write(secured.folder.path(), &made.cert.pem(), &made.signing_key.serialize_pem());
    // The gateway also looks by itself: whoever comes first, the new one is in use now.
    let (exit, _, said) = gateway.cli(&["reload"]);
    assert_eq!((exit, said.as_str()), (0, ""));
    let shown = connect(address, config(&rustls::version::TLS13, &[]));
    assert_eq!(shown.conn.peer_certificates().unwrap()[0].as_ref(), made.cert.der().as_ref());
    open.write_all(kept.as_bytes()).unwrap();
    assert_eq!(read_response(&mut open, false).unwrap().etat(), "admis", "what was open goes on");

    fs::write(secured.folder.path().join("tls.crt"), "rien").unwrap();
    let (exit, shown, said) = gateway.cli(&["reload"]);
    assert_eq!((exit, shown.as_str()), (1, ""));
    assert!(said.contains("octroi.toml:") && said.contains("server.tls.certificate"), "{said}");
    let shown = connect(address, config(&rustls::version::TLS13, &[]));
    assert_eq!(shown.conn.peer_certificates().unwrap()[0].as_ref(), made.cert.der().as_ref());
}

#[test]
fn keys_that_need_a_restart_are_named_and_their_values_are_not() {
    let world = World::with(Kind::Embedded, |settings| {
        settings.set("session", "idle_timeout", r#""30m""#);
    });
    let mut client = world.admitted();
    edit(&world, "idle_timeout = \"30m\"", "idle_timeout = \"11m\"");
    let reloaded = world.gateway.admin().post("/v1/reload").send();
    assert_eq!((reloaded.status, &reloaded.json()["needs_restart"]), (200, &json!(["session.idle_timeout"])));
    assert!(!reloaded.text().contains("11m"), "{}", reloaded.text());
    let state = client.get("/portail/session").program().send().json();
    assert_eq!(state["session"]["expire_dans_s"], 1800, "nothing changes before the restart");
    let (exit, shown, _) = world.gateway.cli(&["reload"]);
    assert!(
        exit == 0 && shown.contains("need a restart") && shown.contains("session.idle_timeout"),
        "{shown}"
    );
    let (exit, shown, _) = world.gateway.cli(&["reload", "--json"]);
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!((exit, &shown["needs_restart"]), (0, &json!(["session.idle_timeout"])));
}

#[test]
fn a_wrong_configuration_is_told_line_by_line_and_changes_nothing() {
    let world = World::new(Kind::Embedded);
    edit(&world, "workers = 2", "workers = \"deux\"\nworkers_too = 1");
    let refused = world.gateway.admin().post("/v1/reload").send();
    assert_eq!(refused.status, 422, "{}", refused.text());
    let errors = refused.json()["errors"].to_string();
    assert!(errors.contains("server.workers") && errors.contains("workers_too"), "{errors}");
    let (exit, shown, said) = world.gateway.cli(&["reload"]);
    assert_eq!((exit, shown.as_str()), (1, ""));
    assert!(said.contains("octroi.toml:") && said.contains("nothing was read again"), "{said}");
    assert_eq!(world.admitted().get("/").program().send().status, 200);
    fs::remove_file(world.gateway.file()).unwrap();
    assert_eq!(world.gateway.cli(&["reload"]).0, 1);
    assert_eq!(world.gateway.cli(&["reload", "x"]).0, 2);
    assert_eq!(world.gateway.admin().get("/v1/reload").send().status, 405);
}

#[test]
fn a_hangup_reloads_and_ends_nothing() {
    let world = World::new(Kind::Embedded);
    let mut client = world.admitted();
    edit(&world, "workers = 2", "workers = 3");
    world.gateway.signal("HUP");
    eventually("the log says what needs a restart", || world.gateway.logs().contains("server.workers"));
    edit(&world, "workers = 3", "workers = true");
    world.gateway.signal("HUP");
    eventually("the log says what is wrong", || world.gateway.logs().contains("nothing was read again"));
    assert_eq!(client.get("/").program().send().status, 200);
}

#[test]
fn a_new_list_of_stolen_passwords_counts_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("volés.txt");
    // SHA-1 of nothing that anybody types.
    fs::write(&list, "0000000000000000000000000000000000000000\n").unwrap();
    let world = World::with(Kind::Embedded, |settings| {
        settings.set("password", "breached_file", &format!("{:?}", list.display().to_string()));
    });
    let unchanged = world.gateway.admin().post("/v1/reload").send().json();
    assert_eq!(unchanged["parts"], json!([{"part": "password.breached_file", "outcome": "unchanged"}]));
    let stolen = "Cerisier-sauvage-1789";
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY, stolen.as_bytes());
    let mut hex = String::new();
    for byte in digest.as_ref() {
        let _ = std::fmt::Write::write_fmt(&mut hex, format_args!("{byte:02X}"));
    }
    let new = folder.path().join("nouveaux.txt");
    fs::write(&new, format!("0000000000000000000000000000000000000000\n{hex}:3\n")).unwrap();
    fs::rename(&new, &list).unwrap();
    let changed = world.gateway.admin().post("/v1/reload").send().json();
    assert_eq!(changed["parts"][0]["outcome"], "changed", "{changed}");
    let mut client = world.signed_in(ONE_CAF);
    let change = json!({"mot_de_passe_actuel": PASSWORD, "nouveau_mot_de_passe": stolen});
    let refused = client.post("/portail/mot-de-passe").json(&change).send();
    assert_eq!(refused.problem(), (422, "mot-de-passe-refuse".to_owned()));
    assert!(refused.text().contains("compromis"), "{}", refused.text());
}
