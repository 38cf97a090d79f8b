//! What operators have taken out of service: kept in the store, so that every replica keeps to it, and the next start.

use std::fmt;
use std::str::FromStr;

use async_trait::async_trait;

use crate::domain::{CafCode, StoreError};

/// A Caf's backend, or one of its instances, that gets no new requests.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Drained {
    /// The Caf.
    pub caf: CafCode,
    /// The instance's URL; all of them without.
    pub instance: Option<String>,
}

/// Where orders are kept.
#[async_trait]
pub trait DrainStore: Send + Sync {
    /// All that is out of service, in no order.
    async fn drained(&self) -> Result<Vec<Drained>, StoreError>;

    /// Takes something out of service, or puts it back; what is so already stays so.
    async fn set_drained(&self, what: &Drained, drains: bool) -> Result<(), StoreError>;
}

impl fmt::Display for Drained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.instance {
            Some(instance) => write!(f, "{} {instance}", self.caf),
            None => write!(f, "{}", self.caf),
        }
    }
}

/// What [`Drained`] is written as, by whoever wrote it.
impl FromStr for Drained {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self, StoreError> {
        let (caf, instance) = match text.split_once(' ') {
            Some((caf, instance)) => (caf, Some(instance.to_owned())),
            None => (text, None),
        };
        let caf = caf.parse().map_err(|_| StoreError::Corrupt("a drained Caf".to_owned()))?;
        Ok(Self { caf, instance })
    }
}
