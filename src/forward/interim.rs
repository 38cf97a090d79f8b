//! Interim answers (1xx, RFC 9110 section 15.2): told to whoever can tell the client, before the answer itself.

use std::rc::Rc;
use std::sync::Arc;

use http::header::{CONTENT_LENGTH, EXPECT, SET_COOKIE};
use http::{HeaderMap, Response, StatusCode};

use super::names;
use super::upload::Opening;

/// Who can send a client something before its answer.
pub trait Teller: Send + Sync {
    /// Takes an interim answer; it may come to nothing.
    fn tell(&self, interim: Interim);
}

/// What a client may be told before its answer.
#[derive(Debug)]
pub struct Interim(Response<()>);

impl Interim {
    /// The client may send its body (RFC 9110 section 15.2.1).
    pub fn go_on() -> Self {
        let mut answer = Response::new(());
        *answer.status_mut() = StatusCode::CONTINUE;
        Self(answer)
    }

    /// What may be said of a head that is not there yet: nothing of its framing, and no cookies.
    pub fn of(status: StatusCode, headers: &HeaderMap) -> Self {
        let is_dropped = |name: &http::HeaderName| {
            [CONTENT_LENGTH, SET_COOKIE].contains(name)
                || *name == names::CAF_CODE
                || names::is_hop_by_hop(name.as_str().as_bytes())
                || names::is_of_the_whole_site(name)
        };
        let mut told = Response::new(());
        *told.status_mut() = status;
        for (name, value) in headers.iter().filter(|(name, _)| !is_dropped(name)) {
            told.headers_mut().append(name, value.clone());
        }
        Self(told)
    }

    /// From 100 to 199.
    pub fn status(&self) -> StatusCode {
        self.0.status()
    }

    /// What it says.
    pub fn headers(&self) -> &HeaderMap {
        self.0.headers()
    }

    /// How much of it there is, in bytes.
    pub fn size(&self) -> usize {
        self.headers().iter().map(|(name, value)| name.as_str().len() + value.len()).sum()
    }
}

impl From<Interim> for Response<()> {
    fn from(interim: Interim) -> Self {
        interim.0
    }
}

/// Whether a request's sender may wait with its body until it is told that it is wanted (RFC 9110 section 10.1.1).
pub fn expects_continue(headers: &HeaderMap) -> bool {
    headers.get(EXPECT).is_some_and(|wish| wish.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

/// Hears what a backend says before its answer.
#[derive(Clone)]
pub(super) struct Listener {
    opening: Option<Rc<Opening>>,
    teller: Option<Arc<dyn Teller>>,
}

impl Listener {
    /// One who tells `teller` on, and opens the body that waits for it. `None` where nobody would hear of it.
    pub(super) fn new(opening: Option<Rc<Opening>>, teller: Option<Arc<dyn Teller>>) -> Option<Self> {
        (opening.is_some() || teller.is_some()).then_some(Self { opening, teller })
    }

    /// A `100` opens the body, by which the client hears of it; the others are told on.
    pub(super) fn hear(&self, status: StatusCode, headers: &HeaderMap) {
        match (status, &self.opening, &self.teller) {
            (StatusCode::CONTINUE, Some(opening), _) => opening.open(),
            (StatusCode::CONTINUE | StatusCode::SWITCHING_PROTOCOLS, ..) => {}
            (_, _, Some(teller)) => teller.tell(Interim::of(status, headers)),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn it_is_told_without_what_ends_here() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("link", "</a.css>; rel=preload"),
            ("set-cookie", "octroi=pirate"),
            ("connection", "x"),
            ("content-length", "3"),
            ("clear-site-data", "*"),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        let hints = Interim::of(StatusCode::EARLY_HINTS, &headers);
        assert_eq!((hints.status(), hints.headers().len()), (StatusCode::EARLY_HINTS, 1));
        assert_eq!(hints.headers()["link"], "</a.css>; rel=preload");
    }
}
