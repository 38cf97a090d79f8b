//! The declaration of the configuration's keys: what the reader reads, the schema tells and the example shows.

use serde_json::Value as Json;

use super::value::Setting;

/// A section of the file, declared beside the struct that it becomes.
pub(super) struct Section {
    /// Its dotted name: `server.tls`.
    pub(super) name: &'static str,
    /// Whether it comes as `[[name]]`, several times.
    pub(super) many: bool,
    /// What it is about.
    pub(super) help: &'static str,
    /// Its keys, in the order in which an operator reads them.
    pub(super) keys: &'static [Key],
}

/// A key of a section.
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) presence: Presence,
    pub(super) help: &'static str,
    pub(super) schema: fn() -> Json,
    /// Whether `text` is a right value of the key.
    #[cfg(test)]
    pub(super) accepts: fn(text: &str) -> bool,
}

/// What holds when a key is not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    Required,
    Optional,
    /// This value, written as in an environment variable.
    Default(&'static str),
}

impl Key {
    pub(super) const fn required<T: Setting>(name: &'static str, help: &'static str) -> Self {
        Self::new::<T>(name, Presence::Required, help)
    }

    pub(super) const fn optional<T: Setting>(name: &'static str, help: &'static str) -> Self {
        Self::new::<T>(name, Presence::Optional, help)
    }

    pub(super) const fn default<T: Setting>(
        name: &'static str,
        default: &'static str,
        help: &'static str,
    ) -> Self {
        Self::new::<T>(name, Presence::Default(default), help)
    }

    const fn new<T: Setting>(name: &'static str, presence: Presence, help: &'static str) -> Self {
        Self {
            name,
            presence,
            help,
            schema: T::schema,
            #[cfg(test)]
            accepts: accepts::<T>,
        }
    }
}

#[cfg(test)]
fn accepts<T: Setting>(text: &str) -> bool {
    let mut wrong = Vec::new();
    T::from_text(text, &mut wrong).is_some() && wrong.is_empty()
}

/// Every section.
pub(super) static SECTIONS: &[&Section] = &[
    &super::server::SERVER,
    &super::server::TLS,
    &super::portal::PORTAL,
    &super::theme::THEME,
    &super::admin::ADMIN,
    &super::admin::TLS,
    &super::store::STORE,
    &super::session::SESSION,
    &super::password::PASSWORD,
    &super::login::LOGIN,
    &super::audit::AUDIT,
    &super::limits::LIMITS,
    &super::limits::PER_CLIENT,
    &super::limits::PER_SESSION,
    &super::limits::LOGIN_PER_CLIENT,
    &super::backend::BACKEND,
    &super::mail::MAIL,
    &super::log::LOG,
    &super::rehearsal::REHEARSAL,
    &super::volet::VOLET,
    &super::caf::CAF,
];

/// The section of that dotted name.
pub(super) fn section(name: &str) -> Option<&'static Section> {
    SECTIONS.iter().copied().find(|section| section.name == name)
}
