//! One account at a time: shown, made, changed, removed.

use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use secrecy::{ExposeSecret as _, SecretString};

use super::listing::{self, DEFAULT_LIMIT, Paged};
use super::scope::Reach as _;
use super::{AccountQuery, AccountView, AccountsPage, BadRow, Problem, State, answer};
use crate::account::{Account, EnrolError, NewAccount, UpdateError};
use crate::domain::Identifiant;

pub(super) async fn list(state: &State, query: &AccountQuery) -> Result<Response, Problem> {
    let limit = listing::limit(query.limit, DEFAULT_LIMIT)?;
    let after = query.after.as_deref().map(str::parse).transpose()?;
    let mut accounts = state.registry.accounts.list().await?;
    accounts.retain(|account| {
        state.author.role.sees(account)
            && query.caf.is_none_or(|caf| account.cafs.contains(&caf))
            && query.status.is_none_or(|status| account.status == status)
            && !(query.never_signed_in && account.last_sign_in.is_some())
    });
    let mut views: Vec<AccountView> = accounts.into_iter().map(|account| view(state, account)).collect();
    if let Some(until) = query.expiring_before {
        views.retain(|account| account.expires_at() < until.0);
    }
    let total = views.len();
    let Paged { rows: accounts, next } = query.sort.unwrap_or_default().page(views, after.as_ref(), limit);
    Ok(answer::ok(AccountsPage { accounts, total, next }))
}

pub(super) async fn create(state: &State, new: NewAccount) -> Result<Response, Problem> {
    let name = new.identifiant.clone();
    let enrolled = state.registry.accounts.enrol(vec![new]).await.map_err(|error| match &error {
        EnrolError::Taken(_) => {
            let row = BadRow {
                line: None,
                field: Some("identifiant".to_owned()),
                reason: "this account exists already".to_owned(),
            };
            Problem::new(StatusCode::CONFLICT, format!("{name} exists already")).with_errors(vec![row])
        }
        _ => error.into(),
    })?;
    let Some(enrolled) = enrolled.into_iter().next() else {
        return Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "no account was made"));
    };
    Ok(answer::created(with_password(state, enrolled.account, enrolled.provisional.as_ref())))
}

pub(super) async fn show(state: &State, of: &Identifiant) -> Result<Response, Problem> {
    let account = state.registry.accounts.find(of).await?.ok_or(UpdateError::Unknown)?;
    Ok(answer::ok(view(state, account)))
}

pub(super) async fn suspend(state: &State, of: &Identifiant) -> Result<Response, Problem> {
    Ok(answer::ok(view(state, state.registry.suspend(of).await?)))
}

pub(super) async fn reactivate(state: &State, of: &Identifiant) -> Result<Response, Problem> {
    Ok(answer::ok(view(state, state.registry.accounts.reactivate(of).await?)))
}

pub(super) async fn reset_password(state: &State, of: &Identifiant) -> Result<Response, Problem> {
    let (account, provisional) = state.registry.reset_password(of).await?;
    Ok(answer::ok(with_password(state, account, Some(&provisional))))
}

pub(super) async fn force_change(state: &State, of: &Identifiant) -> Result<Response, Problem> {
    Ok(answer::ok(view(state, state.registry.accounts.force_change(of).await?)))
}

pub(super) async fn unlock(state: &State, of: &Identifiant) -> Result<Response, Problem> {
    Ok(answer::ok(view(state, state.registry.accounts.unlock(of).await?)))
}

pub(super) async fn delete(state: &State, of: &Identifiant) -> Result<Response, Problem> {
    state.registry.delete(of).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn view(state: &State, account: Account) -> AccountView {
    AccountView::new(account, &state.registry.accounts, state.clock.now())
}

fn with_password(state: &State, account: Account, provisional: Option<&SecretString>) -> AccountView {
    let provisional_password = provisional.map(|password| password.expose_secret().to_owned());
    AccountView { provisional_password, ..view(state, account) }
}
