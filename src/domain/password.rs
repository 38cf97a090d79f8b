//! What a password must be, and how long it lives (rule 2).

use std::time::Duration;

use super::Timestamp;

/// How old a password is, and when it falls due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PasswordAge {
    changed_at: Timestamp,
    due: Timestamp,
}

/// A day before a password falls due on which its owner is reminded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// So many days of 86,400 s before.
    pub days: u32,
    /// The instant itself.
    pub passed_at: Timestamp,
}

/// The marks of every password, in days before it falls due, the last first.
const MARKS: [u32; 3] = [1, 7, 14];

impl PasswordAge {
    /// A password changed at `changed_at` that may live for `max_age`, counted in seconds, not calendar days.
    pub fn new(changed_at: Timestamp, max_age: Duration) -> Self {
        Self { changed_at, due: changed_at.saturating_add(max_age).unwrap_or(Timestamp::MAX) }
    }

    /// The first instant at which the password only opens the change of password.
    pub fn due(self) -> Timestamp {
        self.due
    }

    /// Whether only the change of password is left at `now`.
    pub fn is_due(self, now: Timestamp) -> bool {
        now >= self.due
    }

    /// Days left at `now`, a begun day counting whole; 0 once due.
    pub fn days_left(self, now: Timestamp) -> u32 {
        let seconds = self.due.duration_since(now).as_secs_f64().max(0.0);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 10^7 days")]
        let days = (seconds / 86_400.0).ceil() as u32;
        days
    }

    /// The last mark that was passed at `now`; none once due, nor one from before the password was chosen.
    pub fn mark(self, now: Timestamp) -> Option<Mark> {
        if self.is_due(now) {
            return None;
        }
        self.marks().find(|mark| mark.passed_at <= now)
    }

    /// The first instant after `now` at which a mark is passed.
    pub fn next_mark(self, now: Timestamp) -> Option<Timestamp> {
        self.marks().map(|mark| mark.passed_at).filter(|passed_at| now < *passed_at).min()
    }

    fn marks(self) -> impl Iterator<Item = Mark> {
        let marks = MARKS.into_iter().filter_map(move |days| {
            let before = Duration::from_secs(u64::from(days) * 86_400);
            Some(Mark { days, passed_at: self.due.checked_sub(before).ok()? })
        });
        marks.filter(move |mark| self.changed_at < mark.passed_at)
    }
}

/// A rule that a new password breaks; its [`code`](PasswordRule::code) is told to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PasswordRule {
    /// Too short: `password.min_length` characters at least.
    Length,
    /// Longer than 128 characters: hashing would cost too much.
    TooLong,
    /// No letter.
    Letter,
    /// No digit.
    Digit,
    /// The current password, or one of those before it.
    Reused,
    /// It holds the identifiant.
    Identifiant,
    /// It is made of the SIRET, of the ESAT's or a Caf's name, and of hardly anything else.
    Establishment,
    /// It is guessed among the first.
    Weak(Weakness),
    /// It was stolen elsewhere, and is on the list of those.
    Breached,
    /// The confirmation differs.
    Confirmation,
}

/// Why a password is guessed among the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weakness {
    /// Many have it.
    Common,
    /// Letters or digits that follow one another.
    Sequence,
    /// The same again and again.
    Repeat,
    /// Keys side by side.
    Keyboard,
    /// A date or a year.
    Date,
}

impl PasswordRule {
    /// The word for the rule in a problem's `regles`.
    pub fn code(self) -> &'static str {
        match self {
            Self::Length => "longueur",
            Self::TooLong => "trop-long",
            Self::Letter => "lettre",
            Self::Digit => "chiffre",
            Self::Reused => "deja-utilise",
            Self::Identifiant => "identifiant",
            Self::Establishment => "etablissement",
            Self::Weak(_) => "trop-faible",
            Self::Breached => "compromis",
            Self::Confirmation => "confirmation",
        }
    }
}

/// The rules that need nothing but the new password.
#[derive(Debug, Clone, Copy)]
pub struct PasswordRules {
    /// Fewest characters; never under 8.
    pub min_length: usize,
}

const MAX_LENGTH: usize = 128;

impl PasswordRules {
    /// The rules that `candidate` breaks, none when it may be used by `identifiant`'s account.
    pub fn broken_by(self, candidate: &str, identifiant: &str) -> Vec<PasswordRule> {
        let length = candidate.chars().count();
        let contains_name = candidate.to_lowercase().contains(identifiant);
        [
            (length < self.min_length, PasswordRule::Length),
            (length > MAX_LENGTH, PasswordRule::TooLong),
            (!candidate.chars().any(char::is_alphabetic), PasswordRule::Letter),
            (!candidate.chars().any(|c| c.is_ascii_digit()), PasswordRule::Digit),
            (contains_name, PasswordRule::Identifiant),
        ]
        .into_iter()
        .filter_map(|(broken, rule)| broken.then_some(rule))
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX_AGE: Duration = Duration::from_hours(92 * 24);

    #[test]
    fn ninety_two_days_are_counted_in_seconds() {
        let changed: Timestamp = "2026-09-01T08:00:00Z".parse().expect("an instant");
        let age = PasswordAge::new(changed, MAX_AGE);
        let due: Timestamp = "2026-12-02T08:00:00Z".parse().expect("an instant");
        assert_eq!(age.due(), due);
        let second = Duration::from_secs(1);
        assert!(!age.is_due(due - second));
        assert!(age.is_due(due));
        assert_eq!(age.days_left(changed), 92);
        assert_eq!(age.days_left(due - second), 1);
        assert_eq!(age.days_left(due + second), 0);
    }

    #[test]
    fn marks_are_passed_to_the_second_and_the_last_one_counts() {
        // Over a change of clocks and a 29 February, days are still of 86,400 s.
        let age = PasswordAge::new("2028-01-03T09:30:00+01:00".parse().expect("an instant"), MAX_AGE);
        assert_eq!(age.due().to_string(), "2028-04-04T08:30:00Z");
        let mark = |at: &str| age.mark(at.parse().expect("an instant")).map(|mark| mark.days);
        for (at, expected) in [
            ("2028-01-03T09:30:00+01:00", None),
            ("2028-03-21T09:29:59+01:00", None),
            ("2028-03-21T09:30:00+01:00", Some(14)),
            ("2028-03-28T10:29:59+02:00", Some(14)),
            ("2028-03-28T10:30:00+02:00", Some(7)),
            ("2028-04-03T10:29:59+02:00", Some(7)),
            ("2028-04-03T10:30:00+02:00", Some(1)),
            ("2028-04-04T10:29:59+02:00", Some(1)),
            ("2028-04-04T10:30:00+02:00", None),
        ] {
            assert_eq!(mark(at), expected, "{at}");
        }
        let next = |at: &str| age.next_mark(at.parse().expect("an instant")).map(|at| at.to_string());
        assert_eq!(next("2028-01-03T09:30:00+01:00").as_deref(), Some("2028-03-21T08:30:00Z"));
        assert_eq!(next("2028-03-21T09:30:00+01:00").as_deref(), Some("2028-03-28T08:30:00Z"));
        assert_eq!(next("2028-04-03T10:30:00+02:00"), None);
    }

    #[test]
    fn a_password_that_lives_shorter_than_a_mark_has_no_such_mark() {
        let changed: Timestamp = "2026-09-01T08:00:00Z".parse().expect("an instant");
        let age = PasswordAge::new(changed, Duration::from_hours(7 * 24));
        assert_eq!(age.mark(changed), None);
        assert_eq!(age.mark(changed + Duration::from_hours(6 * 24)).map(|mark| mark.days), Some(1));
    }

    #[test]
    fn a_change_on_1_december_outlasts_the_campaign() {
        let changed: Timestamp = "2026-12-01T00:00:00+01:00".parse().expect("an instant");
        let end: Timestamp = "2027-03-01T00:00:00+01:00".parse().expect("an instant");
        assert!(!PasswordAge::new(changed, MAX_AGE).is_due(end));
    }

    #[test]
    fn every_broken_rule_is_told() {
        let rules = PasswordRules { min_length: 8 };
        let broken = |candidate| rules.broken_by(candidate, "a@b.fr");
        assert_eq!(broken("abcd1234"), []);
        assert_eq!(broken("été 2026 à Brest !"), []);
        assert_eq!(broken(""), [PasswordRule::Length, PasswordRule::Letter, PasswordRule::Digit]);
        assert_eq!(broken("abcdefgh"), [PasswordRule::Digit]);
        assert_eq!(broken("12345678"), [PasswordRule::Letter]);
        assert_eq!(broken("1-A@b.FR-1"), [PasswordRule::Identifiant]);
        assert_eq!(broken(&"a1".repeat(65)), [PasswordRule::TooLong]);
    }
}
