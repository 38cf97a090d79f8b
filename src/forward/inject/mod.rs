//! The session's warning in a backend's pages: a script tag is put into the HTML that a browser navigates to,
//! as it streams by.
//!
//! [`Injector::ask`] looks at a request and [`Injector::dress`] at its answer; nothing else of the forwarder
//! knows. A request that cannot become a page costs one look at its method and one at a header.
//!
//! `head` says which answers are pages and edits their heads, `policy` makes a Content-Security-Policy let the
//! script in and nothing else, `scribe` finds the place in the HTML, `coding` compresses what the backend was
//! asked not to, and `body` is all of it as a body.

mod body;
mod coding;
mod head;
mod policy;
mod scribe;

use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, HOST, IF_NONE_MATCH, RANGE};
use http::{HeaderName, HeaderValue, Method, Request, Response};

use self::body::Page;
use self::coding::Coding;
use super::body::BackendBody;
use super::upload::UploadBody;
use crate::config::Config;
use crate::domain::CafCode;
use crate::entry::AdmittedRequest;

pub use self::body::AnswerBody;

const IDENTITY: HeaderValue = HeaderValue::from_static("identity");
const FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");
const REQUESTED_WITH: HeaderName = HeaderName::from_static("x-requested-with");

/// Puts the warning's script into pages.
#[derive(Debug, Default)]
pub(super) struct Injector {
    /// The Cafs whose pages get it, sorted.
    cafs: Vec<CafCode>,
    /// The portal's prefix.
    prefix: String,
    /// `session.idle_timeout`, which the script tells.
    idle_s: u64,
    /// What browsers have in their address bar, where it is configured.
    public: Option<String>,
}

/// What a request that may become a page wants of its answer.
#[derive(Debug)]
pub(super) struct Wish {
    caf: CafCode,
    coding: Option<Coding>,
    /// The site's origin, as the browser knows it.
    origin: Option<String>,
    /// Whether the head alone is asked for: it says what it would say above the page.
    is_head: bool,
    /// What the browser has kept (`If-None-Match`).
    kept: Option<HeaderValue>,
}

impl Injector {
    pub(super) fn new(config: &Config) -> Self {
        let wanted = config.cafs.iter().filter(|caf| config.portal.inject && caf.inject);
        let mut cafs: Vec<_> = wanted.map(|caf| caf.code).collect();
        cafs.sort_unstable();
        let public = config.server.public_url.as_ref();
        Self {
            cafs,
            prefix: config.portal.prefix.clone(),
            idle_s: config.session.idle_timeout.as_secs(),
            public: public.map(|url| origin(url.https, &url.authority)),
        }
    }

    /// Notes what a navigation wants, and asks the backend not to compress what will be written into.
    pub(super) fn ask<B>(&self, admitted: &mut AdmittedRequest<B>) -> Option<Box<Wish>> {
        let (caf, https) = (admitted.caf(), admitted.is_https());
        let request = admitted.request_mut();
        if !may_become_a_page(request) || self.cafs.binary_search(&caf).is_err() {
            return None;
        }
        let is_head = request.method() == Method::HEAD;
        let origin = self.public.clone().or_else(|| asked_origin(request, https));
        let headers = request.headers_mut();
        let (coding, kept) = (Coding::of(headers), headers.get(IF_NONE_MATCH).cloned());
        headers.insert(ACCEPT_ENCODING, IDENTITY);
        Some(Box::new(Wish { caf, coding, origin, is_head, kept }))
    }

    /// The answer to a request that wished, with the script if it is a page that can safely have it.
    pub(super) fn dress<B: UploadBody>(
        &self,
        answer: Response<BackendBody<B>>,
        wish: Option<Box<Wish>>,
    ) -> Response<AnswerBody<B>> {
        let Some(wish) = wish else { return answer.map(AnswerBody::AsIs) };
        let (mut parts, body) = answer.into_parts();
        let script = format!("{}/session.js", self.prefix);
        let site = policy::Site { origin: wish.origin.as_deref(), prefix: &self.prefix };
        match head::edit(&mut parts, &body, &wish, &site) {
            None => Response::from_parts(parts, AnswerBody::AsIs(body)),
            Some(plan) => {
                let nonce = plan.nonce.map(|nonce| format!(" nonce=\"{nonce}\"")).unwrap_or_default();
                let tag = format!(
                    "<script src=\"{script}\" defer data-caf=\"{}\" data-inactivite=\"{}\"{nonce}></script>",
                    wish.caf, self.idle_s
                );
                let page = Page::new(body, plan.encoding, tag, plan.coding);
                Response::from_parts(parts, AnswerBody::Page(Box::new(page)))
            }
        }
    }
}

/// Whether a browser asks for something that it will show as a page, whole. Fetch Metadata decides where it is
/// told: a fragment that a script asks for may accept HTML too. Browsers without it (old ones, or over plain HTTP)
/// accept HTML of a link and of a form, and most scripts of their time say that they are some.
fn may_become_a_page<B>(request: &Request<B>) -> bool {
    let (method, headers) = (request.method(), request.headers());
    let is_form = method == Method::POST;
    if !is_form && method != Method::GET && method != Method::HEAD || headers.contains_key(RANGE) {
        return false;
    }
    match headers.get(FETCH_DEST).map(HeaderValue::as_bytes) {
        Some(dest) => matches!(dest, b"document" | b"iframe" | b"frame"),
        None => {
            headers.get_all(ACCEPT).iter().any(|accept| names_html(accept.as_bytes()))
                && (!is_form || headers.get(CONTENT_TYPE).is_some_and(is_of_a_form))
                && headers.get(REQUESTED_WITH).is_none_or(|asker| asker != "XMLHttpRequest")
        }
    }
}

fn is_of_a_form(content_type: &HeaderValue) -> bool {
    let kinds = ["application/x-www-form-urlencoded", "multipart/form-data", "text/plain"];
    let said = content_type.as_bytes().split(|b| *b == b';').next().unwrap_or_default().trim_ascii();
    kinds.iter().any(|kind| said.eq_ignore_ascii_case(kind.as_bytes()))
}

fn names_html(accept: &[u8]) -> bool {
    accept.windows(9).any(|part| part.eq_ignore_ascii_case(b"text/html"))
}

/// HTTP/2 has the authority in the target (RFC 9113 section 8.3.1).
fn asked_origin<B>(request: &Request<B>, https: bool) -> Option<String> {
    let authority = request.uri().authority().map(http::uri::Authority::as_str);
    let host = match authority {
        Some(authority) => authority,
        None => request.headers().get(HOST)?.to_str().ok()?,
    };
    let plain = !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b));
    plain.then(|| origin(https, host))
}

fn origin(https: bool, authority: &str) -> String {
    format!("{}://{authority}", if https { "https" } else { "http" })
}

#[cfg(test)]
mod tests;
