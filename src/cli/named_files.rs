//! Files that a configuration names, and whether they can be used.

use std::path::{Path, PathBuf};

use super::args::ConfigFile;
use super::config_file::{Loaded, load_config, print};
use crate::config::model::{Config, LogTarget};
use crate::serve::error_page::ErrorPage;
use crate::tls::certificates::CertificateTable;
use crate::tls::client::origin_side;

/// The configuration, with every file it names usable, and where it was found; `None` once everything that is wrong has
/// been printed.
pub(super) fn load_usable(file: &ConfigFile) -> anyhow::Result<Option<(Config, PathBuf)>> {
    match load_config(file)? {
        Loaded::Faulty(problems) => print(&problems),
        Loaded::Whole(config, path) => {
            let faults = unusable_files(&config);
            if faults.is_empty() {
                return Ok(Some((*config, path)));
            }
            print_unusable(&path, &faults);
        }
    }
    Ok(None)
}

/// What is wrong with certificates, keys, trust anchors, error pages and log files, all at once.
fn unusable_files(config: &Config) -> Vec<String> {
    let certificates = CertificateTable::load(&config.certificates).err().unwrap_or_default();
    let origins = config.sites.iter().flat_map(|site| &site.origins);
    let sides =
        origins.filter_map(|origin| origin_side(origin.ca_file.as_deref(), origin.client_certificate.as_ref()).err());
    let tls = certificates.into_iter().chain(sides.flatten()).map(|fault| fault.to_string());
    let pages = config.sites.iter().filter_map(|site| ErrorPage::load(site.error_page.as_deref()?).err());
    let files = tls.chain(pages.map(|fault| fault.to_string()));
    files.chain([&config.log.access, &config.log.events].into_iter().filter_map(unusable_log)).collect()
}

/// A log file is made when it is opened, but not the folder it is in.
fn unusable_log(target: &LogTarget) -> Option<String> {
    let LogTarget::File(path) = target else { return None };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    (!folder.is_dir()).then(|| format!("log {}: there is no folder {}", path.display(), folder.display()))
}

/// Prints them, each with the file that names it.
#[expect(clippy::print_stderr, reason = "a command speaks to its user")]
fn print_unusable(named_in: &Path, faults: &[String]) {
    faults.iter().for_each(|fault| eprintln!("{}: {fault}", named_in.display()));
}
