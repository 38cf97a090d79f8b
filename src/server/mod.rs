//! Listeners, TLS and workers: where connections come in, and how they end.

mod connection;
mod descriptors;
mod graceful;
mod http1;
mod http2;
mod listener;
mod mutual;
mod patience;
mod proxy;
mod streams;
mod tls;
mod worker;

pub use listener::{BindError, Listeners};
pub use mutual::MutualTls;
pub use tls::{Certificate, TlsError};
pub use worker::{Drain, Workers};
