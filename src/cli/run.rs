//! The gateway itself: the embedded default, or a configuration's.

use std::path::Path;
use std::process::ExitCode;

/// `octroi` alone.
pub(super) fn demo() -> anyhow::Result<ExitCode> {
    crate::app::demo()?;
    Ok(ExitCode::SUCCESS)
}

/// `octroi run --config F`.
pub(super) fn run(config: &Path) -> anyhow::Result<ExitCode> {
    anyhow::bail!("{}: not connected yet", config.display())
}
