//! The state, as pages ask for it by themselves: JSON but to one who goes there, and it extends nothing.

use bytes::Bytes;
use http::Response;
use http_body_util::Full;

use super::{Action, Portal, Refusal, Stage, Visit, parked};

pub(super) async fn get(portal: &Portal, visit: &Visit) -> Result<Response<Full<Bytes>>, Refusal> {
    let form = match visit.session.as_deref() {
        Some(session) => parked::waiting(portal, visit, session).await?,
        None => None,
    };
    Ok(portal.json(&portal.state(visit.session.as_deref(), form.as_ref())))
}

/// The action whose page shows a state.
pub(super) fn page_of(stage: Option<&Stage>) -> Action {
    match stage {
        None | Some(Stage::Ready(_)) => Action::SignIn,
        Some(Stage::MustChangePassword(_)) => Action::Password,
        Some(Stage::MustChooseCaf(_)) => Action::Caf,
        Some(Stage::MustIdentifyEstablishment(_)) => Action::Establishment,
    }
}
