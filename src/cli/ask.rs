//! What all commands to a running gateway have in common: where it is, and how its answer is shown.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Context as _;
use bytes::Bytes;
use http::StatusCode;
use serde::de::DeserializeOwned;

use super::client::{self, Endpoint};
use super::credentials::Credentials;
use super::output;
use crate::admin::{Command, Problem};

#[derive(Debug, clap::Args)]
pub(super) struct Gateway {
    #[arg(
        long,
        global = true,
        env = "OCTROI_ADMIN",
        hide_env_values = true,
        help = "The gateway's admin listener: http://HOST:PORT, https://HOST:PORT or unix:/PATH",
        value_name = "URL",
        default_value = "http://127.0.0.1:9901"
    )]
    pub(super) admin: Endpoint,
    /// Print what the admin API answers, as JSON
    #[arg(long, global = true)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) credentials: Credentials,
}

impl Gateway {
    /// Has `command` done, and shows what came of it on standard output and standard error.
    pub(super) fn ask<T: DeserializeOwned>(
        &self,
        command: Command,
        show: impl FnOnce(&T, &mut dyn Write) -> io::Result<()>,
    ) -> anyhow::Result<ExitCode> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (status, body) = runtime.block_on(self.call(command))?;
        self.report(status, &body, show, &mut io::stdout().lock(), &mut io::stderr().lock())
    }

    pub(super) async fn call(&self, command: Command) -> anyhow::Result<(StatusCode, Bytes)> {
        let patience = command.timeout();
        let request = self.credentials.prove(command.into_request()?, &self.admin)?;
        Ok(client::call(&self.admin, request, patience).await?)
    }

    /// Shows an answer: JSON, or words for people; a refusal also in words on `errors`.
    pub(super) fn report<T: DeserializeOwned>(
        &self,
        status: StatusCode,
        body: &Bytes,
        show: impl FnOnce(&T, &mut dyn Write) -> io::Result<()>,
        out: &mut dyn Write,
        errors: &mut dyn Write,
    ) -> anyhow::Result<ExitCode> {
        let stranger = || format!("what answers at {} is no gateway's admin listener", self.admin);
        // `204 No Content` is JSON's nothing.
        let text: &[u8] = if body.is_empty() { b"null" } else { body };
        if self.json && serde_json::from_slice::<serde::de::IgnoredAny>(text).is_ok() {
            out.write_all(body)?;
            out.write_all(if body.is_empty() { b"" } else { b"\n" })?;
        }
        if !status.is_success() {
            let problem: Problem = serde_json::from_slice(text).with_context(stranger)?;
            output::problem(&problem, errors)?;
            return Ok(ExitCode::FAILURE);
        }
        let answer = serde_json::from_slice(text).with_context(stranger)?;
        if !self.json {
            show(&answer, out)?;
        }
        out.flush()?;
        Ok(ExitCode::SUCCESS)
    }
}
