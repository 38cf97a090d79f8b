//! Forms that were posted after their session had ended: kept, so that an hour's typing is not lost.
//!
//! What is kept is sealed with a key that is made from a secret in one browser's cookie, and from nothing else: the
//! store holds bytes that it cannot read, under a hash of that secret. It belongs to the account, Caf and
//! establishment of the dead session, is shown to them alone, and is sent once, when a person says so.

mod cookie;
mod form;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::domain::{
    CafCode, Clock, Identifiant, IdentifiantCommunication, NoEntropy, Siret, StoreError, Timestamp, Token,
    TokenHash,
};
use crate::limits::{Attempt, AttemptRule, Counters};
use crate::session::{Ready, SessionId};

pub use cookie::ParkingCookie;
pub use form::{Field, Form, MOST, Value, fields};

/// How long a form is kept: a session's time without action, over again.
pub const KEPT_FOR: Duration = Duration::from_mins(30);

/// A form that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parked {
    /// Where it was going, and whose it is.
    pub label: Label,
    /// Its body, less the fields that look like passwords.
    pub body: Bytes,
}

/// What is known of a form that waits, but for its body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Label {
    /// Whose it is.
    pub owner: Owner,
    /// Path and query, as they were sent.
    pub target: String,
    /// Its `Content-Type`.
    pub content_type: String,
    /// When it was posted.
    pub posted_at: Timestamp,
    /// Whether a field was left out since it looked like a password.
    pub lacks_password: bool,
    /// The secrets of the forms that the same browser posted too late before: its cookie holds the last one alone.
    #[serde(default)]
    pub earlier: Vec<String>,
}

/// A form that was taken.
#[derive(Debug)]
pub struct Taken {
    /// The form.
    pub parked: Parked,
    /// The secret that the browser holds from now on, where another form waits.
    pub held: Option<Token>,
}

/// Whose a form is: all four must be those of the session that sends it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    account: Identifiant,
    caf: CafCode,
    siret: Siret,
    identifiant_communication: Option<IdentifiantCommunication>,
}

impl From<&Ready> for Owner {
    fn from(stage: &Ready) -> Self {
        Self {
            account: stage.holder().account().clone(),
            caf: stage.caf(),
            siret: *stage.holder().siret(),
            identifiant_communication: stage.identifiant_communication(),
        }
    }
}

/// Where sealed forms are kept, under the hash of their secret.
#[async_trait]
pub trait ParkingStore: Send + Sync {
    /// Keeps bytes, at least from `at` until `until`, in the place of what was there.
    async fn park(
        &self,
        id: &TokenHash,
        sealed: &[u8],
        at: Timestamp,
        until: Timestamp,
    ) -> Result<(), StoreError>;

    /// What is kept, as long as nobody has taken it; it may be past its time.
    async fn parked(&self, id: &TokenHash) -> Result<Option<Vec<u8>>, StoreError>;

    /// Takes what is kept away; it is given to exactly one of several callers.
    async fn unpark(&self, id: &TokenHash) -> Result<Option<Vec<u8>>, StoreError>;
}

/// A form was not kept.
#[derive(Debug, thiserror::Error)]
pub enum ParkingError {
    /// The dead session, or its client's address, has left enough. Whose fault: the client's.
    #[error("too many forms of one dead session, or of one client")]
    TooMany,
    /// Whose fault: this machine's.
    #[error(transparent)]
    Entropy(#[from] NoEntropy),
    /// Whose fault: the store's.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// All forms that wait.
pub struct Parking {
    store: Arc<dyn ParkingStore>,
    counters: Arc<dyn Counters>,
    clock: Clock,
    seats: Semaphore,
}

/// Forms that may be on their way in at once, of [`MOST`] bytes each: an ended session can be shown by many
/// connections.
const SEATS: usize = 64;
/// Forms that one browser may hold beside the last.
const MOST_HELD: usize = 7;

/// A dead session cannot fill the store: that many forms, of [`MOST`] bytes each.
const PER_SESSION: AttemptRule =
    AttemptRule { max: 5, lockout: KEPT_FOR, grows: false, longest: KEPT_FOR, memory: KEPT_FOR };
/// Nor can a client's address, behind which there may be all the ESATs of an association: that many units of
/// [`UNIT`] bytes, of which a form takes one at least.
const PER_CLIENT: AttemptRule = AttemptRule { max: 64, ..PER_SESSION };
/// 16 MiB for an address, or 64 small forms.
const UNIT: usize = 256 * 1024;

impl Parking {
    /// Forms kept in `store`.
    pub fn new(store: Arc<dyn ParkingStore>, counters: Arc<dyn Counters>, clock: Clock) -> Self {
        Self { store, counters, clock, seats: Semaphore::new(SEATS) }
    }

    /// Room to hold a form while it comes in; none where too many do.
    pub fn seat(&self) -> Option<SemaphorePermit<'_>> {
        self.seats.try_acquire().ok()
    }

    /// Keeps a form that was posted with the dead session `of`, by a client at `place` whose browser may `hold` the
    /// secret of another; the secret that opens both.
    pub async fn keep(
        &self,
        of: &SessionId,
        place: &str,
        hold: Option<&Token>,
        label: Label,
        form: Form,
    ) -> Result<Token, ParkingError> {
        self.count(&format!("park:{}", of.to_text()), &PER_SESSION).await?;
        for _ in 0..form.size().div_ceil(UNIT).max(1) {
            self.count(&format!("park-from:{place}"), &PER_CLIENT).await?;
        }
        let earlier = match hold {
            Some(last) => self.held(last).await?.iter().take(MOST_HELD).map(Token::expose).collect(),
            None => Vec::new(),
        };
        let label = Label { earlier, ..label };
        let token = Token::random()?;
        self.put(&token, &Parked { label, body: form.into_body() }).await?;
        Ok(token)
    }

    /// A label for a form that is posted now.
    pub fn label(&self, owner: Owner, target: String, form: &Form) -> Label {
        let (content_type, lacks_password) = (form.content_type().to_owned(), form.lacks_password());
        let posted_at = self.clock.now();
        Label { owner, target, content_type, posted_at, lacks_password, earlier: Vec::new() }
    }

    /// The last form of `owner`'s that is still good, among those of a browser that holds `last`, with its own secret.
    pub async fn look_at(&self, last: &Token, owner: &Owner) -> Result<Option<(Token, Parked)>, StoreError> {
        for token in self.held(last).await? {
            let sealed = self.store.parked(&token.id()).await?;
            if let Some(parked) = sealed.and_then(|sealed| self.good(&token, sealed, owner)) {
                return Ok(Some((token, parked)));
            }
        }
        Ok(None)
    }

    /// Takes the form that `token` opens out of those of a browser that holds `last`, if it is `owner`'s and still
    /// good: once, whoever else asks.
    pub async fn take(
        &self,
        last: &Token,
        token: &Token,
        owner: &Owner,
    ) -> Result<Option<Taken>, StoreError> {
        let held = self.held(last).await?;
        let sealed = self.store.parked(&token.id()).await?;
        if sealed.and_then(|sealed| self.good(token, sealed, owner)).is_none() {
            return Ok(None);
        }
        let sealed = self.store.unpark(&token.id()).await?;
        let Some(parked) = sealed.and_then(|sealed| self.good(token, sealed, owner)) else { return Ok(None) };
        // It is out: what fails now must not lose it.
        let others = held.into_iter().filter(|other| other.id() != token.id()).collect::<Vec<_>>();
        let next = others.first().cloned();
        let held = self.last_of(others).await.unwrap_or(next);
        Ok(Some(Taken { parked, held }))
    }

    /// Puts a form back that was taken and certainly not sent.
    pub async fn put_back(&self, token: &Token, parked: &Parked) -> Result<(), StoreError> {
        self.put(token, parked).await
    }

    /// Time left until a form is no longer good.
    pub fn left(&self, parked: &Parked) -> Duration {
        let until = ends(parked);
        Duration::try_from(until.duration_since(self.clock.now())).unwrap_or_default()
    }

    /// The secrets of a browser's forms, the last one first.
    async fn held(&self, last: &Token) -> Result<Vec<Token>, StoreError> {
        let sealed = self.store.parked(&last.id()).await?;
        let earlier = sealed.and_then(|sealed| open(last, sealed)).map(|parked| parked.label.earlier);
        let earlier = earlier.unwrap_or_default();
        Ok(std::iter::once(last.clone())
            .chain(earlier.iter().filter_map(|text| Token::parse(text)))
            .collect())
    }

    /// The first secret that still opens something.
    async fn last_of(&self, held: Vec<Token>) -> Result<Option<Token>, StoreError> {
        for token in held {
            if self.store.parked(&token.id()).await?.is_some() {
                return Ok(Some(token));
            }
        }
        Ok(None)
    }

    async fn count(&self, key: &str, rule: &AttemptRule) -> Result<(), ParkingError> {
        match self.counters.attempt(key, rule, self.clock.now()).await? {
            Attempt::Allowed { .. } => Ok(()),
            Attempt::Locked { .. } => Err(ParkingError::TooMany),
        }
    }

    async fn put(&self, token: &Token, parked: &Parked) -> Result<(), StoreError> {
        let sealed = seal(token, parked)?;
        self.store.park(&token.id(), &sealed, self.clock.now(), ends(parked)).await
    }

    fn good(&self, token: &Token, sealed: Vec<u8>, owner: &Owner) -> Option<Parked> {
        let parked = open(token, sealed)?;
        (parked.label.owner == *owner && self.clock.now() < ends(&parked)).then_some(parked)
    }
}

fn ends(parked: &Parked) -> Timestamp {
    parked.label.posted_at.saturating_add(KEPT_FOR).unwrap_or(Timestamp::MAX)
}

/// What a page posts to send a form: a word that only its secret gives, so that no other page can.
pub fn word(token: &Token) -> String {
    Token::from_bits(token.derive("octroi: send a parked form")).expose()
}

/// The nonce, then the label's length in four bytes, the label and the body, sealed (AES-256-GCM).
fn seal(token: &Token, parked: &Parked) -> Result<Vec<u8>, StoreError> {
    let failed = |what: &str| StoreError::Corrupt(format!("a parked form could not be {what}"));
    let label = serde_json::to_vec(&parked.label).map_err(|_| failed("written"))?;
    let length = u32::try_from(label.len()).map_err(|_| failed("written"))?;
    let mut text = [&length.to_be_bytes(), label.as_slice(), &parked.body].concat();
    let nonce = key(token)
        .and_then(|key| key.seal_in_place_append_tag(Aad::empty(), &mut text).ok())
        .ok_or_else(|| failed("sealed"))?;
    Ok([nonce.as_ref().as_slice(), &text].concat())
}

/// `None` where the bytes are not what was sealed with this secret.
fn open(token: &Token, mut sealed: Vec<u8>) -> Option<Parked> {
    let (nonce, text) = sealed.split_at_mut_checked(NONCE_LEN)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let text: &[u8] = key(token)?.open_in_place(nonce, Aad::empty(), text).ok()?;
    let (length, rest) = text.split_first_chunk::<4>()?;
    let (label, body) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    let label = serde_json::from_slice(label).ok()?;
    Some(Parked { label, body: Bytes::copy_from_slice(body) })
}

fn key(token: &Token) -> Option<RandomizedNonceKey> {
    RandomizedNonceKey::new(&AES_256_GCM, token.derive("octroi: seal a parked form").as_ref()).ok()
}

#[cfg(test)]
mod tests;
