//! The portal as a program and a browser see it, on stores in memory.

mod memory;
mod pages;
mod routing;
mod walks;
pub(crate) mod world;
