//! The pages' looks and their script; their addresses change with them, so that browsers may keep them.

use bytes::Bytes;
use http::header::CACHE_CONTROL;
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;

use super::Portal;
use super::pages::{SCRIPT, STYLESHEET};

pub(super) fn get(portal: &Portal) -> Response<Full<Bytes>> {
    kept(portal, "text/css; charset=utf-8", STYLESHEET)
}

pub(super) fn script(portal: &Portal) -> Response<Full<Bytes>> {
    kept(portal, "text/javascript; charset=utf-8", SCRIPT)
}

fn kept(portal: &Portal, content_type: &'static str, content: &'static str) -> Response<Full<Bytes>> {
    let mut response = portal.own(StatusCode::OK, content_type, content);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=86400"));
    response
}
