//! "Did you mean": the known word that is closest to an unknown one.

/// The candidate that has the same letters as `word`, or all but a third of them.
pub(crate) fn closest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .map(|candidate| (if shuffled(word, candidate) { 1 } else { distance(word, candidate) }, candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.len() / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

fn shuffled(left: &str, right: &str) -> bool {
    let sorted = |word: &str| {
        let mut letters: Vec<char> = word.chars().collect();
        letters.sort_unstable();
        letters
    };
    left.len() == right.len() && sorted(left) == sorted(right)
}

/// How many letters must be added, taken away or changed (Levenshtein); words over 64 letters are far off.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    if left.len() > 64 {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, l) in left.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, r) in right.iter().enumerate() {
            let changed = diagonal + usize::from(l != *r);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_close_is_proposed() {
        let known = ["idle_timeout", "warning", "key", "url"];
        let closest = |word| closest(word, known.into_iter());
        assert_eq!(closest("idle_timout"), Some("idle_timeout"));
        assert_eq!(closest("wraning"), Some("warning"));
        assert_eq!(closest("ulr"), Some("url"));
        assert_eq!(closest("urls"), Some("url"));
        assert_eq!(closest("banana"), None);
        assert_eq!(closest(&"k".repeat(10_000)), None);
    }
}
