//! Every problem of the contract, in plain French: what happened, what to do, whom to ask.

use std::time::Duration;

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::{Inner, Problem};
use crate::config;
use crate::domain::{CafCode, VoletState};
use crate::portal::{CafContact, french};

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
             c’est gardé {time}. Connectez-vous avec le même compte, à la même Caf : vous pourrez le vérifier, puis l’envoyer."
        );
        Self::new("session-expiree", StatusCode::UNAUTHORIZED, "Votre session est terminée", detail)
            .with("saisie_gardee", Some(json!({"expire_dans_s": french::seconds(left)})))
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

    /// The request names another Caf than its session's.
    pub fn other_caf(caf: Option<&config::Caf>) -> Self {
        let name = caf.map_or("une autre Caf", |caf| caf.name.as_str());
        let detail = format!(
            "Votre session est maintenant chez {name}, et cette demande était destinée à une autre. Rien n’a été transmis. \
             Revenez au choix de la Caf, puis recommencez."
        );
        Self::new("caf-differente", StatusCode::CONFLICT, "Vous avez changé de Caf", detail)
            .with("caf", caf.map(|caf| named(caf.code, &caf.name)))
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
    fn titled(mut self, title: &str) -> Self {
        title.clone_into(&mut self.0.title);
        self
    }

    /// The link of a letter, which opens nothing any more.
    pub fn dead_link() -> Self {
        Self::bad_request("Il a déjà servi, ou plus de 15 minutes ont passé. Demandez-en un nouveau.")
            .titled("Ce lien ne sert plus")
    }

    /// The target is longer than any that is served.
    pub fn target_too_long() -> Self {
        let title = "Cette adresse est trop longue";
        let detail = "L’adresse demandée est plus longue que ce qui peut être lu. Raccourcissez-la.";
        Self::new("requete-invalide", StatusCode::URI_TOO_LONG, title, detail)
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
        let detail = format!("Cette adresse ne répond qu’à\u{a0}: {allowed}.");
        let title = "Cette demande n’est pas possible ici";
        let mut problem = Self::new("methode-refusee", StatusCode::METHOD_NOT_ALLOWED, title, detail);
        problem.0.allow = Some(allowed);
        problem
    }

    /// A Caf's backend failed (502), is not there (503) or is late (504). `may_be_sent` is whether the request may have
    /// reached it all the same.
    pub fn caf_unavailable(status: StatusCode, caf: Option<&config::Caf>, may_be_sent: bool) -> Self {
        let name = caf.map_or("de la Caf", |caf| caf.name.as_str());
        let what = if status == StatusCode::GATEWAY_TIMEOUT {
            "met trop de temps à répondre"
        } else {
            "ne répond pas"
        };
        let sent = if may_be_sent {
            "Si vous étiez en train d’envoyer une déclaration, vérifiez qu’elle est bien arrivée avant de \
             l’envoyer à nouveau."
        } else {
            "Rien n’a été transmis\u{a0}: si vous étiez en train d’envoyer une déclaration, elle est à envoyer à nouveau."
        };
        let ask = caf.map_or_else(String::new, |caf| format!(" Si cela dure\u{a0}: {}.", caf.contact));
        let detail = format!("Le service {name} {what}. Réessayez dans quelques minutes. {sent}{ask}");
        Self::new("caf-indisponible", status, "Votre Caf est momentanément injoignable", detail)
            .with("caf", caf.map(|caf| named(caf.code, &caf.name)))
            .with("contact", caf.map(|caf| json!(caf.contact)))
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

    /// The path's volet is closed.
    pub fn volet_closed(volet: &str, state: VoletState) -> Self {
        let detail = match state.days {
            Some((opens, closes)) => format!(
                "Ce volet est ouvert du {} au {} inclus, heure de Paris. Les autres volets restent accessibles.",
                french::day(opens),
                french::day(closes)
            ),
            None => "Ce volet n’est pas ouvert. Les autres volets restent accessibles.".to_owned(),
        };
        let (opens, closes) = state.days.unzip();
        Self::new("volet-ferme", StatusCode::FORBIDDEN, "Ce volet est fermé en ce moment", detail)
            .with("volet", Some(json!(volet)))
            .with("ouvre_le", opens.map(|day| json!(day.to_string())))
            .with("ferme_le", closes.map(|day| json!(day.to_string())))
    }

    /// Unknown, wrong password or suspended.
    pub(super) fn wrong_credentials() -> Self {
        let detail = "Vérifiez l’identifiant et le mot de passe. Après plusieurs erreurs, il faut attendre avant de \
                      réessayer. Si cela continue, demandez de l’aide au gestionnaire des habilitations de votre Caf.";
        let title = "Identifiant ou mot de passe incorrect";
        Self::new("identifiants-invalides", StatusCode::UNAUTHORIZED, title, detail)
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

    /// Too many wrong identifiants de communication.
    pub(super) fn barred(caf: &CafContact, retry_after: Duration) -> Self {
        let detail = format!(
            "Trop d’identifiants de communication inconnus de {} ont été essayés. Réessayez dans {}.{}",
            caf.name,
            french::wait(retry_after),
            ask(caf)
        );
        Self::tries(detail, retry_after).of_caf(caf)
    }

    /// The Caf knows no such establishment.
    pub(super) fn unknown_establishment(caf: &CafContact, tries_left: u32) -> Self {
        let left = match tries_left {
            0 => "L’entrée est maintenant fermée pour 15 minutes.".to_owned(),
            1 => "Il vous reste 1 essai.".to_owned(),
            many => format!("Il vous reste {many} essais."),
        };
        let detail =
            format!("{} ne connaît pas cet identifiant de communication. {left}{}", caf.name, ask(caf));
        let title = "Établissement inconnu de cette Caf";
        Self::new("etablissement-inconnu", StatusCode::FORBIDDEN, title, detail)
            .of_caf(caf)
            .with("essais_restants", Some(json!(tries_left)))
    }

    /// A Caf that is not one's own.
    pub(super) fn not_granted(caf: CafCode) -> Self {
        let detail = format!(
            "Votre habilitation ne vous permet pas de déclarer à la Caf {caf}. Choisissez une Caf de la liste\u{a0}; s’il en \
             manque une, adressez-vous au gestionnaire des habilitations de votre Caf."
        );
        Self::new("caf-non-habilitee", StatusCode::FORBIDDEN, "Cette Caf n’est pas parmi les vôtres", detail)
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

    fn tries(detail: String, retry_after: Duration) -> Self {
        Self::new("trop-d-essais", StatusCode::TOO_MANY_REQUESTS, "Trop d’essais", detail).after(retry_after)
    }

    fn new(
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
            closes: false,
        }))
    }

    pub(super) fn with(mut self, name: &str, value: Option<Value>) -> Self {
        self.0.extra.extend(value.map(|value| (name.to_owned(), value)));
        self
    }

    fn after(mut self, time: Duration) -> Self {
        self.0.retry_after = Some(time);
        self
    }

    fn of_caf(self, caf: &CafContact) -> Self {
        let contact = (!caf.contact.is_empty()).then(|| json!(caf.contact));
        self.with("caf", Some(named(caf.code, &caf.name))).with("contact", contact)
    }
}

fn named(code: CafCode, name: &str) -> Value {
    json!({"code": code, "nom": name})
}

fn ask(caf: &CafContact) -> String {
    if caf.contact.is_empty() {
        String::new()
    } else {
        format!(" Adressez-vous à cette Caf\u{a0}: {}.", caf.contact)
    }
}
