//! `holdover check`: everything that `run` would object to, without serving.

use std::process::ExitCode;

use super::args::ConfigFile;
use super::config_file::{Loaded, load_config, print};
use super::exit;
use crate::config::model::Config;
use crate::tls::certificates::CertificateTable;
use crate::tls::client::client_config;

/// Validates the file, and the certificates and trust anchors it names.
#[expect(clippy::print_stdout, clippy::print_stderr, reason = "a command speaks to its user")]
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
            faults.iter().for_each(|fault| eprintln!("{}: {fault}", path.display()));
            Ok(exit::CONFIGURATION.into())
        }
    }
}

fn unusable_files(config: &Config) -> Vec<String> {
    let certificates = CertificateTable::load(&config.certificates).err().unwrap_or_default();
    let origins = config.sites.iter().flat_map(|site| &site.origins);
    let anchors = origins.filter_map(|origin| client_config(origin.ca_file.as_deref()).err());
    certificates.into_iter().chain(anchors).map(|fault| fault.to_string()).collect()
}

fn summary(config: &Config) -> String {
    let origins: usize = config.sites.iter().map(|site| site.origins.len()).sum();
    let plural = |count: usize, noun: &str| format!("{count} {noun}{}", if count == 1 { "" } else { "s" });
    format!("{}, {}: valid", plural(config.sites.len(), "site"), plural(origins, "origin"))
}
