//! The state, always as JSON: what pages ask for by themselves, which extends nothing.

use bytes::Bytes;
use http::Response;
use http_body_util::Full;

use super::{Portal, Refusal, Visit, parked};

pub(super) async fn get(portal: &Portal, visit: &Visit) -> Result<Response<Full<Bytes>>, Refusal> {
    let form = match visit.session.as_deref() {
        Some(session) => parked::waiting(portal, visit, session).await?,
        None => None,
    };
    Ok(portal.json(&portal.state(visit.session.as_deref(), form.as_ref())))
}
