//! Imports only go down: the floors of the crate's documentation, held by a test.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::path::{Path, PathBuf};

/// A module, its floor, and the neighbours on its floor that it may import.
const FLOORS: &[(&str, u8, &[&str])] = &[
    ("main", 7, &["cli"]),
    ("cli", 7, &[]),
    ("app", 6, &[]),
    ("server", 5, &[]),
    ("admin", 5, &[]),
    ("gate", 4, &[]),
    ("portal", 3, &[]),
    ("forward", 3, &[]),
    ("store", 3, &[]),
    ("demo", 3, &[]),
    ("mail", 3, &[]),
    ("entry", 2, &["account", "session", "establishment", "limits", "outbox"]),
    ("parking", 2, &["session", "limits"]),
    ("session", 2, &["account", "establishment", "limits"]),
    ("account", 2, &["limits"]),
    ("establishment", 2, &[]),
    ("outbox", 2, &[]),
    ("drains", 2, &[]),
    ("limits", 2, &[]),
    ("config", 1, &[]),
    ("http2", 1, &[]),
    ("domain", 0, &[]),
];

/// Stands aside: all may call it, it imports `domain` alone.
const ASIDE: &str = "telemetry";

#[test]
fn no_import_climbs() {
    let mut climbing = Vec::new();
    let mut files = 0;
    for (file, text) in sources() {
        files += 1;
        climbing.extend(climbs(&file, &text).into_iter().map(|what| format!("{}: {what}", file.display())));
    }
    assert!(files > 50, "the sources were read: {files} files");
    assert!(climbing.is_empty(), "imports that climb:\n{}", climbing.join("\n"));
}

#[test]
fn every_module_has_a_floor() {
    let root = fs::read_to_string(source_folder().join("lib.rs")).unwrap();
    let modules: Vec<&str> =
        root.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    assert!(modules.contains(&"domain"), "lib.rs was read: {modules:?}");
    for module in modules {
        assert!(module == ASIDE || floor(module).is_some(), "`{module}` has no floor");
    }
}

#[test]
fn an_import_that_climbs_is_caught() {
    let climbs = |file: &str, text: &str| climbs(Path::new(file), text);
    assert_eq!(climbs("session/life.rs", "use crate::gate::Gate;"), ["session imports gate"]);
    assert_eq!(climbs("domain/caf.rs", "    use crate::{\n  config::Caf,\n};"), ["domain imports config"]);
    assert_eq!(
        climbs("entry/desk.rs", "use crate::{account::Account, domain, store::{self, Store}};"),
        ["entry imports store"]
    );
    assert_eq!(climbs("config/mod.rs", "fn f(_: crate::session::Policy) {}"), ["config imports session"]);
    assert_eq!(climbs("portal/mod.rs", "use super::forward::Forwarder;"), ["portal imports forward"]);
    assert_eq!(climbs("forward/mod.rs", "use octroi::portal::Portal;"), ["forward imports portal"]);
    assert_eq!(climbs("telemetry/access.rs", "use crate::config::Log;"), ["telemetry imports config"]);
}

#[test]
fn an_import_that_goes_down_is_none_of_ours() {
    let climbs = |file: &str, text: &str| climbs(Path::new(file), text);
    assert!(climbs("gate/mod.rs", "use crate::{portal::Portal, telemetry, domain::Clock};").is_empty());
    assert!(climbs("gate/mod.rs", "use crate::gate::body::Body;").is_empty());
    assert!(climbs("entry/desk.rs", "use crate::session::Stage;").is_empty());
    assert!(climbs("session/mod.rs", "mod life;\nuse life::Sessions;\nuse super::*;").is_empty());
    assert!(climbs("domain/caf.rs", "/// See [`crate::gate::Gate`].\n//! crate::app\n").is_empty());
    assert!(climbs("main.rs", "use octroi::cli;").is_empty());
}

/// What a source file imports against the order of the floors.
fn climbs(file: &Path, text: &str) -> Vec<String> {
    let Some(own) = module_of(file) else { return Vec::new() };
    if is_of_tests(file) {
        return Vec::new();
    }
    let code = without_comments(text);
    let at_the_root = file.components().count() == 1 || file.ends_with("mod.rs");
    let mut imported = imports_after("crate::", &code);
    imported.extend(imports_after("octroi::", &code));
    if at_the_root && file.components().count() <= 2 {
        // `super` of a module's own file is the crate's root; deeper inside it is the module's.
        let outer: String =
            code.lines().filter(|line| line.starts_with("use super::")).collect::<Vec<_>>().join("\n");
        imported.extend(imports_after("super::", &outer).into_iter().filter(|name| is_module(name)));
    }
    imported.sort_unstable();
    imported.dedup();
    let climbing = imported.into_iter().filter(|name| is_module(name) && !may_import(&own, name));
    climbing.map(|name| format!("{own} imports {name}")).collect()
}

fn may_import(own: &str, other: &str) -> bool {
    if own == other || (other == ASIDE && own != "domain") {
        return true;
    }
    if own == ASIDE {
        return other == "domain";
    }
    let (Some((own_floor, neighbours)), Some((other_floor, _))) = (floor(own), floor(other)) else {
        return false;
    };
    other_floor < own_floor || (other_floor == own_floor && neighbours.contains(&other))
}

fn floor(module: &str) -> Option<(u8, &'static [&'static str])> {
    FLOORS.iter().find(|(name, ..)| *name == module).map(|(_, floor, neighbours)| (*floor, *neighbours))
}

fn is_module(name: &str) -> bool {
    name == ASIDE || floor(name).is_some()
}

/// The crate's module that a file belongs to; `lib.rs` declares them all and belongs to none.
fn module_of(file: &Path) -> Option<String> {
    let first = file.components().next()?.as_os_str().to_str()?;
    let module = first.strip_suffix(".rs").unwrap_or(first);
    (module != "lib").then(|| module.to_owned())
}

/// Unit tests are no part of the program: they may look at it from above.
fn is_of_tests(file: &Path) -> bool {
    file.components().any(|part| part.as_os_str() == "tests" || part.as_os_str() == "tests.rs")
}

fn without_comments(text: &str) -> String {
    let code = text.lines().map(|line| line.split("//").next().unwrap_or_default());
    code.collect::<Vec<_>>().join("\n")
}

/// The names that directly follow `root` (`crate::`): one, or each of a group in braces.
fn imports_after(root: &str, code: &str) -> Vec<String> {
    let mut names = Vec::new();
    for (place, _) in code.match_indices(root) {
        let part_of_a_word = code[..place].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':');
        if part_of_a_word {
            continue;
        }
        let rest = &code[place + root.len()..];
        match rest.strip_prefix('{') {
            Some(group) => names.extend(members(group)),
            None => names.push(word(rest)),
        }
    }
    names
}

/// The first word of each member of a group, up to its closing brace.
fn members(group: &str) -> Vec<String> {
    let (mut names, mut depth, mut begins) = (Vec::new(), 0, 0);
    for (place, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                names.push(word(group[begins..place].trim_start()));
                begins = place + 1;
            }
            _ => {}
        }
        if c == '}' && depth == 0 && begins == place + 1 {
            break;
        }
    }
    names
}

fn word(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

fn source_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Every source file, by its path under `src`.
fn sources() -> Vec<(PathBuf, String)> {
    let (mut folders, mut found) = (vec![source_folder()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path.strip_prefix(source_folder()).unwrap().to_owned(), text));
            }
        }
    }
    found
}
