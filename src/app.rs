//! Builds the running program. (A place holder.)

/// The embedded default.
pub fn demo() -> anyhow::Result<()> {
    anyhow::bail!("not connected yet")
}
