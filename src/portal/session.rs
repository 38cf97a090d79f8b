//! The state, always as JSON: what pages ask for by themselves, which extends nothing.

use bytes::Bytes;
use http::Response;
use http_body_util::Full;

use super::{Portal, Visit};

pub(super) fn get(portal: &Portal, visit: &Visit) -> Response<Full<Bytes>> {
    portal.json(&portal.state(visit.session.as_deref(), None))
}
