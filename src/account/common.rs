//! Passwords that the French choose first, which zxcvbn's English lists do not know.
//!
//! Drawn from what is said again and again of the stolen lists of French sites: keyboard rows of an AZERTY keyboard, the
//! word itself, endearments, clubs and first names.

/// In lower case, without accents, letters alone.
const WORDS: &[&str] = &[
    "admin",
    "administrateur",
    "alexandre",
    "amandine",
    "amour",
    "anthony",
    "aurelie",
    "azerty",
    "azertyui",
    "azertyuiop",
    "azeqsd",
    "azeqsdwxc",
    "bienvenue",
    "bisous",
    "bonjour",
    "bonsoir",
    "camille",
    "caramel",
    "celine",
    "changeme",
    "changezmoi",
    "charlotte",
    "chocolat",
    "chouchou",
    "christian",
    "christophe",
    "cocacola",
    "coucou",
    "declaration",
    "direction",
    "doudou",
    "emilie",
    "esat",
    "extranet",
    "francais",
    "france",
    "iloveyou",
    "isabelle",
    "jetaime",
    "julien",
    "juliette",
    "lapin",
    "laurent",
    "loulou",
    "louloute",
    "maison",
    "maman",
    "marseille",
    "mathieu",
    "mercredi",
    "mickael",
    "monamour",
    "motdepasse",
    "mdp",
    "nathalie",
    "nicolas",
    "olivier",
    "papa",
    "pascal",
    "passe",
    "password",
    "philippe",
    "poisson",
    "princesse",
    "provisoire",
    "qsdfgh",
    "qsdfghjklm",
    "qwerty",
    "romain",
    "secret",
    "sandrine",
    "sebastien",
    "soleil",
    "stephane",
    "stephanie",
    "sylvie",
    "thierry",
    "thomas",
    "valerie",
    "vacances",
    "vincent",
    "wxcvbn",
    "utilisateur",
];

/// Figures that are put behind a word to satisfy a rule.
const MOST_DIGITS: usize = 3;
const COUNTED: &[&str] = &["1234", "12345", "123456", "1111", "0000"];

/// Whether a password, in lower case and without accents, letters and digits alone, is one of these words with a few
/// digits before or behind.
pub(super) fn is_common(folded: &str) -> bool {
    let word = folded.trim_matches(|c: char| c.is_ascii_digit());
    let (before, behind) = folded.split_once(word).unwrap_or_default();
    let is_little = |digits: &str| digits.len() <= MOST_DIGITS || COUNTED.contains(&digits);
    !word.is_empty() && is_little(before) && is_little(behind) && WORDS.contains(&word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_common_word_with_a_few_digits_is_common() {
        for common in ["motdepasse1", "azerty123", "1azertyuiop", "soleil1234", "doudou92", "bonjour00"] {
            assert!(is_common(common), "{common}");
        }
        for other in
            ["", "12345678", "azerty2026", "motdepassegirafe1", "soleilvert1", "tilleul1", "1a2zerty"]
        {
            assert!(!is_common(other), "{other}");
        }
        assert!(WORDS.iter().all(|word| word.bytes().all(|byte| byte.is_ascii_lowercase())));
    }
}
