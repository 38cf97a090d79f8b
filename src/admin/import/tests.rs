//! Tables and their encodings, cut and decoded; what is imported of them is tested with the API.

use std::borrow::Cow;

use proptest::prelude::*;

use super::csv::{Malformed, Record, Records, delimiter};
use super::encoding::{Undecodable, decode};
use super::{Charset, Format, protected};

fn records(text: &str) -> Vec<(u64, Result<Vec<String>, Malformed>)> {
    Records::new(text, ';', 1).map(|Record { line, fields }| (line, fields)).collect()
}

fn right(line: u64, fields: &[&str]) -> (u64, Result<Vec<String>, Malformed>) {
    (line, Ok(fields.iter().map(|field| (*field).to_owned()).collect()))
}

#[test]
fn records_are_told_by_the_line_they_begin_on() {
    let text = "a;b\r\n\r\n\"c;\"\"d\"\"\r\ne\";f\n;;\n g ;\"\"\nh";
    let expected =
        [right(1, &["a", "b"]), right(3, &["c;\"d\"\r\ne", "f"]), right(6, &[" g ", ""]), right(7, &["h"])];
    assert_eq!(records(text), expected);
}

#[test]
fn a_record_that_cannot_be_cut_does_not_hide_the_next() {
    let text = "\"a\"b;c\nd;e\nf\"g;h\ni;j\n\"k\"\r\n";
    let expected = [
        (1, Err(Malformed::After)),
        right(2, &["d", "e"]),
        (3, Err(Malformed::Within)),
        right(4, &["i", "j"]),
        right(5, &["k"]),
    ];
    assert_eq!(records(text), expected);
    assert_eq!(records("a;b\nc;\"d\ne;f\n"), [right(1, &["a", "b"]), (2, Err(Malformed::Open))]);
    assert_eq!(records("\""), [(1, Err(Malformed::Open))]);
    let wide = format!("{}\na;b", "x;".repeat(1_000));
    assert_eq!(records(&wide), [(1, Err(Malformed::Fields)), right(2, &["a", "b"])]);
    assert_eq!(
        records(&"x;".repeat(199)).first().and_then(|(_, fields)| Some(fields.as_ref().ok()?.len())),
        Some(200)
    );
    assert_eq!(records(""), []);
}

#[test]
fn the_first_line_tells_the_delimiter() {
    for (text, expected) in
        [("a;b,c;d\n", ';'), ("a,b\n1;2;3", ','), ("a\tb", '\t'), ("a", ';'), ("", ';'), ("a,b;c", ';')]
    {
        assert_eq!(delimiter(text), expected, "{text:?}");
    }
}

#[test]
fn encodings() {
    let read = |bytes: &[u8], charset| {
        decode(bytes, charset).map(|decoded| (decoded.text.into_owned(), decoded.name))
    };
    let both = |text: &str, name| Ok((text.to_owned(), name));
    let wrong = |line| move |wrong: Undecodable| assert_eq!(wrong.line, line);
    assert_eq!(read("É€".as_bytes(), Charset::Guess), both("É€", "UTF-8"));
    assert_eq!(read("\u{feff}É".as_bytes(), Charset::Guess), both("É", "UTF-8"));
    assert_eq!(read(b"\xc9rable \x80 \x9c", Charset::Guess), both("Érable € œ", "Windows-1252"));
    assert_eq!(read("É".as_bytes(), Charset::Windows1252), both("Ã‰", "Windows-1252"));
    read(b"a\nb\n\xc9", Charset::Utf8).map_err(wrong(3)).expect_err("no UTF-8");
    // One damaged byte must not turn all the other accents into two letters.
    read("É\nb\u{fffd}".replace('\u{fffd}', "").as_bytes(), Charset::Guess).expect("right");
    read(b"\xc3\x89\nb\xc9\n", Charset::Guess).map_err(wrong(2)).expect_err("mixed");
    read(b"\xef\xbb\xbfa\n\xc9", Charset::Guess).map_err(wrong(2)).expect_err("marked as UTF-8");
    read(b"a\n\x81", Charset::Guess).map_err(wrong(2)).expect_err("no Windows-1252");
    for mark in [b"\xff\xfea\0", b"\xfe\xff\0a"] {
        let told = read(mark, Charset::Guess).expect_err("UTF-16");
        assert!(told.reason.contains("UTF-16"), "{told:?}");
    }
}

#[test]
fn what_is_sent_is_what_is_said_or_what_it_looks_like() {
    let said = |kind: &str| {
        let mut headers = http::HeaderMap::new();
        headers.insert("content-type", kind.parse().expect("a value"));
        Format::said(&headers)
    };
    assert_eq!(said("text/csv"), Format::Csv(Charset::Guess));
    assert_eq!(said("Text/CSV; header=present; charset=\"Windows-1252\""), Format::Csv(Charset::Windows1252));
    assert_eq!(said("text/csv;charset=UTF-8"), Format::Csv(Charset::Utf8));
    assert_eq!(said("text/csv; charset=koi8-r"), Format::Csv(Charset::Guess));
    for kind in ["application/jsonl", "application/x-ndjson", "application/json; charset=utf-8"] {
        assert_eq!(said(kind), Format::JsonLines, "{kind}");
    }
    assert_eq!(said("application/octet-stream"), Format::Guess);
    let of = |text: &str| Format::Guess.of(text.as_bytes());
    assert_eq!(of("\u{feff} \n{\"a\":1}"), Format::JsonLines);
    assert_eq!(of(""), Format::JsonLines);
    assert_eq!(of("identifiant;siret"), Format::Csv(Charset::Guess));
    assert_eq!(Format::JsonLines.of(b"identifiant"), Format::JsonLines);
    for format in [Format::Csv(Charset::Guess), Format::Csv(Charset::Utf8), Format::JsonLines, Format::Guess]
    {
        assert_eq!(said(format.media_type()), format);
    }
}

#[test]
fn no_field_begins_as_a_formula_does() {
    for (field, expected) in [
        ("=1+1", "'=1+1"),
        ("+33", "'+33"),
        ("-a@b.fr", "'-a@b.fr"),
        ("@x", "'@x"),
        ("'quoted'", "''quoted'"),
        ("a=b", "a=b"),
        ("", ""),
    ] {
        assert_eq!(protected(field), Cow::Borrowed(expected));
    }
}

proptest! {
    #[test]
    fn any_text_is_cut_and_every_line_is_counted(text in "[a;,\"\r\n']{0,40}") {
        let lines = text.matches('\n').count() as u64 + 1;
        let mut before = 0;
        for (line, _) in records(&text) {
            prop_assert!(line > before && line <= lines, "{line} of {lines}");
            before = line;
        }
    }

    #[test]
    fn any_bytes_are_read_or_told(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        for charset in [Charset::Guess, Charset::Utf8, Charset::Windows1252] {
            if let Err(wrong) = decode(&bytes, charset) {
                prop_assert!(wrong.line <= bytes.len() as u64 + 1);
            }
        }
    }
}
