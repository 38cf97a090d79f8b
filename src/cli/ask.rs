//! What all commands to a running gateway have in common: where it is, and how its answer is shown.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Context as _;
use axum::body::Body;
use bytes::Bytes;
use http::{Request, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::client::{self, Endpoint};
use super::credentials::Credentials;
use super::output;
use super::progress::Bar;
use crate::admin::{Command, Problem};

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "The gateway, and how it is asked")]
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
        let (status, body) = self.call_now(command)?;
        self.report(status, &body, show, &mut io::stdout().lock(), &mut io::stderr().lock())
    }

    /// As [`Gateway::ask`], for a command that is answered by nothing (`204 No Content`): `done` is its JSON.
    pub(super) fn ask_done(
        &self,
        command: Command,
        done: &Value,
        show: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> anyhow::Result<ExitCode> {
        let (status, body) = self.call_now(command)?;
        let body = if status.is_success() && body.is_empty() { done.to_string().into() } else { body };
        let show = |_: &Value, out: &mut dyn Write| show(out);
        self.report(status, &body, show, &mut io::stdout().lock(), &mut io::stderr().lock())
    }

    /// As [`Gateway::ask`], for a list that comes in pages: the first one alone, or all of them as one.
    pub(super) fn ask_pages<T: DeserializeOwned>(
        &self,
        after: Option<String>,
        is_one_enough: bool,
        page: impl Fn(Option<String>) -> Command,
        show: impl FnOnce(&T, &mut dyn Write) -> io::Result<()>,
    ) -> anyhow::Result<ExitCode> {
        let (mut status, mut body) = self.call_now(page(after))?;
        while let Some(next) = next_of(&body).filter(|_| status.is_success() && !is_one_enough) {
            let (later, rest) = self.call_now(page(Some(next)))?;
            body = if later.is_success() { joined(&body, &rest)? } else { rest };
            status = later;
        }
        self.report(status, &body, show, &mut io::stdout().lock(), &mut io::stderr().lock())
    }

    /// As [`Gateway::ask`], for a command that tells how far it is.
    pub(super) fn ask_and_watch<T: DeserializeOwned>(
        &self,
        command: Command,
        bar: &mut Bar<impl Write>,
        show: impl FnOnce(&T, &mut dyn Write) -> io::Result<()>,
    ) -> anyhow::Result<ExitCode> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (patience, request) = (command.timeout(), self.request(command)?);
        let called =
            runtime.block_on(client::call(&self.admin, request, patience, &mut |piece| bar.hear(piece)));
        bar.clear();
        let (status, body) = called?;
        let (status, body) = last_line(status, &body).with_context(|| self.stranger())?;
        self.report(status, &body, show, &mut io::stdout().lock(), &mut io::stderr().lock())
    }

    /// The answer to a command, from outside of a runtime.
    pub(super) fn call_now(&self, command: Command) -> anyhow::Result<(StatusCode, Bytes)> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(self.call(command))
    }

    pub(super) async fn call(&self, command: Command) -> anyhow::Result<(StatusCode, Bytes)> {
        let patience = command.timeout();
        let request = self.request(command)?;
        Ok(client::call(&self.admin, request, patience, &mut |_| ()).await?)
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
        let stranger = || self.stranger();
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

    fn request(&self, command: Command) -> anyhow::Result<Request<Body>> {
        self.credentials.prove(command.into_request()?, &self.admin)
    }

    fn stranger(&self) -> String {
        format!("what answers at {} is no gateway's admin listener", self.admin)
    }
}

/// Where the page after this one begins.
fn next_of(page: &Bytes) -> Option<String> {
    let page: Value = serde_json::from_slice(page).ok()?;
    page["next"].as_str().map(str::to_owned)
}

/// Two pages as one: their rows one after the other, and all else as the later one says it.
fn joined(first: &Bytes, second: &Bytes) -> anyhow::Result<Bytes> {
    let first: Map<String, Value> = serde_json::from_slice(first)?;
    let mut both: Map<String, Value> = serde_json::from_slice(second)?;
    for (key, value) in first {
        if let (Value::Array(mut rows), Some(Value::Array(more))) = (value, both.get_mut(&key)) {
            rows.append(more);
            *more = rows;
        }
    }
    Ok(serde_json::to_vec(&both)?.into())
}

/// The true answer of a command that told how far it was: its last line. A refusal may have come before all that.
fn last_line(status: StatusCode, body: &Bytes) -> anyhow::Result<(StatusCode, Bytes)> {
    #[derive(serde::Deserialize)]
    struct Last {
        status: u16,
        answer: serde_json::Value,
    }
    if !status.is_success() {
        return Ok((status, body.clone()));
    }
    let line = body.trim_ascii_end().rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
    let last: Last = serde_json::from_slice(line)?;
    Ok((StatusCode::from_u16(last.status)?, serde_json::to_vec(&last.answer)?.into()))
}
