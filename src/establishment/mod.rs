//! The establishments that a Caf knows, by SIRET or by identifiant de communication (rule 4).

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::domain::{CafCode, IdentifiantCommunication, Siret, StoreError};

/// An establishment as a Caf knows it; at least one of its two names is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Establishment {
    /// The Caf that knows it.
    pub caf: CafCode,
    /// Its SIRET there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub siret: Option<Siret>,
    /// Its identifiant de communication there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identifiant_communication: Option<IdentifiantCommunication>,
    /// Its name.
    #[serde(default)]
    pub nom: String,
}

/// Where establishments are kept.
#[async_trait]
pub trait EstablishmentStore: Send + Sync {
    /// The establishment that `caf` knows by that SIRET.
    async fn by_siret(&self, caf: CafCode, siret: &Siret) -> Result<Option<Establishment>, StoreError>;

    /// The establishment that `caf` knows by that identifiant.
    async fn by_communication(
        &self,
        caf: CafCode,
        identifiant: &IdentifiantCommunication,
    ) -> Result<Option<Establishment>, StoreError>;

    /// Adds establishments, all or none. One that shares a SIRET or an identifiant with a known one of
    /// the same Caf takes its place.
    async fn put(&self, establishments: &[Establishment]) -> Result<(), StoreError> {
        self.write(establishments, &[]).await
    }

    /// Removes what is known under the names of `gone`, then adds `new` ones as
    /// [`EstablishmentStore::put`] does; all of it or nothing.
    async fn write(&self, new: &[Establishment], gone: &[Establishment]) -> Result<(), StoreError>;

    /// All establishments, by Caf, SIRET and identifiant, each once.
    async fn list(&self) -> Result<Vec<Establishment>, StoreError>;
}

/// Proof that a Caf knows the establishment of a session; only [`look_up`] and [`identify`] make one.
#[derive(Debug)]
pub struct KnownEstablishment {
    caf: CafCode,
    by: Option<IdentifiantCommunication>,
}

impl KnownEstablishment {
    /// The Caf that knows it.
    pub fn caf(&self) -> CafCode {
        self.caf
    }

    /// The identifiant de communication it was found by; none when it was the SIRET.
    pub fn identifiant_communication(&self) -> Option<IdentifiantCommunication> {
        self.by
    }
}

/// Looks an ESAT up at a Caf by its SIRET.
pub async fn look_up(
    store: &dyn EstablishmentStore,
    caf: CafCode,
    siret: &Siret,
) -> Result<Option<KnownEstablishment>, StoreError> {
    let found = store.by_siret(caf, siret).await?;
    Ok(found.map(|_| KnownEstablishment { caf, by: None }))
}

/// Looks an ESAT up at a Caf by the identifiant de communication it typed.
pub async fn identify(
    store: &dyn EstablishmentStore,
    caf: CafCode,
    typed: IdentifiantCommunication,
) -> Result<Option<KnownEstablishment>, StoreError> {
    let found = store.by_communication(caf, &typed).await?;
    Ok(found.map(|_| KnownEstablishment { caf, by: Some(typed) }))
}
