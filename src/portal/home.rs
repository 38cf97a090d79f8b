//! The home page: the legal notice before the form (rule 1), or the way on for one who is signed in.

use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use serde::Serialize;

use super::pages::{HomePage, SessionRow, SignInPage};
use super::state::State;
use super::{Page, Portal, Refusal, Visit, french, sessions};
use crate::domain::LocalPath;
use crate::session::Session;

/// The notice that stands before the form, unless a theme brings its own.
pub(super) const LEGAL_NOTICE: [&str; 4] = [
    "Ce service est réservé aux personnes que leur Caf a habilitées.",
    "Y accéder ou s’y maintenir sans autorisation est un délit, poursuivi en application de la loi \
     n° 88-19 du 5 janvier 1988 relative à la fraude informatique.",
    "Les données consultées ou transmises ici ne servent qu’aux missions prévues par la convention signée \
     avec la Caf.",
    "Vos codes d’accès sont personnels\u{a0}: ne les confiez à personne.",
];

pub(super) fn page(portal: &Portal, visit: &Visit, retour: Option<LocalPath>) -> Page {
    match visit.session.as_deref() {
        Some(session) => signed_in(portal, session, retour, Vec::new()),
        None => sign_in(portal, visit, retour, String::new()),
    }
}

/// The home page of one who is signed in, with where else they are.
pub(super) async fn get(
    portal: &Portal,
    visit: &Visit,
    retour: Option<LocalPath>,
) -> Result<Response<Full<Bytes>>, Refusal> {
    let own = visit.known()?;
    // Nobody is kept from the page for what it tells beside.
    let others = sessions::others(portal, own).await.unwrap_or_default();
    Ok(portal.page(&signed_in(portal, own, retour, others)))
}

/// The form to sign in, with what was typed.
pub(super) fn sign_in(
    portal: &Portal,
    visit: &Visit,
    retour: Option<LocalPath>,
    identifiant: String,
) -> Page {
    let idle = portal.desk.sessions.policy().idle_timeout;
    let expired = visit.shown_dead.then(|| french::wait(idle));
    Page::SignIn(SignInPage { frame: portal.frame(None, retour), identifiant, expired })
}

/// The state, with the notice that a program's own home page must show.
pub(super) fn json(portal: &Portal, visit: &Visit, retour: Option<&LocalPath>) -> Response<Full<Bytes>> {
    #[derive(Serialize)]
    struct Home<'a> {
        #[serde(flatten)]
        state: State,
        mention_legale: &'a [String],
    }
    let state = portal.state(visit.session.as_deref(), retour);
    portal.json(&Home { state, mention_legale: &portal.site.notice })
}

fn signed_in(portal: &Portal, session: &Session, retour: Option<LocalPath>, others: Vec<SessionRow>) -> Page {
    let holder = session.stage().holder();
    Page::Home(HomePage {
        frame: portal.frame_of(session, retour),
        caf: session.stage().caf().map_or_else(String::new, |code| portal.contact(code).name),
        several: holder.cafs().len() > 1,
        others,
    })
}
