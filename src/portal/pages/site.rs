//! What all pages share: addresses, the theme's colours and words, the stylesheet and the script.

use std::time::Duration;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;

use super::super::home::LEGAL_NOTICE;
use crate::config::{Logo, Theme};

/// The stylesheet of all pages.
pub(in crate::portal) const STYLESHEET: &str = include_str!("../templates/style.css");
/// What makes the pages easier where JavaScript is on: read by old browsers too.
pub(in crate::portal) const SCRIPT: &str = include_str!("../templates/pages.js");

/// What all pages share.
#[derive(Debug)]
pub struct Site {
    /// Where the endpoints live.
    pub prefix: String,
    /// The service's name.
    pub name: String,
    /// Where the stylesheet is; changes with its content, so that browsers may keep it.
    pub stylesheet: String,
    /// Where the script is; changes with its content too.
    pub script: String,
    /// The stylesheet, in the theme's colours.
    pub style: Bytes,
    /// Where the logo is, if there is one.
    pub logo_at: Option<String>,
    /// What stands there.
    pub logo: Option<Logo>,
    /// Whom to ask, on every page.
    pub contact: Option<String>,
    /// A page that helps.
    pub help_url: Option<String>,
    /// What stands before the form to sign in.
    pub notice: Vec<String>,
    /// What the home page says first.
    pub introduction: Vec<String>,
    /// Where help is to be found, on every page.
    pub help: Vec<String>,
    /// How long a session lives without action, in seconds: the warning tells it.
    pub idle_s: u64,
}

impl Site {
    pub(in crate::portal) fn new(prefix: &str, idle: Duration, theme: &Theme) -> Self {
        let style = themed(theme);
        let logo_at = theme.logo.as_ref().map(|logo| format!("{prefix}/logo?v={}", version(&logo.bytes)));
        let built_in = || LEGAL_NOTICE.map(str::to_owned).to_vec();
        Self {
            prefix: prefix.to_owned(),
            name: theme.name.clone(),
            stylesheet: format!("{prefix}/style.css?v={}", version(style.as_bytes())),
            script: format!("{prefix}/pages.js?v={}", version(SCRIPT.as_bytes())),
            style: style.into(),
            logo_at,
            logo: theme.logo.clone(),
            contact: theme.contact.clone(),
            help_url: theme.help_url.clone(),
            notice: theme.notice.clone().unwrap_or_else(built_in),
            introduction: theme.introduction.clone(),
            help: theme.help.clone(),
            idle_s: idle.as_secs(),
        }
    }
}

fn version(content: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(&digest::digest(&digest::SHA256, content).as_ref()[..6])
}

/// The stylesheet with a theme's colours in the place of its own: browsers too old for CSS variables read it.
fn themed(theme: &Theme) -> String {
    let own = Theme::default();
    if (theme.color, theme.focus) == (own.color, own.focus) {
        return STYLESHEET.to_owned();
    }
    let places = [
        (DARKER.to_owned(), theme.color.darker()),
        (own.color.css(), theme.color),
        (own.focus.css(), theme.focus),
    ];
    // In two steps: a colour that was put in is not taken for another one's place.
    let marked = places
        .iter()
        .zip(MARKS)
        .fold(STYLESHEET.to_owned(), |style, ((own, _), mark)| style.replace(own, mark));
    places.iter().zip(MARKS).fold(marked, |style, ((_, theirs), mark)| style.replace(mark, &theirs.css()))
}

/// The stylesheet's colour of a button under the mouse.
const DARKER: &str = "#142b54";
const MARKS: [&str; 3] = ["\u{1}", "\u{2}", "\u{3}"];
