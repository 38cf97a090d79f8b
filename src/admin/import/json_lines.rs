//! JSON Lines: an object a line. Empty lines are passed over, but counted.

use super::{Collected, Fault, Fields, LONGEST_LINE, Problem, Rows};

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

pub(super) fn read<T>(
    bytes: &[u8],
    parse: &impl Fn(Fields) -> Result<T, Vec<Fault>>,
) -> Result<Rows<T>, Problem> {
    let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
    let mut rows = Collected::new();
    for (line, text) in (1..).zip(bytes.split(|byte| *byte == b'\n')) {
        if text.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let row = if text.len() > LONGEST_LINE {
            Err(vec![Fault::whole("this line is longer than 64 KiB")])
        } else {
            Fields::parse(text).map_err(|fault| vec![fault]).and_then(parse)
        };
        rows.take(line, row)?;
    }
    Ok(Rows { good: rows.good, bad: rows.bad, read_as: "JSON Lines".to_owned() })
}
