//! Which path is which action, how it may be asked for, and by whom.

use http::Method;

use super::world::World;
use crate::domain::{LocalPath, NormalPath};
use crate::portal::{Action, Route};

#[tokio::test]
async fn every_path_of_the_contract_has_its_action_and_no_other_has() {
    let world = World::new().await;
    let route = |path: &str| world.portal.route(&NormalPath::parse(path).expect("a path"));
    for (path, action) in [
        ("/portail/connexion", Action::SignIn),
        ("/portail", Action::SignIn),
        ("/portail/", Action::SignIn),
        ("/portail/x/../connexion", Action::SignIn),
        ("/portail/%63onnexion", Action::SignIn),
        ("/portail/mot-de-passe", Action::Password),
        ("/portail/caf", Action::Caf),
        ("/portail/etablissement", Action::Establishment),
        ("/portail/quitter", Action::Leave),
        ("/portail/deconnexion", Action::SignOut),
        ("/portail/session", Action::Session),
        ("/portail/session/continuer", Action::Continue),
        ("/portail/.well-known/jwks.json", Action::Jwks),
        ("/portail/style.css", Action::Stylesheet),
    ] {
        assert_eq!(route(path), Route::Action(action), "{path}");
    }
    for path in ["/portail/connexion/", "/portail/x", "/portail/caf/921", "/PORTAIL/x", "/portail/Connexion"]
    {
        assert_eq!(route(path), Route::Nowhere, "{path}");
    }
    for path in ["/", "/portails", "/portailx/connexion", "/x/portail/connexion", "/connexion"] {
        assert_eq!(route(path), Route::Outside, "{path}");
    }
}

#[test]
fn methods_are_those_of_the_contract() {
    assert!(Action::SignIn.allows(&Method::GET) && Action::SignIn.allows(&Method::HEAD));
    assert!(Action::SignOut.allows(&Method::POST) && !Action::SignOut.allows(&Method::GET));
    assert!(Action::Session.allows(&Method::GET) && !Action::Session.allows(&Method::POST));
    for method in
        [Method::PUT, Method::DELETE, Method::OPTIONS, Method::from_bytes(b"get").expect("a method")]
    {
        assert!(!Action::SignIn.allows(&method), "{method}");
    }
    assert!(Action::SignIn.tries_a_password(&Method::POST) && !Action::SignIn.tries_a_password(&Method::GET));
    assert!(
        !Route::Action(Action::Session).counts_as_action(&Method::GET)
            && Route::Action(Action::Continue).counts_as_action(&Method::POST)
    );
}

#[tokio::test]
async fn each_state_opens_what_the_contract_says() {
    use Action::{Caf, Continue, Establishment, Leave, Password, Session, SignIn, SignOut};
    let all = [SignIn, Password, Caf, Establishment, Leave, SignOut, Session, Continue];
    for (who, open) in [
        (None, vec![SignIn, Password]),
        (Some("provisoire@esat.example"), vec![Password, Leave, SignOut, Session, Continue]),
        (Some("ancien@esat.example"), vec![Password, Leave, SignOut, Session, Continue]),
        (Some("deux@esat.example"), vec![Password, Caf, Leave, SignOut, Session, Continue]),
        (
            Some("inconnue@esat.example"),
            vec![Password, Caf, Establishment, Leave, SignOut, Session, Continue],
        ),
        (Some("une@esat.example"), all.to_vec()),
    ] {
        let world = World::new().await;
        if let Some(who) = who {
            world.sign_in(who).await;
        }
        let (session, _) = world.session().await;
        let stage = session.as_deref().map(crate::session::Session::stage);
        for action in all {
            assert_eq!(action.open_to(stage), open.contains(&action), "{who:?} {action:?}");
        }
        assert!(Action::Jwks.open_to(stage) && Action::Stylesheet.open_to(stage));
    }
}

#[tokio::test]
async fn a_state_leads_to_its_page_and_remembers_where_one_was_going() {
    let world = World::new().await;
    let retour = LocalPath::parse("/a/b?c=d&e=%41#f");
    let way = "/portail/connexion?retour=%2Fa%2Fb%3Fc%3Dd%26e%3D%2541%23f";
    assert_eq!(world.portal.way(None, retour.as_ref()), way);
    assert_eq!(world.portal.way(None, None), "/portail/connexion");
    world.sign_in("une@esat.example").await;
    let (session, _) = world.session().await;
    let stage = session.as_deref().map(crate::session::Session::stage);
    assert_eq!(world.portal.way(stage, retour.as_ref()), "/a/b?c=d&e=%41#f");
    assert_eq!(world.portal.page_of(stage), "/");
}
