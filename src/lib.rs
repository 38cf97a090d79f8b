//! octroi
pub mod account;
pub mod admin;
pub mod app;
pub mod cli;
pub mod config;
pub mod domain;
pub mod entry;
pub mod establishment;
pub mod limits;
pub mod session;
