//! Accounts from a file, against those in the store: what is new, what changes, what is gone.
//!
//! What a file leaves out stays as it is in the store, and a file that was written before its owner changed a
//! password does not bring the old one back.

use std::collections::{BTreeSet, HashMap};

use secrecy::SecretString;

use super::provisional::provisional_password;
use super::{Account, Accounts, Added, EnrolError, Enrolled, NewAccount, PasswordHash, Status};
use crate::domain::{CafCode, Identifiant, Siret, StoreError, Timestamp};

/// An account as a file gives it; `None` where the file says nothing.
#[derive(Debug, Clone)]
pub struct AccountRow {
    /// E-mail address.
    pub identifiant: Identifiant,
    /// The ESAT's SIRET.
    pub siret: Siret,
    /// The Cafs it may declare to.
    pub cafs: Vec<CafCode>,
    /// The ESAT's name.
    pub nom: Option<String>,
    /// The Caf that manages it, or none.
    pub home_caf: Option<Option<CafCode>>,
    /// The password; a new account without one gets a provisional one.
    pub password: Option<PasswordHash>,
    /// When that password was last changed; now, where it is not told.
    pub password_changed_at: Option<Timestamp>,
    /// Whether that password was made for its owner, who has not changed it yet.
    pub provisional: bool,
    /// Whether the password must be changed at the next sign-in.
    pub must_change: Option<bool>,
    /// Whether it may be used.
    pub status: Option<Status>,
    /// When its owner last signed in; looked at for a new account only.
    pub last_sign_in: Option<Timestamp>,
    /// Former passwords, the latest first; looked at for a new account only.
    pub former: Vec<PasswordHash>,
}

/// What an import would do, worked out against the store as it was then.
#[derive(Debug, Default)]
pub struct Plan {
    /// Accounts to be made.
    pub new: Vec<AccountRow>,
    /// Accounts to be changed.
    pub changed: Vec<Changed>,
    /// Accounts that the file tells as they are.
    pub unchanged: usize,
    /// Accounts that the file does not name.
    pub gone: Vec<Identifiant>,
    /// How many of those are to be suspended: the last ones of `changed`.
    pub suspended: usize,
}

/// An account that is changed.
#[derive(Debug)]
pub struct Changed {
    /// As it will be.
    pub account: Account,
    /// What differs.
    pub fields: Vec<FieldChange>,
}

/// A key whose value differs. Values of secrets are not told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldChange {
    /// The key in the file.
    pub field: &'static str,
    /// Its value in the store.
    pub old: Option<String>,
    /// Its value from now on.
    pub new: Option<String>,
}

/// What an import did.
#[derive(Debug)]
pub struct Imported {
    /// Accounts that were made.
    pub enrolled: Vec<Enrolled>,
    /// Accounts that were changed in what their sessions stand on; the sessions are the caller's to end.
    pub unsettled: Vec<Identifiant>,
}

impl Accounts {
    /// What importing `rows`, each of another account, would do. `suspend_gone` closes the accounts that they
    /// do not name.
    pub async fn plan(&self, rows: Vec<AccountRow>, suspend_gone: bool) -> Result<Plan, StoreError> {
        let stored = self.store.list().await?;
        let mut stored: HashMap<Identifiant, Account> =
            stored.into_iter().map(|account| (account.identifiant.clone(), account)).collect();
        let mut plan = Plan::default();
        for row in rows {
            let Some(account) = stored.remove(&row.identifiant) else {
                plan.new.push(row);
                continue;
            };
            let changed = self.merge(&account, row);
            if changed.fields.is_empty() { plan.unchanged += 1 } else { plan.changed.push(changed) }
        }
        let mut gone: Vec<Account> = stored.into_values().collect();
        gone.sort_by(|one, other| one.identifiant.cmp(&other.identifiant));
        plan.gone = gone.iter().map(|account| account.identifiant.clone()).collect();
        if suspend_gone {
            let open = gone.iter().filter(|account| account.status == Status::Active);
            let open: Vec<Changed> = open.map(suspended).collect();
            plan.suspended = open.len();
            plan.changed.extend(open);
        }
        Ok(plan)
    }

    /// Carries a plan out, all or nothing. `go_on` is told how many provisional passwords are
    /// hashed, and says whether to go on: nothing is done for one who would not be shown them.
    pub async fn carry_out(
        &self,
        plan: Plan,
        go_on: &(dyn Fn(usize) -> bool + Send + Sync),
    ) -> Result<Imported, EnrolError> {
        let enrolled = self.prepare(plan.new, go_on).await?;
        let new: Vec<Account> = enrolled.iter().map(|one| one.account.clone()).collect();
        let unsettled = plan.changed.iter().filter(|changed| changed.unsettles());
        let unsettled = unsettled.map(|changed| changed.account.identifiant.clone()).collect();
        let changed: Vec<Account> = plan.changed.into_iter().map(|changed| changed.account).collect();
        match self.store.write(&new, &changed).await? {
            Added::All => Ok(Imported { enrolled, unsettled }),
            Added::Taken(names) => Err(EnrolError::Taken(names)),
            Added::Stale(names) => Err(EnrolError::Stale(names)),
        }
    }

    /// The accounts that rows ask for, with a provisional password where they bring none.
    pub(super) async fn prepare(
        &self,
        rows: Vec<AccountRow>,
        go_on: &(dyn Fn(usize) -> bool + Send + Sync),
    ) -> Result<Vec<Enrolled>, EnrolError> {
        let without = rows.iter().filter(|row| row.password.is_none());
        let made = without.map(|_| provisional_password()).collect::<Result<Vec<_>, _>>()?;
        let hashes = self.hasher.hash_all(made.clone(), go_on).await?.ok_or(EnrolError::GivenUp)?;
        let mut made = made.into_iter().zip(hashes);
        let now = self.clock.now();
        let enrol = |mut row: AccountRow| {
            let given = row.password.take().map(|hash| (None, hash));
            let (provisional, hash) = match given {
                Some(given) => given,
                None => made.next().map(|(password, hash)| (Some(password), hash))?,
            };
            Some(Enrolled { account: row.account(hash, provisional.as_ref(), now), provisional })
        };
        Ok(rows.into_iter().filter_map(enrol).collect())
    }

    fn merge(&self, stored: &Account, mut row: AccountRow) -> Changed {
        let mut merged = stored.clone();
        let password = row.password.take().filter(|hash| *hash != stored.password_hash);
        let older = row.password_changed_at.map_or_else(
            || password.as_ref().is_some_and(|hash| stored.former.contains(hash)),
            |changed| changed < stored.password_changed_at,
        );
        if let Some(hash) = password.filter(|_| !older) {
            let changed_at = row.password_changed_at.unwrap_or_else(|| self.clock.now());
            merged = self.with_password(merged, hash, changed_at, row.provisional);
        }
        // What an older file says of an older password says nothing of the present one.
        if let Some(must_change) = row.must_change.filter(|_| !older) {
            merged.must_change = must_change || merged.provisional;
        }
        let cafs = distinct(row.cafs);
        if cafs.iter().collect::<BTreeSet<_>>() != stored.cafs.iter().collect::<BTreeSet<_>>() {
            merged.cafs = cafs;
        }
        merged.siret = row.siret;
        merged.nom = row.nom.unwrap_or(merged.nom);
        merged.home_caf = row.home_caf.unwrap_or(merged.home_caf);
        merged.turn(row.status.unwrap_or(stored.status));
        Changed { fields: differences(stored, &merged), account: merged }
    }
}

impl Changed {
    /// Whether sessions that were opened before stand on what is no longer so.
    fn unsettles(&self) -> bool {
        let opens_less = self.account.status == Status::Suspended;
        let fields = ["siret", "cafs", "password_hash"];
        self.fields
            .iter()
            .any(|change| fields.contains(&change.field) || (change.field == "status" && opens_less))
    }
}

impl AccountRow {
    fn account(self, hash: PasswordHash, made: Option<&SecretString>, now: Timestamp) -> Account {
        let provisional = made.is_some() || self.provisional;
        Account {
            identifiant: self.identifiant,
            siret: self.siret,
            nom: self.nom.unwrap_or_default(),
            cafs: distinct(self.cafs),
            home_caf: self.home_caf.flatten(),
            password_hash: hash,
            password_changed_at: self.password_changed_at.filter(|_| made.is_none()).unwrap_or(now),
            must_change: self.must_change.unwrap_or_default() || provisional,
            provisional,
            status: self.status.unwrap_or(Status::Active),
            former: self.former,
            last_sign_in: self.last_sign_in,
            last_caf: None,
            reminded: None,
            lock_epoch: 0,
            suspensions: 0,
            revision: 0,
        }
    }
}

impl TryFrom<NewAccount> for AccountRow {
    type Error = EnrolError;

    fn try_from(new: NewAccount) -> Result<Self, EnrolError> {
        let parsed = new.password_hash.as_deref().map(PasswordHash::parse).transpose();
        let identifiant = new.identifiant.clone();
        Ok(Self {
            password: parsed.map_err(|why| EnrolError::Hash { identifiant, why })?,
            identifiant: new.identifiant,
            siret: new.siret,
            cafs: new.cafs,
            nom: Some(new.nom),
            home_caf: Some(new.home_caf),
            password_changed_at: new.password_changed_at,
            provisional: false,
            must_change: Some(new.must_change),
            status: new.status,
            last_sign_in: None,
            former: Vec::new(),
        })
    }
}

impl From<AccountRow> for NewAccount {
    /// What only a file can bring is left out.
    fn from(row: AccountRow) -> Self {
        Self {
            identifiant: row.identifiant,
            siret: row.siret,
            nom: row.nom.unwrap_or_default(),
            cafs: row.cafs,
            home_caf: row.home_caf.flatten(),
            password_hash: row.password.map(|hash| hash.as_str().to_owned()),
            password_changed_at: row.password_changed_at,
            must_change: row.must_change.unwrap_or_default() || row.provisional,
            status: row.status,
        }
    }
}

fn suspended(account: &Account) -> Changed {
    let mut closed = account.clone();
    closed.turn(Status::Suspended);
    Changed { fields: differences(account, &closed), account: closed }
}

fn distinct(mut cafs: Vec<CafCode>) -> Vec<CafCode> {
    let mut seen = BTreeSet::new();
    cafs.retain(|caf| seen.insert(*caf));
    cafs
}

fn differences(old: &Account, new: &Account) -> Vec<FieldChange> {
    let cafs = |account: &Account| account.cafs.iter().map(CafCode::as_str).collect::<Vec<_>>().join(" ");
    let home = |account: &Account| account.home_caf.map(String::from).unwrap_or_default();
    let shown = |account: &Account| {
        [
            ("siret", account.siret.to_string()),
            ("nom", account.nom.clone()),
            ("cafs", cafs(account)),
            ("home_caf", home(account)),
            ("password_changed_at", account.password_changed_at.to_string()),
            ("must_change", account.must_change.to_string()),
            ("status", account.status.as_str().to_owned()),
        ]
    };
    let pairs = shown(old).into_iter().zip(shown(new));
    let differ = pairs.filter(|((_, old), (_, new))| old != new);
    let mut changes: Vec<FieldChange> = differ
        .map(|((field, old), (_, new))| FieldChange { field, old: Some(old), new: Some(new) })
        .collect();
    if old.password_hash != new.password_hash {
        changes.push(FieldChange { field: "password_hash", old: None, new: None });
    }
    changes
}
