//! `[portal.theme]`: the pages in a house's own colours and words, without building anything.

use std::path::{Path, PathBuf};

use serde_json::{Value as Json, json};

use super::declare::{Key, Section};
use super::reader::{Part, Reader};
use super::source;
use super::value::{Refusal, Word};
use super::words::Line;

/// `[portal.theme]`, with what its files hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Theme {
    /// The service's name, in each page's head and title.
    pub name: String,
    /// Headings, links and buttons.
    pub color: Color,
    /// The ring around what has the keyboard's focus.
    pub focus: Color,
    /// Whom to ask, on every page.
    pub contact: Option<String>,
    /// A page that helps.
    pub help_url: Option<String>,
    /// A picture beside the name.
    pub logo: Option<Logo>,
    /// The legal notice, sentence by sentence, in the place of the built-in one.
    pub notice: Option<Vec<String>>,
    /// What the home page says first, paragraph by paragraph.
    pub introduction: Vec<String>,
    /// Where help is to be found, on every page, paragraph by paragraph.
    pub help: Vec<String>,
}

/// A picture, and what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logo {
    /// Its media type.
    pub media: &'static str,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// A colour: red, green and blue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Color(pub [u8; 3]);

pub(super) static THEME: Section = Section {
    name: "portal.theme",
    many: false,
    help: "The pages in a house's own colours and words.",
    keys: &[
        Key::default::<Line>("name", "Extranet ESAT", "The service's name, in each page's head and title."),
        Key::default::<Color>(
            "color",
            "#1f3f77",
            "Headings, links and buttons; dark enough to be read on white.",
        ),
        Key::default::<Color>("focus", "#c05600", "The ring around what has the keyboard's focus."),
        Key::optional::<Line>("contact", "Whom to ask: an address or a telephone number, on every page."),
        Key::optional::<HelpUrl>("help_url", "A page that helps, linked from every page."),
        Key::optional::<PathBuf>("logo", "A PNG, JPEG or SVG file of at most 64 KiB, beside the name."),
        Key::optional::<PathBuf>(
            "notice_file",
            "A text file: the legal notice, one sentence a line, for the built-in one.",
        ),
        Key::optional::<PathBuf>(
            "introduction_file",
            "A text file: what the home page says first, one paragraph a line.",
        ),
        Key::optional::<PathBuf>(
            "help_file",
            "A text file: where help is to be found, on every page, one paragraph a line.",
        ),
    ],
};

/// The darkest ground that the colour is read on or beside: a hovered button's (`style.css`).
const GROUND: Color = Color([0xe6, 0xea, 0xf3]);
/// WCAG 2.2, success criterion 1.4.3.
const TEXT: f64 = 4.5;
/// WCAG 2.2, success criterion 1.4.11.
const MARK: f64 = 3.0;
const LARGEST_LOGO: usize = 64 * 1024;

impl Default for Theme {
    fn default() -> Self {
        Self {
            name: "Extranet ESAT".to_owned(),
            color: Color([0x1f, 0x3f, 0x77]),
            focus: Color([0xc0, 0x56, 0x00]),
            contact: None,
            help_url: None,
            logo: None,
            notice: None,
            introduction: Vec::new(),
            help: Vec::new(),
        }
    }
}

impl Theme {
    pub(super) fn read(reader: &Reader<'_>) -> Option<Self> {
        let part = reader.part(&THEME);
        let (name, contact) = (part.read::<Line>("name"), part.read::<Line>("contact"));
        let color = part.read("color").filter(|color| contrasts(&part, "color", *color, TEXT));
        let focus = part.read("focus").filter(|color| contrasts(&part, "focus", *color, MARK));
        let help_url = part.read::<HelpUrl>("help_url");
        let logo = file(&part, "logo", logo);
        let notice = file(&part, "notice_file", lines);
        let introduction = file(&part, "introduction_file", lines).unwrap_or_default();
        let help = file(&part, "help_file", lines).unwrap_or_default();
        Some(Self {
            name: name?.0,
            color: color?,
            focus: focus?,
            contact: contact.map(|line| line.0),
            help_url: help_url.map(|url| url.0),
            logo,
            notice,
            introduction,
            help,
        })
    }
}

impl Color {
    /// As a stylesheet writes it.
    pub fn css(self) -> String {
        let [red, green, blue] = self.0;
        format!("#{red:02x}{green:02x}{blue:02x}")
    }

    /// The same, a third darker.
    #[must_use]
    pub fn darker(self) -> Self {
        Self(self.0.map(|part| part - part / 3))
    }

    /// WCAG 2.2's contrast ratio, from 1 to 21.
    fn contrast(self, other: Self) -> f64 {
        let (one, two) = (self.luminance(), other.luminance());
        (one.max(two) + 0.05) / (one.min(two) + 0.05)
    }

    /// WCAG 2.2's relative luminance.
    fn luminance(self) -> f64 {
        let linear = |part: u8| {
            let part = f64::from(part) / 255.0;
            if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
        };
        let [red, green, blue] = self.0.map(linear);
        0.0722f64.mul_add(blue, 0.2126f64.mul_add(red, 0.7152 * green))
    }
}

impl Word for Color {
    fn expected() -> String {
        "a colour such as \"#1f3f77\"".to_owned()
    }

    fn parse(text: &str) -> Result<Self, Refusal> {
        let digits = text.strip_prefix('#').filter(|digits| digits.len() == 6).ok_or(Refusal::Unlike)?;
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(Refusal::Unlike);
        }
        let number = u32::from_str_radix(digits, 16).map_err(|_| Refusal::Unlike)?;
        let [_, red, green, blue] = number.to_be_bytes();
        Ok(Self([red, green, blue]))
    }

    fn schema() -> Json {
        json!({"type": "string", "pattern": "^#[0-9A-Fa-f]{6}$"})
    }
}

struct HelpUrl(String);

impl Word for HelpUrl {
    fn expected() -> String {
        "a URL such as https://aide.example/esat".to_owned()
    }

    fn parse(text: &str) -> Result<Self, Refusal> {
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        let right =
            rest.is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_graphic()));
        if right && text.len() <= 2_000 { Ok(Self(text.to_owned())) } else { Err(Refusal::Unlike) }
    }

    fn schema() -> Json {
        json!({"type": "string", "pattern": "^https?://"})
    }
}

fn contrasts(part: &Part<'_>, key: &str, color: Color, least: f64) -> bool {
    let ratio = color.contrast(GROUND);
    if ratio < least {
        let ground = GROUND.css();
        part.refuse(
            key,
            &format!("whose contrast is {ratio:.1}:1 on the pages' darkest ground, {ground}: expected at least {least}:1 (WCAG 2.2 AA), so a darker colour"),
        );
    }
    ratio >= least
}

fn file<T>(part: &Part<'_>, key: &str, read: impl Fn(&Path) -> Result<T, String>) -> Option<T> {
    let path: PathBuf = part.read(key)?;
    read(&path).map_err(|said| part.refuse(key, &said)).ok()
}

/// What a picture is, its first bytes say and not its name.
fn logo(path: &Path) -> Result<Logo, String> {
    let bytes = std::fs::read(path).map_err(|error| format!("which cannot be read: {error}"))?;
    if bytes.len() > LARGEST_LOGO {
        return Err(format!(
            "which has {} bytes, expected at most {LARGEST_LOGO}: every first visit loads it",
            bytes.len()
        ));
    }
    let text = std::str::from_utf8(&bytes).unwrap_or_default().trim_start();
    let media = match bytes.as_slice() {
        [0x89, b'P', b'N', b'G', ..] => "image/png",
        [0xff, 0xd8, 0xff, ..] => "image/jpeg",
        _ if (text.starts_with("<svg") || text.starts_with("<?xml")) && text.contains("<svg") => {
            "image/svg+xml"
        }
        _ => return Err("expected a PNG, JPEG or SVG picture".to_owned()),
    };
    Ok(Logo { media, bytes })
}

/// A page stays short enough to be read.
const LONGEST_TEXT: usize = 4 * 1024;

fn lines(path: &Path) -> Result<Vec<String>, String> {
    let text = source::read(path).map_err(|reason| format!("which {reason}"))?;
    if text.len() > LONGEST_TEXT {
        return Err(format!(
            "which has {} bytes, expected at most {LONGEST_TEXT}: people are to read it",
            text.len()
        ));
    }
    let lines: Vec<String> = text
        .trim_start_matches('\u{feff}')
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect();
    if lines.is_empty() {
        return Err("which is empty, expected text, one sentence or paragraph a line".to_owned());
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_that_of_the_keys() {
        let tree = toml::de::DeTable::new();
        assert_eq!(Theme::read(&Reader::new("f", "", &tree)), Some(Theme::default()));
    }

    #[test]
    fn contrast_is_that_of_wcag() {
        let (black, white) = (Color([0; 3]), Color([255; 3]));
        assert!((black.contrast(white) - 21.0).abs() < 1e-9);
        assert!((Color([0x76; 3]).contrast(white) - 4.54).abs() < 0.01);
        assert!((white.contrast(white) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_colour_is_six_digits() {
        assert_eq!(Color::parse("#1F3f77").map(Color::css), Ok("#1f3f77".to_owned()));
        assert_eq!(Color([30, 3, 255]).darker(), Color([20, 2, 170]));
        for bad in
            ["", "#", "1f3f77", "#1f3", "#1f3f7", "#1f3f777", "#+f3f77", "#gggggg", "red", "#1f3f77;}", "#éé"]
        {
            assert!(Color::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_logo_is_a_small_picture() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("logo");
        let read = |bytes: &[u8]| {
            std::fs::write(&path, bytes).expect("written");
            logo(&path).map(|logo| logo.media)
        };
        assert_eq!(read(b"\x89PNG\r\n"), Ok("image/png"));
        assert_eq!(read(b"<?xml version='1.0'?><svg/>"), Ok("image/svg+xml"));
        assert!(read(b"<html><svg>").is_err() && read(b"").is_err());
        assert!(read(&[b"\x89PNG".as_slice(), &vec![0; 70_000]].concat()).is_err());
    }
}
