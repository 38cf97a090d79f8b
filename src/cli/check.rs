//! `octroi check --config F`: is the configuration right, and if not, where.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use super::output::date;
use crate::app;
use crate::config::{self, Config};
use crate::server::Certificate;

pub(super) fn check(path: &Path) -> anyhow::Result<ExitCode> {
    match Config::load(path, config::environment()) {
        Ok(loaded) => {
            let mut out = io::stdout().lock();
            for warning in &loaded.warnings {
                writeln!(out, "warning: {warning}")?;
            }
            tell_ends(&loaded.config, &mut out)?;
            tell_missing(&loaded.config, &mut out)?;
            let (cafs, volets) = (loaded.config.cafs.len(), loaded.config.volets.len());
            writeln!(out, "{}: right ({cafs} Cafs, {volets} volets)", path.display())?;
            Ok(ExitCode::SUCCESS)
        }
        Err(errors) => {
            let mut err = io::stderr().lock();
            writeln!(err, "{errors}")?;
            writeln!(err, "octroi: {} is not right, see above", path.display())?;
            Ok(ExitCode::FAILURE)
        }
    }
}

/// Tells of the listeners' certificates that have expired, or soon will have.
fn tell_ends(config: &Config, out: &mut dyn Write) -> anyhow::Result<()> {
    let now = app::clock(config).now();
    let public = config.server.tls.as_ref().map(|tls| ("server.tls.certificate", tls));
    let admin = config.admin.tls.as_ref().map(|tls| ("admin.tls.certificate", &tls.own));
    for (key, tls) in public.into_iter().chain(admin) {
        if let Some(ends) = Certificate::load(tls)?.ends_soon(now) {
            let (file, word) =
                (tls.certificate.display(), if ends < now { "expired on" } else { "expires on" });
            writeln!(out, "warning: {key}: {file} {word} {} (Paris)", date(ends))?;
        }
    }
    Ok(())
}

/// Tells of a folder that must be there when the gateway starts; the file may be checked on another machine.
fn tell_missing(config: &Config, out: &mut dyn Write) -> io::Result<()> {
    let folder = config.audit.path.as_deref().and_then(Path::parent).filter(|at| !at.as_os_str().is_empty());
    if let Some(folder) = folder.filter(|at| !at.is_dir()) {
        writeln!(
            out,
            "warning: audit.path: there is no folder {}, without which octroi does not start",
            folder.display()
        )?;
    }
    Ok(())
}
