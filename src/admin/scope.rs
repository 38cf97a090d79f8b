//! What each role may do: one `match` over all commands.
//!
//! | | read | gestionnaire | operator |
//! |---|---|---|---|
//! | look | everything | accounts, sessions and establishments of its Cafs | everything |
//! | suspend, force a change, end sessions | – | accounts that may declare to one of its Cafs | all |
//! | create, import, reset, reactivate, unlock, delete | – | accounts it manages | all |
//! | import that suspends what is gone, export accounts with their hashes, drain a Caf, reload, the clock | – | – | yes |
//!
//! What an account has of other Cafs, an import by a gestionnaire neither gives nor takes, nor the SIRET that they let
//! it in by.
//!
//! A Caf may close an account at any time, whoever manages it; what opens one again, or gives its password to
//! the one who asks, is for the Caf that manages it (`home_caf`), or for one that all its Cafs belong to. An
//! account that is not seen is not there.

use std::collections::{HashMap, HashSet};

use http::StatusCode;

use super::import::{self, Fault};
use super::{Command, Problem, SessionQuery, State, session};
use crate::account::{Account, AccountRow, UpdateError};
use crate::domain::{CafCode, Identifiant, Role, Siret};
use crate::session::Sitting;

/// What a command asks of its author.
pub(super) enum Demand {
    /// Looking; what is not one's own is left out.
    Look,
    /// Looking at a Caf.
    LookAt(CafCode),
    /// Looking at an account, at this Caf where one is named.
    See(Identifiant, Option<CafCode>),
    /// Closing an account, or what it opened.
    Close(Identifiant),
    /// Ending a session.
    End(Sitting),
    /// Anything else with an account.
    Manage(Identifiant),
    /// Making accounts and establishments; what is made is looked at row by row.
    Make,
    /// What touches the gateway itself.
    Operate,
}

impl Command {
    /// What it asks of its author.
    pub(super) fn demand(&self) -> Demand {
        match self {
            Self::ListSessions(SessionQuery { account: None, .. })
            | Self::ListAccounts(_)
            | Self::ListEstablishments(_)
            | Self::ExportEstablishments(_)
            | Self::ListCafs
            | Self::ShowClock => Demand::Look,
            Self::ShowCaf(caf) => Demand::LookAt(*caf),
            Self::ShowAccount(of) | Self::ListSessions(SessionQuery { account: Some(of), .. }) => {
                Demand::See(of.clone(), None)
            }
            Self::Explain(query) => Demand::See(query.account.clone(), Some(query.caf)),
            Self::RevokeSession(of) => Demand::End(*of),
            Self::SuspendAccount(of) | Self::ForceChange(of) | Self::RevokeSessions(of) => {
                Demand::Close(of.clone())
            }
            Self::ReactivateAccount(of)
            | Self::ResetPassword(of)
            | Self::UnlockAccount(of)
            | Self::DeleteAccount(of) => Demand::Manage(of.clone()),
            // What a file does not name may be anybody's.
            Self::ImportAccounts(file) if file.gone => Demand::Operate,
            Self::CreateAccount(_) | Self::ImportAccounts(_) | Self::ImportEstablishments(_) => Demand::Make,
            // An export has the passwords' hashes in it.
            Self::ExportAccounts(_)
            | Self::SetClock(_)
            | Self::DrainCaf(_)
            | Self::UndrainCaf(_)
            | Self::Reload => Demand::Operate,
        }
    }
}

impl Demand {
    /// Whether the author may have it; those who may do everything are not slowed down by a look.
    pub(super) async fn permit(self, state: &State) -> Result<(), Problem> {
        let role = &state.author.role;
        match (self, role) {
            (_, Role::Operator)
            | (Demand::Look | Demand::LookAt(_) | Demand::See(..), Role::Read)
            | (Demand::Look | Demand::Make, Role::Gestionnaire(_)) => Ok(()),
            (Demand::LookAt(caf), Role::Gestionnaire(_)) if role.covers(caf) => Ok(()),
            (Demand::LookAt(caf), Role::Gestionnaire(_)) => Err(not_yours(state, &format!("Caf {caf}"))),
            (Demand::See(of, caf), Role::Gestionnaire(_)) => {
                if let Some(caf) = caf.filter(|caf| !role.covers(*caf)) {
                    return Err(not_yours(state, &format!("Caf {caf}")));
                }
                own(state, &of).await.map(drop)
            }
            (Demand::Close(of), Role::Gestionnaire(_)) => own(state, &of).await.map(drop),
            (Demand::End(of), Role::Gestionnaire(_)) => {
                let session = state.registry.sessions.of_sitting(of).await?.ok_or_else(session::unknown)?;
                let account = own(state, session.stage().holder().account()).await;
                account.map(drop).map_err(|_| session::unknown())
            }
            (Demand::Manage(of), Role::Gestionnaire(_)) => {
                if role.manages(&own(state, &of).await?) {
                    return Ok(());
                }
                let why = format!("({role}) does not manage {of}: another Caf does, or shares it");
                Err(refused(state, &why))
            }
            (_, Role::Read) => Err(refused(state, "may only look (role read)")),
            (Demand::Operate, Role::Gestionnaire(_)) => Err(refused(state, "is no operator")),
        }
    }
}

/// What a role has to do with an account.
pub(super) trait Reach {
    /// Whether the account is seen.
    fn sees(&self, account: &Account) -> bool;
    /// Whether more may be done with it than closing it.
    fn manages(&self, account: &Account) -> bool;
}

impl Reach for Role {
    fn sees(&self, account: &Account) -> bool {
        account.cafs.iter().chain(&account.home_caf).any(|caf| self.covers(*caf))
    }

    fn manages(&self, account: &Account) -> bool {
        self.may_change()
            && match account.home_caf {
                Some(home) => self.covers(home),
                None => account.cafs.iter().all(|caf| self.covers(*caf)),
            }
    }
}

/// What an import of this author may not touch; nothing for an operator, who touches all.
#[derive(Default)]
pub(super) struct Others {
    /// Accounts that are not theirs to manage.
    accounts: HashSet<Identifiant>,
    /// Cafs of others that the accounts have which they manage, and the SIRET that these know the account's ESAT by.
    cafs: HashMap<Identifiant, (Siret, Vec<CafCode>)>,
}

impl Others {
    pub(super) async fn of(state: &State) -> Result<Self, Problem> {
        let role = &state.author.role;
        let mut others = Self::default();
        if *role == Role::Operator {
            return Ok(others);
        }
        for account in state.registry.accounts.list().await? {
            if role.manages(&account) {
                let cafs = account.cafs.into_iter().filter(|caf| !role.covers(*caf)).collect();
                others.cafs.insert(account.identifiant, (account.siret, cafs));
            } else {
                others.accounts.insert(account.identifiant);
            }
        }
        Ok(others)
    }

    /// Whether an account is theirs to manage, or there is none yet.
    pub(super) fn lets(&self, account: &Identifiant) -> bool {
        !self.accounts.contains(account)
    }

    /// Holds a row to what its author may do: it gives nobody a Caf of others. What the account has of those it
    /// keeps, named or not: a Caf's own list says nothing of them. They let it in by its SIRET, which therefore
    /// stays too: with another it would act there for another ESAT.
    pub(super) fn confine(&self, state: &State, row: &mut AccountRow) -> impl Iterator<Item = Fault> + use<> {
        let fault = |field: &str, reason| Fault { field: Some(field.to_owned()), reason };
        let foreign = (!self.lets(&row.identifiant))
            .then(|| fault("identifiant", "another Caf manages this account, or shares it".to_owned()));
        let known = self.cafs.get(&row.identifiant);
        let kept = known.map_or(&[][..], |(_, cafs)| cafs.as_slice());
        let moved =
            known.filter(|(siret, cafs)| !cafs.is_empty() && *siret != row.siret).map(|(siret, _)| {
                let reason =
                    format!("other Cafs know this account's ESAT by {siret}: an operator may change it");
                fault("siret", reason)
            });
        let asked = row.cafs.iter().filter(|caf| !state.author.role.covers(**caf) && !kept.contains(caf));
        let given: Vec<Fault> =
            asked.map(|caf| fault("cafs", import::not_looked_after(state, *caf))).collect();
        row.cafs.extend(kept);
        foreign.into_iter().chain(given).chain(moved)
    }
}

/// The account, where its author sees it.
async fn own(state: &State, of: &Identifiant) -> Result<Account, Problem> {
    let found = state.registry.accounts.find(of).await?;
    Ok(found.filter(|account| state.author.role.sees(account)).ok_or(UpdateError::Unknown)?)
}

fn not_yours(state: &State, what: &str) -> Problem {
    refused(state, &format!("({}) does not look after {what}", state.author.role))
}

fn refused(state: &State, why: &str) -> Problem {
    Problem::new(StatusCode::FORBIDDEN, format!("{} {why}", state.author.name))
}
