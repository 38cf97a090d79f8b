//! Active checks: each instance is asked for a path now and then, on a connection of its own.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, HOST, USER_AGENT};
use http::{Request, Uri};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::time::{sleep, timeout};

use super::dial::Version;
use super::tls::Offer;
use super::{Member, Team};
use crate::config::Check;
use crate::forward::error::Reason;

/// Checks in a row that an instance must fail to get no requests any more.
const FALL: u32 = 3;
/// Largest head of an answer over HTTP/2, in bytes.
const MAX_HEAD: u32 = 64 << 10;
/// Checks in a row that it must then pass to get some again.
const RISE: u32 = 2;

/// Checks one instance for as long as the program runs. The first check comes at once.
pub(super) async fn go_on(team: Arc<Team>, member: Arc<Member>, check: Check) {
    let mut in_a_row = 0;
    loop {
        let asked = timeout(team.rule.check_timeout, ask(&team, &member, &check)).await;
        let wrong = match asked {
            Ok(Ok(status)) if status == check.status => None,
            Ok(Ok(status)) => Some(format!("{} answered {status}, expected {}", check.path, check.status)),
            Ok(Err(reason)) => Some(format!("{}: {reason}", check.path)),
            Err(_) => Some(format!("{} was not answered in time", check.path)),
        };
        let is_news = wrong.is_none() == member.health.fails_checks();
        in_a_row = if is_news { in_a_row + 1 } else { 0 };
        if let Some(what) = &wrong {
            member.note(team.clock.running(), format!("check: {what}"));
        }
        if is_news && in_a_row >= if wrong.is_some() { FALL } else { RISE } {
            member.health.checked(wrong.is_none());
            in_a_row = 0;
            let (caf, instance) = (team.caf, &member.address);
            if let Some(what) = wrong {
                tracing::warn!(%caf, %instance, what, "an instance fails its checks");
            } else {
                tracing::info!(%caf, %instance, "an instance passes its checks again");
            }
        }
        sleep(jittered(team.rule.check_interval)).await;
    }
}

/// A tenth more or less, so that replicas do not ask in step.
fn jittered(interval: Duration) -> Duration {
    interval.mul_f64(0.9 + 0.2 * fastrand::f64())
}

/// The status that an instance answers with.
async fn ask(team: &Team, member: &Member, check: &Check) -> Result<u16, Reason> {
    let (socket, version) = team.dial(member, Offer::All).await?;
    let request = Request::get(check.path.as_str()).header(USER_AGENT, "octroi-check");
    let no_request = |_| Reason::BadRequest("the check's path");
    let status = match version {
        Version::Http1 => {
            let (mut sender, connection) =
                http1::handshake(TokioIo::new(socket)).await.map_err(Reason::broken)?;
            let task = Task(tokio::spawn(async move { drop(connection.await) }));
            let request = request.header(HOST, member.authority.clone()).header(CONNECTION, "close");
            let request = request.body(Empty::<Bytes>::new()).map_err(no_request)?;
            let answer = sender.send_request(request).await.map_err(Reason::broken)?;
            drop(task);
            answer.status()
        }
        Version::Http2 => {
            let mut http2 = h2::client::Builder::new();
            let handshake =
                http2.enable_push(false).max_header_list_size(MAX_HEAD).handshake::<_, Bytes>(socket);
            let (sender, connection) = handshake.await.map_err(Reason::broken)?;
            let task = Task(tokio::spawn(async move { drop(connection.await) }));
            let mut sender = sender.ready().await.map_err(Reason::broken)?;
            let uri = Uri::try_from(format!("{}{}", member.address, check.path));
            let uri = uri.map_err(|_| Reason::BadRequest("the check's path"))?;
            let request = request.uri(uri).body(()).map_err(no_request)?;
            let (answer, _) = sender.send_request(request, true).map_err(Reason::broken)?;
            let answer = answer.await.map_err(Reason::broken)?;
            drop(task);
            answer.status()
        }
    };
    Ok(status.as_u16())
}

/// A connection's task, which ends with the check.
struct Task(tokio::task::JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}
