//! A request under way: counted and logged once, however it ends.

use http::{HeaderValue, Method, Uri};
use tokio::time::Instant;

use super::{Gate, Line};
use crate::telemetry::metrics;
use crate::telemetry::{self, Access};

/// A request, as its line tells of it.
pub(super) struct Call<'g> {
    gate: &'g Gate,
    began: Instant,
    id: HeaderValue,
    method: Method,
    uri: Uri,
    /// Whether it stands for one that was refused, of which nothing is known.
    stands_in: bool,
    pub(super) line: Line,
    is_told: bool,
}

/// The status that is told of a request whose client did not wait for the answer, which may have been acted upon all
/// the same; nginx tells it so.
const CLIENT_LEFT: u16 = 499;

impl<'g> Call<'g> {
    pub(super) fn new(gate: &'g Gate, id: HeaderValue, method: Method, uri: Uri, stands_in: bool) -> Self {
        let (began, line) = (Instant::now(), Line::default());
        Self { gate, began, id, method, uri, stands_in, line, is_told: false }
    }

    /// What the user, the backend and the log call it.
    pub(super) fn id(&self) -> &str {
        self.id.to_str().unwrap_or("-")
    }

    /// It was answered.
    pub(super) fn answered(&mut self, status: u16, code: Option<&'static str>) {
        self.is_told = true;
        let time = self.began.elapsed();
        self.gate.counts.answered(self.line.etat, self.line.caf, status, time);
        if let Some(code) = code {
            metrics::problem(code);
        }
        if telemetry::is_recorded() {
            telemetry::record(&Access {
                at_ms: self.gate.shared.clock.now_ms(),
                id: self.id(),
                method: if self.stands_in { "-" } else { self.method.as_str() },
                path: if self.stands_in { "-" } else { self.uri.path() },
                etat: self.line.etat,
                caf: self.line.caf,
                status,
                code,
                time,
            });
        }
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        if !self.is_told {
            self.answered(CLIENT_LEFT, None);
        }
    }
}
