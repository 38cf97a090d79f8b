//! Times, days and password rules as users read them.

use std::time::Duration;

use jiff::Zoned;
use jiff::civil::Date;

use crate::domain::{PasswordRule, VoletState, Weakness, unaccented};

const MONTHS: [&str; 12] = [
    "janvier",
    "février",
    "mars",
    "avril",
    "mai",
    "juin",
    "juillet",
    "août",
    "septembre",
    "octobre",
    "novembre",
    "décembre",
];

/// A duration, rounded up: `45 secondes`, `12 minutes`, `2 heures`.
pub fn wait(time: Duration) -> String {
    let seconds = seconds(time);
    match seconds {
        0..90 => plural(seconds, "seconde"),
        90..5_400 => plural(seconds.div_ceil(60), "minute"),
        5_400..172_800 => plural(seconds.div_ceil(3_600), "heure"),
        _ => plural(seconds.div_ceil(86_400), "jour"),
    }
}

/// Whole seconds, rounded up, at least one: what `Retry-After` says (RFC 9110 section 10.2.3).
pub fn seconds(time: Duration) -> u64 {
    (time.as_secs() + u64::from(time.subsec_nanos() > 0)).max(1)
}

/// A day: `1er décembre 2026`.
pub fn day(date: Date) -> String {
    let month = usize::try_from(date.month()).ok().and_then(|month| MONTHS.get(month.wrapping_sub(1)));
    let rank = if date.day() == 1 { "er" } else { "" };
    format!("{}{rank} {} {}", date.day(), month.unwrap_or(&""), date.year())
}

/// A day and the time of day, which no line ends in the middle of: `1er décembre 2026 à 8 h 05`.
pub fn moment(at: &Zoned) -> String {
    format!("{} à {}\u{a0}h\u{a0}{:02}", day(at.date()), at.hour(), at.minute())
}

/// When a volet that is closed opens next.
pub fn closed_volet(volet: &str, state: VoletState) -> String {
    match state.days {
        Some((opens, closes)) => format!(
            "Le volet «\u{a0}{volet}\u{a0}» sera ouvert du {} au {} inclus, heure de Paris.",
            day(opens),
            day(closes)
        ),
        None => format!("Le volet «\u{a0}{volet}\u{a0}» n’est pas ouvert."),
    }
}

/// A count with its noun: `1 jour`, `3 jours`.
pub fn plural(count: u64, noun: &str) -> String {
    let ending = if count < 2 { "" } else { "s" };
    format!("{count} {noun}{ending}")
}

/// A Caf in the middle of a sentence: `la Caf de Paris`. A name that says something else stands as it is.
pub fn the(caf: &str) -> String {
    let first = caf.split(' ').next().unwrap_or_default();
    let is_common = ["caf", "caisse"].iter().any(|noun| first.eq_ignore_ascii_case(noun));
    if is_common { format!("la {caf}") } else { caf.to_owned() }
}

/// The same at a sentence's beginning: `La Caf de Paris`.
pub fn the_first(caf: &str) -> String {
    let name = the(caf);
    name.strip_prefix("la ").map_or(name.clone(), |rest| format!("La {rest}"))
}

/// Where a dictionary puts a name: neither case nor accents matter.
pub fn order(name: &str) -> String {
    name.chars().flat_map(char::to_lowercase).map(plain).collect()
}

fn plain(letter: char) -> char {
    match letter {
        '’' | '-' | '\'' => ' ',
        other => unaccented(other),
    }
}

/// What a new password must be, as a sentence about the one that is not.
pub fn rule(broken: PasswordRule, min_length: usize) -> String {
    match broken {
        PasswordRule::Length => format!("Il doit compter au moins {min_length} caractères."),
        PasswordRule::TooLong => "Il ne peut pas dépasser 128 caractères.".to_owned(),
        PasswordRule::Letter => "Il doit contenir au moins une lettre.".to_owned(),
        PasswordRule::Digit => "Il doit contenir au moins un chiffre.".to_owned(),
        PasswordRule::Reused => "Vous l’avez déjà utilisé\u{a0}: choisissez-en un autre.".to_owned(),
        PasswordRule::Identifiant => "Il ne doit pas contenir votre identifiant, ni s’y réduire.".to_owned(),
        PasswordRule::Establishment => {
            "Il ne doit pas se réduire à votre SIRET, au nom de votre ESAT ou au nom de votre Caf.".to_owned()
        }
        PasswordRule::Weak(weakness) => {
            let why = match weakness {
                Weakness::Common => "beaucoup de personnes utilisent le même ou presque",
                Weakness::Sequence => "c’est une suite de lettres ou de chiffres",
                Weakness::Repeat => "ce sont les mêmes caractères répétés",
                Weakness::Keyboard => "ce sont des touches voisines du clavier",
                Weakness::Date => "c’est une date ou une année",
            };
            format!("Il est trop facile à deviner\u{a0}: {why}. Ajoutez-y un ou deux mots sans rapport.")
        }
        PasswordRule::Breached => {
            "Il figure dans une liste de mots de passe volés sur d’autres sites\u{a0}: choisissez-en un autre."
                .to_owned()
        }
        PasswordRule::Confirmation => "La confirmation est différente du nouveau mot de passe.".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rounded_up_to_what_one_would_say() {
        for (time, said) in [
            (Duration::ZERO, "1 seconde"),
            (Duration::from_millis(1_200), "2 secondes"),
            (Duration::from_secs(89), "89 secondes"),
            (Duration::from_secs(90), "2 minutes"),
            (Duration::from_mins(15), "15 minutes"),
            (Duration::from_secs(14 * 60 + 1), "15 minutes"),
            (Duration::from_hours(2), "2 heures"),
            (Duration::from_hours(92 * 24), "92 jours"),
        ] {
            assert_eq!(wait(time), said);
        }
    }

    #[test]
    fn a_caf_takes_its_article() {
        for (name, inside, first) in [
            ("Caf de Paris", "la Caf de Paris", "La Caf de Paris"),
            ("CAF du Rhône", "la CAF du Rhône", "La CAF du Rhône"),
            ("Caisse commune", "la Caisse commune", "La Caisse commune"),
            ("Cafétéria", "Cafétéria", "Cafétéria"),
            ("la Caf", "la Caf", "La Caf"),
            ("", "", ""),
        ] {
            assert_eq!((the(name).as_str(), the_first(name).as_str()), (inside, first));
        }
    }

    #[test]
    fn names_stand_in_the_order_of_a_dictionary() {
        let mut names =
            ["Caf des Ardennes", "Caf de l’Ardèche", "Caf de l’Île-de-Ré", "Caf de l’Ille", "Caf de l’Éure"];
        names.sort_by_key(|name| order(name));
        let sorted =
            ["Caf de l’Ardèche", "Caf de l’Éure", "Caf de l’Île-de-Ré", "Caf de l’Ille", "Caf des Ardennes"];
        assert_eq!(names, sorted);
    }

    #[test]
    fn the_first_of_a_month_is_said_apart() {
        assert_eq!(day(jiff::civil::date(2026, 12, 1)), "1er décembre 2026");
        assert_eq!(day(jiff::civil::date(2027, 2, 28)), "28 février 2027");
    }
}
