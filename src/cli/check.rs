//! `holdover check`: everything that `run` would object to, without serving.

use std::process::ExitCode;

use super::args::ConfigFile;
use super::exit;
use super::named_files::load_usable;
use crate::config::model::Config;
use crate::node::state::writable;

/// Validates the file, and the certificates, trust anchors and error pages it names.
#[expect(clippy::print_stdout, clippy::print_stderr, reason = "a command speaks to its user")]
pub(super) fn check(file: &ConfigFile) -> anyhow::Result<ExitCode> {
    let Some((config, path)) = load_usable(file)? else { return Ok(exit::CONFIGURATION.into()) };
    // A node serves without it, so it is no problem of the configuration.
    if let Some(directory) = &config.state_directory
        && let Err(error) = writable(directory)
    {
        let directory = directory.display();
        eprintln!("{}: warning: state.directory: nothing can be saved in {directory}: {error}", path.display());
    }
    println!("{}: {} and ready to run", path.display(), summary(&config));
    Ok(ExitCode::SUCCESS)
}

fn summary(config: &Config) -> String {
    let origins: usize = config.sites.iter().map(|site| site.origins.len()).sum();
    let plural = |count: usize, noun: &str| format!("{count} {noun}{}", if count == 1 { "" } else { "s" });
    format!("{}, {}: valid", plural(config.sites.len(), "site"), plural(origins, "origin"))
}
