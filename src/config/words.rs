//! The kinds of words that several sections share.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use serde_json::{Value as Json, json};
use toml::de::DeValue;

use super::value::{Refusal, Word};
use crate::domain::{NormalPath, Timestamp};

/// A number from `MIN` to `MAX`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Count<const MIN: u32, const MAX: u32>(pub(super) u32);

impl<const MIN: u32, const MAX: u32> Count<MIN, MAX> {
    pub(super) fn size(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl<const MIN: u32, const MAX: u32> Word for Count<MIN, MAX> {
    fn expected() -> String {
        format!("a whole number from {MIN} to {MAX}")
    }

    fn parse(text: &str) -> Result<Self, Refusal> {
        text.parse().ok().filter(|count| (MIN..=MAX).contains(count)).map(Self).ok_or(Refusal::Unlike)
    }

    fn text<'a>(value: &'a DeValue<'_>) -> Option<Cow<'a, str>> {
        integer(value)
    }

    fn schema() -> Json {
        json!({"type": "integer", "minimum": MIN, "maximum": MAX})
    }
}

fn integer<'a>(value: &'a DeValue<'_>) -> Option<Cow<'a, str>> {
    let number = value.as_integer()?;
    match number.radix() {
        10 => Some(Cow::Borrowed(number.as_str())),
        radix => Some(Cow::Owned(i64::from_str_radix(number.as_str(), radix).ok()?.to_string())),
    }
}

impl Word for bool {
    fn expected() -> String {
        "true or false".to_owned()
    }

    fn parse(text: &str) -> Result<Self, Refusal> {
        text.parse().map_err(|_| Refusal::Unlike)
    }

    fn text<'a>(value: &'a DeValue<'_>) -> Option<Cow<'a, str>> {
        value.as_bool().map(|truth| Cow::Borrowed(if truth { "true" } else { "false" }))
    }

    fn schema() -> Json {
        json!({"type": "boolean"})
    }
}

/// Units of a duration from the longest, in milliseconds.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

const LONGEST: Duration = Duration::from_hours(100 * 366 * 24);

impl Word for Duration {
    fn expected() -> String {
        "a duration such as 30m, 12h or 92d".to_owned()
    }

    /// Numbers with units, the longest first, each unit once: `1h30m`. At most a hundred years.
    fn parse(text: &str) -> Result<Self, Refusal> {
        let mut rest = text;
        let mut units = UNITS.iter();
        let mut total = 0_u64;
        while !rest.is_empty() {
            let (count, after) = split(rest, |c| c.is_ascii_digit());
            let (unit, after) = split(after, |c| c.is_ascii_alphabetic());
            let (_, length) = units.find(|(name, _)| *name == unit).ok_or(Refusal::Unlike)?;
            let count: u64 = count.parse().map_err(|_| Refusal::Unlike)?;
            let part = count.checked_mul(*length).ok_or(Refusal::Unlike)?;
            total = total.checked_add(part).ok_or(Refusal::Unlike)?;
            rest = after;
        }
        let total = Some(Self::from_millis(total)).filter(|total| !text.is_empty() && *total <= LONGEST);
        total.ok_or(Refusal::Unlike)
    }

    fn schema() -> Json {
        json!({"type": "string", "pattern": "^(?=.)([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$"})
    }
}

/// A number of bytes, one at least: `25MiB`, or a plain number.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size(pub(super) u64);

impl Word for Size {
    fn expected() -> String {
        "a size such as 10KiB, 25MiB, 1GiB or a number of bytes".to_owned()
    }

    fn parse(text: &str) -> Result<Self, Refusal> {
        let (count, unit) = split(text, |c| c.is_ascii_digit());
        let unit: u64 = match unit {
            "" | "B" => 1,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            _ => return Err(Refusal::Unlike),
        };
        let count: u64 = count.parse().map_err(|_| Refusal::Unlike)?;
        count.checked_mul(unit).filter(|bytes| *bytes > 0).map(Self).ok_or(Refusal::Unlike)
    }

    fn text<'a>(value: &'a DeValue<'_>) -> Option<Cow<'a, str>> {
        value.as_str().map(Cow::Borrowed).or_else(|| integer(value))
    }

    fn schema() -> Json {
        json!({"type": ["string", "integer"], "pattern": "^[0-9]+(B|KiB|MiB|GiB)?$", "minimum": 1})
    }
}

fn split(text: &str, belongs: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !belongs(c)).unwrap_or(text.len()))
}

/// A path prefix that requests are compared with, in its normal form.
#[derive(Debug, Clone)]
pub(super) struct PathPrefix(pub(super) String);

impl Word for PathPrefix {
    fn expected() -> String {
        "a path such as /teleprocedure, without query, escapes of plain letters, .. or //".to_owned()
    }

    fn parse(text: &str) -> Result<Self, Refusal> {
        let normal = NormalPath::parse(text).ok().filter(|path| path.as_str() == text);
        let right = normal.is_some() && text.is_ascii() && !text.contains(['?', '#']);
        if right { Ok(Self(text.to_owned())) } else { Err(Refusal::Unlike) }
    }

    fn schema() -> Json {
        json!({"type": "string", "pattern": "^/"})
    }
}

/// A text for people: 1 to 200 characters on one line.
#[derive(Debug, Clone)]
pub(super) struct Line(pub(super) String);

impl Word for Line {
    fn expected() -> String {
        "a text of 1 to 200 characters on one line".to_owned()
    }

    fn parse(text: &str) -> Result<Self, Refusal> {
        let right = !text.trim().is_empty() && text.chars().count() <= 200;
        if right && !text.contains(char::is_control) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Refusal::Unlike)
        }
    }

    fn schema() -> Json {
        json!({"type": "string", "minLength": 1, "maxLength": 200})
    }
}

impl Word for PathBuf {
    fn expected() -> String {
        "the path of a file".to_owned()
    }

    fn parse(text: &str) -> Result<Self, Refusal> {
        if text.is_empty() || text.contains('\0') { Err(Refusal::Unlike) } else { Ok(Self::from(text)) }
    }
}

impl Word for SocketAddr {
    fn expected() -> String {
        "an IP address and a port such as 0.0.0.0:8443 or [::1]:8080".to_owned()
    }

    fn parse(text: &str) -> Result<Self, Refusal> {
        text.parse().map_err(|_| Refusal::Unlike)
    }
}

impl Word for IpNet {
    fn expected() -> String {
        "a network such as 10.0.0.0/8 or fd00::/8, or an IP address".to_owned()
    }

    fn parse(text: &str) -> Result<Self, Refusal> {
        let address = || text.parse().map(|address: std::net::IpAddr| Self::from(address));
        text.parse().or_else(|_| address()).map(|net: Self| net.trunc()).map_err(|_| Refusal::Unlike)
    }
}

impl Word for Timestamp {
    fn expected() -> String {
        "an instant with its offset (RFC 3339) such as 2026-12-01T00:00:00+01:00".to_owned()
    }

    fn parse(text: &str) -> Result<Self, Refusal> {
        text.parse().map_err(|_| Refusal::Unlike)
    }

    fn text<'a>(value: &'a DeValue<'_>) -> Option<Cow<'a, str>> {
        let datetime = || value.as_datetime().map(|datetime| Cow::Owned(datetime.to_string()));
        value.as_str().map(Cow::Borrowed).or_else(datetime)
    }

    fn schema() -> Json {
        json!({"type": "string", "format": "date-time"})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_to_the_millisecond() {
        let ms = |text| <Duration as Word>::parse(text).map(|duration| duration.as_millis());
        for (text, expected) in [
            ("30m", 1_800_000),
            ("92d", 7_948_800_000),
            ("12h", 43_200_000),
            ("500ms", 500),
            ("1h30m", 5_400_000),
            ("1d2h3m4s5ms", 93_784_005),
            ("0s", 0),
        ] {
            assert_eq!(ms(text), Ok(expected), "{text}");
        }
        for text in [
            "",
            "30",
            "m",
            "30 m",
            "30M",
            "-1m",
            "1.5h",
            "30m1h",
            "1m1m",
            "1y",
            "٣٠m",
            "36601d",
            "30minutes",
            "99999999999999999999d",
            "18446744073709551615d",
            " 1m",
            "1m ",
            "+1m",
            "1mms",
        ] {
            assert_eq!(ms(text), Err(Refusal::Unlike), "{text}");
        }
    }

    #[test]
    fn sizes_are_powers_of_1024() {
        let bytes = |text| Size::parse(text).map(|size| size.0);
        assert_eq!(bytes("25MiB"), Ok(26_214_400));
        assert_eq!(bytes("1GiB"), Ok(1_073_741_824));
        assert_eq!(bytes("10KiB"), Ok(10_240));
        assert_eq!(bytes("12"), Ok(12));
        for text in ["", "0", "MiB", "25MB", "25 MiB", "1.5GiB", "-1", "18446744073709551615GiB"] {
            assert_eq!(bytes(text), Err(Refusal::Unlike), "{text}");
        }
    }

    #[test]
    fn prefixes_have_one_reading() {
        for text in ["/", "/a", "/a/b", "/a/"] {
            assert!(PathPrefix::parse(text).is_ok(), "{text}");
        }
        for text in ["", "a", "//", "/a//b", "/a/../b", "/a?b", "/a#b", "/%61", "/é", "/a;b", "/a b", "/a\n"]
        {
            assert!(PathPrefix::parse(text).is_err(), "{text}");
        }
    }
}
