//! A request on its way to a backend: what the client said, what the gateway says beside it, and the body.
//!
//! Each version of HTTP says it in its own way, straight from here: nothing is copied before it is known who is asked, and
//! what was not sent can be said again.

use std::rc::Rc;
use std::sync::Arc;

use http::header::HeaderName;
use http::request::Parts;
use http::{HeaderValue, Method};

use super::error::Reason;
use super::interim::{Listener, Teller, expects_continue};
use super::upload::{Progress, Upload, UploadBody};
use super::word::Word;

/// A request as it will be sent.
pub(super) struct Outgoing<B> {
    /// What the client said, less what ends here.
    pub(super) head: Parts,
    /// What the gateway says.
    pub(super) word: Word,
    /// Until it is sent; `None` too where there is none.
    pub(super) upload: Option<Upload<B>>,
    /// How long the body is, as the head says; `None` where it goes in chunks, whatever is known of it by then.
    pub(super) length: Option<u64>,
    /// How far the upload is, whoever has it; `None` where there is none.
    pub(super) progress: Option<Rc<Progress>>,
    /// Who hears what comes before the answer.
    pub(super) listener: Option<Listener>,
}

impl<B: UploadBody> Outgoing<B> {
    /// Puts a request together, of whose body at most `limit` bytes may come; what comes before its answer is told to
    /// `teller`.
    pub(super) fn new(
        head: Parts,
        (word, length): (Word, Option<u64>),
        body: B,
        limit: u64,
        teller: Option<Arc<dyn Teller>>,
    ) -> Result<Self, Reason> {
        let mut upload = Upload::new(body, limit)?;
        let progress = upload.as_ref().map(Upload::progress);
        let waits = upload.as_mut().filter(|_| expects_continue(&head.headers));
        let opening = waits.map(Upload::hold);
        let listener = Listener::new(opening, teller);
        Ok(Self { head, word, upload, length, progress, listener })
    }
}

impl<B> Outgoing<B> {
    /// Whether sending it twice is the same as once (RFC 9110 section 9.2.2), and no body would be gone.
    pub(super) fn is_repeatable(&self) -> bool {
        self.head.method.is_idempotent() && self.progress.is_none()
    }

    /// Whether an answer to it has no body, whatever its head says.
    pub(super) fn is_head(&self) -> bool {
        self.head.method == Method::HEAD
    }

    /// The path and query, whose bytes are the client's.
    pub(super) fn target(&self) -> &str {
        self.head.uri.path_and_query().map_or("/", |target| target.as_str())
    }

    /// Calls `say` with each header that a backend gets.
    pub(super) fn for_each(&self, mut say: impl FnMut(&HeaderName, &HeaderValue)) {
        for (name, value) in &self.head.headers {
            say(name, value);
        }
        self.word.for_each(say);
    }
}
