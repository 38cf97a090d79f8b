//! What stands around a page's own matter: who is signed in, what to know, what went wrong.

use std::sync::Arc;

use super::Site;
use crate::domain::LocalPath;

/// What stands around a page's own matter.
#[derive(Debug)]
pub struct Frame {
    /// What all pages share.
    pub site: Arc<Site>,
    /// Who is signed in.
    pub who: Option<String>,
    /// Where the person first wanted to go.
    pub retour: Option<LocalPath>,
    /// What went wrong with the form.
    pub complaint: Option<Complaint>,
    /// What the person should know whatever they came for, first on the page.
    pub notices: Vec<Notice>,
}

/// Something to know, that does not stand in the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// In a few words.
    pub title: String,
    /// What it means and what can be done.
    pub detail: String,
    /// Where to do it, and what the link says.
    pub link: Option<(String, String)>,
}

/// What went wrong, as the person reads it above the form.
#[derive(Debug, Default)]
pub struct Complaint {
    /// In a few words.
    pub title: String,
    /// What happened and what to do.
    pub detail: String,
    /// The same, point by point.
    pub points: Vec<String>,
    /// The form's field that is wrong.
    pub field: Option<&'static str>,
    /// The request's id, to be read over the phone.
    pub request_id: String,
    /// The problem's code in the contract.
    pub code: &'static str,
    /// Seconds to wait before trying again.
    pub wait_s: Option<u64>,
    /// Name of the Caf that it is about, and whom to ask there.
    pub caf: Option<(String, String)>,
}

impl Complaint {
    /// Whether asking for the same page again may help.
    pub(super) fn may_retry(&self) -> bool {
        self.wait_s.is_some() || self.code == "caf-indisponible"
    }

    /// Whether what is to be done next is signing in.
    pub(super) fn asks_to_sign_in(&self) -> bool {
        matches!(self.code, "session-absente" | "session-expiree")
    }

    /// Whether only one who is at a Caf can meet it.
    pub(super) fn is_inside(&self) -> bool {
        matches!(self.code, "caf-indisponible" | "volet-ferme" | "caf-differente")
    }
}

impl Frame {
    pub(super) fn is_wrong(&self, field: &str) -> bool {
        self.complaint.as_ref().and_then(|complaint| complaint.field) == Some(field)
    }

    /// Read by a screen reader with the field: its hint, and the error where there is one.
    pub(super) fn described_by(&self, field: &str) -> String {
        if self.is_wrong(field) { format!("{field}-aide {field}-erreur") } else { format!("{field}-aide") }
    }

    /// What is wrong with the field, said beside it.
    pub(super) fn field_error(&self) -> String {
        match &self.complaint {
            Some(complaint) if !complaint.points.is_empty() => complaint.points.join(" "),
            Some(complaint) if complaint.code == "requete-invalide" => complaint.detail.clone(),
            _ => self.error().to_owned(),
        }
    }

    pub(super) fn error(&self) -> &str {
        self.complaint.as_ref().map_or("", |complaint| complaint.title.as_str())
    }
}
