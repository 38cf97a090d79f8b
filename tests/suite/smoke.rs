//! One walk through everything, so that a broken build is known at once.

use serde_json::json;

use crate::harness::world::{PASSWORD, TWO_CAFS, World, sign_in};
use crate::on_each_store;

on_each_store! {
    fn a_sitting_from_the_door_and_back(kind: Kind) {
        let world = World::new(kind);
        let mut client = world.gateway.client();
        let answer = sign_in(&mut client, TWO_CAFS, PASSWORD);
        assert_eq!(answer.etat(), "caf_a_choisir");
        let answer = client.post("/portail/caf").json(&json!({"caf": "751"})).send();
        assert_eq!(answer.etat(), "admis");
        let answer = client.get("/teleprocedure/changement-activite?a=b%20c").program().send();
        assert_eq!((answer.status, answer.text().as_str()), (200, "Caf 751"));
        assert_eq!(world.caf751.last().line(), "GET /teleprocedure/changement-activite?a=b%20c HTTP/1.1");
        assert_eq!(world.caf921.count(), 0);
        assert_eq!(client.post("/portail/quitter").program().send().etat(), "caf_a_choisir");
        assert_eq!(client.post("/portail/deconnexion").program().send().etat(), "anonyme");
        assert_eq!(client.get("/").program().send().problem(), (401, "session-absente".to_owned()));
    }
}
