//! What can be asked of the portal, where, how, and by whom (contract, sections 1 and 2).

use http::Method;

use crate::session::Stage;

/// Something that the portal does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// `/connexion`: the home page, signing in.
    SignIn,
    /// `/mot-de-passe`: changing the password.
    Password,
    /// `/mot-de-passe/oubli`: asking for a letter, the password being forgotten.
    Forgot,
    /// `/mot-de-passe/reinitialisation`: a new password, with the letter's token.
    Reset,
    /// `/caf`: choosing a Caf.
    Caf,
    /// `/etablissement`: typing the identifiant de communication.
    Establishment,
    /// `/quitter`: leaving the Caf or the session.
    Leave,
    /// `/deconnexion`: ending the session.
    SignOut,
    /// `/declaration-en-attente`: a form that was posted after its session had ended.
    Parked,
    /// `/sessions`: where else one is signed in.
    Sessions,
    /// `/sessions/fermer`: ending that.
    CloseSessions,
    /// `/session`: the state.
    Session,
    /// `/session/continuer`: idle time back to full.
    Continue,
    /// `/.well-known/jwks.json`: the keys that sign assertions.
    Jwks,
    /// `/style.css`: the pages' looks.
    Stylesheet,
    /// `/session.js`: the warning before a session ends.
    Script,
    /// `/pages.js`: what makes the pages easier.
    PageScript,
    /// `/logo`: the theme's picture, where there is one.
    Logo,
}

/// What a path means to the portal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// Not the portal's.
    Outside,
    /// The portal's, and nothing is there.
    Nowhere,
    /// An action's.
    Action(Action),
}

impl Route {
    /// Whether it is the same to everybody, and asks for no session: the files of pages, and the keys.
    pub fn is_everybodys(self) -> bool {
        matches!(self, Self::Action(action) if action.is_everybodys())
    }

    /// Whether a request there puts the idle time back to full by itself (contract, section 1): what lies outside
    /// does once it is admitted.
    pub fn counts_as_action(self, method: &Method) -> bool {
        match self {
            Self::Outside => false,
            Self::Nowhere => true,
            Self::Action(action) => action.counts_as_action(method),
        }
    }
}

impl Action {
    /// The action of a path below the prefix. The prefix alone is the home page.
    pub(super) fn at(rest: &str) -> Option<Self> {
        Some(match rest {
            "" | "/" | "/connexion" => Self::SignIn,
            "/mot-de-passe" => Self::Password,
            "/mot-de-passe/oubli" => Self::Forgot,
            "/mot-de-passe/reinitialisation" => Self::Reset,
            "/caf" => Self::Caf,
            "/etablissement" => Self::Establishment,
            "/quitter" => Self::Leave,
            "/deconnexion" => Self::SignOut,
            "/declaration-en-attente" => Self::Parked,
            "/sessions" => Self::Sessions,
            "/sessions/fermer" => Self::CloseSessions,
            "/session" => Self::Session,
            "/session/continuer" => Self::Continue,
            "/.well-known/jwks.json" => Self::Jwks,
            "/style.css" => Self::Stylesheet,
            "/session.js" => Self::Script,
            "/pages.js" => Self::PageScript,
            "/logo" => Self::Logo,
            _ => return None,
        })
    }

    /// Whether it may be asked in that way.
    pub fn allows(self, method: &Method) -> bool {
        let name = method.as_str();
        self.methods().split(", ").any(|allowed| allowed == name)
    }

    /// The ways to ask for it, as `Allow` tells them.
    pub fn methods(self) -> &'static str {
        match self {
            Self::SignIn
            | Self::Password
            | Self::Forgot
            | Self::Reset
            | Self::Caf
            | Self::Establishment
            | Self::Parked
            | Self::Leave => "GET, HEAD, POST",
            Self::SignOut | Self::Continue | Self::CloseSessions => "POST",
            Self::Session
            | Self::Sessions
            | Self::Jwks
            | Self::Stylesheet
            | Self::Script
            | Self::PageScript
            | Self::Logo => "GET, HEAD",
        }
    }

    /// Whether one who has come that far (not at all, without a stage) may ask for it.
    pub fn open_to(self, stage: Option<&Stage>) -> bool {
        match self {
            Self::Jwks
            | Self::Stylesheet
            | Self::Script
            | Self::PageScript
            | Self::Logo
            | Self::Password
            | Self::Forgot
            | Self::Reset => true,
            Self::SignIn => matches!(stage, None | Some(Stage::Ready(_))),
            Self::Leave | Self::SignOut | Self::Session | Self::Continue => stage.is_some(),
            Self::Caf | Self::Sessions | Self::CloseSessions => matches!(
                stage,
                Some(Stage::MustChooseCaf(_) | Stage::MustIdentifyEstablishment(_) | Stage::Ready(_))
            ),
            Self::Parked => matches!(stage, Some(Stage::Ready(_))),
            Self::Establishment => {
                matches!(stage, Some(Stage::MustIdentifyEstablishment(_) | Stage::Ready(_)))
            }
        }
    }

    /// Whether it shows that its user is there: reading the state and loading a page's looks do not.
    fn counts_as_action(self, method: &Method) -> bool {
        match self {
            Self::Session => !matches!(*method, Method::GET | Method::HEAD),
            action => !action.is_everybodys(),
        }
    }

    fn is_everybodys(self) -> bool {
        matches!(self, Self::Jwks | Self::Stylesheet | Self::Script | Self::PageScript | Self::Logo)
    }

    /// Whether it moves a session on in a way that a second click may ask for again. Not a change of password: its
    /// very point may be that a token lives no more.
    pub fn is_followed(self) -> bool {
        matches!(self, Self::Caf | Self::Establishment | Self::Leave)
    }

    /// Whether a password is tried, which limits of their own apply to.
    pub fn tries_a_password(self, method: &Method) -> bool {
        method == Method::POST && matches!(self, Self::SignIn | Self::Password | Self::Forgot | Self::Reset)
    }

    /// The fields that its form or JSON may hold; none where the body is not looked at.
    pub(super) fn wanted(self) -> &'static [&'static str] {
        match self {
            Self::SignIn => &["identifiant", "mot_de_passe", "retour"],
            Self::Password => {
                &["identifiant", "mot_de_passe_actuel", "nouveau_mot_de_passe", "confirmation", "retour"]
            }
            Self::Forgot => &["identifiant"],
            Self::Reset => &["jeton", "nouveau_mot_de_passe", "confirmation"],
            Self::Caf => &["caf", "retour"],
            Self::CloseSessions => &["session"],
            Self::Establishment => &["identifiant_communication", "retour"],
            _ => &[],
        }
    }
}
