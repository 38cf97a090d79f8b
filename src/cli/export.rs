//! Files that the gateway's accounts and establishments are written to.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;

use super::ask::Gateway;
use super::import::FormatName;
use crate::admin::{Command, ExportFormat};

#[derive(Debug, clap::Args)]
pub(super) struct ExportFile {
    /// How it is written; by default what the output's name ends with (.csv; .jsonl or .ndjson), else JSON Lines
    #[arg(long, value_name = "FORMAT")]
    format: Option<FormatName>,
    /// Write to this file, for its owner's eyes alone (mode 0600), instead of standard output
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Said of a file that holds password hashes.
const SECRET: &str = "octroi: this holds the password hash of every account: keep it secret";

impl ExportFile {
    /// Writes what the gateway answers, once it has come whole. `secret`: it holds password hashes.
    pub(super) fn receive(
        &self,
        gateway: &Gateway,
        command: fn(ExportFormat) -> Command,
        secret: bool,
    ) -> anyhow::Result<ExitCode> {
        let named = self.output.as_deref().and_then(FormatName::of);
        let format = match self.format.or(named) {
            Some(FormatName::Csv) => ExportFormat::Csv,
            Some(FormatName::Jsonl) | None => ExportFormat::Jsonl,
        };
        let (status, body) = gateway.call_now(command(format))?;
        if !status.is_success() {
            let nothing = |_: &serde_json::Value, _: &mut dyn Write| Ok(());
            return gateway.report(
                status,
                &body,
                nothing,
                &mut io::stdout().lock(),
                &mut io::stderr().lock(),
            );
        }
        match &self.output {
            None => {
                let mut out = io::stdout().lock();
                out.write_all(&body)?;
                out.flush()?;
            }
            Some(path) => {
                write_private(path, &body)
                    .with_context(|| format!("{} cannot be written", path.display()))?;
            }
        }
        if secret {
            writeln!(io::stderr().lock(), "{SECRET}")?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Writes a file that only its owner may read, whole or not at all; a former one of that name is replaced.
fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_string_lossy();
    let beside = path.with_file_name(format!(".{name}.{}", std::process::id()));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    let put = written.and_then(|()| fs::rename(&beside, path));
    if put.is_err() {
        // What failed is told; what is left of it is not worth another error.
        let _ = fs::remove_file(&beside);
    }
    put
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_file_is_its_owners_even_where_one_lay_open_before() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("accounts.jsonl");
        fs::write(&path, "old").expect("a file");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("set");
        write_private(&path, b"new").expect("written");
        assert_eq!(fs::read(&path).expect("read"), b"new");
        assert_eq!(fs::metadata(&path).expect("a file").permissions().mode() & 0o777, 0o600);
        assert!(write_private(&folder.path().join("none/x"), b"").is_err());
        assert!(write_private(folder.path(), b"").is_err(), "a folder is not replaced");
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1, "nothing is left beside");
    }
}
