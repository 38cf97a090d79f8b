//! Every problem of the contract, in plain French: what happened, what to do, whom to ask.

use std::time::Duration;

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::{Inner, Problem};
use crate::portal::french;

impl Problem {
    /// No cookie.
    pub fn no_session() -> Self {
        let detail = "Cette adresse demande une session ouverte. Connectez-vous, puis recommencez.";
        Self::new("session-absente", StatusCode::UNAUTHORIZED, "Il faut d’abord se connecter", detail)
    }

    /// A cookie that no longer lives.
    pub fn session_expired() -> Self {
        let detail =
            "Elle a duré trop longtemps sans action, ou elle a été fermée. Connectez-vous à nouveau.";
        Self::new("session-expiree", StatusCode::UNAUTHORIZED, "Votre session est terminée", detail)
    }

    /// A cookie that no longer lives, with a form that is kept for that long.
    pub fn session_expired_form_kept(left: Duration) -> Self {
        let time = french::wait(left);
        let detail = format!(
            "Elle a duré trop longtemps sans action. Ce que vous venez de valider n’a pas été transmis, mais n’est pas perdu\u{a0}: \
             c’est gardé {time}. Connectez-vous avec le même compte, à la même Caf\u{a0}: vous pourrez le vérifier, puis l’envoyer."
        );
        Self::new("session-expiree", StatusCode::UNAUTHORIZED, "Votre session est terminée", detail)
            .with("saisie_gardee", Some(json!({"expire_dans_s": french::seconds(left)})))
    }

    /// The same, with a form that could not be kept: its browser still holds it.
    #[must_use]
    pub fn with_a_lost_form(mut self) -> Self {
        let detail = "Ce que vous venez de valider n’a pas été transmis, et n’a pas pu être gardé. Laissez cette page ouverte, \
                         connectez-vous dans un autre onglet, à la même Caf, puis revenez ici et rechargez cette page\u{a0}: votre \
                         navigateur proposera de l’envoyer à nouveau.";
        detail.clone_into(&mut self.0.detail);
        self.0.lost_form = true;
        self
    }

    /// A form that is to be sent, and is no longer there.
    pub fn nothing_parked() -> Self {
        Self::bad_request(
            "Elle a déjà été envoyée ou abandonnée, ou plus de 30 minutes ont passé. Vérifiez dans la téléprocédure si elle a \
             été reçue avant de la refaire.",
        )
        .titled("Cette saisie n’attend plus")
    }

    /// The password must be changed before anything else.
    pub fn must_change_password() -> Self {
        let detail =
            "Votre mot de passe est provisoire, ou trop ancien. Choisissez-en un nouveau pour continuer.";
        let title = "Votre mot de passe doit être changé";
        Self::new("mot-de-passe-a-changer", StatusCode::FORBIDDEN, title, detail)
    }

    /// No Caf was chosen yet.
    pub fn must_choose_caf() -> Self {
        let detail = "Choisissez d’abord la Caf à laquelle vous déclarez.";
        Self::new("caf-a-choisir", StatusCode::FORBIDDEN, "Aucune Caf n’est choisie", detail)
    }

    /// The Caf does not know which establishment it is yet.
    pub fn must_identify_establishment() -> Self {
        let detail = "Saisissez d’abord l’identifiant de communication que cette Caf vous a remis.";
        let title = "Votre établissement n’est pas encore identifié";
        Self::new("etablissement-a-identifier", StatusCode::FORBIDDEN, title, detail)
    }

    /// An unsafe method from another site.
    pub fn foreign_origin() -> Self {
        let detail = "Elle vient d’un autre site. Rien n’a été transmis. Recommencez à partir des pages de ce service.";
        Self::new("origine-refusee", StatusCode::FORBIDDEN, "Cette demande est refusée", detail)
    }

    /// Two session cookies that differ.
    pub fn several_sessions() -> Self {
        Self::bad_request(
            "Elle porte deux sessions différentes. Effacez les cookies de ce site, puis connectez-vous à nouveau.",
        )
        .closing()
    }

    /// The request is wrong in itself; `detail` says how.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        let title = "Cette demande ne peut pas être lue";
        Self::new("requete-invalide", StatusCode::BAD_REQUEST, title, detail)
    }

    /// The same, under a title that says more.
    pub(super) fn titled(mut self, title: &str) -> Self {
        title.clone_into(&mut self.0.title);
        self
    }

    /// The link of a letter, which opens nothing any more.
    pub fn dead_link() -> Self {
        Self::bad_request("Il a déjà servi, ou plus de 15 minutes ont passé, ou votre compte a changé depuis, ou l’adresse n’est pas \
                           entière. Demandez-en un nouveau.")
            .titled("Ce lien ne sert plus")
    }

    /// The target is longer than any that is served: 400, as all that is wrong with a request's line.
    pub fn target_too_long() -> Self {
        let title = "Cette adresse est trop longue";
        let detail = "L’adresse demandée est plus longue que ce qui peut être lu. Raccourcissez-la.";
        Self::new("requete-invalide", StatusCode::BAD_REQUEST, title, detail)
    }

    /// A body over `limit` bytes.
    pub fn body_too_large(limit: u64) -> Self {
        let size = match limit {
            0..1_048_576 => format!("{} Kio", limit / 1_024),
            _ => format!("{} Mio", limit / 1_048_576),
        };
        let detail = format!("Un envoi ne peut pas dépasser {size}. Réduisez-le ou faites-en plusieurs.");
        Self::new("corps-trop-grand", StatusCode::PAYLOAD_TOO_LARGE, "Votre envoi est trop gros", detail)
            .with("limite", Some(json!(limit)))
    }

    /// Headers, or the address, over the limit.
    pub fn headers_too_large() -> Self {
        let detail = "Ses en-têtes sont trop longs. Effacez les cookies de ce site, puis recommencez.";
        let title = "Cette demande est trop longue";
        Self::new("entetes-trop-grands", StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, title, detail)
    }

    /// Nothing is there.
    pub fn not_found() -> Self {
        let detail = "L’adresse est peut-être mal recopiée. Revenez à l’accueil pour reprendre.";
        Self::new("introuvable", StatusCode::NOT_FOUND, "Cette page n’existe pas", detail)
    }

    /// Another method than those `allowed`.
    pub fn method_not_allowed(allowed: &'static str) -> Self {
        let detail = format!(
            "Cette adresse ne s’ouvre pas ainsi. Revenez à l’accueil pour reprendre. (Méthodes possibles\u{a0}: {allowed}.)"
        );
        let title = "Cette demande n’est pas possible ici";
        let mut problem = Self::new("methode-refusee", StatusCode::METHOD_NOT_ALLOWED, title, detail);
        problem.0.allow = Some(allowed);
        problem
    }

    /// The store is out of reach, or too much is asked at once.
    pub fn unavailable(retry_after: Duration) -> Self {
        let detail = "Ce n’est pas de votre fait, et votre session n’est pas perdue. Réessayez dans quelques instants.";
        let title = "Le service est momentanément indisponible";
        Self::new("service-indisponible", StatusCode::SERVICE_UNAVAILABLE, title, detail).after(retry_after)
    }

    /// Too many requests.
    pub fn too_many(retry_after: Duration) -> Self {
        let detail = format!(
            "Trop de demandes sont arrivées en peu de temps. Réessayez dans {}.",
            french::wait(retry_after)
        );
        Self::new("trop-de-requetes", StatusCode::TOO_MANY_REQUESTS, "Trop de demandes", detail)
            .after(retry_after)
    }

    /// Unknown, wrong password or suspended.
    pub(super) fn wrong_credentials() -> Self {
        let detail = "Vérifiez l’identifiant et le mot de passe. Après plusieurs erreurs, il faut attendre avant de \
                      réessayer. Si cela continue, demandez de l’aide au gestionnaire des habilitations de votre Caf.";
        let title = "Identifiant ou mot de passe incorrect";
        Self::new("identifiants-invalides", StatusCode::UNAUTHORIZED, title, detail)
    }

    /// The password of one who is signed in, and changes it.
    pub(super) fn wrong_current_password(mut self) -> Self {
        "Vérifiez celui que vous utilisez aujourd’hui. Après plusieurs erreurs, il faut attendre avant de réessayer."
            .clone_into(&mut self.0.detail);
        self.titled("Mot de passe actuel incorrect")
    }

    /// Too many wrong passwords.
    pub(super) fn locked(retry_after: Duration) -> Self {
        let detail = format!(
            "Trop de mots de passe incorrects ont été essayés. Réessayez dans {}, ou demandez de l’aide au gestionnaire \
             des habilitations de votre Caf.",
            french::wait(retry_after)
        );
        Self::tries(detail, retry_after)
    }

    /// The new password breaks rules, told one by one.
    pub(super) fn password_refused(codes: &[&'static str], sentences: Vec<String>) -> Self {
        let detail = "Le nouveau mot de passe ne convient pas. L’ancien reste valable.";
        let title = "Nouveau mot de passe refusé";
        let mut problem = Self::new("mot-de-passe-refuse", StatusCode::UNPROCESSABLE_ENTITY, title, detail)
            .with("regles", Some(json!(codes)));
        problem.0.points = sentences;
        problem
    }

    pub(super) fn tries(detail: String, retry_after: Duration) -> Self {
        Self::new("trop-d-essais", StatusCode::TOO_MANY_REQUESTS, "Trop d’essais", detail).after(retry_after)
    }

    pub(super) fn new(
        code: &'static str,
        status: StatusCode,
        title: impl Into<String>,
        detail: impl Into<String>,
    ) -> Self {
        Self(Box::new(Inner {
            code,
            status,
            title: title.into(),
            detail: detail.into(),
            points: Vec::new(),
            retry_after: None,
            allow: None,
            cookie: None,
            extra: Map::new(),
            suite: None,
            form: None,
            field: None,
            lost_form: false,
            closes: false,
        }))
    }

    pub(super) fn with(mut self, name: &str, value: Option<Value>) -> Self {
        self.0.extra.extend(value.map(|value| (name.to_owned(), value)));
        self
    }

    pub(super) fn after(mut self, time: Duration) -> Self {
        self.0.retry_after = Some(time);
        self
    }
}
