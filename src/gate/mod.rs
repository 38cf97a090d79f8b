//! The gate.

mod problem;
pub use problem::Problem;
