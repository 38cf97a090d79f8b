//! Names: keys, sections and variables that nothing declares are refused, with the name that was meant.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::declare::{SECTIONS, Section, section};
use super::reader::{Reader, Variable};
use super::suggest::closest;
use super::value::shown;

const PREFIX: &str = "OCTROI_";

/// Takes the variables that set keys, and returns those that look like it but set none.
pub(super) fn take_variables(
    reader: &mut Reader<'_>,
    environment: impl Iterator<Item = (String, String)>,
) -> Vec<String> {
    let (mut unknown, mut tables) = (Vec::new(), Vec::new());
    for (name, value) in environment {
        // `OCTROI_ADMIN` and its like, with a single underscore, are the commands' own.
        let Some(path) = name.strip_prefix(PREFIX).filter(|path| path.contains("__")) else { continue };
        match variables().find(|(_, known)| known == path) {
            Some((key, _)) => reader.set(key, Variable { name, value }),
            None => match inline_table(path, &value) {
                Some(keys) => tables.extend(keys.into_iter().map(|(key, value)| (key, name.clone(), value))),
                None => unknown.push(name),
            },
        }
    }
    for (key, name, value) in tables {
        reader.set_if_unset(key, Variable { name, value });
    }
    unknown.sort_unstable();
    unknown
}

/// The keys of a section that is written as one value, as the file may have it: `{ rate = "100/s", burst = 400 }`.
fn inline_table(path: &str, value: &str) -> Option<Vec<(String, String)>> {
    let name = path.replace("__", ".").to_ascii_lowercase();
    let section =
        section(&name).filter(|section| !section.many && path.chars().all(|c| !c.is_lowercase()))?;
    let tree = toml::from_str::<toml::Table>(&format!("table = {value}")).ok()?;
    let keys = tree.get("table")?.as_table()?.iter().map(|(key, value)| {
        let known = section.keys.iter().find(|known| known.name == key)?;
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        Some((format!("{name}.{}", known.name), text))
    });
    keys.collect()
}

/// What to say of a variable that sets no key.
pub(super) fn unknown_variable(name: &str) -> String {
    let path = name.strip_prefix(PREFIX).unwrap_or(name);
    let first = path.split("__").next().unwrap_or_default().to_ascii_lowercase();
    if section(&first).is_some_and(|section| section.many) {
        return format!("sets no key: [[{first}]] can only be written in the file");
    }
    let known: Vec<String> = variables().map(|(_, name)| name).collect();
    match closest(&path.to_ascii_uppercase(), known.iter().map(String::as_str)) {
        Some(meant) => format!("sets no key, did you mean {PREFIX}{meant}?"),
        None => "sets no key (OCTROI_SECTION__KEY)".to_owned(),
    }
}

/// Every key that a variable may set: `server.tls.key` by `SERVER__TLS__KEY`.
fn variables() -> impl Iterator<Item = (String, String)> {
    SECTIONS.iter().filter(|section| !section.many).flat_map(|section| {
        section.keys.iter().map(|key| {
            let dotted = format!("{}.{}", section.name, key.name);
            let upper = dotted.replace('.', "__").to_ascii_uppercase();
            (dotted, upper)
        })
    })
}

/// Notes every section and key of the file that nothing declares, and sections that are no tables.
pub(super) fn check(reader: &Reader<'_>) {
    check_table(reader, "", None, reader.root);
}

fn check_table(reader: &Reader<'_>, prefix: &str, here: Option<&Section>, table: &DeTable<'_>) {
    for (key, value) in table {
        if reader.is_full() {
            return;
        }
        let name = format!("{prefix}{}", key.get_ref());
        if let Some(section) = section(&name) {
            check_section(reader, section, value);
        } else if here.is_none_or(|here| here.keys.iter().all(|declared| declared.name != key.get_ref())) {
            let said = format!("unknown {}{}", kind(value), meant(prefix, here, key.get_ref()));
            reader.amiss(reader.place(&key.span()), &printable(&name), said);
        }
    }
}

fn check_section(reader: &Reader<'_>, section: &Section, value: &Spanned<DeValue<'_>>) {
    let deeper = format!("{}.", section.name);
    let expected = match (section.many, section.keys) {
        (true, _) => format!("[[{}]] tables, each with both pairs of brackets", section.name),
        (false, [only, ..]) => format!("a table [{}] with keys such as {}", section.name, only.name),
        (false, []) => format!("a table [{}]", section.name),
    };
    let refuse = |value: &Spanned<DeValue<'_>>| {
        // It may be a URL with a password in it.
        let found = match value.get_ref() {
            DeValue::String(_) => "a text".to_owned(),
            other => shown(other, false),
        };
        reader.wrong(
            reader.place(&value.span()),
            section.name,
            format!("found {found}, expected {expected}"),
        );
    };
    match value.get_ref() {
        DeValue::Table(table) if !section.many => check_table(reader, &deeper, Some(section), table),
        DeValue::Array(elements) if section.many => {
            for element in elements {
                match element.get_ref() {
                    DeValue::Table(table) => check_table(reader, &deeper, Some(section), table),
                    _ => refuse(element),
                }
            }
        }
        _ => refuse(value),
    }
}

fn kind(value: &Spanned<DeValue<'_>>) -> &'static str {
    let array_of_tables =
        |array: &toml::de::DeArray<'_>| array.iter().any(|value| value.get_ref().is_table());
    match value.get_ref() {
        DeValue::Table(_) => "section",
        DeValue::Array(array) if array_of_tables(array) => "section",
        _ => "key",
    }
}

/// The name that was meant: a close one here, or the same one in another section.
fn meant(prefix: &str, here: Option<&Section>, key: &str) -> String {
    let children = SECTIONS.iter().filter_map(|section| section.name.strip_prefix(prefix));
    let keys = here.into_iter().flat_map(|here| here.keys.iter().map(|key| key.name));
    if let Some(meant) = closest(key, keys.chain(children.filter(|name| !name.contains('.')))) {
        return format!(", did you mean {meant}?");
    }
    let mut elsewhere = SECTIONS.iter().filter(|section| section.keys.iter().any(|known| known.name == key));
    match (elsewhere.next(), elsewhere.next()) {
        (Some(only), None) => format!(", it belongs in [{}]", only.name),
        _ => expected(prefix, here),
    }
}

/// All that may stand here, where that is short enough to be read.
fn expected(prefix: &str, here: Option<&Section>) -> String {
    let sections = SECTIONS.iter().filter_map(|section| section.name.strip_prefix(prefix));
    let keys = here.into_iter().flat_map(|here| here.keys.iter().map(|key| key.name));
    let names: Vec<&str> =
        keys.chain(sections.filter(|name| !name.is_empty() && !name.contains('.'))).collect();
    match names.as_slice() {
        [] => String::new(),
        [only] => format!(", expected {only}"),
        [all @ .., last] => format!(", expected {} or {last}", all.join(", ")),
    }
}

fn printable(name: &str) -> String {
    name.chars().take(80).flat_map(char::escape_debug).collect()
}
