//! `octroi admin-token`: a new token for the admin API. Talks to no gateway.

use std::fs::OpenOptions;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;

use super::Misuse;
use crate::admin::new_token;
use crate::domain::{CafCode, Grant, TokenGrant, parse_tokens};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Whom it is for, as it will be noted beside each change
    #[arg(long, value_name = "NAME")]
    name: String,
    /// What its holder may do
    #[arg(long, value_enum)]
    role: RoleName,
    /// A Caf that a gestionnaire looks after; may be given several times
    #[arg(long = "caf", value_name = "CODE", required_if_eq("role", "gestionnaire"))]
    cafs: Vec<CafCode>,
    /// Add its line to this file (`admin.tokens_file`), and write nothing but the token to standard output
    #[arg(long, value_name = "FILE")]
    append: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum RoleName {
    /// Looks at everything, changes nothing
    Read,
    /// Looks after the accounts of its Cafs
    Gestionnaire,
    /// Does everything
    Operator,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let (token, line) = new_token(grant(args)?)?;
    let mut out = io::stdout().lock();
    if let Some(file) = &args.append {
        append(file, &line).with_context(|| file.display().to_string())?;
        writeln!(out, "{}", *token)?;
        let (mut errors, file) = (io::stderr().lock(), file.display());
        writeln!(errors, "Added to {file}: {}\nThe token is shown this once.", line.grant)?;
    } else {
        writeln!(out, "Token, shown this once (its holder keeps it in a file, for --token-file):\n")?;
        writeln!(out, "  {}\n\nLine to add to admin.tokens_file:\n\n  {line}", *token)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn grant(args: &Args) -> anyhow::Result<Grant> {
    let role = match args.role {
        RoleName::Read => "read",
        RoleName::Gestionnaire => "gestionnaire",
        RoleName::Operator => "operator",
    };
    let words: Vec<String> =
        std::iter::once(role.to_owned()).chain(args.cafs.iter().map(CafCode::to_string)).collect();
    let misuse = |why: String| anyhow::Error::from(Misuse(why));
    if !args.cafs.is_empty() && !matches!(args.role, RoleName::Gestionnaire) {
        return Err(misuse(format!("--caf is for --role gestionnaire alone: {role} sees every Caf")));
    }
    // Two `=` would be one too many for the file.
    if args.name.contains('=') {
        return Err(misuse("--name: expected a name without =".to_owned()));
    }
    let grant = format!("{} = {}", args.name, words.join(" ")).parse();
    grant.with_context(|| Misuse("--name".to_owned()))
}

/// A file that is not all right is left alone: the gateway would go on with what it read before.
fn append(path: &Path, line: &TokenGrant) -> anyhow::Result<()> {
    let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    parse_tokens(&text)?;
    file.seek(SeekFrom::End(0))?;
    let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    file.write_all(format!("{end}{line}\n").as_bytes())?;
    Ok(file.sync_all()?)
}
