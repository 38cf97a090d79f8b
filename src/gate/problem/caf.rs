//! What is between a person and a Caf: barred, unknown, closed or down. Each says which Caf, and whom to ask there.

use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};

use super::Problem;
use crate::config;
use crate::domain::{CafCode, VoletState};
use crate::portal::{CafContact, french};

impl Problem {
    /// The request names another Caf than its session's.
    pub fn other_caf(caf: Option<&config::Caf>) -> Self {
        let name = caf.map_or_else(|| "une autre Caf".to_owned(), |caf| french::the(&caf.name));
        let detail = format!(
            "Votre session est maintenant à {name}, et cette demande était destinée à une autre. Rien n’a été transmis. \
             Revenez au choix de la Caf, puis recommencez."
        );
        Self::new("caf-differente", StatusCode::CONFLICT, "Vous avez changé de Caf", detail)
            .with("caf", caf.map(|caf| named(caf.code, &caf.name)))
    }

    /// A Caf's backend failed (502), is not there (503) or is late (504). `may_be_sent` is whether the request may have
    /// reached it all the same.
    pub fn caf_unavailable(status: StatusCode, caf: Option<&config::Caf>, may_be_sent: bool) -> Self {
        let name = caf.map_or_else(|| "la Caf".to_owned(), |caf| french::the(&caf.name));
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
        let contact = caf.map(|caf| &caf.contact).filter(|contact| !contact.is_empty());
        let ask = contact.map_or_else(String::new, |contact| {
            format!(" Si cela dure, adressez-vous à elle\u{a0}: {contact}.")
        });
        let detail = format!("Le service de {name} {what}. Réessayez dans quelques minutes. {sent}{ask}");
        Self::new("caf-indisponible", status, "Votre Caf est momentanément injoignable", detail)
            .with("caf", caf.map(|caf| named(caf.code, &caf.name)))
            .with("contact", contact.map(|contact| json!(contact)))
    }

    /// The path's volet is closed.
    pub fn volet_closed(volet: &str, state: VoletState) -> Self {
        let detail = format!("{} Les autres volets restent accessibles.", french::closed_volet(volet, state));
        let (opens, closes) = state.days.unzip();
        Self::new("volet-ferme", StatusCode::FORBIDDEN, "Ce volet est fermé en ce moment", detail)
            .with("volet", Some(json!(volet)))
            .with("ouvre_le", opens.map(|day| json!(day.to_string())))
            .with("ferme_le", closes.map(|day| json!(day.to_string())))
    }

    /// Too many wrong identifiants de communication.
    pub(super) fn barred(caf: &CafContact, retry_after: Duration) -> Self {
        let detail = format!(
            "Trop d’identifiants de communication inconnus de {} ont été essayés. Réessayez dans {}.{}",
            french::the(&caf.name),
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
        let name = french::the_first(&caf.name);
        let detail = format!("{name} ne connaît pas cet identifiant de communication. {left}{}", ask(caf));
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
