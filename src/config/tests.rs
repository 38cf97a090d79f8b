mod checks;
mod hostile;

use std::path::Path;
use std::time::Duration;

use super::declare::{Presence, SECTIONS};
use super::*;

const EXAMPLE: &str = include_str!("../../config/octroi.toml");
const CERTIFICATE: &str = include_str!("testdata/tls.crt");
const KEY: &str = include_str!("testdata/tls.key");
const OTHER_KEY: &str = include_str!("testdata/other.key");

/// The least that is a configuration.
const LEAST: &str = "
[[caf]]
code = '921'
name = 'Caf des Hauts-de-Seine'
contact = 'partenaires@caf921.example'
backends = ['http://10.0.1.10:8080']
plaintext = true
";

fn parse_with(text: &str, environment: &[(&str, &str)]) -> Result<Loaded, Errors> {
    let owned = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Config::parse(text, "octroi.toml", owned)
}

fn lines(outcome: Result<Loaded, Errors>) -> Vec<String> {
    outcome.map_or_else(|errors| errors.0.iter().map(ToString::to_string).collect(), |_| Vec::new())
}

/// What is said of `text` before a right [[caf]].
fn said(text: &str) -> Vec<String> {
    lines(parse_with(&format!("{text}{LEAST}"), &[]))
}

fn one(text: &str) -> String {
    let said = said(text);
    assert_eq!(said.len(), 1, "{text}\n{said:#?}");
    said.into_iter().next().expect("one line")
}

fn loaded(text: &str, environment: &[(&str, &str)]) -> Loaded {
    parse_with(text, environment).unwrap_or_else(|errors| panic!("{errors}"))
}

fn tls_files() -> (tempfile::TempDir, String, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("a file");
        path.to_str().expect("text").to_owned()
    };
    let (certificate, key) = (path("tls.crt", CERTIFICATE), path("tls.key", KEY));
    (folder, certificate, key)
}

#[test]
fn the_example_is_right_and_complete() {
    let (_folder, certificate, key) = tls_files();
    let tls = [
        ("OCTROI_SERVER__TLS__CERTIFICATE", certificate.as_str()),
        ("OCTROI_SERVER__TLS__KEY", key.as_str()),
    ];
    let Loaded { config, warnings } = loaded(EXAMPLE, &tls);
    assert_eq!(warnings, []);
    assert_eq!(config.cafs.len(), 2);
    assert!(config.server.is_secure());
    let mut section = "";
    let mut written = Vec::new();
    for line in EXAMPLE.lines().map(|line| line.trim_start_matches("# ")) {
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_matches(['[', ']']);
        } else if let Some((key, value)) = line.split_once(" = ") {
            written.push((format!("{section}.{key}"), value.trim_matches(['"', '[', ']'])));
        }
    }
    for (section, key) in SECTIONS.iter().flat_map(|s| s.keys.iter().map(move |key| (s, key))) {
        let name = format!("{}.{}", section.name, key.name);
        let value = written.iter().find(|(written, _)| *written == name).map(|(_, value)| *value);
        let Some(value) = value else { panic!("the example lacks {name}") };
        let own = ["server.trusted_proxies", "admin.tls.clients"].contains(&name.as_str());
        if let Presence::Default(default) = key.presence
            && !own
        {
            assert_eq!(value, default, "the example has another default for {name}");
        }
    }
}

#[test]
fn defaults_are_right_values_and_stand_without_a_line() {
    for (section, key) in SECTIONS.iter().flat_map(|s| s.keys.iter().map(move |key| (s, key))) {
        if let Presence::Default(text) = key.presence {
            assert!((key.accepts)(text), "{}.{} = {text}", section.name, key.name);
        }
    }
    let config = loaded(LEAST, &[]).config;
    assert_eq!(config.session.idle_timeout, Duration::from_mins(30));
    assert_eq!(config.password.max_age, Duration::from_hours(92 * 24));
    assert_eq!(config.limits.body, 25 * 1024 * 1024);
    assert_eq!(config.limits.login_per_client.period, Duration::from_mins(1));
    assert_eq!(config.server.listen, ["127.0.0.1:8080".parse().expect("an address")]);
    assert!(config.mail.is_none() && config.rehearsal.is_none() && config.server.tls.is_none());
    assert!(matches!(config.store, Store::Embedded(path) if path == Path::new("/var/lib/octroi")));
    assert_eq!(
        config.cafs[0].backends,
        [BackendAddress { https: false, host: "10.0.1.10".to_owned(), port: 8080 }]
    );
}

#[test]
fn an_error_reads_at_night() {
    assert_eq!(
        one("\n[session]\n  idle_timeout = \"30 minutes\""),
        "octroi.toml:3:18: session.idle_timeout: found \"30 minutes\", \
         expected a duration such as 30m, 12h or 92d"
    );
    assert_eq!(
        one("[session]\nidle_timout = '30m'"),
        "octroi.toml:2:1: session.idle_timout: unknown key, did you mean idle_timeout?"
    );
    assert_eq!(one("[sesion]\n"), "octroi.toml:1:2: sesion: unknown section, did you mean session?");
    assert_eq!(
        one("absolute_timeout = '30m'"),
        "octroi.toml:1:1: absolute_timeout: unknown key, it belongs in [session]"
    );
}

#[test]
fn every_error_is_told_in_the_files_order() {
    let said = said(
        "[server]\nlisten = ['0.0.0.0:80', 'x']\nworkers = 0\n[session]\nwarning = 5\nidle = '1m'\n\
         [[caf]]\ncode = '92a'\nname = 'é'\nbackends = ['http://a', 'http://b/c']",
    );
    let starts = [
        "octroi.toml:2:25: server.listen: found \"x\"",
        "octroi.toml:3:11: server.workers: found the number 0",
        "octroi.toml:5:11: session.warning: found the number 5",
        "octroi.toml:6:1: session.idle: unknown key, expected idle_timeout, warning, absolute_timeout",
        "octroi.toml:7:1: caf.contact: is missing",
        "octroi.toml:8:8: caf.code: found \"92a\"",
        "octroi.toml:10:25: caf.backends: found \"http://b/c\"",
    ];
    assert_eq!(said.len(), starts.len(), "{said:#?}");
    for (line, start) in said.iter().zip(starts) {
        assert!(line.starts_with(start), "{line}");
    }
}

#[test]
fn variables_override_keys() {
    let environment = [
        ("OCTROI_SESSION__IDLE_TIMEOUT", "10m"),
        ("OCTROI_SERVER__TRUSTED_PROXIES", "10.0.0.0/8, fd00::/8"),
        ("OCTROI_LIMITS__PER_CLIENT__RATE", "7/h"),
        ("OCTROI_SERVER__BEHIND_TLS_PROXY", "true"),
        ("OCTROI_PASSWORD__MIN_LENGTH", "12"),
        ("OCTROI_ADMIN", "http://127.0.0.1:9901"),
        ("HOME", "/root"),
    ];
    let config = loaded(&format!("[session]\nidle_timeout = 'wrong'{LEAST}"), &environment).config;
    assert_eq!(config.session.idle_timeout, Duration::from_mins(10));
    assert_eq!(config.server.trusted_proxies.len(), 2);
    assert_eq!(config.limits.per_client.count.get(), 7);
    assert_eq!(config.password.min_length, 12);
    assert_eq!(config.server.listen, ["0.0.0.0:8443".parse().expect("an address")]);
}

#[test]
fn variables_may_be_written_as_the_file_would_have_them() {
    let environment = [
        ("OCTROI_SERVER__LISTEN", "[\"127.0.0.1:0\", '[::1]:0']"),
        ("OCTROI_SERVER__TRUSTED_PROXIES", "[]"),
        ("OCTROI_LIMITS__PER_CLIENT", "{ rate = \"7/h\", burst = 9 }"),
        ("OCTROI_LIMITS__PER_SESSION", "{ rate = '8/m' }"),
        ("OCTROI_LIMITS__PER_SESSION__RATE", "9/m"),
    ];
    let config = loaded(LEAST, &environment).config;
    assert_eq!(config.server.listen.len(), 2);
    assert!(config.server.trusted_proxies.is_empty());
    assert_eq!((config.limits.per_client.count.get(), config.limits.per_client.burst.get()), (7, 9));
    assert_eq!(config.limits.per_session.count.get(), 9, "a key's own variable counts");
    let said = lines(parse_with(
        LEAST,
        &[
            ("OCTROI_LIMITS__PER_CLIENT", "{ rate = \"7\" }"),
            ("OCTROI_LIMITS__PER_SESSION", "{ pace = \"7/s\" }"),
            ("OCTROI_SERVER__LISTEN", "[::1]:8080"),
            ("OCTROI_SERVER__TRUSTED_PROXIES", "[\"10.0.0.0/8\", \"x\"]"),
        ],
    ));
    let starts = [
        "OCTROI_LIMITS__PER_CLIENT: limits.per_client.rate: found \"7\", expected a rate",
        "OCTROI_LIMITS__PER_SESSION: sets no key",
        "OCTROI_SERVER__TRUSTED_PROXIES: server.trusted_proxies: found \"x\", expected a network",
    ];
    assert_eq!(said.len(), starts.len(), "{said:#?}");
    for (line, start) in said.iter().zip(starts) {
        assert!(line.starts_with(start), "{line}");
    }
}

#[test]
fn errors_of_variables_name_them() {
    let said = lines(parse_with(
        LEAST,
        &[
            ("OCTROI_SESSION__IDLE_TIMEOUT", "soon"),
            ("OCTROI_SESSION__IDLE_TIMOUT", "1m"),
            ("OCTROI_CAF__CODE", "921"),
            ("OCTROI_session__warning", "1m"),
            ("OCTROI_X__Y", "1"),
        ],
    ));
    assert_eq!(
        said,
        [
            "OCTROI_CAF__CODE: sets no key: [[caf]] can only be written in the file",
            "OCTROI_SESSION__IDLE_TIMEOUT: session.idle_timeout: found \"soon\", \
             expected a duration such as 30m, 12h or 92d",
            "OCTROI_SESSION__IDLE_TIMOUT: sets no key, did you mean OCTROI_SESSION__IDLE_TIMEOUT?",
            "OCTROI_X__Y: sets no key (OCTROI_SECTION__KEY)",
            "OCTROI_session__warning: sets no key, did you mean OCTROI_SESSION__WARNING?",
        ]
    );
}

#[test]
fn the_schema_knows_every_key() {
    let schema = schema();
    let properties = &schema["properties"];
    assert_eq!(properties["session"]["properties"]["idle_timeout"]["default"], "30m");
    assert_eq!(properties["password"]["properties"]["min_length"]["minimum"], 8);
    assert_eq!(
        properties["server"]["properties"]["tls"]["required"],
        serde_json::json!(["certificate", "key"])
    );
    assert_eq!(properties["caf"]["items"]["additionalProperties"], false);
    assert_eq!(properties["session"]["properties"]["passive_paths"]["default"], serde_json::json!([]));
    for section in SECTIONS {
        let path = section.name.replace('.', "/properties/");
        let items = if section.many { "/items" } else { "" };
        for key in section.keys {
            let pointer = format!("/properties/{path}{items}/properties/{}/description", key.name);
            assert!(schema.pointer(&pointer).is_some(), "{pointer}");
        }
    }
}
