//! The command line: one file per subcommand.

mod admin_client;
mod args;
mod check;
mod config_file;
mod demo;
mod descriptors;
mod entry;
mod exit;
mod explain;
mod healthcheck;
mod named_files;
mod origin;
mod purge;
mod run;
mod signals;
mod status;

pub use entry::main;
