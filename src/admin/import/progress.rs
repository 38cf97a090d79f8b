//! How far an import is, told while it works.
//!
//! The response is then JSON Lines with status 200: `{"stage": …, "done": …, "of": …}` as often as something
//! moved, and in the last line the true status and answer, `{"status": …, "answer": …}`.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use http::header::CONTENT_TYPE;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What an import is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Reading the file.
    Reading,
    /// Comparing it with the store.
    Comparing,
    /// Hashing provisional passwords.
    Hashing,
    /// Writing all of it.
    Writing,
    /// Ending the sessions of those that changed.
    Ending,
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// In what.
    pub stage: Stage,
    /// How many are done.
    pub done: usize,
    /// Of how many.
    pub of: usize,
}

/// Told of each step.
pub(in crate::admin) type Teller = watch::Sender<Step>;

/// A teller that nobody listens to.
pub(in crate::admin) fn silent() -> Teller {
    watch::Sender::new(Step { stage: Stage::Reading, done: 0, of: 0 })
}

/// At most so many lines a second.
const PAUSE: Duration = Duration::from_millis(100);

/// The steps of `working`, and its response in the last line.
pub(in crate::admin) fn stream(steps: watch::Receiver<Step>, working: JoinHandle<Response>) -> Response {
    let lines = futures_util::stream::unfold(Some((steps, working)), |state| async {
        let (mut steps, mut working) = state?;
        let line = tokio::select! {
            done = &mut working => {
                let response = done.unwrap_or_else(|_| http::StatusCode::INTERNAL_SERVER_ERROR.into_response());
                return Some((Ok::<_, Infallible>(last(response).await), None));
            }
            () = moved(&mut steps) => line(&steps.borrow_and_update()),
        };
        Some((Ok(line), Some((steps, working))))
    });
    ([(CONTENT_TYPE, "application/jsonl")], Body::from_stream(lines)).into_response()
}

/// Waits for the next step, and a little more. For ever, once no more can come.
async fn moved(steps: &mut watch::Receiver<Step>) {
    tokio::time::sleep(PAUSE).await;
    if steps.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

fn line(step: &Step) -> Vec<u8> {
    // Two numbers and a word, whose serialisation cannot fail.
    let mut line = serde_json::to_vec(step).unwrap_or_default();
    line.push(b'\n');
    line
}

async fn last(response: Response) -> Vec<u8> {
    let status = response.status().as_u16();
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap_or_default();
    let answer: &[u8] = if body.is_empty() { b"null" } else { &body };
    [format!("{{\"status\":{status},\"answer\":").as_bytes(), answer, b"}\n"].concat()
}
