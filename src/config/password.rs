//! `[password]`: what a password must be (rule 2).

use std::path::PathBuf;
use std::time::Duration;

use super::declare::{Key, Section};
use super::reader::Reader;
use super::words::Count;

/// `[password]`.
#[derive(Debug, Clone)]
pub struct Password {
    /// How long a password lives (rule 2).
    pub max_age: Duration,
    /// How long a provisional password may wait to be changed.
    pub provisional_max_age: Duration,
    /// Fewest characters, 8 or more.
    pub min_length: usize,
    /// How many former passwords may not be taken again.
    pub history: usize,
    /// Least strength of a new password, as zxcvbn counts it: from 0 (anything goes) to 4.
    pub min_strength: u8,
    /// File of stolen passwords' SHA-1 hashes.
    pub breached_file: Option<PathBuf>,
}

pub(super) static PASSWORD: Section = Section {
    name: "password",
    many: false,
    help: "What a password must be.",
    keys: &[
        Key::default::<Duration>("max_age", "92d", "How long a password lives before it must be changed."),
        Key::default::<Duration>(
            "provisional_max_age",
            "30d",
            "How long a provisional password may wait to be changed; then it opens nothing any more.",
        ),
        Key::default::<Length>("min_length", "8", "Fewest characters; never fewer than 8."),
        Key::default::<History>("history", "5", "How many former passwords may not be taken again."),
        Key::default::<StrengthScore>(
            "min_strength",
            "1",
            "Least strength of a new password, as zxcvbn counts it: 0 (anything goes) to 4.",
        ),
        Key::optional::<PathBuf>(
            "breached_file",
            "Stolen passwords that are refused: sorted lines of SHA-1 hashes, as Have I Been Pwned has them.",
        ),
    ],
};

type Length = Count<8, 128>;
type History = Count<0, 100>;
type StrengthScore = Count<0, 4>;

impl Password {
    pub(super) fn read(reader: &Reader<'_>) -> Option<Self> {
        let part = reader.part(&PASSWORD);
        let max_age = part.read::<Duration>("max_age");
        let (min_length, history) = (part.read::<Length>("min_length"), part.read::<History>("history"));
        let provisional_max_age = part.read::<Duration>("provisional_max_age");
        for (key, age) in [("max_age", max_age), ("provisional_max_age", provisional_max_age)] {
            if age.is_some_and(|age| age.is_zero()) {
                part.refuse(key, "expected more than nothing");
            }
        }
        let min_strength = part.read::<StrengthScore>("min_strength");
        let breached_file = part.read::<PathBuf>("breached_file");
        Some(Self {
            max_age: max_age?,
            provisional_max_age: provisional_max_age?,
            min_length: min_length?.size(),
            history: history?.size(),
            min_strength: u8::try_from(min_strength?.0).unwrap_or(4),
            breached_file,
        })
    }
}
