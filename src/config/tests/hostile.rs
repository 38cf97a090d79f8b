//! Files that are broken, strange or made to harm, and secrets that must not be shown.

use proptest::prelude::*;

use super::*;

#[test]
fn secrets_come_from_files_and_are_never_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("url");
    std::fs::write(&path, "redis://:hunter2@h:6379/1\n").expect("a file");
    let text = format!("[store]\nurl_file = '{}'{LEAST}", path.display());
    let config = loaded(&text, &[]).config;
    let Store::Redis(url) = &config.store else { panic!("{:?}", config.store) };
    assert_eq!(secrecy::ExposeSecret::expose_secret(url), "redis://:hunter2@h:6379/1");
    assert!(!format!("{config:?}").contains("hunter2"));
    let overridden = loaded(&text, &[("OCTROI_STORE__URL", "memory:")]).config;
    assert!(matches!(overridden.store, Store::Memory));

    std::fs::write(&path, "redis://:hunter2@/").expect("a file");
    let mut all = lines(parse_with(&text, &[]));
    for url in
        ["redis://:hunter2@/", "redis:hunter2", "hunter2", "reddis://:hunter2@h", "redis://hunter2@b@c"]
    {
        all.extend(said(&format!("[store]\nurl = '{url}'")));
        all.extend(said(&format!("[store]\nurl = ['{url}']")));
        all.extend(said(&format!("[mail]\nfrom = 'a@b.fr'\nurl = '{url}'")));
        all.extend(said(&format!("[store]\nulr = '{url}'")));
        all.extend(said(&format!("store = '{url}'")));
        all.extend(lines(parse_with(LEAST, &[("OCTROI_STORE__URL", url)])));
        all.extend(said(&format!("[store]\nurl = '{url}")));
    }
    all.extend(said("[server]\npublic_url = 'https://a:hunter2@b'"));
    all.extend(said("[[caf]]\ncode='111'\nname='x'\ncontact='y'\nbackends=['http://u:hunter2@b']\n"));
    assert_eq!(all.len(), 1 + 5 * 7 + 2, "{all:#?}");
    assert!(all.iter().all(|line| !line.contains("hunter2")), "{all:#?}");
}

#[test]
fn broken_toml_is_told_by_line_with_the_other_errors() {
    let said = |text: &str| lines(parse_with(text, &[]));
    let shown = said("[session]\nidle_timeout = 30m\nwarning = 'soon'\nmax_per_account = \n");
    assert_eq!(shown.len(), 3, "{shown:#?}");
    assert!(shown[0].starts_with("octroi.toml:2:16: not TOML: expected a value"), "{shown:#?}");
    assert!(shown[1].starts_with("octroi.toml:3:11: session.warning: found \"soon\""), "{shown:#?}");
    assert!(shown[2].starts_with("octroi.toml:4:"), "{shown:#?}");
    let twice = said(&format!("[session]\nwarning = '1m'\nwarning = '2m'{LEAST}"));
    assert_eq!(twice.len(), 1, "{twice:#?}");
    assert!(twice[0].starts_with("octroi.toml:3:1: not TOML: duplicate key"), "{twice:#?}");
    let open = said("[server]\nlisten = ['127.0.0.1:1'\ntrusted_proxies = []\n[session]\nwarning = 5\n");
    assert_eq!(open.len(), 1, "{open:#?}");
    assert!(open[0].starts_with("octroi.toml:3:"), "{open:#?}");
}

#[test]
fn hostile_files_are_refused_in_few_lines() {
    let said = |text: &str| lines(parse_with(text, &[]));
    assert_eq!(said(&"#".repeat(2 << 20)), ["octroi.toml: is larger than 1 MiB"]);
    assert_eq!(said(&format!("a = {}{}", "[".repeat(100_000), "]".repeat(100_000))).len(), 1);
    assert_eq!(said(&format!("a{} = 1", ".a".repeat(100_000))).len(), 1);
    let many = |line: &str| (0..60_000).map(|i| line.replace('#', &i.to_string())).collect::<String>();
    for text in [
        many("a# = 1\n"),
        format!("log = {{{} }}", many("a#=1,")),
        many("[[caf]]\n"),
        many("= =\n"),
        many("["),
    ] {
        assert!((1..=200).contains(&said(&text).len()), "{}", said(&text).len());
    }
    assert!(said("a = \"\0\"").iter().all(|line| line.starts_with("octroi.toml:1:")));
    let long = one(&format!("[log]\nlevel = '{}'", "x".repeat(100_000)));
    assert!(long.len() < 300, "{long}");
    assert!(one(&format!("{} = 1", "k".repeat(100_000))).len() < 300);
    assert!(!one("[log]\nlevel = \"a\\nb\\u001b[31m\\u202e\"").contains(['\n', '\u{1b}', '\u{202e}']));
}

#[test]
fn windows_files_and_accents_are_read_and_counted_right() {
    let crlf = LEAST.replace('\n', "\r\n");
    assert!(parse_with(&format!("\u{feff}{crlf}"), &[]).is_ok());
    let said = lines(parse_with(&format!("\u{feff}log = {{ level = 'été', format = 'x' }}\r\n{crlf}"), &[]));
    assert!(said[0].starts_with("octroi.toml:1:17: log.level: found \"été\""), "{said:#?}");
    assert!(said[1].starts_with("octroi.toml:1:33: log.format: found \"x\""), "{said:#?}");
}

#[test]
fn files_that_cannot_be_read_say_why() {
    let folder = tempfile::tempdir().expect("a folder");
    let load = |path: &Path| lines(Config::load(path, std::iter::empty()));
    let path = folder.path().join("octroi.toml");
    assert!(load(&path)[0].contains("octroi.toml: cannot be read: No such file"), "{:?}", load(&path));
    std::fs::write(&path, b"a = 1\nb = '\xff'\n").expect("a file");
    assert!(load(&path)[0].ends_with("octroi.toml: is not UTF-8 text (line 2)"), "{:?}", load(&path));
    assert!(load(folder.path())[0].contains("cannot be read"));
    assert_eq!(load(Path::new("/dev/zero")), ["/dev/zero: is larger than 1 MiB"]);
    std::fs::write(&path, LEAST).expect("a file");
    assert!(Config::load(&path, std::iter::empty()).is_ok());
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused_with_reasons(text in "[\\[\\]a-c.='\"\n{},0-9é#]{0,60}") {
        if let Err(errors) = parse_with(&text, &[]) {
            prop_assert!(!errors.0.is_empty());
        }
    }

    #[test]
    fn a_broken_example_is_refused_with_reasons(at in 0..EXAMPLE.len(), gone in 1_usize..40) {
        let (start, end) = (EXAMPLE.floor_char_boundary(at), EXAMPLE.floor_char_boundary(at + gone));
        let text = format!("{}{}", &EXAMPLE[..start], &EXAMPLE[end..]);
        if let Err(errors) = parse_with(&text, &[]) {
            prop_assert!(!errors.0.is_empty());
        }
    }
}
