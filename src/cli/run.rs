//! The gateway itself: the embedded default, or a configuration's.

use std::io;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;

use crate::app::{self, App, Origin};
use crate::config::{self, Config, Loaded, LogFormat};
use crate::demo::{self, DemoBackends};
use crate::domain::Clock;
use crate::telemetry::{self, Style};

/// `octroi` alone.
pub(super) fn demo() -> anyhow::Result<ExitCode> {
    let background = app::background()?;
    let backends = background.block_on(DemoBackends::bind())?;
    let text = demo::configuration(&backends.addresses()?);
    let loaded = Config::parse(&text, "the embedded default", config::environment())?;
    let config = begin(loaded)?;
    let clock = app::clock(&config);
    background.spawn(async { backends.serve() });
    let app = start(background, config, Origin::Demo, &clock).inspect_err(|_| {
        let elsewhere = "OCTROI_SERVER__LISTEN=127.0.0.1:8081 OCTROI_ADMIN__LISTEN=127.0.0.1:9902 octroi";
        tracing::info!("where the addresses are taken: {elsewhere}");
    })?;
    let public = app.addresses().first().map(|address| format!("http://{address}"));
    demo::announce(&mut io::stdout().lock(), &public.unwrap_or_default(), app.admin_address())?;
    app.run()?;
    Ok(ExitCode::SUCCESS)
}

/// `octroi run --config F`.
pub(super) fn run(file: &Path) -> anyhow::Result<ExitCode> {
    let config = begin(Config::load(file, config::environment())?)?;
    let clock = app::clock(&config);
    start(app::background()?, config, Origin::File(file), &clock)?.run()?;
    Ok(ExitCode::SUCCESS)
}

fn start(
    background: tokio::runtime::Runtime,
    config: Config,
    origin: Origin<'_>,
    clock: &Clock,
) -> anyhow::Result<App> {
    App::start(background, config, origin, clock).context("octroi could not start")
}

/// Sets up what the whole process needs, and tells what is strange in the configuration.
fn begin(loaded: Loaded) -> anyhow::Result<Config> {
    let Loaded { config, warnings } = loaded;
    let style = match config.log.format {
        LogFormat::Auto => Style::Auto,
        LogFormat::Human => Style::Human,
        LogFormat::Json => Style::Json,
    };
    // Already installed is as good as installed.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    telemetry::init(&config.log.level, style)?;
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    Ok(config)
}
