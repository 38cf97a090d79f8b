//! Where one goes from here: the page of a state, and the way on from it, which keeps in mind what was asked first.

use std::borrow::Cow;
use std::fmt::Write as _;

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{Response, Uri};
use http_body_util::Full;

use super::{Action, Portal, Refusal, Rendering, Visit, fields, parked, reply};
use crate::config::{self, Pages};
use crate::domain::{LocalPath, NormalPath};
use crate::session::Stage;

/// The pages that states lead to.
pub(super) struct Places {
    pub(super) anonymous: String,
    pub(super) password: String,
    pub(super) caf: String,
    pub(super) establishment: String,
    pub(super) elsewhere: bool,
}

impl Portal {
    /// The page that a state leads to; the root, once admitted.
    pub fn page_of(&self, stage: Option<&Stage>) -> &str {
        match stage {
            None => &self.places.anonymous,
            Some(Stage::MustChangePassword(_)) => &self.places.password,
            Some(Stage::MustChooseCaf(_)) => &self.places.caf,
            Some(Stage::MustIdentifyEstablishment(_)) => &self.places.establishment,
            Some(Stage::Ready(_)) => "/",
        }
    }

    /// The page of the choice of Caf.
    pub fn choice(&self) -> &str {
        &self.places.caf
    }

    /// The page of a form that waits.
    pub fn parked(&self) -> String {
        format!("{}/declaration-en-attente", self.site.prefix)
    }

    /// Where a browser goes next from a state: the page of the state, which keeps in mind the path first
    /// asked for; once admitted, that path itself.
    pub fn way(&self, stage: Option<&Stage>, retour: Option<&LocalPath>) -> String {
        let page = self.page_of(stage);
        match (stage, retour) {
            (Some(Stage::Ready(_)), Some(retour)) => retour.to_string(),
            (_, None) => page.to_owned(),
            (_, Some(retour)) => keeping(page, retour),
        }
    }

    /// Leads a browser that asked for `target` from where its state has no business to [`Portal::way`].
    pub fn lead(&self, stage: Option<&Stage>, target: &Uri) -> Response<Full<Bytes>> {
        self.redirection(&self.way(stage, self.first_asked(target).as_ref()))
    }

    /// Where one wanted to go: a page of ours that one was led to has it in its query.
    pub(super) fn first_asked(&self, target: &Uri) -> Option<LocalPath> {
        let ours = NormalPath::parse(target.path()).is_ok_and(|path| path.is_under(&self.site.prefix));
        let before = ours.then(|| self.retour(fields::one(target.query(), &["retour"]).as_deref())).flatten();
        before.or_else(|| local(target))
    }

    /// HTML or JSON for a problem: JSON alone where the pages are another program's.
    pub fn tongue(&self, wanted: Rendering) -> Rendering {
        if self.places.elsewhere { Rendering::Json } else { wanted }
    }

    /// A path that one may be sent back to; the portal's own pages are none.
    pub(super) fn retour(&self, text: Option<&str>) -> Option<LocalPath> {
        let retour = LocalPath::parse(text?)?;
        let path = retour.as_str().split(['?', '#']).next().unwrap_or_default();
        let ours = NormalPath::parse(path).ok()?.is_under(&self.site.prefix);
        (!ours).then_some(retour)
    }

    /// The home page, which leads on to `retour`.
    pub(super) fn home(&self, retour: Option<&LocalPath>) -> Option<LocalPath> {
        let home = &self.places.anonymous;
        LocalPath::parse(&match retour {
            Some(retour) => keeping(home, retour),
            None => home.clone(),
        })
    }

    /// Where to go first: to a form that waits, or to what is to be known.
    pub(super) async fn next_path(
        &self,
        action: Action,
        visit: &Visit,
        outcome: &reply::Outcome,
        retour: Option<LocalPath>,
    ) -> Result<Option<LocalPath>, Refusal> {
        let session = match outcome {
            reply::Outcome::Entered(entered) => &entered.session,
            reply::Outcome::Same => match &visit.session {
                Some(session) => session,
                None => return Ok(retour),
            },
            _ => return Ok(retour),
        };
        if let Some(form) = parked::waiting(self, visit, session).await? {
            return Ok(Some(form));
        }
        let told = (action == Action::SignIn).then(|| self.first_told(session, retour.as_ref())).flatten();
        Ok(told.or(retour))
    }
}

impl Places {
    pub(super) fn new(portal: &config::Portal) -> Self {
        match &portal.pages {
            Pages::BuiltIn => {
                let page = |name| format!("{}{name}", portal.prefix);
                Self {
                    anonymous: page("/connexion"),
                    password: page("/mot-de-passe"),
                    caf: page("/caf"),
                    establishment: page("/etablissement"),
                    elsewhere: false,
                }
            }
            Pages::Off { sign_in_url } => {
                let page = || sign_in_url.clone();
                Self {
                    anonymous: page(),
                    password: page(),
                    caf: page(),
                    establishment: page(),
                    elsewhere: true,
                }
            }
        }
    }
}

/// The path and query that were asked for.
pub(super) fn local(target: &Uri) -> Option<LocalPath> {
    LocalPath::parse(&in_ascii(target.path_and_query().map_or("/", PathAndQuery::as_str)))
}

/// A path as a browser would have written it: what is not ASCII is escaped (RFC 3987 section 3.1).
fn in_ascii(path: &str) -> Cow<'_, str> {
    if path.is_ascii() {
        return Cow::Borrowed(path);
    }
    let mut escaped = String::with_capacity(path.len() * 2);
    for byte in path.bytes() {
        match byte {
            0..=0x7f => escaped.push(char::from(byte)),
            // Writing into a string cannot fail.
            _ => drop(write!(escaped, "%{byte:02X}")),
        }
    }
    Cow::Owned(escaped)
}

/// A page that keeps in mind where one wanted to go; it may be another program's, with a query and a fragment.
pub(super) fn keeping(page: &str, retour: &LocalPath) -> String {
    let (page, fragment) = page.find('#').map_or((page, ""), |at| page.split_at(at));
    let mark = if page.contains('?') { '&' } else { '?' };
    format!("{page}{mark}retour={}{fragment}", encoded(retour.as_str()))
}

fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}
