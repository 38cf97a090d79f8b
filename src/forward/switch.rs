//! The handshake of a WebSocket (RFC 6455 section 4, RFC 8441), and the backend's end of it.
//!
//! Over HTTP/2 a client asks by an extended `CONNECT`, without key; the backend is asked over HTTP/1.1 in any case,
//! so the gateway makes a key then, and looks at the answer to it itself.

use std::io::Cursor;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{
    CONNECTION, CONTENT_LENGTH, HeaderName, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION,
    UPGRADE,
};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, join, split};

use super::backend::Plan;
use super::error::{Error, Reason};
use super::fleet::Offer;
use super::pool::Lease;
use super::upload::UploadBody;
use super::wire::Wire;
use super::{AnswerBody, Forwarder, Inner, answer};
use crate::entry::AdmittedRequest;

const WEBSOCKET: HeaderValue = HeaderValue::from_static("websocket");
const SWITCH: HeaderValue = HeaderValue::from_static("upgrade");
const VERSION: HeaderValue = HeaderValue::from_static("13");
/// What a key is completed with (RFC 6455 section 1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// What came of asking a backend for a WebSocket.
pub enum Handshake<B: 'static> {
    /// The head that the client gets, and the backend's end.
    Switched(Response<()>, BackendEnd<B>),
    /// Anything else than a WebSocket, as any other answer.
    Declined(Response<AnswerBody<B>>),
}

/// A backend's end of a tunnel; its connection is counted as long as this lives.
pub struct BackendEnd<B> {
    wire: Wire,
    /// What has come along with the answer.
    early: Bytes,
    lease: Lease<B>,
}

impl<B> BackendEnd<B> {
    /// The bytes, and what must be kept as long as they flow.
    pub fn open(self) -> (impl AsyncRead + AsyncWrite, impl Sized) {
        let (read, write) = split(self.wire);
        (join(Cursor::new(self.early).chain(read), write), self.lease)
    }
}

impl<B: UploadBody> Forwarder<B> {
    /// Asks the backend of the permit's Caf for the WebSocket that an admitted request asks for.
    pub async fn switch(&self, admitted: AdmittedRequest<B>) -> Result<Handshake<B>, Error> {
        let caf = admitted.caf();
        self.0.switch(admitted).await.map_err(|reason| Error::new(caf, reason))
    }
}

impl<B: UploadBody> Inner<B> {
    async fn switch(&self, admitted: AdmittedRequest<B>) -> Result<Handshake<B>, Reason> {
        let (permit, mut request, from) = admitted.into_parts();
        let key = (request.method() == Method::CONNECT).then(make_key).transpose()?;
        if let Some(key) = &key {
            *request.method_mut() = Method::GET;
            request.headers_mut().insert(SEC_WEBSOCKET_KEY, key.clone());
            request.headers_mut().insert(SEC_WEBSOCKET_VERSION, VERSION);
        }
        let (backend, mut request, plan) = self.prepare(permit.escort(request, from), None)?;
        let plan = Plan { offer: Offer::Http1, ..plan };
        tell(&mut request.head.headers);
        let (answer, lease) = backend.exchange(&mut request, plan).await?;
        if key.is_some() && answer.status().is_success() {
            // To a client of HTTP/2 that would say that the WebSocket is open (RFC 8441 section 5).
            let reason = Reason::BadAnswer("no WebSocket where one was asked for");
            lease.failed(&reason);
            return Err(reason);
        }
        if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
            let declined = self.give_out(backend, answer, (lease, None), plan)?;
            return Ok(Handshake::Declined(declined.map(AnswerBody::AsIs)));
        }
        if let Err(reason) = check(answer.headers(), key.as_ref()) {
            lease.failed(&reason);
            return Err(reason);
        }
        lease.member().health.succeeded();
        let (wire, early) = lease.switch().ok_or(Reason::BadAnswer("a switch over HTTP/2"))?;
        let (mut head, _) = answer.into_parts();
        let scratch = &mut self.desk.borrow_mut().scratch;
        answer::accept(&mut head, backend.caf, &backend.tag, lease.member().mark, scratch)?;
        // No body follows a switch.
        head.headers.remove(CONTENT_LENGTH);
        if key.is_some() {
            head.status = StatusCode::OK;
            head.headers.remove(SEC_WEBSOCKET_ACCEPT);
        } else {
            tell(&mut head.headers);
        }
        Ok(Handshake::Switched(Response::from_parts(head, ()), BackendEnd { wire, early, lease }))
    }
}

fn tell(headers: &mut HeaderMap) {
    headers.insert(CONNECTION, SWITCH);
    headers.insert(UPGRADE, WEBSOCKET);
}

fn make_key() -> Result<HeaderValue, Reason> {
    const NO_KEY: Reason = Reason::BadRequest("this machine gives no random bytes");
    let mut key = [0; 16];
    aws_lc_rs::rand::fill(&mut key).map_err(|_| NO_KEY)?;
    HeaderValue::try_from(STANDARD.encode(key)).map_err(|_| NO_KEY)
}

/// Whether the backend switches to what it was asked (RFC 6455 section 4.1). A client looks at the answer
/// to its own key by itself.
fn check(headers: &HeaderMap, key: Option<&HeaderValue>) -> Result<(), Reason> {
    let is = |name: HeaderName, value: &[u8]| {
        headers.get(name).is_some_and(|said| said.as_bytes().eq_ignore_ascii_case(value))
    };
    let is_right = key.is_none_or(|key| {
        let said = headers.get(SEC_WEBSOCKET_ACCEPT).map(HeaderValue::as_bytes);
        said == Some(accept_of(key.as_bytes()).as_bytes())
    });
    if is(UPGRADE, b"websocket") && is_right {
        Ok(())
    } else {
        Err(Reason::BadAnswer("a switch to something else than the WebSocket that was asked for"))
    }
}

fn accept_of(key: &[u8]) -> String {
    STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, &[key, GUID].concat()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_the_answer_of_the_rfc() {
        assert_eq!(accept_of(b"dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn a_backend_switches_to_what_was_asked_or_not_at_all() {
        let head = |lines: &[(&'static str, &'static str)]| {
            lines
                .iter()
                .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
                .collect()
        };
        let key = HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ==");
        let right = ("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert!(check(&head(&[("upgrade", "WebSocket"), right]), Some(&key)).is_ok());
        assert!(check(&head(&[("upgrade", "websocket")]), None).is_ok());
        for wrong in [vec![("upgrade", "h2c"), right], vec![right], vec![("upgrade", "websocket")]] {
            assert!(check(&head(&wrong), Some(&key)).is_err(), "{wrong:?}");
        }
        assert!(
            check(&head(&[("upgrade", "websocket"), ("sec-websocket-accept", "x")]), Some(&key)).is_err()
        );
    }
}
