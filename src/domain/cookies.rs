//! The pairs of a `Cookie` header: every request is looked through for them several times.

/// The pairs of a `Cookie` header (RFC 6265 section 4.2.1), without blanks around them; empty ones are left out.
pub fn cookie_pairs(header: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(header);
    let pairs = std::iter::from_fn(move || {
        let text = rest?;
        let (pair, after) = match memchr::memchr(b';', text).and_then(|end| text.split_at_checked(end)) {
            Some((pair, after)) => (pair, after.get(1..)),
            None => (text, None),
        };
        rest = after;
        Some(pair.trim_ascii())
    });
    pairs.filter(|pair| !pair.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_come_one_by_one_whatever_stands_between_them() {
        for (header, expected) in [
            ("", vec![]),
            ("; ;", vec![]),
            ("a=b", vec!["a=b"]),
            ("a=b;c", vec!["a=b", "c"]),
            (" a=b ;\t c = d ;", vec!["a=b", "c = d"]),
            ("a=\"b;c\"", vec!["a=\"b", "c\""]),
        ] {
            let pairs: Vec<_> = cookie_pairs(header.as_bytes()).map(String::from_utf8_lossy).collect();
            assert_eq!(pairs, expected, "{header:?}");
        }
    }
}
