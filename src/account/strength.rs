//! Passwords that obey the rules and are guessed first all the same: the common, the stolen, and those made of
//! what anybody knows of their owner.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use secrecy::{ExposeSecret as _, SecretString};
use zxcvbn::matching::patterns::MatchPattern;

use super::{Account, Breached, common};
use crate::domain::{CafCode, PasswordRule, Weakness, unaccented};

/// What makes a password too easy to guess.
#[derive(Debug, Default)]
pub struct Strength {
    /// Least score of zxcvbn, from 0 (anything goes) to 4.
    pub min: u8,
    /// What everybody calls the Cafs.
    pub cafs: BTreeMap<CafCode, String>,
    /// Passwords that were stolen elsewhere.
    pub breached: ArcSwapOption<Breached>,
}

/// Characters of a password that are judged: what comes after only makes it better. A password put together to be
/// dear to judge costs some 90 ms of a core at 40 characters, and some 600 ms at 100.
const JUDGED: usize = 40;
/// Shortest word that may be found in a password by more than chance.
const WORD: usize = 4;

impl Strength {
    /// Looks passwords up in this list from now on; whether it is another than before.
    pub fn renew(&self, list: Breached) -> bool {
        let before = self.breached.swap(Some(Arc::new(list)));
        let now = self.breached.load();
        before.as_deref().map(Breached::identity) != now.as_deref().map(Breached::identity)
    }

    /// Why `password` would be guessed among the first if it were the account's; nothing, when it would not. Some
    /// milliseconds of a core for long ones.
    pub fn broken_by(&self, password: &SecretString, account: &Account) -> Option<PasswordRule> {
        let judged: String = password.expose_secret().chars().take(JUDGED).collect();
        let judged = zeroize::Zeroizing::new(judged);
        let broken = self.personal(&judged, account).or_else(|| self.weak(&judged, account));
        broken.or_else(|| self.stolen(password))
    }

    /// Made of the account's own words, and of hardly anything else.
    fn personal(&self, password: &str, account: &Account) -> Option<PasswordRule> {
        let folded = zeroize::Zeroizing::new(fold(password));
        let made_of = |word: &String| {
            word.len() >= WORD
                && folded.contains(word.as_str())
                && is_little(&folded.replace(word.as_str(), ""))
        };
        if self.min == 0 {
            None
        } else if own_words(account).iter().any(made_of) {
            Some(PasswordRule::Identifiant)
        } else if self.public_words(account).iter().any(made_of) {
            Some(PasswordRule::Establishment)
        } else {
            None
        }
    }

    fn weak(&self, password: &str, account: &Account) -> Option<PasswordRule> {
        if self.min > 0 && common::is_common(&zeroize::Zeroizing::new(fold(password))) {
            return Some(PasswordRule::Weak(Weakness::Common));
        }
        let domain = account.identifiant.as_str().rsplit('@').next().unwrap_or_default();
        let mut words = own_words(account);
        words.extend(self.public_words(account));
        words.extend(domain.split('.').chain(account.nom.split(' ')).map(fold));
        words.retain(|word| word.len() >= WORD);
        let inputs: Vec<&str> = words.iter().map(String::as_str).collect();
        let entropy = zxcvbn::zxcvbn(password, &inputs);
        if u8::from(entropy.score()) >= self.min {
            return None;
        }
        // The part that covers most of it says why.
        let longest = entropy.sequence().iter().max_by_key(|part| part.token.len());
        Some(PasswordRule::Weak(longest.map_or(Weakness::Common, |part| match part.pattern {
            MatchPattern::Sequence(_) => Weakness::Sequence,
            MatchPattern::Repeat(_) => Weakness::Repeat,
            MatchPattern::Spatial(_) => Weakness::Keyboard,
            MatchPattern::Date(_) | MatchPattern::Regex(_) => Weakness::Date,
            MatchPattern::Dictionary(_) | MatchPattern::BruteForce => Weakness::Common,
        })))
    }

    /// A list that cannot be read bars nobody's way to a new password.
    fn stolen(&self, password: &SecretString) -> Option<PasswordRule> {
        match self.breached.load().as_ref()?.contains(password) {
            Ok(found) => found.then_some(PasswordRule::Breached),
            Err(error) => {
                tracing::error!(%error, "password.breached_file is of no use: stolen passwords are accepted");
                None
            }
        }
    }

    /// What is public of the ESAT and of its Cafs.
    fn public_words(&self, account: &Account) -> Vec<String> {
        let siret = account.siret.as_str();
        let mut words = vec![siret.to_owned(), siret.chars().take(9).collect()];
        words.extend(names_of(&account.nom));
        for caf in &account.cafs {
            words.push(format!("caf{caf}"));
            let name = self.cafs.get(caf).map_or("", String::as_str);
            words.push(fold(name));
            let place =
                name.split(' ').filter(|word| !["Caf", "de", "des", "du", "la", "le", "les"].contains(word));
            words.push(place.map(fold).collect());
        }
        words
    }
}

/// What the account is called.
fn own_words(account: &Account) -> Vec<String> {
    let local = account.identifiant.as_str().split('@').next().unwrap_or_default();
    let parts = local.split(|c: char| !c.is_alphanumeric()).map(fold);
    // Of a part of the name one must have thought: `une`, `caf` or `esat` may stand in any password.
    let mut words: Vec<String> = parts.filter(|part| part.len() > WORD).collect();
    words.push(fold(local));
    words
}

/// What an ESAT's name is shortened to: `esatlestilleuls`, `lestilleuls`, `tilleuls`.
fn names_of(nom: &str) -> Vec<String> {
    let mut words = nom.split(|c: char| !c.is_alphanumeric()).map(fold);
    let parts: Vec<String> = words.by_ref().filter(|word| !word.is_empty()).collect();
    let behind = (0..parts.len()).map(|from| parts[from..].concat());
    behind.chain(parts.iter().filter(|part| part.len() > WORD).cloned()).collect()
}

/// Whether what is left of a password is a year, a number, or a letter or two.
fn is_little(rest: &str) -> bool {
    rest.chars().filter(|c| c.is_alphabetic()).count() < 3 && rest.chars().count() <= 6
}

/// Lower case, without accents, letters and digits alone.
fn fold(text: &str) -> String {
    text.chars().flat_map(char::to_lowercase).map(unaccented).filter(|c| c.is_alphanumeric()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn owner() -> Account {
        serde_json::from_value(json!({
            "identifiant": "direction.esat@tilleuls.example", "siret": "73282932000074", "nom": "ESAT Les Tilleuls",
            "cafs": ["921", "131"], "home_caf": null, "password_hash": "$argon2id$", "must_change": false,
            "password_changed_at": "2026-11-23T09:00:00Z", "status": "active",
        }))
        .expect("an account")
    }

    fn strength(min: u8) -> Strength {
        let names = [("921", "Caf des Hauts-de-Seine"), ("131", "Caf des Bouches-du-Rhône")];
        let cafs = names.map(|(code, name)| (code.parse().expect("a code"), name.to_owned())).into();
        Strength { min, cafs, breached: ArcSwapOption::empty() }
    }

    fn said(min: u8, password: &str) -> Option<&'static str> {
        strength(min).broken_by(&password.into(), &owner()).map(PasswordRule::code)
    }

    #[test]
    fn by_default_only_what_is_guessed_first_is_refused() {
        for accepted in [
            "Tilleul-2026",
            "Platane-2027",
            "Nouveau-2027",
            "Nouveau2026x",
            "abcdef12",
            "Encore-2027",
            "été 2027 à Brest, près du pont !",
            "Direction-girafe-42",
            "Tilleuls et châtaignes 27",
            "x7kq2mwp",
            "Azerty-2026",
        ] {
            assert_eq!(said(1, accepted), None, "{accepted}");
        }
        for (refused, code) in [
            ("password1", "trop-faible"),
            ("Passw0rd", "trop-faible"),
            ("1q2w3e4r", "trop-faible"),
            ("abcd1234", "trop-faible"),
            ("motdepasse1", "trop-faible"),
            ("Azerty-123", "trop-faible"),
            ("Tilleuls-2027", "etablissement"),
            ("ESATLesTilleuls1", "etablissement"),
            ("les-tilleuls-92", "etablissement"),
            ("Direction2026", "identifiant"),
            ("direction-esat-1", "identifiant"),
            ("Bouches-du-Rhone-13", "etablissement"),
            ("HautsdeSeine92", "etablissement"),
            ("caf921-2026", "etablissement"),
            ("732 829 320-2026", "etablissement"),
        ] {
            assert_eq!(said(1, refused), Some(code), "{refused}");
        }
    }

    #[test]
    fn the_least_strength_is_the_operators() {
        assert_eq!(said(0, "password1"), None);
        assert_eq!(said(0, "motdepasse1"), None);
        assert_eq!(said(2, "motdepasse1"), Some("trop-faible"));
        assert_eq!(said(3, "Tilleul-2026"), None);
        assert_eq!(said(4, "Tilleul-2026"), Some("trop-faible"));
        assert_eq!(said(4, "girafe violette 42 tambour"), None);
    }

    /// Nanoseconds of a core that this thread has had, however many others wanted it.
    fn on_a_core() -> u64 {
        let told = std::fs::read_to_string("/proc/thread-self/schedstat").expect("a scheduler");
        told.split(' ').next().expect("a number").parse().expect("nanoseconds")
    }

    #[test]
    fn the_dearest_password_costs_less_than_a_few_hashes() {
        let dear =
            ["4@8({[<369&#!1/|0$5+7%2".repeat(6), "aA1".repeat(42), "password".repeat(16), "é".repeat(128)];
        for password in dear {
            let began = on_a_core();
            let _ = said(1, &password);
            let took = std::time::Duration::from_nanos(on_a_core() - began);
            assert!(took < std::time::Duration::from_secs(1), "{password}: {took:?}");
        }
    }
}
