//! A small world: a store, two Cafs with a backend each, a gateway, and the people of the tests.

use std::sync::LazyLock;

use argon2::password_hash::PasswordHasher as _;
use argon2::{Algorithm, Argon2, Params, Version};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::backend::Backend;
use super::client::{Client, Response};
use super::gateway::{Gateway, NOON, Settings};
use super::redis::Redis;

/// Everybody's password, unless a test says otherwise.
pub const PASSWORD: &str = "Tilleul-2026";
/// Known by SIRET at both Cafs.
pub const SIRET: &str = "73282932000074";
/// Known at no Caf by its SIRET; at Caf 921 as [`COMMUNICATION`].
pub const OTHER_SIRET: &str = "35600000049837";
/// What Caf 921 calls the ESAT of [`OTHER_SIRET`].
pub const COMMUNICATION: &str = "12345678";

pub const ONE_CAF: &str = "une.caf@esat.example";
pub const TWO_CAFS: &str = "deux.cafs@esat.example";
pub const UNKNOWN_SIRET: &str = "siret.inconnu@esat.example";
pub const PROVISIONAL: &str = "provisoire@esat.example";

/// A password's hash, cheap to make and to check.
pub fn hash(password: &str) -> String {
    let params = Params::new(1_024, 1, 1, None).unwrap();
    let hasher = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    hasher.hash_password(password.as_bytes()).unwrap().to_string()
}

static HASH: LazyLock<String> = LazyLock::new(|| hash(PASSWORD));

/// An account whose password is [`PASSWORD`], changed at [`NOON`].
pub fn account(identifiant: &str, siret: &str, cafs: &[&str]) -> Value {
    json!({
        "identifiant": identifiant, "siret": siret, "nom": "ESAT Les Tilleuls", "cafs": cafs, "home_caf": cafs.first(),
        "password_hash": *HASH, "password_changed_at": NOON, "must_change": false, "status": "active"
    })
}

/// Which store a world stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Embedded,
    Redis,
}

pub struct World {
    pub gateway: Gateway,
    pub settings: Settings,
    pub caf921: Backend,
    pub caf751: Backend,
    pub redis: Option<Redis>,
    folder: TempDir,
}

impl World {
    pub fn new(kind: Kind) -> Self {
        Self::with(kind, |_| ())
    }

    /// A world whose configuration is changed first.
    pub fn with(kind: Kind, change: impl FnOnce(&mut Settings)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let redis = (kind == Kind::Redis).then(Redis::start);
        let store = match &redis {
            Some(redis) => redis.url(),
            None => format!("embedded:{}", folder.path().join("store").display()),
        };
        let (caf921, caf751) = (Backend::start("921"), Backend::start("751"));
        let mut settings = Settings::new(&store);
        settings.caf("921", "Caf des Hauts-de-Seine", &[caf921.address]);
        settings.caf("751", "Caf de Paris", &[caf751.address]);
        change(&mut settings);
        let gateway = Gateway::start(&settings);
        let world = Self { gateway, settings, caf921, caf751, redis, folder };
        if world.redis.is_some() {
            super::eventually("the store is reached", || {
                world.gateway.admin().get("/readyz").send().status == 200
            });
        }
        world.people();
        world
    }

    fn people(&self) {
        let mut provisional = account(PROVISIONAL, SIRET, &["921"]);
        provisional["must_change"] = json!(true);
        self.gateway.accounts(&[
            account(ONE_CAF, SIRET, &["921"]),
            account(TWO_CAFS, SIRET, &["921", "751"]),
            account(UNKNOWN_SIRET, OTHER_SIRET, &["921", "751"]),
            provisional,
        ]);
        self.gateway.establishments(&[
            json!({"caf": "921", "siret": SIRET, "nom": "ESAT Les Tilleuls"}),
            json!({"caf": "751", "siret": SIRET, "nom": "ESAT Les Tilleuls"}),
            json!({"caf": "921", "identifiant_communication": COMMUNICATION, "nom": "ESAT Les Érables"}),
        ]);
    }

    /// The gateway anew on the same store, once it has ended; it lives at [`NOON`] again.
    pub fn restart(&mut self) {
        self.gateway = self.replica();
    }

    /// A second gateway on the same store and backends.
    pub fn replica(&self) -> Gateway {
        let replica = Gateway::start(&self.settings);
        super::eventually("the replica is ready", || replica.admin().get("/readyz").send().status == 200);
        replica
    }

    /// Every byte that its store has on the disk.
    pub fn stored(&self) -> Vec<u8> {
        let mut folders = vec![match &self.redis {
            Some(redis) => redis.folder().to_owned(),
            None => self.folder.path().to_owned(),
        }];
        let mut bytes = Vec::new();
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    bytes.extend(std::fs::read(path).unwrap());
                }
            }
        }
        bytes
    }

    /// Someone who has signed in.
    pub fn signed_in(&self, identifiant: &str) -> Client {
        let mut client = self.gateway.client();
        let answer = sign_in(&mut client, identifiant, PASSWORD);
        assert_eq!(answer.status, 200, "{}", answer.text());
        client
    }

    /// Whether the one session in Redis was last acted in so many seconds after [`NOON`].
    pub fn last_action_is(&self, seconds: i64) -> bool {
        let redis = self.redis.as_ref().unwrap();
        let keys = redis.ask("KEYS octroi:action:*");
        let key = keys.lines().find(|line| line.starts_with("octroi:action:")).unwrap();
        let noon: jiff::Timestamp = NOON.parse().unwrap();
        redis.ask(&format!("GET {key}")).contains(&(noon.as_millisecond() + seconds * 1_000).to_string())
    }

    /// Someone at Caf 921.
    pub fn admitted(&self) -> Client {
        self.signed_in(ONE_CAF)
    }

    /// Someone at one of two Cafs.
    pub fn at(&self, caf: &str) -> Client {
        let mut client = self.signed_in(TWO_CAFS);
        let answer = client.post("/portail/caf").json(&json!({"caf": caf})).send();
        assert_eq!(answer.etat(), "admis");
        client
    }
}

/// Tries to sign in, as a program.
pub fn sign_in(client: &mut Client, identifiant: &str, password: &str) -> Response {
    let body = json!({"identifiant": identifiant, "mot_de_passe": password});
    client.post("/portail/connexion").json(&body).send()
}

/// Runs a test on each store.
#[macro_export]
macro_rules! on_each_store {
    ($($(#[$meta:meta])* fn $name:ident($kind:ident: Kind) $body:block)*) => {$(
        $(#[$meta])*
        fn $name($kind: $crate::harness::world::Kind) $body

        mod $name {
            use $crate::harness::world::Kind;

            #[test]
            fn embedded() {
                super::$name(Kind::Embedded);
            }

            #[test]
            fn redis() {
                super::$name(Kind::Redis);
            }
        }
    )*};
}
