//! What the program tells its operator: log lines, one a request among them.

mod access;
mod logs;

pub use access::{Access, record};
pub use logs::{LogError, Style, init};
