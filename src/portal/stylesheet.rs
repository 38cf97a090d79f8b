//! The pages' looks and their script; their addresses change with them, so that browsers may keep them.

use bytes::Bytes;
use http::header::CACHE_CONTROL;
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;

use super::Portal;
use super::pages::SCRIPT;

pub(super) fn get(portal: &Portal) -> Response<Full<Bytes>> {
    kept(portal, "text/css; charset=utf-8", portal.site.style.clone())
}

pub(super) fn script(portal: &Portal) -> Response<Full<Bytes>> {
    kept(portal, "text/javascript; charset=utf-8", SCRIPT)
}

/// A request for one that is not there comes nowhere: the router knows.
pub(super) fn logo(portal: &Portal) -> Response<Full<Bytes>> {
    let logo = portal.site.logo.as_ref();
    let (media, bytes) = logo.map_or(("image/png", Vec::new()), |logo| (logo.media, logo.bytes.clone()));
    kept(portal, media, bytes)
}

fn kept(portal: &Portal, content_type: &'static str, content: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = portal.own(StatusCode::OK, content_type, content);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=86400"));
    response
}
