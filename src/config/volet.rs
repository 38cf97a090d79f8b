//! `[[volet]]`: the parts of the téléprocédure and their seasons (rule 5).

use std::collections::{HashMap, HashSet};

use serde_json::{Value as Json, json};

use super::declare::{Key, Section};
use super::portal::Portal;
use super::reader::{Part, Reader};
use super::value::{Refusal, Word};
use super::words::PathPrefix;
use crate::domain::{DayOfYear, NormalPath, Season, Volet};

pub(super) static VOLET: Section = Section {
    name: "volet",
    many: true,
    help: "A part of the téléprocédure, and when it is open.",
    keys: &[
        Key::required::<Name>("name", "Its name, as backends and clients read it."),
        Key::required::<Vec<PathPrefix>>("paths", "The path prefixes that belong to it."),
        Key::optional::<DayOfYear>("opens", "First day, MM-DD in Europe/Paris; without it, always open."),
        Key::optional::<DayOfYear>("closes", "Last day, inclusive: MM-DD, or MM-end for a month's last day."),
    ],
};

/// Every volet, in the file's order.
pub(super) fn read(reader: &Reader<'_>, portal: Option<&Portal>) -> Option<Vec<Volet>> {
    let (mut names, mut owners) = (HashSet::new(), HashMap::new());
    let read_one = |part: Part<'_>| {
        let volet = read_volet(&part)?;
        if !names.insert(volet.name.clone()) {
            part.refuse("name", "which another [[volet]] before it has");
        }
        check_paths(&part, &volet, portal, &mut owners);
        Some(volet)
    };
    let volets: Vec<Option<Volet>> = reader.parts(&VOLET).into_iter().map(read_one).collect();
    volets.into_iter().collect()
}

/// No path belongs to two volets, nor to the portal. Paths are compared as requests are: letters' case does not count.
fn check_paths(
    part: &Part<'_>,
    volet: &Volet,
    portal: Option<&Portal>,
    owners: &mut HashMap<String, String>,
) {
    for path in &volet.paths {
        let plain = path.trim_end_matches('/').to_ascii_lowercase();
        let owner = owners.entry(plain).or_insert_with(|| volet.name.clone());
        if *owner != volet.name {
            part.refuse(
                "paths",
                &format!("where {path} is [[volet]] {owner}'s too, expected it in one of them"),
            );
        }
        let of_portal =
            |portal: &&Portal| NormalPath::parse(path).is_ok_and(|path| path.is_under(&portal.prefix));
        if let Some(Portal { prefix, .. }) = portal.filter(of_portal) {
            let said =
                format!("where {path} is the portal's (portal.prefix), expected a path outside {prefix}");
            part.refuse("paths", &said);
        }
    }
}

fn read_volet(part: &Part<'_>) -> Option<Volet> {
    let (name, paths) = (part.read::<Name>("name"), part.read::<Vec<PathPrefix>>("paths"));
    let (opens, closes) = (part.read::<DayOfYear>("opens"), part.read::<DayOfYear>("closes"));
    if opens.is_some() && !part.has("closes") {
        part.refuse("opens", "expected closes beside it");
    }
    if closes.is_some() && !part.has("opens") {
        part.refuse("closes", "expected opens beside it");
    }
    if paths.as_ref().is_some_and(Vec::is_empty) {
        part.refuse("paths", "expected at least one path");
    }
    let season = opens.zip(closes).map(|(opens, closes)| Season { opens, closes });
    Some(Volet { name: name?.0, paths: paths?.into_iter().map(|path| path.0).collect(), season })
}

/// A name that stands in a comma-separated header.
struct Name(String);

impl Word for Name {
    fn expected() -> String {
        "a name of letters, digits, - and _ such as certificat-emploi".to_owned()
    }

    fn parse(text: &str) -> Result<Self, Refusal> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
        let right = (1..=64).contains(&text.len()) && text.chars().all(plain);
        if right { Ok(Self(text.to_owned())) } else { Err(Refusal::Unlike) }
    }

    fn schema() -> Json {
        json!({"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"})
    }
}

impl Word for DayOfYear {
    fn expected() -> String {
        "a day such as 12-01, or 02-end for a month's last day".to_owned()
    }

    fn parse(text: &str) -> Result<Self, Refusal> {
        text.parse().map_err(|_| Refusal::Unlike)
    }

    fn schema() -> Json {
        json!({"type": "string", "pattern": "^[01][0-9]-([0-3][0-9]|end)$"})
    }
}
