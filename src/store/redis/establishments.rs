//! Establishments: one hash, a field for each of the names that a Caf has for one.

use std::sync::LazyLock;

use async_trait::async_trait;
use redis::{Script, cmd};

use super::Redis;
use crate::domain::{CafCode, IdentifiantCommunication, Siret, StoreError};
use crate::establishment::{Establishment, EstablishmentStore};
use crate::store::names;

const KEY: &str = "octroi:establishments";

/// Records of four arguments: the JSON, the Caf, its name by SIRET and its name by identifiant (either may be
/// empty). Whatever stood under one of the names goes, under all the names that it had.
static PUT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
        local function clear(caf, name)
            local stored = name ~= '' and redis.call('HGET', KEYS[1], name)
            if not stored then return end
            local former = cjson.decode(stored)
            if former.siret then redis.call('HDEL', KEYS[1], caf .. ':s:' .. former.siret) end
            local known_as = former.identifiant_communication
            if known_as then redis.call('HDEL', KEYS[1], caf .. ':c:' .. known_as) end
        end
        for i = 1, #ARGV, 4 do
            local json, caf, by_siret, by_communication = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
            clear(caf, by_siret)
            clear(caf, by_communication)
            if by_siret ~= '' then redis.call('HSET', KEYS[1], by_siret, json) end
            if by_communication ~= '' then redis.call('HSET', KEYS[1], by_communication, json) end
        end
        return 1
        ",
    )
});

#[async_trait]
impl EstablishmentStore for Redis {
    async fn by_siret(&self, caf: CafCode, siret: &Siret) -> Result<Option<Establishment>, StoreError> {
        self.establishment(&names::by_siret(caf, siret)).await
    }

    async fn by_communication(
        &self,
        caf: CafCode,
        identifiant: &IdentifiantCommunication,
    ) -> Result<Option<Establishment>, StoreError> {
        self.establishment(&names::by_communication(caf, identifiant)).await
    }

    async fn put(&self, establishments: &[Establishment]) -> Result<(), StoreError> {
        if establishments.is_empty() {
            return Ok(());
        }
        let mut put = PUT.key(KEY);
        for one in establishments {
            let by_siret = one.siret.map(|siret| names::by_siret(one.caf, &siret));
            let communication = one.identifiant_communication;
            let by_communication = communication.map(|idc| names::by_communication(one.caf, &idc));
            put.arg(serde_json::to_vec(one)?).arg(one.caf.as_str());
            put.arg(by_siret.unwrap_or_default()).arg(by_communication.unwrap_or_default());
        }
        self.script::<i64>(&put).await.map(drop)
    }

    async fn list(&self) -> Result<Vec<Establishment>, StoreError> {
        let stored: Vec<(String, Vec<u8>)> = self.command(cmd("HGETALL").arg(KEY)).await?;
        let mut named = Vec::new();
        for (name, json) in stored {
            let establishment: Establishment = serde_json::from_slice(&json)?;
            if names::first(&establishment).is_some_and(|first| first == name) {
                named.push((name, establishment));
            }
        }
        named.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(named.into_iter().map(|(_, establishment)| establishment).collect())
    }
}

impl Redis {
    async fn establishment(&self, name: &str) -> Result<Option<Establishment>, StoreError> {
        let stored: Option<Vec<u8>> = self.command(cmd("HGET").arg(KEY).arg(name)).await?;
        Ok(stored.map(|json| serde_json::from_slice(&json)).transpose()?)
    }
}
