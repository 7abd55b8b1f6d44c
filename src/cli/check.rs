//! `holdover check`: everything that `run` would object to, without serving.

use std::process::ExitCode;

use super::args::ConfigFile;
use super::config_file::{Loaded, load_config, print};
use super::exit;
use super::named_files::{print_unusable, unusable_files};
use crate::config::model::Config;

/// Validates the file, and the certificates and trust anchors it names.
#[expect(clippy::print_stdout, reason = "a command speaks to its user")]
pub(super) fn check(file: &ConfigFile) -> anyhow::Result<ExitCode> {
    match load_config(file)? {
        Loaded::Faulty(problems) => {
            print(&problems);
            Ok(exit::CONFIGURATION.into())
        }
        Loaded::Whole(config, path) => {
            let faults = unusable_files(&config);
            if faults.is_empty() {
                println!("{}: {} and ready to run", path.display(), summary(&config));
                return Ok(ExitCode::SUCCESS);
            }
            print_unusable(&path, &faults);
            Ok(exit::CONFIGURATION.into())
        }
    }
}

fn summary(config: &Config) -> String {
    let origins: usize = config.sites.iter().map(|site| site.origins.len()).sum();
    let plural = |count: usize, noun: &str| format!("{count} {noun}{}", if count == 1 { "" } else { "s" });
    format!("{}, {}: valid", plural(config.sites.len(), "site"), plural(origins, "origin"))
}
