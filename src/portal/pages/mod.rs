//! The pages: one template each, a small stylesheet, and two scripts that nothing depends on: one warns before
//! the session ends, one makes forms easier. Every value is escaped by askama.

mod frame;
mod site;

use askama::Template;

pub use frame::{Complaint, Frame, Notice};
pub(super) use site::SCRIPT;
pub use site::Site;

use super::{BodyError, Cause, french};
use crate::domain::PasswordRule;

/// A page with a form.
#[derive(Debug)]
pub enum Page {
    /// The home page of one who is not signed in.
    SignIn(SignInPage),
    /// The home page of one who is at a Caf.
    Home(HomePage),
    /// Changing the password.
    Password(PasswordPage),
    /// Choosing a Caf.
    Caf(CafPage),
    /// Typing the identifiant de communication.
    Establishment(EstablishmentPage),
    /// Leaving.
    Leave(LeavePage),
    /// A form that waits.
    Parked(ParkedPage),
    /// One's sessions.
    Sessions(SessionsPage),
    /// A forgotten password.
    Forgot(ForgotPage),
    /// A new one in its place.
    Reset(ResetPage),
}

/// The home page of one who is not signed in.
#[derive(Debug, Template)]
#[template(config = ".askama.toml", path = "connexion.html")]
pub struct SignInPage {
    /// What stands around.
    pub frame: Frame,
    /// What was typed.
    pub identifiant: String,
    /// How long a session lives without action, where one has just ended.
    pub expired: Option<String>,
}

/// The home page of one who is at a Caf.
#[derive(Debug, Template)]
#[template(config = ".askama.toml", path = "accueil.html")]
pub struct HomePage {
    /// What stands around.
    pub frame: Frame,
    /// The Caf's name.
    pub caf: String,
    /// Whether there are other Cafs.
    pub several: bool,
    /// Where else one is signed in.
    pub others: Vec<SessionRow>,
}

/// Changing the password.
#[derive(Debug, Template)]
#[template(config = ".askama.toml", path = "mot-de-passe.html")]
pub struct PasswordPage {
    /// What stands around.
    pub frame: Frame,
    /// What was typed; asked for where nobody is signed in.
    pub identifiant: String,
    /// Why it must be changed, where it must.
    pub due: Option<PasswordDue>,
    /// Fewest characters.
    pub min_length: usize,
    /// Former passwords that may not be taken again.
    pub history: usize,
    /// How long a password lives.
    pub max_age: String,
}

/// Why a password must be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PasswordDue {
    /// It is too old.
    Old,
    /// It was given by a Caf, or a Caf asked for it.
    Provisional,
}

/// Choosing a Caf.
#[derive(Debug, Template)]
#[template(config = ".askama.toml", path = "caf.html")]
pub struct CafPage {
    /// What stands around.
    pub frame: Frame,
    /// Code and name of each.
    pub cafs: Vec<(String, String)>,
    /// The code of the one where the person is.
    pub current: Option<String>,
    /// The code of the one that is proposed: the last used.
    pub chosen: Option<String>,
}

/// Typing the identifiant de communication.
#[derive(Debug, Template)]
#[template(config = ".askama.toml", path = "etablissement.html")]
pub struct EstablishmentPage {
    /// What stands around.
    pub frame: Frame,
    /// The Caf's name.
    pub caf: String,
    /// Whom to ask there.
    pub contact: String,
    /// The SIRET that this Caf does not know.
    pub siret: String,
    /// Whether there are other Cafs.
    pub several: bool,
    /// What was typed.
    pub typed: String,
}

/// Leaving.
#[derive(Debug, Template)]
#[template(config = ".askama.toml", path = "quitter.html")]
pub struct LeavePage {
    /// What stands around.
    pub frame: Frame,
    /// The Caf that is left for another; none where the session ends.
    pub caf: Option<String>,
}

/// One's sessions, one's own first.
#[derive(Debug, Template)]
#[template(config = ".askama.toml", path = "sessions.html")]
pub struct SessionsPage {
    /// What stands around.
    pub frame: Frame,
    /// The sessions.
    pub sessions: Vec<SessionRow>,
}

/// A session, as its owner knows it again.
#[derive(Debug)]
pub struct SessionRow {
    /// Its public name.
    pub name: String,
    /// Whether it is the one that asks.
    pub current: bool,
    /// Since when.
    pub since: String,
    /// When its user last did something.
    pub last: String,
    /// The address it was opened from.
    pub place: String,
    /// The browser, in two words.
    pub agent: String,
    /// The Caf it is at.
    pub caf: Option<String>,
}

/// A form that was posted after its session had ended.
#[derive(Debug, Template)]
#[template(config = ".askama.toml", path = "declaration-en-attente.html")]
pub struct ParkedPage {
    /// What stands around.
    pub frame: Frame,
    /// The form, where one waits.
    pub form: Option<ParkedForm>,
}

/// What a person is shown of it.
#[derive(Debug)]
pub struct ParkedForm {
    /// The Caf's name.
    pub caf: String,
    /// Where it was going: path and query.
    pub target: String,
    /// When it was posted, as a clock in Paris shows it.
    pub posted_at: String,
    /// For how long it is still kept.
    pub left: String,
    /// Names and values.
    pub fields: Vec<(String, String)>,
    /// Whether passwords were left out.
    pub lacks_password: bool,
    /// The word that sends it.
    pub word: String,
    /// Why it cannot be sent any more, where its volet has closed since.
    pub closed: Option<String>,
}

/// A forgotten password: asking for a letter.
#[derive(Debug, Template)]
#[template(config = ".askama.toml", path = "oubli.html")]
pub struct ForgotPage {
    /// What stands around.
    pub frame: Frame,
    /// What was typed.
    pub identifiant: String,
    /// Whether a letter was just asked for.
    pub asked: bool,
    /// Whether letters can be sent.
    pub can_write: bool,
}

/// A new password in the place of a forgotten one.
#[derive(Debug, Template)]
#[template(config = ".askama.toml", path = "reinitialisation.html")]
pub struct ResetPage {
    /// What stands around.
    pub frame: Frame,
    /// The letter's token; none where it opens nothing any more, and another is to be asked for.
    pub token: Option<String>,
    /// Fewest characters.
    pub min_length: usize,
    /// Former passwords that may not be taken again.
    pub history: usize,
    /// How long a password lives.
    pub max_age: String,
}

/// What went wrong where there is no form to show again.
#[derive(Debug, Template)]
#[template(config = ".askama.toml", path = "probleme.html")]
pub(super) struct ProblemPage {
    pub(super) frame: Frame,
    pub(super) suite: Option<String>,
}

impl Page {
    /// With what went wrong.
    #[must_use]
    pub fn complaining(mut self, complaint: Complaint) -> Self {
        self.frame_mut().complaint = Some(complaint);
        self
    }

    /// The form's field that a refusal is about.
    pub fn wrong_field(&self, cause: &Cause) -> Option<&'static str> {
        match (cause, self) {
            (Cause::Body(BodyError::Field { name: "jeton" | "session", .. }), _) => None,
            (Cause::Body(BodyError::Field { name, .. }), _) => Some(name),
            (Cause::Credentials, Self::SignIn(_)) => Some("mot_de_passe"),
            (Cause::Credentials, Self::Password(_)) => Some("mot_de_passe_actuel"),
            (Cause::Rules { broken, .. }, _) if **broken == [PasswordRule::Confirmation] => {
                Some("confirmation")
            }
            (Cause::Rules { .. }, _) => Some("nouveau_mot_de_passe"),
            (Cause::Unknown { .. }, _) => Some("identifiant_communication"),
            (Cause::NotGranted(_), _) => Some("caf"),
            _ => None,
        }
    }

    /// Whether one who is signed in changes their password there: whose it is, is known.
    pub fn is_of_own_password(&self) -> bool {
        matches!(self, Self::Password(page) if page.frame.who.is_some())
    }

    pub(super) fn html(&self) -> String {
        rendered(match self {
            Self::SignIn(page) => page.render(),
            Self::Home(page) => page.render(),
            Self::Password(page) => page.render(),
            Self::Caf(page) => page.render(),
            Self::Establishment(page) => page.render(),
            Self::Leave(page) => page.render(),
            Self::Parked(page) => page.render(),
            Self::Sessions(page) => page.render(),
            Self::Forgot(page) => page.render(),
            Self::Reset(page) => page.render(),
        })
    }

    fn frame_mut(&mut self) -> &mut Frame {
        match self {
            Self::SignIn(page) => &mut page.frame,
            Self::Home(page) => &mut page.frame,
            Self::Password(page) => &mut page.frame,
            Self::Caf(page) => &mut page.frame,
            Self::Establishment(page) => &mut page.frame,
            Self::Leave(page) => &mut page.frame,
            Self::Parked(page) => &mut page.frame,
            Self::Sessions(page) => &mut page.frame,
            Self::Forgot(page) => &mut page.frame,
            Self::Reset(page) => &mut page.frame,
        }
    }
}

impl ProblemPage {
    pub(super) fn html(&self) -> String {
        rendered(self.render())
    }
}

impl PasswordPage {
    fn remaining(&self) -> Option<String> {
        remaining(self.history)
    }
}

impl ResetPage {
    fn remaining(&self) -> Option<String> {
        remaining(self.history)
    }
}

fn remaining(history: usize) -> Option<String> {
    (history > 0).then(|| french::plural(history as u64, "dernier"))
}

/// Whether a contact is an electronic address and nothing else, to which a link can write.
pub(super) fn is_address(contact: &str) -> bool {
    let plain = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-+".contains(&b))
    };
    contact.split_once('@').is_some_and(|(local, host)| plain(local) && plain(host))
}

/// Writing to memory does not fail.
fn rendered(page: askama::Result<String>) -> String {
    page.unwrap_or_else(|error| {
        tracing::error!(%error, "a page could not be rendered");
        String::new()
    })
}

#[cfg(test)]
mod tests;
