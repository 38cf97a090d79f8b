//! Letters of French names, as dictionaries and guesses see them.

/// A lower-case letter of French without its accent; any other character as it is.
pub fn unaccented(letter: char) -> char {
    match letter {
        'à' | 'â' | 'ä' => 'a',
        'ç' => 'c',
        'é' | 'è' | 'ê' | 'ë' => 'e',
        'î' | 'ï' => 'i',
        'ô' | 'ö' => 'o',
        'ù' | 'û' | 'ü' => 'u',
        'ÿ' => 'y',
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accents_go_and_all_else_stays() {
        let plain: String = "l’haÿ-les-roses, béziers, île, çà, œuvre".chars().map(unaccented).collect();
        assert_eq!(plain, "l’hay-les-roses, beziers, ile, ca, œuvre");
    }
}
