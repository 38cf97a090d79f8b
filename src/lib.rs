//! octroi
pub mod account;
pub mod config;
pub mod domain;
pub mod entry;
pub mod establishment;
pub mod limits;
pub mod session;
pub mod store;
