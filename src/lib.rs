//! octroi
pub mod account;
pub mod config;
pub mod domain;
pub mod entry;
pub mod establishment;
pub mod gate;
pub mod limits;
pub mod portal;
pub mod session;
