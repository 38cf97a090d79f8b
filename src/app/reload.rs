//! Reading again, while requests go on, what can change without a restart: what certificates, keys, tokens and lists of
//! passwords hold. What the configuration itself says is looked at, and what of it needs a restart is told.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use toml::{Table, Value};

use super::proofs::Proofs;
use crate::account::{Breached, Strength};
use crate::admin::{Outcome, Part, Reloaded, Unreadable};
use crate::config::{self, Config};
use crate::domain::Clock;
use crate::forward::Fleet;
use crate::server::Certificate;

/// Whatever can be read again.
pub(super) struct Reloader {
    pub(super) source: Option<Source>,
    pub(super) certificate: Option<Arc<Certificate>>,
    pub(super) proofs: Proofs,
    pub(super) fleet: Arc<Fleet>,
    pub(super) strength: Arc<Strength>,
    /// The list of stolen passwords.
    pub(super) breached: Option<PathBuf>,
    pub(super) clock: Clock,
    /// One at a time.
    pub(super) turn: Mutex<()>,
}

/// The configuration that the program was started with.
pub(super) struct Source {
    path: PathBuf,
    begun_with: Table,
}

impl Source {
    /// What stands in the file as the program starts.
    pub(super) fn of(path: PathBuf) -> Self {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        Self { path, begun_with: text.parse().unwrap_or_default() }
    }

    /// The keys whose values are others now: they need a restart.
    fn changed(&self) -> Vec<String> {
        let text = std::fs::read_to_string(&self.path).unwrap_or_default();
        let now: Table = text.parse().unwrap_or_default();
        let mut changed = BTreeSet::new();
        compare("", &Value::Table(self.begun_with.clone()), &Value::Table(now), &mut changed);
        changed.into_iter().collect()
    }
}

impl Reloader {
    /// Reads everything again; blocks on files. A configuration that is wrong stops it before anything is changed; a
    /// file that cannot be used leaves what was in use, and stops nothing else.
    pub(super) fn reload(&self) -> Result<Reloaded, Unreadable> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(source) = &self.source
            && let Err(errors) = Config::load(&source.path, config::environment())
        {
            return Err(Unreadable(errors.0.iter().map(ToString::to_string).collect()));
        }
        let mut parts = Vec::new();
        if let Some(certificate) = &self.certificate {
            parts.push(part("server.tls", certificate.renew()));
            certificate.tell_end(self.clock.now());
        }
        parts.extend(self.proofs.parts());
        for (caf, renewed) in self.fleet.renew() {
            parts.push(part(&format!("caf {caf}"), renewed));
        }
        if let Some(path) = &self.breached {
            let opened = Breached::open(path).map(|list| self.strength.renew(list));
            parts.push(part("password.breached_file", opened));
        }
        let needs_restart = self.source.as_ref().map(Source::changed).unwrap_or_default();
        for one in &parts {
            let (part, outcome, reason) = (&one.part, one.outcome.as_str(), one.reason.as_deref());
            tracing::info!(part, outcome, reason, "read again");
        }
        if !needs_restart.is_empty() {
            let keys = needs_restart.join(", ");
            tracing::warn!(keys, "keys of the configuration have changed: they need a restart");
        }
        Ok(Reloaded { parts, needs_restart })
    }
}

/// What came of reading one part again.
pub(super) fn part<E: ToString>(name: &str, renewed: Result<bool, E>) -> Part {
    let (outcome, reason) = match renewed {
        Ok(true) => (Outcome::Changed, None),
        Ok(false) => (Outcome::Unchanged, None),
        Err(error) => (Outcome::Refused, Some(error.to_string())),
    };
    Part { part: name.to_owned(), outcome, reason }
}

/// Notes the keys below `place` whose values differ; never a value, which may be a secret.
fn compare(place: &str, before: &Value, now: &Value, changed: &mut BTreeSet<String>) {
    let below = |key: &str| if place.is_empty() { key.to_owned() } else { format!("{place}.{key}") };
    match (before, now) {
        (Value::Table(before), Value::Table(now)) => {
            let nothing = Value::Table(Table::new());
            for key in before.keys().chain(now.keys()) {
                match (before.get(key), now.get(key)) {
                    (Some(one), Some(other)) => compare(&below(key), one, other, changed),
                    (Some(one @ Value::Table(_)), None) => compare(&below(key), one, &nothing, changed),
                    (None, Some(other @ Value::Table(_))) => compare(&below(key), &nothing, other, changed),
                    _ => drop(changed.insert(below(key))),
                }
            }
        }
        (Value::Array(before), Value::Array(now)) if named(before) && named(now) => {
            for name in before.iter().chain(now).filter_map(name) {
                let of = |list: &[Value]| list.iter().find(|one| self::name(one) == Some(name)).cloned();
                let place = format!("{place} {name}");
                match (of(before), of(now)) {
                    (Some(one), Some(other)) => compare(&place, &one, &other, changed),
                    _ => drop(changed.insert(place)),
                }
            }
        }
        (before, now) if before != now => drop(changed.insert(place.to_owned())),
        _ => {}
    }
}

/// Whether these are the sections of a list, each with a name.
fn named(list: &[Value]) -> bool {
    list.iter().all(|one| name(one).is_some())
}

fn name(section: &Value) -> Option<&str> {
    section.get("code").or_else(|| section.get("name"))?.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_differ_are_named_and_their_values_are_not() {
        let changed = |before: &str, now: &str| {
            let mut changed = BTreeSet::new();
            let value = |text: &str| Value::Table(text.parse().expect("a table"));
            compare("", &value(before), &value(now), &mut changed);
            changed.into_iter().collect::<Vec<_>>()
        };
        let before =
            "[session]\nidle_timeout='30m'\n[[caf]]\ncode='921'\nname='a'\n[[caf]]\ncode='751'\nname='b'";
        assert_eq!(changed(before, before), Vec::<String>::new());
        let now = "[session]\nidle_timeout='20m'\n[mail]\nurl='smtp://u:secret@h'\n\
                   [[caf]]\ncode='751'\nname='c'\n[[caf]]\ncode='131'\nname='d'";
        assert_eq!(
            changed(before, now),
            ["caf 131", "caf 751.name", "caf 921", "mail.url", "session.idle_timeout"]
        );
        assert_eq!(changed("[server]\nlisten=['a']", "[server]\nlisten=['a', 'b']"), ["server.listen"]);
    }
}
