//! The reader: looks keys up in the file and the environment, and notes whatever is wrong without stopping.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::declare::{Presence, Section, section};
use super::problem::{Place, Problem};
use super::value::{Setting, Word, Wrong, quoted, shown};

/// A configuration's text with the variables that override it, and all that was found wrong so far.
pub(super) struct Reader<'a> {
    file: Arc<str>,
    pub(super) text: &'a str,
    pub(super) root: &'a DeTable<'a>,
    variables: BTreeMap<String, Variable>,
    problems: RefCell<Vec<Problem>>,
    warnings: RefCell<Vec<Problem>>,
}

/// More lines than these tell an operator nothing: the file is another one.
pub(super) const MOST: usize = 100;

/// An environment variable that sets a key.
pub(super) struct Variable {
    pub(super) name: String,
    pub(super) value: String,
}

/// A section as it was written, or not.
pub(super) struct Part<'a> {
    reader: &'a Reader<'a>,
    section: &'static Section,
    table: Option<&'a DeTable<'a>>,
    /// Where the file mentions it, be it as no table.
    span: Option<Range<usize>>,
}

/// What was written for a key.
enum Written<'a> {
    Value(&'a Spanned<DeValue<'a>>),
    Variable(&'a Variable),
}

impl<'a> Reader<'a> {
    pub(super) fn new(file: &str, text: &'a str, root: &'a DeTable<'a>) -> Self {
        Self {
            file: Arc::from(file),
            text,
            root,
            variables: BTreeMap::new(),
            problems: RefCell::default(),
            warnings: RefCell::default(),
        }
    }

    /// Lets a variable override the key of that dotted name.
    pub(super) fn set(&mut self, key: String, variable: Variable) {
        self.variables.insert(key, variable);
    }

    /// As [`Reader::set`], where no variable of the key's own does.
    pub(super) fn set_if_unset(&mut self, key: String, variable: Variable) {
        self.variables.entry(key).or_insert(variable);
    }

    /// A section that comes once.
    pub(super) fn part(&'a self, section: &'static Section) -> Part<'a> {
        let mut value: Option<&Spanned<DeValue<'_>>> = None;
        let mut table = Some(self.root);
        for name in section.name.split('.') {
            value = table.and_then(|table| table.get(name));
            table = value.and_then(|value| value.get_ref().as_table());
        }
        Part { reader: self, section, table, span: value.map(Spanned::span) }
    }

    /// A section that comes several times.
    pub(super) fn parts(&'a self, section: &'static Section) -> Vec<Part<'a>> {
        let array = self.root.get(section.name).and_then(|value| value.get_ref().as_array());
        let tables = array.into_iter().flat_map(|array| array.iter());
        tables
            .filter_map(|value| {
                let table = value.get_ref().as_table()?;
                Some(Part { reader: self, section, table: Some(table), span: Some(value.span()) })
            })
            .collect()
    }

    /// Where `span` begins.
    pub(super) fn place(&self, span: &Range<usize>) -> Place {
        // Finding a line means reading all before it: not for what will not be told.
        if self.is_full() { self.whole_file() } else { Place::of(&self.file, self.text, span) }
    }

    /// Whether so much is wrong that no more is told.
    pub(super) fn is_full(&self) -> bool {
        self.problems.borrow().len() >= MOST
    }

    pub(super) fn whole_file(&self) -> Place {
        Place::File(Arc::clone(&self.file))
    }

    /// Notes a value that is wrong in itself.
    pub(super) fn wrong(&self, place: Place, key: &str, said: String) {
        self.note(Problem { place, key: key.to_owned(), said, certain: true });
    }

    /// Notes something that is missing, unknown, or at odds with something else.
    pub(super) fn amiss(&self, place: Place, key: &str, said: String) {
        self.note(Problem { place, key: key.to_owned(), said, certain: false });
    }

    fn note(&self, problem: Problem) {
        if !self.is_full() {
            self.problems.borrow_mut().push(problem);
        }
    }

    /// What was found wrong, and what was only odd.
    pub(super) fn finish(self) -> (Vec<Problem>, Vec<Problem>) {
        (self.problems.into_inner(), self.warnings.into_inner())
    }
}

impl<'a> Part<'a> {
    /// Whether the section is in the file, or a variable sets one of its keys.
    pub(super) fn is_written(&self) -> bool {
        self.table.is_some() || self.section.keys.iter().any(|key| self.has(key.name))
    }

    /// Whether the section was meant to be there, even if it is no table.
    pub(super) fn is_meant(&self) -> bool {
        self.span.is_some() || self.is_written()
    }

    /// Whether the key was written, rightly or not.
    pub(super) fn has(&self, key: &str) -> bool {
        self.written(key).is_some()
    }

    /// The key's value, or its default; `None` once it was noted as wrong or missing, or if it may be.
    pub(super) fn read<T: Setting>(&self, key: &str) -> Option<T> {
        let mut wrong = Vec::new();
        let value = match self.written(key) {
            Some(Written::Value(value)) => T::from_toml(value, &mut wrong),
            Some(Written::Variable(variable)) => T::from_text(&variable.value, &mut wrong),
            None => match self.presence(key) {
                Presence::Default(text) => T::from_text(text, &mut wrong),
                Presence::Required => {
                    self.amiss(key, "is missing".to_owned());
                    None
                }
                Presence::Optional => None,
            },
        };
        for Wrong { span, found, said } in wrong {
            let place = span.map_or_else(|| self.place(key), |span| self.reader.place(&span));
            self.reader.wrong(place, &self.name(key), format!("found {found}, {said}"));
        }
        value
    }

    /// A secret's value, written in `key` or in the file that `key_file` names.
    pub(super) fn read_secret<T: Word>(&self, key: &str, key_file: &str) -> Option<T> {
        use Written::{Value, Variable};
        match (self.written(key), self.written(key_file)) {
            (_, None) | (Some(Variable(_)), Some(Value(_))) => self.read(key),
            (None, Some(_)) | (Some(Value(_)), Some(Variable(_))) => self.read_from_file(key_file),
            (Some(_), Some(_)) => {
                self.amiss(key_file, format!("found beside {key}, expected only one of the two"));
                None
            }
        }
    }

    fn read_from_file<T: Word>(&self, key_file: &str) -> Option<T> {
        let path: std::path::PathBuf = self.read(key_file)?;
        let secret = match super::source::read(&path) {
            Ok(secret) => secret,
            Err(reason) => {
                self.refuse(key_file, &format!("which {reason}"));
                return None;
            }
        };
        let mut wrong = Vec::new();
        let value = T::from_text(secret.trim_end_matches(['\r', '\n']), &mut wrong);
        for Wrong { found, said, .. } in wrong {
            self.refuse(key_file, &format!("which holds {found}, {said}"));
        }
        value
    }

    /// Notes that the key's value is wrong: `found "x", ` and then `said`.
    pub(super) fn refuse(&self, key: &str, said: &str) {
        let found = match (self.written(key), self.presence(key)) {
            (Some(Written::Value(value)), _) => shown(value.get_ref(), false),
            (Some(Written::Variable(variable)), _) => quoted(&variable.value),
            (None, Presence::Default(text)) => format!("the default {}", quoted(text)),
            (None, _) => "nothing".to_owned(),
        };
        self.reader.wrong(self.place(key), &self.name(key), format!("found {found}, {said}"));
    }

    /// Notes that the key is missing or at odds with something else.
    pub(super) fn amiss(&self, key: &str, said: String) {
        self.reader.amiss(self.place(key), &self.name(key), said);
    }

    /// Notes what is allowed, but odd.
    pub(super) fn warn(&self, key: &str, said: &str) {
        let (place, key, said) = (self.place(key), self.name(key), said.to_owned());
        self.reader.warnings.borrow_mut().push(Problem { place, key, said, certain: true });
    }

    fn written(&self, key: &str) -> Option<Written<'a>> {
        let variable = || self.reader.variables.get(&self.name(key)).filter(|_| !self.section.many);
        let value = || self.table.and_then(|table| table.get(key)).map(Written::Value);
        variable().map(Written::Variable).or_else(value)
    }

    fn presence(&self, key: &str) -> Presence {
        let declared = self.section.keys.iter().find(|declared| declared.name == key);
        debug_assert!(declared.is_some(), "{} is not declared", self.name(key));
        declared.map_or(Presence::Optional, |declared| declared.presence)
    }

    fn place(&self, key: &str) -> Place {
        match self.written(key) {
            Some(Written::Value(value)) => self.reader.place(&value.span()),
            Some(Written::Variable(variable)) => Place::Variable(variable.name.clone()),
            None => match &self.span {
                Some(span) => self.reader.place(span),
                None => self.reader.whole_file(),
            },
        }
    }

    fn name(&self, key: &str) -> String {
        debug_assert!(section(self.section.name).is_some(), "{} is not listed", self.section.name);
        if key.is_empty() { self.section.name.to_owned() } else { format!("{}.{key}", self.section.name) }
    }
}
