//! A forgotten password: a letter is asked for, and its token brought back.

use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use secrecy::ExposeSecret as _;

use super::fields::Fields;
use super::pages::{ForgotPage, ResetPage};
use super::reply::Outcome;
use super::{Cause, Page, Portal, Refusal, Visit, french};
use crate::account::RecoveryError;
use crate::domain::{PasswordRule, Token};
use crate::entry::AskError;

/// The form that asks for a letter, or the word that one may be on its way.
pub(super) fn page(portal: &Portal, identifiant: String, asked: bool) -> Page {
    let can_write = portal.lost.can_write();
    Page::Forgot(ForgotPage { frame: portal.frame(None, None), identifiant, asked, can_write })
}

/// Asks for a letter. What comes of it is nobody's business but the account's owner's.
pub(super) async fn ask(portal: &Portal, mut fields: Fields) -> Result<Outcome, Refusal> {
    let identifiant = fields
        .text("identifiant")
        .map_err(|error| Refusal::from(error).again(page(portal, String::new(), false)))?;
    portal.lost.ask(&identifiant).await.map_err(|error| match error {
        AskError::Full => Cause::Busy,
        AskError::Store(error) => error.into(),
        AskError::Entropy(_) => Cause::Machine,
    })?;
    Ok(Outcome::Asked)
}

/// The form that takes the new password, where the token still opens one; else the way to another letter.
pub(super) async fn get(portal: &Portal, token: &str) -> Result<Response<Full<Bytes>>, Refusal> {
    let is_live = match Token::parse(token) {
        Some(token) => portal.lost.is_good(&token).await?,
        None => false,
    };
    Ok(portal.page(&reset_page(portal, is_live.then(|| token.to_owned()))))
}

/// The form that takes the new password.
pub(super) fn reset_page(portal: &Portal, token: Option<String>) -> Page {
    Page::Reset(ResetPage {
        frame: portal.frame(None, None),
        token,
        min_length: portal.password.min_length,
        history: portal.password.history,
        max_age: french::wait(portal.password.max_age),
    })
}

/// Takes the new password.
pub(super) async fn reset(portal: &Portal, visit: &Visit, mut fields: Fields) -> Result<Outcome, Refusal> {
    let token = fields.peek("jeton").unwrap_or_default().to_owned();
    change(portal, visit, &mut fields).await.map_err(|refusal: Refusal| {
        let is_dead = token.is_empty() || matches!(refusal.cause, Cause::DeadToken);
        refusal.again(reset_page(portal, (!is_dead).then_some(token)))
    })
}

async fn change(portal: &Portal, visit: &Visit, fields: &mut Fields) -> Result<Outcome, Refusal> {
    let (token, new) = (fields.text("jeton")?, fields.secret("nouveau_mot_de_passe")?);
    if let Some(confirmation) = fields.optional_secret("confirmation")
        && confirmation.expose_secret() != new.expose_secret()
    {
        return Err(portal.broken(vec![PasswordRule::Confirmation]).into());
    }
    let token = Token::parse(&token).ok_or(Cause::DeadToken)?;
    match portal.lost.finish(visit.session.as_deref(), &token, new).await {
        Ok(()) => Ok(Outcome::Reset),
        Err(RecoveryError::Dead) => Err(Cause::DeadToken.into()),
        Err(RecoveryError::Change(error)) => Err(portal.cause(error.into()).into()),
    }
}
