//! What an import did, or would do, in words and tables.

use std::io::{self, Write};

use super::output::{Table, count, date, printable};
use crate::admin::{Difference, DifferenceIs, GoneAre, ImportDone};

/// Most differences of a kind that are listed for people; JSON tells all.
const MOST: usize = 50;

/// Shows an import of accounts.
pub(super) fn accounts(done: &ImportDone, out: &mut dyn Write) -> io::Result<()> {
    summary(done, "account", "--suspend-gone would suspend them", out)?;
    let Some(passwords) = done.provisional_passwords.as_ref().filter(|made| !made.is_empty()) else {
        return Ok(());
    };
    let until = passwords.iter().find_map(|one| one.provisional_until).map(date);
    let until = until.map(|until| format!(", to be changed by {until} (Paris)")).unwrap_or_default();
    writeln!(out, "\nProvisional passwords, shown this once{until}:\n")?;
    let mut table = Table::new(["IDENTIFIANT", "PASSWORD"]).whole(1);
    for one in passwords {
        table.row([one.identifiant.to_string(), one.provisional_password.clone()]);
    }
    table.write(out)
}

/// Shows an import of establishments.
pub(super) fn establishments(done: &ImportDone, out: &mut dyn Write) -> io::Result<()> {
    summary(done, "establishment", "--delete-gone would remove them", out)
}

fn summary(done: &ImportDone, what: &str, otherwise: &str, out: &mut dyn Write) -> io::Result<()> {
    if done.dry_run {
        writeln!(out, "Read as {}.", printable(&done.read_as))?;
        differences(&done.differences, out)?;
        writeln!(
            out,
            "\n{} would be created, {} changed, {} left as they are.",
            count(done.created, what),
            done.changed,
            done.unchanged
        )?;
    } else {
        let (created, changed) = (count(done.created, what), done.changed);
        writeln!(out, "{created} created, {changed} changed, {} left as they were.", done.unchanged)?;
    }
    gone(done, what, otherwise, out)?;
    if done.dry_run {
        writeln!(out, "Nothing was changed: this was a dry run.")?;
    }
    Ok(())
}

fn gone(done: &ImportDone, what: &str, otherwise: &str, out: &mut dyn Write) -> io::Result<()> {
    if done.gone == 0 {
        return Ok(());
    }
    let gone = count(done.gone, what);
    let became = match (done.gone_are, done.dry_run) {
        (GoneAre::Kept, _) => {
            let stay = if done.gone == 1 { "it stays as it is" } else { "they stay as they are" };
            return writeln!(out, "{gone} in the store but not in the file: {stay}\n({otherwise}).");
        }
        (GoneAre::Suspended, true) => "would be suspended",
        (GoneAre::Suspended, false) => "suspended",
        (GoneAre::Deleted, true) => "would be removed",
        (GoneAre::Deleted, false) => "removed",
    };
    writeln!(out, "{gone} in the store but not in the file: {became}.")
}

fn differences(all: &[Difference], out: &mut dyn Write) -> io::Result<()> {
    for (is, mark) in [(DifferenceIs::New, '+'), (DifferenceIs::Changed, '~'), (DifferenceIs::Gone, '-')] {
        let of_kind: Vec<&Difference> = all.iter().filter(|difference| difference.is == is).collect();
        if let [_, ..] = of_kind.as_slice() {
            writeln!(out, "\n{}:", title(is))?;
        }
        for difference in of_kind.iter().take(MOST) {
            writeln!(out, "  {mark} {}", printable(&difference.name))?;
            for field in &difference.fields {
                writeln!(out, "      {}", printable(&change(field)))?;
            }
        }
        if of_kind.len() > MOST {
            writeln!(out, "  {mark} and {} more (--json tells all)", of_kind.len() - MOST)?;
        }
    }
    Ok(())
}

fn title(is: DifferenceIs) -> &'static str {
    match is {
        DifferenceIs::New => "New",
        DifferenceIs::Changed => "Changed",
        DifferenceIs::Gone => "In the store but not in the file",
    }
}

fn change(field: &crate::admin::FieldDifference) -> String {
    let shown = |value: &String| if value.is_empty() { "(nothing)".to_owned() } else { value.clone() };
    match (&field.old, &field.new) {
        (Some(old), Some(new)) => format!("{}: {} -> {}", field.field, shown(old), shown(new)),
        _ => format!("{}: replaced", field.field),
    }
}
