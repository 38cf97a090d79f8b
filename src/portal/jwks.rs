//! The public keys by which backends verify assertions (RFC 7517).

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response};
use http_body_util::Full;

use super::Portal;

pub(super) fn get(portal: &Portal) -> Response<Full<Bytes>> {
    let mut response = portal.json(&portal.signer.jwks());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/jwk-set+json"));
    // Well within the hour for which a new key is announced before it signs.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
    response
}
