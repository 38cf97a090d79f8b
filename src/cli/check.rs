//! `octroi check --config F`: is the configuration right, and if not, where.

use std::io::{self, Write as _};
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
            if let Some(tls) = &loaded.config.server.tls
                && let Some(ends) = Certificate::load(tls)?.ends_soon(app::clock(&loaded.config).now())
            {
                let (key, file) = ("server.tls.certificate", tls.certificate.display());
                writeln!(out, "warning: {key}: {file} is good until {} (Paris)", date(ends))?;
            }
            let (cafs, volets) = (loaded.config.cafs.len(), loaded.config.volets.len());
            writeln!(out, "{}: right ({cafs} Cafs, {volets} volets)", path.display())?;
            Ok(ExitCode::SUCCESS)
        }
        Err(errors) => {
            let mut err = io::stderr().lock();
            writeln!(err, "{errors}")?;
            writeln!(err, "octroi: {} not right, see above", path.display())?;
            Ok(ExitCode::FAILURE)
        }
    }
}
