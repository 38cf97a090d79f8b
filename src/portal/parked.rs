//! A form that was posted after its session had ended: shown to whom it belongs, who sends it or drops it.
//!
//! It is sent by a post to where it was going in the first place, of [`FIELD`] alone, so that the page which
//! the backend answers stands at its own address. `gate` puts the form in the place of that field.

use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use serde::Serialize;

use super::pages::{ParkedForm, ParkedPage};
use super::reply::Outcome;
use super::{Page, Portal, Refusal, Rendering, Visit, french};
use crate::domain::{LocalPath, NormalPath, StoreError, VoletState};
use crate::parking::{self, Field, Owner, Parked, Value};
use crate::session::{Session, Stage, Token};

/// The field whose value is the word that sends a form.
pub const FIELD: &str = "octroi-attente";

/// A form that waits, to a program.
#[derive(Debug, Serialize)]
struct View {
    caf: String,
    chemin: String,
    valide_le: String,
    expire_dans_s: u64,
    sans_mot_de_passe: bool,
    champs: Vec<FieldView>,
    /// Posted to `chemin`, it sends the form; none while its volet is closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    envoi: Option<Sending>,
    #[serde(skip_serializing_if = "Option::is_none")]
    volet_ferme: Option<Closed>,
}

/// The volet that closed since.
#[derive(Debug, Serialize)]
struct Closed {
    volet: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    ouvre_le: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ferme_le: Option<String>,
}

#[derive(Debug, Serialize)]
struct FieldView {
    nom: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    valeur: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fichier: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    octets: Option<usize>,
}

#[derive(Debug, Serialize)]
struct Sending {
    champ: &'static str,
    valeur: String,
}

pub(super) async fn get(portal: &Portal, visit: &Visit) -> Result<Response<Full<Bytes>>, Refusal> {
    let session = visit.known()?;
    let waiting = match &visit.parked {
        Some(_) => look_at(portal, visit, session).await?,
        None => None,
    };
    let form = match waiting {
        Some((token, parked)) => {
            let fields = parking::fields(&parked.label.content_type, &parked.body).await.unwrap_or_default();
            Some((parking::word(&token), parked, fields))
        }
        None => None,
    };
    Ok(match portal.tongue(visit.rendering) {
        Rendering::Page => portal.page(&page(portal, session, form)),
        Rendering::Json => portal.json(&form.map(|form| view(portal, session, form))),
    })
}

pub(super) async fn discard(portal: &Portal, visit: &Visit) -> Result<Outcome, Refusal> {
    let session = visit.known()?;
    let (Some(last), Stage::Ready(stage)) = (&visit.parked, session.stage()) else {
        return Ok(Outcome::Same);
    };
    let owner = Owner::from(stage);
    let Some((token, _)) = portal.parking.look_at(last, &owner).await? else { return Ok(Outcome::Same) };
    let out = portal.parking.take(last, &token, &owner).await?;
    Ok(out.map_or(Outcome::Same, |out| Outcome::Dropped(out.held)))
}

/// The page to go to first, where a form waits for one who is at its Caf again.
pub(super) async fn waiting(
    portal: &Portal,
    visit: &Visit,
    session: &Session,
) -> Result<Option<LocalPath>, StoreError> {
    let waits = look_at(portal, visit, session).await?.is_some();
    Ok(waits.then(|| LocalPath::parse(&portal.parked())).flatten())
}

async fn look_at(
    portal: &Portal,
    visit: &Visit,
    session: &Session,
) -> Result<Option<(Token, Parked)>, StoreError> {
    match (&visit.parked, session.stage()) {
        (Some(token), Stage::Ready(stage)) => portal.parking.look_at(token, &Owner::from(stage)).await,
        _ => Ok(None),
    }
}

type Waiting = (String, Parked, Vec<Field>);

fn page(portal: &Portal, session: &Session, waiting: Option<Waiting>) -> Page {
    let holder = session.stage().holder();
    let form = waiting.map(|(word, parked, fields)| ParkedForm {
        closed: closed(portal, &parked).map(|(volet, state)| french::closed_volet(volet, state)),
        caf: caf(portal, session),
        posted_at: french::moment(&portal.calendar.in_paris(parked.label.posted_at)),
        left: french::wait(portal.parking.left(&parked)),
        fields: fields.into_iter().map(shown).collect(),
        lacks_password: parked.label.lacks_password,
        target: parked.label.target,
        word,
    });
    Page::Parked(ParkedPage { frame: portal.frame(Some(holder.account().as_str()), None), form })
}

/// The volet that a form was for, where it is closed now: nothing is sent to it.
fn closed<'a>(portal: &'a Portal, parked: &Parked) -> Option<(&'a str, VoletState)> {
    let path = parked.label.target.split('?').next().unwrap_or_default();
    let path = NormalPath::parse(path).ok()?;
    let (volet, state) = portal.calendar.closed(&path, portal.clock.now())?;
    Some((&volet.name, state))
}

fn shown(field: Field) -> (String, String) {
    match field.value {
        Value::Text(text) => (field.name, text),
        Value::File(name, 0) if name.is_empty() => (field.name, "aucun fichier".to_owned()),
        Value::File(name, size) => (field.name, format!("fichier {name} ({size} octets)")),
    }
}

fn view(portal: &Portal, session: &Session, (word, parked, fields): Waiting) -> View {
    let closed = closed(portal, &parked).map(|(volet, state)| {
        let (opens, closes) = state.days.unzip();
        let [ouvre_le, ferme_le] = [opens, closes].map(|day| day.map(|day| day.to_string()));
        Closed { volet: volet.to_owned(), ouvre_le, ferme_le }
    });
    View {
        caf: caf(portal, session),
        valide_le: parked.label.posted_at.to_string(),
        expire_dans_s: portal.parking.left(&parked).as_secs(),
        sans_mot_de_passe: parked.label.lacks_password,
        champs: fields.into_iter().map(field_view).collect(),
        chemin: parked.label.target,
        envoi: closed.is_none().then_some(Sending { champ: FIELD, valeur: word }),
        volet_ferme: closed,
    }
}

fn field_view(field: Field) -> FieldView {
    let (valeur, fichier, octets) = match field.value {
        Value::Text(text) => (Some(text), None, None),
        Value::File(name, size) => (None, Some(name), Some(size)),
    };
    FieldView { nom: field.name, valeur, fichier, octets }
}

fn caf(portal: &Portal, session: &Session) -> String {
    session.stage().caf().map_or_else(String::new, |code| portal.contact(code).name)
}
