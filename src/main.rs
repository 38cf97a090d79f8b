//! octroi, the gateway at the edge of the ESAT extranet.

use std::process::ExitCode;

/// Requests allocate little and often, each on its worker's own thread: what mimalloc is best at.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    octroi::cli::main()
}
