//! Which error is which problem.

use std::time::Duration;

use serde_json::json;

use super::super::Malformed;
use super::Problem;
use crate::config::Config;
use crate::domain::{PasswordRule, StoreError};
use crate::entry::NotAdmitted;
use crate::forward;
use crate::limits::TooMany;
use crate::portal::{BodyError, Cause, FieldFault, Refusal, french};

/// Largest body of a form or JSON object of the portal, in bytes.
const PORTAL_BODY: u64 = 16 * 1024;
/// What a backend can be asked.
pub(in crate::gate) const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";
/// When to try again what a store or a full queue refused.
const SOON: Duration = Duration::from_secs(5);

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let field = refusal.form.as_ref().and_then(|form| form.wrong_field(&refusal.cause));
        let is_own = refusal.form.as_ref().is_some_and(|form| form.is_of_own_password());
        let is_wrong = matches!(refusal.cause, Cause::Credentials);
        let mut problem = Self::from(refusal.cause);
        if is_own && is_wrong {
            problem = problem.wrong_current_password();
        }
        problem.0.suite = refusal.suite;
        problem.0.form = refusal.form;
        problem.0.field = field;
        problem
    }
}

impl From<Cause> for Problem {
    fn from(cause: Cause) -> Self {
        match cause {
            Cause::Body(error) => error.into(),
            Cause::Method { allowed } => Self::method_not_allowed(allowed),
            Cause::NoSession => Self::no_session(),
            Cause::Gone => Self::session_expired(),
            Cause::PasswordDue => Self::must_change_password(),
            Cause::NoCaf => Self::must_choose_caf(),
            Cause::NoEstablishment => Self::must_identify_establishment(),
            Cause::Credentials => Self::wrong_credentials(),
            Cause::Locked { retry_after } => Self::locked(retry_after),
            Cause::Rules { broken, min_length } => rules(&broken, min_length),
            Cause::DeadToken => Self::dead_link(),
            Cause::NotGranted(caf) => Self::not_granted(caf),
            Cause::Unknown { caf, tries_left } => Self::unknown_establishment(&caf, tries_left),
            Cause::Barred { caf, retry_after } => Self::barred(&caf, retry_after),
            Cause::Busy | Cause::Unaudited(_) => Self::unavailable(SOON),
            Cause::Machine => {
                tracing::error!("this machine gives no memory or no random bytes");
                Self::unavailable(SOON)
            }
            Cause::Store(error) => error.into(),
        }
    }
}

impl From<BodyError> for Problem {
    fn from(error: BodyError) -> Self {
        let detail = match error {
            BodyError::TooLarge => return Self::body_too_large(PORTAL_BODY),
            BodyError::Late => "Son contenu n’est pas arrivé à temps. Recommencez.",
            BodyError::Broken => "Son contenu n’est pas arrivé en entier. Recommencez.",
            BodyError::Type => {
                "Son contenu doit être du JSON (application/json) ou un formulaire \
                 (application/x-www-form-urlencoded), non compressé."
            }
            BodyError::Syntax => "Son contenu n’est pas un objet JSON valide.",
            BodyError::Field { name, fault } => return wrong_field(name, fault),
        };
        Self::bad_request(detail)
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        tracing::warn!(%error, "the store did not do what was asked");
        Self::unavailable(SOON)
    }
}

impl From<Malformed> for Problem {
    fn from(error: Malformed) -> Self {
        let problem = match error {
            Malformed::Path(_) => Self::bad_request(
                "L’adresse peut se lire de plusieurs façons. Revenez à l’accueil pour reprendre.",
            ),
            Malformed::Host => Self::bad_request("L’en-tête Host est absent, répété ou illisible."),
            Malformed::Head(_) => {
                Self::bad_request("Elle ne suit pas les règles de HTTP, ou de deux façons.")
            }
            Malformed::TargetTooLong => Self::target_too_long(),
            Malformed::HeadTooLarge => Self::headers_too_large(),
            Malformed::Method => return Self::method_not_allowed(METHODS),
        };
        problem.closing()
    }
}

impl Problem {
    /// What a backend's failure, or the request's own, is to the client.
    pub fn of_backend(error: &forward::Error, config: &Config) -> Self {
        match error.reason() {
            forward::Reason::BodyTooLarge => Self::body_too_large(config.limits.body),
            _ if error.fault() == forward::Fault::Client => {
                Self::bad_request("Le corps ou les en-têtes de la requête ne peuvent pas être lus.")
            }
            reason => {
                let may_be_sent = !reason.is_before_sending();
                Self::caf_unavailable(error.status(), config.caf(error.caf()), may_be_sent)
            }
        }
    }
}

impl From<TooMany> for Problem {
    fn from(error: TooMany) -> Self {
        Self::too_many(error.retry_after)
    }
}

impl From<NotAdmitted> for Problem {
    fn from(error: NotAdmitted) -> Self {
        match error {
            NotAdmitted::NotReady => Self::must_choose_caf(),
            NotAdmitted::Closed { volet, state } => Self::volet_closed(&volet, state),
            NotAdmitted::NoKey => Self::unavailable(SOON),
        }
    }
}

/// A field that is wrong, called what its form calls it; programs find its name in `champ`.
fn wrong_field(name: &'static str, fault: FieldFault) -> Problem {
    let label = label(name);
    let (title, detail) = match (fault, name) {
        (FieldFault::Missing, "caf") => ("Aucune Caf n’est choisie", "Choisissez une Caf dans la liste.".to_owned()),
        (FieldFault::Missing, _) => ("Il manque un champ", format!("Remplissez le champ «\u{a0}{label}\u{a0}».")),
        (FieldFault::Malformed, "identifiant_communication") => (
            "Cet identifiant n’a pas la bonne forme",
            "Un identifiant de communication a de 1 à 11 lettres ou chiffres. Vérifiez ce que vous avez saisi.".to_owned(),
        ),
        (FieldFault::Malformed, "caf") => {
            ("Cette Caf n’existe pas", "Un code de Caf a trois chiffres. Choisissez une Caf dans la liste.".to_owned())
        }
        (fault, _) => ("Un champ ne peut pas être lu", format!("Le champ «\u{a0}{label}\u{a0}» {}.", said(fault))),
    };
    Problem::bad_request(detail).titled(title).with("champ", Some(json!(name)))
}

fn said(fault: FieldFault) -> &'static str {
    match fault {
        FieldFault::Missing => "manque",
        FieldFault::Repeated => "est donné plusieurs fois",
        FieldFault::NotText => "n’est pas un texte",
        FieldFault::Unreadable => "contient des caractères interdits, ou n’est pas en UTF-8",
        FieldFault::Malformed => "n’a pas la forme attendue",
    }
}

/// What the forms call a field.
fn label(name: &'static str) -> &'static str {
    match name {
        "identifiant" => "Identifiant",
        "mot_de_passe" => "Mot de passe",
        "mot_de_passe_actuel" => "Mot de passe actuel",
        "nouveau_mot_de_passe" => "Nouveau mot de passe",
        "confirmation" => "Confirmation",
        "identifiant_communication" => "Identifiant de communication",
        other => other,
    }
}

fn rules(broken: &[PasswordRule], min_length: usize) -> Problem {
    let codes: Vec<_> = broken.iter().map(|rule| rule.code()).collect();
    let sentences = broken.iter().map(|rule| french::rule(*rule, min_length)).collect();
    Problem::password_refused(&codes, sentences)
}
