//! The house's floors (see the crate's documentation): imports only go down.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::path::{Path, PathBuf};

/// Each module's floor, and the neighbours on it that it may import.
const HOUSE: [(&str, u8, &[&str]); 19] = [
    ("main", 7, &["cli"]),
    ("cli", 7, &[]),
    ("app", 6, &[]),
    ("server", 5, &[]),
    ("admin", 5, &[]),
    ("gate", 4, &[]),
    ("portal", 3, &[]),
    ("forward", 3, &[]),
    ("store", 3, &[]),
    ("mail", 3, &[]),
    ("demo", 3, &[]),
    ("entry", 2, &["account", "establishment", "session", "limits"]),
    ("session", 2, &["account", "establishment"]),
    ("account", 2, &["limits"]),
    ("establishment", 2, &[]),
    ("limits", 2, &[]),
    ("config", 1, &[]),
    ("domain", 0, &[]),
    ("telemetry", 0, &["domain"]),
];

/// Why `importer` may not import `target`, if so.
fn climb(importer: &str, target: &str) -> Option<String> {
    let place = |module: &str| HOUSE.iter().find(|(name, ..)| *name == module);
    let Some((_, from, neighbours)) = place(importer) else {
        return Some(format!("{importer} has no floor"));
    };
    let Some((_, to, _)) = place(target) else { return Some(format!("{target} has no floor")) };
    let allowed = importer == target
        || target == "telemetry" && importer != "domain"
        || neighbours.contains(&target)
        || importer != "telemetry" && to < from;
    (!allowed).then(|| format!("{importer} (floor {from}) imports {target} (floor {to})"))
}

/// The modules that a source file names after `crate::`, outside its tests.
fn imports(source: &str) -> Vec<String> {
    let code = source.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    let named = lines.flat_map(|line| line.split("crate::").skip(1).map(str::to_owned).collect::<Vec<_>>());
    named
        .map(|rest| rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect::<String>())
        .filter(|module| !module.is_empty() && module.starts_with(|c: char| c.is_ascii_lowercase()))
        .collect()
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && name != "tests" && name != "contract" {
            sources(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs")
            && !["tests.rs", "contract.rs", "testing.rs", "fakes.rs"].contains(&name.as_str())
        {
            found.push(path);
        }
    }
}

#[test]
fn imports_only_go_down() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    assert!(files.len() > 80, "only {} files were found", files.len());
    let mut climbs = Vec::new();
    for file in files {
        let place = file.strip_prefix(&root).unwrap().to_string_lossy().into_owned();
        let module = place.split(['/', '.']).next().unwrap().to_owned();
        if module == "lib" {
            continue;
        }
        let source = fs::read_to_string(&file).unwrap();
        let wrong = imports(&source).into_iter().filter_map(|target| climb(&module, &target));
        climbs.extend(wrong.map(|why| format!("src/{place}: {why}")));
    }
    assert!(climbs.is_empty(), "{}", climbs.join("\n"));
}

#[test]
fn a_climb_is_caught() {
    let caught = |module: &str, source: &str| {
        imports(source).iter().filter_map(|target| climb(module, target)).collect::<Vec<_>>()
    };
    assert_eq!(caught("domain", "use crate::config::Config;"), ["domain (floor 0) imports config (floor 1)"]);
    assert_eq!(
        caught("portal", "let x = crate::forward::Error;"),
        ["portal (floor 3) imports forward (floor 3)"]
    );
    assert_eq!(
        caught("account", "use crate::session::Stage;"),
        ["account (floor 2) imports session (floor 2)"]
    );
    assert_eq!(
        caught("telemetry", "use crate::config::Log;"),
        ["telemetry (floor 0) imports config (floor 1)"]
    );
    assert_eq!(caught("attic", "use crate::domain::Siret;"), ["attic has no floor"]);
    assert_eq!(caught("session", "use crate::{account, domain::Siret};"), Vec::<String>::new());
    assert_eq!(caught("gate", "use crate::portal::Portal; use crate::telemetry;"), Vec::<String>::new());
}
