//! What the program tells its operator: log lines, one a request among them.

mod access;
pub mod audit;
mod lines;
mod logs;
pub mod metrics;

pub use access::{Access, is_recorded, record};
pub use lines::flush;
pub use logs::{LogError, Style, init};
