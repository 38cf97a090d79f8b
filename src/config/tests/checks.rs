//! What each section refuses, and what it only warns of.

use super::super::declare::{Key, Section};
use super::*;

#[test]
fn clashes_are_refused() {
    for (text, says) in [
        ("[session]\nwarning = '30m'", "session.warning: found \"30m\", expected less than idle_timeout"),
        ("[session]\nidle_timeout = '4m'", "session.warning: found the default \"5m\", expected less"),
        ("[session]\nidle_timeout = '13h'", "session.idle_timeout: found \"13h\", expected no more than abs"),
        ("[session]\nidle_timeout = '0s'", "session.idle_timeout: found \"0s\", expected more"),
        (
            "[password]\nmin_length = 7",
            "password.min_length: found the number 7, expected a whole number from 8",
        ),
        ("[server]\nlisten = ['0.0.0.0:80']", "would take plain HTTP from other machines"),
        ("[server]\nlisten = ['[::]:80', '[::1]:80']", "would take plain HTTP from other machines"),
        ("[server]\nlisten = []", "server.listen: found a list, expected at least one address"),
        ("[server]\nlisten = ['127.0.0.1:1', '127.0.0.1:1']", "twice"),
        ("[server]\nproxy_protocol = true", "found true, which needs trusted_proxies"),
        ("[admin]\nlisten = '0.0.0.0:9901'", "where other machines could reach it"),
        ("[admin]\nlisten = '[::]:9901'\ntokens_in_clear = true", "where other machines could reach it"),
        ("[admin]\ntokens_file = '/nowhere/tokens'", "which cannot be read"),
        ("[admin]\nlisten = '127.0.0.1:8080'", "which server.listen has too"),
        ("[portal]\npages = 'off'", "portal.pages: found \"off\", expected sign_in_url beside it"),
        ("[portal]\nprefix = '/portail/'", "with no slash at the end"),
        ("[store]\nurl = 'redis-sentinel://h'", "not supported yet"),
        ("[store]\nurl = 'memory:'\nurl_file = '/x'", "store.url_file: found beside url, expected only one"),
        (
            "[store]\nurl_file = '/does/not/exist'",
            "store.url_file: found \"/does/not/exist\", which cannot be read",
        ),
        ("[mail]\nfrom = 'a@b.fr'", "mail.url: is missing, expected it or url_file"),
        ("[log]\nlevel = 'verbose'", "log.level: found \"verbose\", expected off, error"),
        ("[login]\nmax_failures = 101", "login.max_failures: found the number 101"),
        (
            "[[volet]]\nname = 'v'\npaths = ['/v']\nopens = '12-01'",
            "volet.opens: found \"12-01\", expected closes",
        ),
        (
            "[[volet]]\nname = 'v'\npaths = ['/v']\ncloses = '02-30'\nopens = '01-01'",
            "volet.closes: found \"02-30\"",
        ),
        ("[[volet]]\nname = 'v'\npaths = ['/v']\n[[volet]]\nname = 'v'\npaths = ['/w']", ":5:8: volet.name"),
        (
            "[[caf]]\ncode='921'\nname='x'\ncontact='y'\nbackends=['http://h']",
            ":8:8: caf.code: found \"921\", which",
        ),
        ("[[caf]]\ncode='1'\nname='x'\ncontact='y'\nbackends=['http://h']", ":2:6: caf.code: found \"1\""),
        (
            "[[caf]]\ncode='111'\nname='x'\ncontact='y'\nbackends=[]",
            "caf.backends: found a list, expected at least",
        ),
        (
            "[server]\nlisten=['0.0.0.0:1']\nbehind_tls_proxy=true\n[rehearsal]\nnow='2026-12-01T00:00:00Z'",
            "loopback",
        ),
        ("[rehearsal]\nnow = '2026-12-01'", "rehearsal.now: found \"2026-12-01\", expected an instant"),
        ("[rehearsal]\nnow = 2026-12-01", "rehearsal.now: found the date 2026-12-01, expected an instant"),
    ] {
        let line = one(&format!("{text}\n"));
        assert!(line.contains(says), "{text}\n{line}");
    }
    for url in ["http://u:p@h", "http://h/p", "http://h?q", "ftp://h", "h:80", "http://h:0", "http://"] {
        let caf = format!("[[caf]]\ncode='111'\nname='x'\ncontact='y'\nbackends=['{url}']\n");
        assert!(one(&caf).contains("octroi.toml:5:11: caf.backends: found"), "{url}");
    }
    assert_eq!(lines(parse_with("", &[])), ["octroi.toml: caf: found none, expected at least one [[caf]]"]);
    assert_eq!(lines(parse_with("caf = []", &[])).len(), 1);
    assert_eq!(lines(parse_with("caf = 5", &[])).len(), 1);
    assert_eq!(lines(parse_with("[caf]\ncode = '921'", &[])).len(), 1);
}

#[test]
fn what_is_odd_is_a_warning() {
    let warned = |text: &str| {
        let warnings = loaded(&format!("{text}{LEAST}"), &[]).warnings;
        warnings.iter().map(|problem| problem.key().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(warned("[server]\npublic_url = 'https://a'"), ["server.public_url"]);
    assert_eq!(warned("[server]\npublic_url = 'https://a'\nbehind_tls_proxy = true"), Vec::<String>::new());
    assert_eq!(warned("[server]\ntrusted_proxies = ['0.0.0.0/0']"), ["server.trusted_proxies"]);
    assert_eq!(warned("[portal]\nsign_in_url = 'https://a/b'"), ["portal.sign_in_url"]);
    let second = "[[caf]]\ncode='112'\nname='x'\ncontact='y'\nbackends=['http://localhost']\n";
    assert_eq!(warned(&format!("[server]\nmax_connections = 1101\n{second}")), Vec::<String>::new());
    let hogs = "the others wait for the one that hangs";
    assert_eq!(warned(&format!("[server]\nmax_connections = 1100\n{second}")), ["caf.backends"; 2], "{hogs}");
    assert_eq!(warned("[server]\nmax_connections = 1100"), Vec::<String>::new(), "nobody else is there");
}

#[test]
fn every_key_of_the_wrong_type_is_one_error_that_names_it() {
    let table_of = |section: &Section, wrong: &Key, value: &str| {
        let brackets = if section.many { ("[[", "]]") } else { ("[", "]") };
        let mut text = format!("{}{}{}\n{} = {value}\n", brackets.0, section.name, brackets.1, wrong.name);
        let right = [
            ("certificate", "'C'"),
            ("key", "'K'"),
            ("from", "'a@b.fr'"),
            ("code", "'111'"),
            ("contact", "'x'"),
            ("backends", "['http://h']"),
            ("name", "'n'"),
            ("paths", "['/p']"),
        ];
        let url = section.name == "mail" && !wrong.name.starts_with("url");
        let needed = section.keys.iter().filter(|key| key.name != wrong.name);
        for key in needed.filter(|key| key.presence == Presence::Required) {
            let (_, value) = right.iter().find(|(name, _)| *name == key.name).expect("a right value");
            text = format!("{text}{} = {value}\n", key.name);
        }
        if url { text + "url = 'file:/x'\n" } else { text }
    };
    let (_folder, certificate, key) = tls_files();
    for (section, wrong) in SECTIONS.iter().flat_map(|s| s.keys.iter().map(move |key| (s, key))) {
        let name = format!("{}.{}", section.name, wrong.name);
        for value in ["{ a = 1 }", "1.5", "''", "-1", "[[]]", "07:32:00", "\"\\u0000\"", "[1]"] {
            let list =
                ["server.listen", "server.trusted_proxies", "session.passive_paths"].contains(&name.as_str());
            let right = name == "caf.weights" && value == "[1]";
            if right || list && value == "''" {
                continue;
            }
            let text = table_of(section, wrong, value).replace("'C'", &format!("'{certificate}'"));
            let said = said(&text.replace("'K'", &format!("'{key}'")));
            assert_eq!(said.len(), 1, "{text}\n{said:#?}");
            assert!(said[0].starts_with("octroi.toml:2:"), "{said:#?}");
            assert!(said[0].contains(&format!(": {name}: found ")), "{said:#?}");
        }
    }
}

#[test]
fn sections_of_the_wrong_type_are_one_error_each() {
    for section in SECTIONS.iter().filter(|section| section.name != "caf") {
        for value in ["5", "'x'", "true", "[1]"] {
            let said = said(&format!("{} = {value}\n", section.name));
            assert_eq!(said.len(), 1, "{said:#?}");
            assert!(said[0].contains(&format!(": {}: found ", section.name)), "{said:#?}");
        }
    }
}

#[test]
fn tls_files_are_what_they_should_be() {
    let (folder, certificate, key) = tls_files();
    let other = folder.path().join("other.key");
    std::fs::write(&other, OTHER_KEY).expect("a file");
    let said = |certificate: &str, key: &str| {
        said(&format!(
            "[server]\nlisten=['0.0.0.0:1']\n[server.tls]\ncertificate='{certificate}'\nkey='{key}'\n"
        ))
    };
    assert_eq!(said(&certificate, &key), Vec::<String>::new());
    for (certificate, other, says) in [
        (certificate.as_str(), other.to_str().expect("text"), "server.tls.key: found \""),
        (certificate.as_str(), other.to_str().expect("text"), "which is not the key of the certificate"),
        (&key, &key, "server.tls.certificate: found"),
        (&certificate, &certificate, "expected a file with an unencrypted private key"),
        (&certificate, "/does/not/exist", "server.tls.key: found \"/does/not/exist\", which cannot be read"),
        ("/", &key, "server.tls.certificate: found \"/\", which cannot be read"),
    ] {
        let said = said(certificate, other);
        assert!(said.len() == 1 && said[0].contains(says), "{said:#?}");
    }
    assert_eq!(lines(parse_with("[server.tls]\nkey='/does/not/exist'", &[])).len(), 3);
}

#[test]
fn off_loopback_the_operators_side_is_protected_or_refused() {
    let (folder, certificate, key) = tls_files();
    let tokens = folder.path().join("tokens");
    let hash = "sha256:47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU";
    std::fs::write(&tokens, format!("# who\nmarie = gestionnaire 921 {hash}\n")).expect("written");
    let tokens = tokens.to_str().expect("text");
    let tls = format!("[admin.tls]\ncertificate = '{certificate}'\nkey = '{key}'\n");
    let away = "[admin]\nlisten = '0.0.0.0:9901'\n";
    let with_tokens = format!("{away}tokens_file = '{tokens}'\n");
    let ca = format!("client_ca = '{certificate}'\n");

    let clear = one(&with_tokens);
    assert!(clear.contains("where tokens would travel in clear"), "{clear}");
    let bare = one(&format!("{away}{tls}"));
    assert!(bare.contains("expected tokens_file, or client_ca"), "{bare}");
    let idle = one(&format!("{away}{tls}{ca}"));
    assert!(idle.contains("whose certificates give no role"), "{idle}");
    let unknown = one(&format!("{tls}clients = ['a = read']\n"));
    assert!(unknown.contains("whose certificates are from nowhere"), "{unknown}");
    let twice = one(&format!("{away}{tls}{ca}clients = ['a = read', 'a = operator']\n"));
    assert!(twice.contains("which has a twice"), "{twice}");
    let wrong = one(&format!("{away}{tls}{ca}clients = ['a = root']\n"));
    assert!(wrong.contains("expected read, operator, or gestionnaire"), "{wrong}");
    let unix = one(&format!("[admin]\nlisten = 'unix:/run/a.sock'\n{tls}"));
    assert!(unix.contains("which has no use for [admin.tls]"), "{unix}");

    let least = |text: &str| loaded(&format!("{text}{LEAST}"), &[]);
    for right in [
        format!("{with_tokens}{tls}"),
        format!("{away}{tls}{ca}clients = ['a = read', 'b@c.fr = gestionnaire 921 751']\n"),
        format!("[admin]\ntokens_file = '{tokens}'\n"),
    ] {
        let Loaded { config, warnings } = least(&right);
        assert!(config.admin.is_protected() && warnings.is_empty(), "{right}");
    }
    let in_clear = least(&format!("{with_tokens}tokens_in_clear = true\n"));
    assert_eq!(in_clear.warnings.len(), 1);
    assert!(!least("").config.admin.is_protected());
    std::fs::write(folder.path().join("tokens"), "marie = operator octroi_secretsecret").expect("written");
    let token = one(&format!("[admin]\ntokens_file = '{tokens}'\n"));
    assert!(token.contains("wrong at line 1") && !token.contains("secretsecret"), "{token}");
}

#[test]
fn what_a_caf_says_of_its_instances_fits_together() {
    let (_folder, certificate, key) = tls_files();
    let caf = |backends: &str, more: &str| {
        format!("[[caf]]\ncode='111'\nname='x'\ncontact='y'\nbackends=[{backends}]\n{more}\n")
    };
    let ca = format!("ca='{certificate}'\n");
    for (backends, more, says) in [
        ("'https://h'", "", "caf.backends: found a list, where https needs ca beside it"),
        ("'https://h'", "ca='/nowhere/ca.pem'", "caf.ca: found \"/nowhere/ca.pem\""),
        ("'https://h'", &format!("ca='{key}'"), "expected a file with a certificate"),
        ("'https://h'", &format!("{ca}certificate='{certificate}'"), "caf.key: is missing"),
        ("'https://h'", &format!("{ca}pins=['sha256//short']"), "caf.pins: found"),
        ("'https://h'", &format!("{ca}server_name='a b'"), "caf.server_name: found"),
        (
            "'http://127.0.0.1'",
            "weights=[1, 2]",
            "expected as many numbers as there are backends, which is 1",
        ),
        ("'http://127.0.0.1'", "weights=[0]", "expected a whole number from 1 to 1000"),
        ("'http://127.0.0.1'", "sticky_cookie='a b'", "expected the name of a cookie"),
        ("'http://127.0.0.1'", "check_path='sante'", "expected a path"),
        ("'http://127.0.0.1'", "check_status=204", "expected check_path beside it"),
        ("'http://127.0.0.1'", "check_path='/a'\ncheck_status=99", "from 200 to 599"),
        ("'http://127.0.0.1'", "protocol='spdy'", "expected auto, http1 or http2"),
        ("'http://127.0.0.1'", "max_connections=0", "from 1 to 100000"),
        ("'http://127.0.0.1'", "request_timeout='0s'", "expected more than nothing"),
        ("'http://10.0.0.1'", "plaintext=false", "IN CLEAR"),
        ("'http://[::2]:1', 'http://127.0.0.1'", "plaintext=false", "to ::2"),
    ] {
        let line = one(&caf(backends, more));
        assert!(line.contains(says), "{backends} {more}\n{line}");
    }
    let eject = one("[backend]\neject_time='10s'\nmax_eject_time='5s'\n");
    assert!(eject.contains("expected no less than eject_time"), "{eject}");
    let warned = |text: &str| {
        let warnings = loaded(text, &[]).warnings;
        warnings.iter().map(|problem| problem.key().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(warned(&caf("'http://10.0.0.1'", "")), ["caf.backends"]);
    assert_eq!(warned(&caf("'http://10.0.0.1'", "plaintext=true")), Vec::<String>::new());
    for local in
        ["'http://127.0.0.1'", "'http://[::1]:8080'", "'http://localhost'", "'http://[::ffff:127.0.0.1]'"]
    {
        assert_eq!(warned(&caf(local, "")), Vec::<String>::new(), "{local}");
    }
    assert_eq!(warned(&caf("'http://127.0.0.1'", &ca)), ["caf.ca"]);
    let right =
        format!("{ca}certificate='{certificate}'\nkey='{key}'\nserver_name='a.example'\nweights=[2, 1]");
    let config = loaded(&caf("'https://h', 'https://i:444'", &right), &[]).config;
    assert_eq!(config.cafs[0].backends[0].port, 443);
    assert_eq!(config.cafs[0].weights, [2, 1]);
}
