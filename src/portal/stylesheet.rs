//! The pages' looks; their address changes with them, so that browsers may keep them.

use bytes::Bytes;
use http::header::CACHE_CONTROL;
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;

use super::Portal;
use super::pages::STYLESHEET;

pub(super) fn get(portal: &Portal) -> Response<Full<Bytes>> {
    let mut response = portal.own(StatusCode::OK, "text/css; charset=utf-8", STYLESHEET);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=86400"));
    response
}
