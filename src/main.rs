//! The `holdover` command.

use std::process::ExitCode;

/// Gives back to the system what is freed; set up in `.cargo/config.toml`.
#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    holdover::cli::main()
}
