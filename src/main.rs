//! The `holdover` command.

use std::process::ExitCode;

use tikv_jemallocator::Jemalloc;

/// Gives back to the system what is freed; set up in `.cargo/config.toml`.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    holdover::cli::main()
}
