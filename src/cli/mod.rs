//! The command line: one file per subcommand.

mod args;
mod check;
mod config_file;
mod demo;
mod descriptors;
mod entry;
mod exit;
mod healthcheck;
mod named_files;
mod run;
mod signals;

pub use entry::main;
