//! octroi, the gateway at the edge of the ESAT extranet.

use std::process::ExitCode;

fn main() -> ExitCode {
    octroi::cli::main()
}
