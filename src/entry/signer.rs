//! Signing what a backend is told, so that it can be verified (RFC 7515, RFC 8037, RFC 7517).

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::Serialize;
use serde_json::{Value, json};

use super::{SigningKeyStore, StoredKey};
use crate::domain::{Clock, StoreError};

/// Signs assertions with the newest key that every replica has had the time to publish.
pub struct Signer {
    store: Arc<dyn SigningKeyStore>,
    clock: Clock,
    ring: ArcSwap<Vec<SigningKey>>,
}

struct SigningKey {
    id: String,
    created_at_ms: i64,
    pair: Ed25519KeyPair,
}

/// How long a key signs before the next one is made.
const LIFE: Duration = Duration::from_hours(30 * 24);
/// How long a key stands in the JWKS before it signs: longer than backends keep a copy.
const NOTICE: Duration = Duration::from_hours(1);
/// Keys kept: the one that signs, the one before it, and the one announced.
const KEPT: usize = 3;

impl Signer {
    /// A signer without keys yet: [`Signer::refresh`] reads them.
    pub fn new(store: Arc<dyn SigningKeyStore>, clock: Clock) -> Self {
        Self { store, clock, ring: ArcSwap::default() }
    }

    /// Reads the shared keys, and makes a new one when there is none or the newest has lived long enough.
    pub async fn refresh(&self) -> Result<(), StoreError> {
        let mut stored = self.store.keys().await?;
        let now = self.clock.now();
        let worn =
            stored.last().is_none_or(|key| key.created_at.saturating_add(LIFE).is_ok_and(|end| now >= end));
        if worn {
            stored = self.store.add_key(&self.draw()?, stored.len(), KEPT).await?;
        }
        let ring = stored.iter().map(SigningKey::read).collect::<Result<Vec<_>, _>>()?;
        self.ring.store(Arc::new(ring));
        Ok(())
    }

    /// Refreshes for as long as the program runs: each second until there is a key, then each minute.
    pub async fn keep_fresh(&self) {
        loop {
            if let Err(error) = self.refresh().await {
                tracing::warn!(%error, "the signing keys could not be read");
            }
            let pause = if self.ring.load().is_empty() { 1 } else { 60 };
            tokio::time::sleep(Duration::from_secs(pause)).await;
        }
    }

    /// A compact JWS over `claims`, or `None` while no key could be read.
    pub fn sign(&self, claims: &impl Serialize) -> Option<String> {
        let ring = self.ring.load();
        let key = self.signing_key(&ring)?;
        let header = json!({"alg": "EdDSA", "typ": "JWT", "kid": key.id});
        let part = |json: Vec<u8>| URL_SAFE_NO_PAD.encode(json);
        let header = part(serde_json::to_vec(&header).ok()?);
        let mut token = format!("{header}.{}", part(serde_json::to_vec(claims).ok()?));
        let signature = key.pair.sign(token.as_bytes());
        token.push('.');
        token.push_str(&URL_SAFE_NO_PAD.encode(signature.as_ref()));
        Some(token)
    }

    /// The public keys, as a JWK set.
    pub fn jwks(&self) -> Value {
        let ring = self.ring.load();
        let keys: Vec<Value> = ring.iter().map(SigningKey::jwk).collect();
        json!({ "keys": keys })
    }

    fn signing_key<'a>(&self, ring: &'a [SigningKey]) -> Option<&'a SigningKey> {
        let notice = i64::try_from(NOTICE.as_millis()).unwrap_or(i64::MAX);
        let announced_before = self.clock.now_ms().saturating_sub(notice);
        ring.iter().rev().find(|key| key.created_at_ms <= announced_before).or_else(|| ring.first())
    }

    fn draw(&self) -> Result<StoredKey, StoreError> {
        let failed = |_| StoreError::Corrupt("no signing key could be made".to_owned());
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(failed)?;
        let mut id = [0; 9];
        aws_lc_rs::rand::fill(&mut id).map_err(failed)?;
        Ok(StoredKey {
            id: URL_SAFE_NO_PAD.encode(id),
            created_at: self.clock.now(),
            pkcs8: STANDARD.encode(pkcs8.as_ref()),
        })
    }
}

impl SigningKey {
    fn read(stored: &StoredKey) -> Result<Self, StoreError> {
        let corrupt = || StoreError::Corrupt(format!("signing key {}", stored.id));
        let pkcs8 = zeroize::Zeroizing::new(STANDARD.decode(&stored.pkcs8).map_err(|_| corrupt())?);
        let pair = Ed25519KeyPair::from_pkcs8(&pkcs8).map_err(|_| corrupt())?;
        Ok(Self { id: stored.id.clone(), created_at_ms: stored.created_at.as_millisecond(), pair })
    }

    fn jwk(&self) -> Value {
        let x = URL_SAFE_NO_PAD.encode(self.pair.public_key().as_ref());
        json!({"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": self.id, "x": x})
    }
}
