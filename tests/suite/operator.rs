//! What an operator is told: by each command's answer, by the check of a configuration, and of what comes to its end.

use serde_json::{Value, json};

use crate::harness::world::{Kind, ONE_CAF, TWO_CAFS, World, account};

#[test]
fn what_is_deleted_is_told_in_json_too() {
    let world = World::new(Kind::Embedded);
    let (code, told, errors) = world.gateway.cli(&["account", "delete", ONE_CAF, "--json"]);
    assert_eq!((code, errors.as_str()), (0, ""));
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told, json!({"identifiant": ONE_CAF, "deleted": true}));
    let (code, told, _) = world.gateway.cli(&["account", "delete", ONE_CAF, "--json"]);
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!((code, &told["status"]), (1, &json!(404)));
    let (code, told, _) = world.gateway.cli(&["account", "delete", TWO_CAFS]);
    assert_eq!((code, told), (0, format!("{TWO_CAFS} was deleted; its sessions ended.\n")));
}
