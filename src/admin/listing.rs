//! Lists, page after page: what may be asked of them, and where the next page begins.
//!
//! A page begins after the last row of the one before, wherever that row would stand now: rows that come and go
//! meanwhile neither repeat others nor hide them.

use std::fmt;
use std::str::FromStr;

use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::{AccountView, Problem};
use crate::domain::Timestamp;

/// Rows of a page where it is not told.
pub(super) const DEFAULT_LIMIT: usize = 100;
/// Most rows of a page.
pub const LARGEST_LIMIT: usize = 10_000;

/// How accounts are sorted; those of equal rank by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sort {
    by: Key,
    descending: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Key {
    #[default]
    Identifiant,
    Siret,
    Expires,
    LastSignIn,
}

const KEYS: [(&str, Key); 4] = [
    ("identifiant", Key::Identifiant),
    ("siret", Key::Siret),
    ("expires", Key::Expires),
    ("last-sign-in", Key::LastSignIn),
];

/// A word that is no order, day or instant. Whose fault: the client's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected {0}")]
pub struct Unlike(&'static str);

impl FromStr for Sort {
    type Err = Unlike;

    fn from_str(text: &str) -> Result<Self, Unlike> {
        let (name, descending) = text.strip_prefix('-').map_or((text, false), |name| (name, true));
        let known = KEYS.iter().find(|(known, _)| *known == name);
        let (_, by) = known.ok_or(Unlike(
            "identifiant, siret, expires or last-sign-in, with - before it for the last ones first",
        ))?;
        Ok(Self { by: *by, descending })
    }
}

impl fmt::Display for Sort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = KEYS.iter().find(|(_, key)| *key == self.by).map_or("", |(name, _)| name);
        write!(f, "{}{name}", if self.descending { "-" } else { "" })
    }
}

/// An instant, told as one, as clocks in Paris show it, or as a day of Paris, which begins at its midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment(pub Timestamp);

impl FromStr for Moment {
    type Err = Unlike;

    fn from_str(text: &str) -> Result<Self, Unlike> {
        let in_paris = || {
            // One that is wrong in its offset would be read without.
            let is_plain = !text.contains(['+', 'Z', 'z', '[']) && text.matches('-').count() == 2;
            let clock: jiff::civil::DateTime = text.parse().ok().filter(|_| is_plain)?;
            Some(clock.in_tz("Europe/Paris").ok()?.timestamp())
        };
        // In a query a `+` that is not escaped is a space.
        let text = text.trim();
        let instant = text.parse().ok().or_else(in_paris).or_else(|| text.replace(' ', "+").parse().ok());
        let unlike = Unlike(
            "a day such as 2027-01-20, a time of Paris such as 2027-01-20T12:00, or an instant such as \
             2027-01-20T12:00:00+01:00",
        );
        instant.map(Self).ok_or(unlike)
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Words of a query that are parsed as the CLI parses its own.
macro_rules! as_text {
    ($($name:ty),+) => {$(
        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    )+};
}

as_text!(Sort, Moment);

impl Sort {
    /// Where an account stands.
    pub(super) fn rank(self, account: &AccountView) -> Rank {
        let instant = |at: Timestamp| format!("{:020}", at.as_millisecond().saturating_add(1 << 50));
        let key = match self.by {
            Key::Identifiant => String::new(),
            Key::Siret => account.siret.to_string(),
            Key::Expires => instant(account.expires_at()),
            Key::LastSignIn => account.last_sign_in.map(instant).unwrap_or_default(),
        };
        Rank { key, name: account.identifiant.to_string() }
    }

    /// Puts rows in order, and takes those of a page that begins after `after`.
    pub(super) fn page(
        self,
        rows: Vec<AccountView>,
        after: Option<&Rank>,
        limit: usize,
    ) -> Paged<AccountView> {
        page(rows, |row| self.rank(row), self.descending, after, limit)
    }
}

/// Where a row stands in a list: a rank of its own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    pub(super) key: String,
    pub(super) name: String,
}

impl FromStr for Rank {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        let parts = text.split_once('~').map(|(key, name)| (key.to_owned(), name.to_owned()));
        let unlike = || Problem::new(StatusCode::BAD_REQUEST, "after is the next of the page before");
        parts.map(|(key, name)| Self { key, name }).ok_or_else(unlike)
    }
}

impl fmt::Display for Rank {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}~{}", self.key, self.name)
    }
}

/// A page, and the cursor of the next one if there is one.
pub(super) struct Paged<T> {
    pub(super) rows: Vec<T>,
    pub(super) next: Option<String>,
}

/// Puts rows in the order of their ranks, and takes those of a page that begins after `after`.
pub(super) fn page<T>(
    rows: Vec<T>,
    rank: impl Fn(&T) -> Rank,
    descending: bool,
    after: Option<&Rank>,
    limit: usize,
) -> Paged<T> {
    let mut ranked: Vec<(Rank, T)> = rows.into_iter().map(|row| (rank(&row), row)).collect();
    ranked.sort_by(|(one, _), (other, _)| if descending { other.cmp(one) } else { one.cmp(other) });
    let is_before = |rank: &Rank, after: &Rank| if descending { rank >= after } else { rank <= after };
    let begin = after.map_or(0, |after| ranked.partition_point(|(rank, _)| is_before(rank, after)));
    let end = begin.saturating_add(limit).min(ranked.len());
    let next = ranked.get(end.wrapping_sub(1)).filter(|_| end < ranked.len() && end > begin);
    let next = next.map(|(rank, _)| rank.to_string());
    let rows = ranked.into_iter().take(end).skip(begin).map(|(_, row)| row).collect();
    Paged { rows, next }
}

/// The rows that a page may have.
pub(super) fn limit(asked: Option<usize>, default: usize) -> Result<usize, Problem> {
    let limit = asked.unwrap_or(default);
    if (1..=LARGEST_LIMIT).contains(&limit) {
        return Ok(limit);
    }
    Err(Problem::new(StatusCode::BAD_REQUEST, format!("limit goes from 1 to {LARGEST_LIMIT}")))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn walk(rows: &[u32], descending: bool, limit: usize) -> Vec<u32> {
        let rank = |row: &u32| Rank { key: format!("{:010}", row / 7), name: row.to_string() };
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let paged = page(rows.to_vec(), rank, descending, after.as_ref(), limit);
            assert!(paged.rows.len() <= limit);
            seen.extend(paged.rows);
            match paged.next {
                Some(next) => after = Some(next.parse().expect("a cursor")),
                None => return seen,
            }
        }
    }

    proptest! {
        #[test]
        fn pages_show_every_row_once_in_order(
            rows in proptest::collection::hash_set(0_u32..500, 0..80),
            limit in 1_usize..20,
            descending: bool,
        ) {
            let rows: Vec<u32> = rows.into_iter().collect();
            let whole = walk(&rows, descending, 1_000);
            prop_assert_eq!(walk(&rows, descending, limit), whole.clone());
            prop_assert_eq!(whole.len(), rows.len());
        }
    }

    #[test]
    fn orders_and_days_are_read_in_one_way() {
        for text in ["identifiant", "-siret", "expires", "-last-sign-in"] {
            assert_eq!(text.parse::<Sort>().expect("an order").to_string(), text);
        }
        for text in ["", "-", "--siret", "nom", "SIRET", "expires "] {
            assert!(text.parse::<Sort>().is_err(), "{text}");
        }
        let until = |text: &str| text.parse::<Moment>().map(|until| until.0.to_string());
        assert_eq!(until("2027-01-20").as_deref(), Ok("2027-01-19T23:00:00Z"));
        assert_eq!(until("2027-07-20").as_deref(), Ok("2027-07-19T22:00:00Z"));
        assert_eq!(until("2027-01-20T12:00:00+01:00").as_deref(), Ok("2027-01-20T11:00:00Z"));
        assert_eq!(until("2027-01-20T12:00:00 01:00").as_deref(), Ok("2027-01-20T11:00:00Z"));
        assert_eq!(until("2027-02-28T23:59").as_deref(), Ok("2027-02-28T22:59:00Z"));
        assert_eq!(until("2027-07-20 12:00:30").as_deref(), Ok("2027-07-20T10:00:30Z"));
        for text in [
            "",
            "demain",
            "20/01/2027",
            "2027-02-29",
            "2027-01-20T12:00+99:00",
            "2027-01-20T25:00",
            "2027-13-01",
        ] {
            assert!(until(text).is_err(), "{text}");
        }
    }
}
