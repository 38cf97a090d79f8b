//! The tokens of `admin.tokens_file`: made here, known by their hashes alone, read again when the file changes.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use arc_swap::ArcSwap;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use zeroize::Zeroizing;

use crate::domain::{Grant, InvalidTokens, NoEntropy, Token, TokenGrant, parse_tokens};

/// What a token's text begins with, so that one that was published by mistake is recognised.
const PREFIX: &str = "octroi_";

/// The tokens that open.
#[derive(Debug)]
pub struct TokensFile {
    path: PathBuf,
    current: ArcSwap<Read>,
}

#[derive(Debug)]
struct Read {
    text: String,
    grants: Vec<TokenGrant>,
}

/// The tokens file cannot be used. Whose fault: the configuration's.
#[derive(Debug, thiserror::Error)]
pub enum TokensError {
    /// It cannot be read.
    #[error("{}: {why}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        why: io::Error,
    },
    /// A line is wrong.
    #[error("{}: {why}", path.display())]
    Line {
        /// Which file.
        path: PathBuf,
        /// Which line, and why.
        why: InvalidTokens,
    },
}

/// A new token's text, to be shown once, and the line that lets it open.
pub fn new_token(grant: Grant) -> Result<(Zeroizing<String>, TokenGrant), NoEntropy> {
    let token = Token::random()?;
    let secret = Zeroizing::new(token.expose());
    Ok((Zeroizing::new(format!("{PREFIX}{}", *secret)), TokenGrant { grant, hash: token.id() }))
}

impl TokensFile {
    /// Reads the file.
    pub fn load(path: &Path) -> Result<Self, TokensError> {
        Ok(Self { path: path.to_owned(), current: ArcSwap::from_pointee(read(path)?) })
    }

    /// Reads the file again; whether it had changed. One that cannot be used changes nothing.
    pub fn renew(&self) -> Result<bool, TokensError> {
        let new = read(&self.path)?;
        let changed = new.text != self.current.load().text;
        if changed {
            self.current.store(std::sync::Arc::new(new));
        }
        Ok(changed)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How many tokens open.
    pub fn count(&self) -> usize {
        self.current.load().grants.len()
    }

    /// Whose token it is. How long this takes tells nothing of how near a guess is.
    pub(super) fn grant(&self, text: &str) -> Option<Grant> {
        let shown = Token::parse(text.strip_prefix(PREFIX)?)?.id();
        let current = self.current.load();
        let mut found = None;
        for known in &current.grants {
            if verify_slices_are_equal(known.hash.as_bytes(), shown.as_bytes()).is_ok() {
                found = Some(&known.grant);
            }
        }
        found.cloned()
    }
}

fn read(path: &Path) -> Result<Read, TokensError> {
    let text = fs::read_to_string(path).map_err(|why| TokensError::File { path: path.to_owned(), why })?;
    let grants = parse_tokens(&text).map_err(|why| TokensError::Line { path: path.to_owned(), why })?;
    Ok(Read { text, grants })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_opens_until_its_line_is_taken_out() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("tokens");
        let grant: Grant = "marie = read".parse().expect("a grant");
        let (text, line) = new_token(grant.clone()).expect("a token");
        fs::write(&path, format!("{line}\n")).expect("written");
        let tokens = TokensFile::load(&path).expect("tokens");
        assert!(!line.to_string().contains(&text[PREFIX.len()..]));
        assert_eq!(tokens.grant(&text), Some(grant.clone()));
        let (other, _) = new_token(grant.clone()).expect("a token");
        for wrong in
            ["", "octroi_", &other, &text[PREFIX.len()..], &text[..text.len() - 1], &line.hash.to_text()]
        {
            assert_eq!(tokens.grant(wrong), None, "{wrong}");
        }
        fs::write(&path, "not a line").expect("written");
        assert!(tokens.renew().is_err());
        assert_eq!(tokens.grant(&text), Some(grant));
        fs::write(&path, "# nobody\n").expect("written");
        assert!(tokens.renew().expect("read"));
        assert!(!tokens.renew().expect("read"));
        assert_eq!(tokens.grant(&text), None);
    }
}
