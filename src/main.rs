//! The `holdover` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    holdover::cli::main()
}
