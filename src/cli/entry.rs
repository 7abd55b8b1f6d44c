//! From the command line to an exit code.

use std::process::ExitCode;

use clap::Parser;

use super::args::{Arguments, Command};
use super::{check, demo, exit, explain, healthcheck, origin, purge, run, status};

/// Runs the command that the process was started with.
///
/// Exit codes: 0 done, 1 failed, 2 usage, 78 configuration (`EX_CONFIG` of sysexits.h).
#[expect(clippy::print_stdout, clippy::print_stderr, reason = "a command speaks to its user")]
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match arguments.command {
        Command::Check(file) => check::check(&file),
        Command::Demo(demo) => demo::demo(&demo),
        Command::Explain(question) => explain::explain(&question),
        Command::Healthcheck(target) => healthcheck::healthcheck(&target),
        Command::Origin(order) => origin::origin(&order),
        Command::Purge(what) => purge::purge(&what),
        Command::Run(file) => run::run(&file),
        Command::Status(target) => status::status(&target),
        Command::Version => {
            println!("holdover {}", env!("CARGO_PKG_VERSION"));
            Ok(ExitCode::SUCCESS)
        }
    };
    result.unwrap_or_else(|error| {
        eprintln!("holdover: {error:#}");
        exit::FAILED.into()
    })
}
