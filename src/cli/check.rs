//! `holdover check`: everything that `run` would object to, without serving.

use std::process::ExitCode;

use super::args::ConfigFile;
use super::exit;
use super::named_files::load_usable;
use crate::config::model::Config;

/// Validates the file, and the certificates and trust anchors it names.
#[expect(clippy::print_stdout, reason = "a command speaks to its user")]
pub(super) fn check(file: &ConfigFile) -> anyhow::Result<ExitCode> {
    let Some((config, path)) = load_usable(file)? else { return Ok(exit::CONFIGURATION.into()) };
    println!("{}: {} and ready to run", path.display(), summary(&config));
    Ok(ExitCode::SUCCESS)
}

fn summary(config: &Config) -> String {
    let origins: usize = config.sites.iter().map(|site| site.origins.len()).sum();
    let plural = |count: usize, noun: &str| format!("{count} {noun}{}", if count == 1 { "" } else { "s" });
    format!("{}, {}: valid", plural(config.sites.len(), "site"), plural(origins, "origin"))
}
