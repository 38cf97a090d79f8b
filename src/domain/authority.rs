//! Who may do what on the operator's side: a name, its role, and the Cafs it looks after.

use std::fmt;
use std::str::FromStr;

use super::{CafCode, TokenHash};

/// What somebody on the operator's side may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// Looks at everything, changes nothing.
    Read,
    /// Looks after the accounts and establishments of these Cafs, and sees no others. At least one.
    Gestionnaire(Vec<CafCode>),
    /// Does everything.
    Operator,
}

/// A role that was given to a name; written `NAME = ROLE`, as in `marie = gestionnaire 921 751`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Whom it was given to.
    pub name: String,
    /// What they may do.
    pub role: Role,
}

/// A grant that a token proves: a line of the tokens file, `marie = gestionnaire 921 sha256:…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenGrant {
    /// Who may do what.
    pub grant: Grant,
    /// The token's SHA-256; the token itself is nowhere.
    pub hash: TokenHash,
}

/// The text is no grant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidGrant {
    /// No `=`, or no name before it.
    #[error("expected NAME = ROLE, as in marie = gestionnaire 921")]
    Unlike,
    /// The name is too long, or has a character that would not be seen in a log.
    #[error("expected a name of 1 to 100 letters, digits, spaces or . _ @ + -")]
    Name,
    /// There is no such role.
    #[error("expected read, operator, or gestionnaire and the codes of its Cafs")]
    Role,
    /// A gestionnaire's Caf is none.
    #[error("expected Caf codes after gestionnaire, found {0:?}")]
    Caf(String),
    /// The line does not end with a token's hash. What is there is not told: it may be the token.
    #[error("expected sha256: and 43 characters at the end (octroi admin-token makes such a line)")]
    Hash,
}

/// A line of the tokens file is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {why}")]
pub struct InvalidTokens {
    /// Its number, from 1.
    pub line: usize,
    /// Why.
    pub why: InvalidTokenLine,
}

/// Why a line of the tokens file is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTokenLine {
    /// It is no grant.
    #[error(transparent)]
    Grant(#[from] InvalidGrant),
    /// Its token is an earlier line's too: nobody could tell who it is.
    #[error("has the same token as line {0}")]
    Twice(usize),
}

const LONGEST_NAME: usize = 100;
const HASH: &str = "sha256:";

/// Reads a tokens file: a grant a line; empty lines and those that begin with `#` are passed over.
pub fn parse_tokens(text: &str) -> Result<Vec<TokenGrant>, InvalidTokens> {
    let mut grants: Vec<TokenGrant> = Vec::new();
    let mut lines: Vec<usize> = Vec::new();
    for (line, text) in (1..).zip(text.lines()) {
        let text = text.trim();
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        let wrong = |why: InvalidTokenLine| InvalidTokens { line, why };
        let grant: TokenGrant = text.parse().map_err(|why: InvalidGrant| wrong(why.into()))?;
        if let Some(place) = grants.iter().position(|former| former.hash == grant.hash) {
            return Err(wrong(InvalidTokenLine::Twice(lines.get(place).copied().unwrap_or_default())));
        }
        grants.push(grant);
        lines.push(line);
    }
    Ok(grants)
}

impl Role {
    /// Whether it may change anything at all.
    pub fn may_change(&self) -> bool {
        !matches!(self, Self::Read)
    }

    /// Whether it looks after this Caf, or sees it.
    pub fn covers(&self, caf: CafCode) -> bool {
        match self {
            Self::Read | Self::Operator => true,
            Self::Gestionnaire(cafs) => cafs.contains(&caf),
        }
    }

    /// Its word, without Cafs.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Gestionnaire(_) => "gestionnaire",
            Self::Operator => "operator",
        }
    }
}

impl FromStr for Role {
    type Err = InvalidGrant;

    fn from_str(text: &str) -> Result<Self, InvalidGrant> {
        let mut words = text.split_whitespace();
        let role = words.next();
        let cafs = words
            .map(|word| word.parse().map_err(|_| InvalidGrant::Caf(shown(word))))
            .collect::<Result<Vec<CafCode>, _>>()?;
        match (role, cafs.is_empty()) {
            (Some("read"), true) => Ok(Self::Read),
            (Some("operator"), true) => Ok(Self::Operator),
            (Some("gestionnaire"), false) => Ok(Self::Gestionnaire(cafs)),
            _ => Err(InvalidGrant::Role),
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())?;
        if let Self::Gestionnaire(cafs) = self {
            cafs.iter().try_for_each(|caf| write!(f, " {caf}"))?;
        }
        Ok(())
    }
}

impl FromStr for Grant {
    type Err = InvalidGrant;

    fn from_str(text: &str) -> Result<Self, InvalidGrant> {
        let (name, role) = text.split_once('=').ok_or(InvalidGrant::Unlike)?;
        Ok(Self { name: parse_name(name)?, role: role.parse()? })
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {}", self.name, self.role)
    }
}

impl FromStr for TokenGrant {
    type Err = InvalidGrant;

    fn from_str(text: &str) -> Result<Self, InvalidGrant> {
        let (grant, hash) = text.trim().rsplit_once(char::is_whitespace).ok_or(InvalidGrant::Unlike)?;
        let hash = hash.strip_prefix(HASH).and_then(TokenHash::parse).ok_or(InvalidGrant::Hash)?;
        Ok(Self { grant: grant.parse()?, hash })
    }
}

impl fmt::Display for TokenGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {HASH}{}", self.grant, self.hash.to_text())
    }
}

fn parse_name(text: &str) -> Result<String, InvalidGrant> {
    let name = text.trim();
    if name.is_empty() {
        return Err(InvalidGrant::Unlike);
    }
    let plain = |c: char| c.is_alphanumeric() || " ._@+-".contains(c);
    let right = name.chars().count() <= LONGEST_NAME && name.chars().all(plain) && !name.starts_with('#');
    if right { Ok(name.to_owned()) } else { Err(InvalidGrant::Name) }
}

/// A word that may be a token pasted at the wrong place is not told whole.
fn shown(word: &str) -> String {
    word.chars().take(6).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Token;

    #[test]
    fn grants_survive_their_text() {
        for text in ["marie = gestionnaire 921 751", "supervision = read", "nuit@edge.example = operator"] {
            let grant: Grant = text.parse().expect(text);
            assert_eq!(grant.to_string(), text);
        }
        let hash = Token::random().expect("entropy").id();
        let grant: Grant = "Éloïse D. = gestionnaire 921".parse().expect("a grant");
        let line = TokenGrant { grant, hash };
        assert_eq!(line.to_string().parse(), Ok(line));
    }

    #[test]
    fn what_is_no_grant_is_refused() {
        for (text, why) in [
            ("", InvalidGrant::Unlike),
            ("marie", InvalidGrant::Unlike),
            (" = read", InvalidGrant::Unlike),
            ("marie =", InvalidGrant::Role),
            ("marie = root", InvalidGrant::Role),
            ("marie = Operator", InvalidGrant::Role),
            ("marie = operator 921", InvalidGrant::Role),
            ("marie = read 921", InvalidGrant::Role),
            ("marie = gestionnaire", InvalidGrant::Role),
            ("marie = gestionnaire 921,751", InvalidGrant::Caf("921,75".to_owned())),
            ("marie = gestionnaire *", InvalidGrant::Caf("*".to_owned())),
            ("ma\u{1b}rie = read", InvalidGrant::Name),
            ("ma\u{202e}rie = read", InvalidGrant::Name),
            (&format!("{} = read", "m".repeat(101)), InvalidGrant::Name),
        ] {
            assert_eq!(text.parse::<Grant>(), Err(why), "{text:?}");
        }
    }

    #[test]
    fn a_tokens_file_is_read_line_by_line_and_never_quoted() {
        let token = Token::random().expect("entropy");
        let hash = token.id().to_text();
        let right = format!("# who\r\n\r\n marie = gestionnaire 921  sha256:{hash}\r\n");
        assert_eq!(parse_tokens(&right).expect("tokens").len(), 1);
        assert_eq!(parse_tokens(""), Ok(Vec::new()));
        for (text, line) in [
            (format!("a = read sha256:{hash}\nb = read sha256:{hash}"), 2),
            (format!("\na = read {}", token.expose()), 2),
            (format!("a = read sha256:{hash}A"), 1),
            (format!("a = gestionnaire {} sha256:{hash}", token.expose()), 1),
            (token.expose(), 1),
        ] {
            let error = parse_tokens(&text).expect_err("wrong");
            assert_eq!(error.line, line, "{text}");
            assert!(!error.to_string().contains(&token.expose()), "{error}");
        }
    }
}
