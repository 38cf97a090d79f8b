//! Accounts, and what was done with them, in words and tables.

use std::io::{self, Write};

use super::output::{Table, count, date, day, more, printable};
use crate::account::Status;
use crate::admin::{AccountView, AccountsPage};
use crate::domain::{CafCode, Identifiant, Timestamp};

pub(super) fn list(page: &AccountsPage, out: &mut dyn Write) -> io::Result<()> {
    if page.accounts.is_empty() {
        return writeln!(out, "There is no such account.");
    }
    let mut table = Table::new(["IDENTIFIANT", "SIRET", "STATUS", "CAFS", "PASSWORD", "LAST SIGN-IN"]);
    for account in &page.accounts {
        table.row([
            account.identifiant.to_string(),
            account.siret.to_string(),
            status(account.status).to_owned(),
            codes(&account.cafs),
            password(account, day),
            last(account.last_sign_in, day),
        ]);
    }
    table.write(out)?;
    if page.total > page.accounts.len() {
        writeln!(out, "\n{} of {}.", page.accounts.len(), count(page.total, "account"))?;
    }
    more(page.next.as_deref(), out)
}

pub(super) fn one(account: &AccountView, out: &mut dyn Write) -> io::Result<()> {
    let line = |out: &mut dyn Write, what: &str, value: &str| {
        writeln!(out, "{what:20}{}", if value.is_empty() { "-".to_owned() } else { printable(value) })
    };
    line(out, "Identifiant", account.identifiant.as_str())?;
    line(out, "ESAT", &account.nom)?;
    line(out, "SIRET", account.siret.as_str())?;
    line(out, "Cafs", &codes(&account.cafs))?;
    line(out, "Managed by", account.home_caf.as_ref().map_or("", CafCode::as_str))?;
    line(out, "Status", status(account.status))?;
    line(out, "Password changed", &date(account.password_changed_at))?;
    line(out, "Password", &password(account, date))?;
    line(out, "Last sign-in", &last(account.last_sign_in, date))
}

pub(super) fn created(account: &AccountView, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{} was created.", account.identifiant)?;
    provisional(account, out)
}

pub(super) fn reset(account: &AccountView, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "The password of {} was reset; its sessions ended.", account.identifiant)?;
    provisional(account, out)
}

pub(super) fn suspended(account: &AccountView, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{} is suspended; its sessions ended.", account.identifiant)
}

pub(super) fn reactivated(account: &AccountView, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{} is active again.", account.identifiant)
}

pub(super) fn change_forced(account: &AccountView, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{} must change its password at the next sign-in or entry to a Caf.", account.identifiant)
}

pub(super) fn unlocked(account: &AccountView, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{} is unlocked.", account.identifiant)
}

pub(super) fn deleted(identifiant: &Identifiant, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{identifiant} was deleted; its sessions ended.")
}

fn provisional(account: &AccountView, out: &mut dyn Write) -> io::Result<()> {
    let Some(password) = &account.provisional_password else { return Ok(()) };
    writeln!(out, "Provisional password, shown this once: {}", printable(password))?;
    account.provisional_until.map_or(Ok(()), |until| {
        writeln!(out, "It is to be changed at the first sign-in, by {} (Paris).", date(until))
    })
}

/// What the password opens, and until when.
fn password(account: &AccountView, shown: fn(Timestamp) -> String) -> String {
    match account.provisional_until {
        Some(_) if account.provisional_expired => "provisional password expired".to_owned(),
        Some(until) => format!("provisional until {}", shown(until)),
        None if account.must_change => "to be changed".to_owned(),
        None if account.password_days_left == 0 => {
            format!("expired on {}", shown(account.password_expires_at))
        }
        None => {
            let days = usize::try_from(account.password_days_left).unwrap_or(usize::MAX);
            format!("until {}, {} left", shown(account.password_expires_at), count(days, "day"))
        }
    }
}

fn status(status: Status) -> &'static str {
    match status {
        Status::Active => "active",
        Status::Suspended => "suspended",
    }
}

fn codes(cafs: &[CafCode]) -> String {
    cafs.iter().map(CafCode::as_str).collect::<Vec<_>>().join(",")
}

fn last(at: Option<Timestamp>, shown: fn(Timestamp) -> String) -> String {
    at.map_or_else(|| "never".to_owned(), shown)
}
