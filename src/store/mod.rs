//! Where what must outlive a process, or be seen by another, is kept: one contract, two stores.

pub mod embedded;
mod names;
pub mod redis;

#[cfg(test)]
mod tests;

/// Whether a store can be worked with, for `/readyz`.
pub trait Health: Send + Sync {
    /// Whether it answers now.
    fn is_reachable(&self) -> bool;
}
