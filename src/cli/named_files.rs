//! Files that a configuration names, and whether they can be used.

use std::path::Path;

use crate::config::model::{Config, LogTarget};
use crate::tls::certificates::CertificateTable;
use crate::tls::client::client_config;

/// What is wrong with certificates, keys, trust anchors and log files, all at once.
pub(super) fn unusable_files(config: &Config) -> Vec<String> {
    let certificates = CertificateTable::load(&config.certificates).err().unwrap_or_default();
    let origins = config.sites.iter().flat_map(|site| &site.origins);
    let anchors = origins.filter_map(|origin| client_config(origin.ca_file.as_deref()).err());
    let tls = certificates.into_iter().chain(anchors).map(|fault| fault.to_string());
    tls.chain([&config.log.access, &config.log.events].into_iter().filter_map(unusable_log)).collect()
}

/// A log file is made when it is opened, but not the folder it is in.
fn unusable_log(target: &LogTarget) -> Option<String> {
    let LogTarget::File(path) = target else { return None };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    (!folder.is_dir()).then(|| format!("log {}: there is no folder {}", path.display(), folder.display()))
}

/// Prints them, each with the file that names it.
#[expect(clippy::print_stderr, reason = "a command speaks to its user")]
pub(super) fn print_unusable(named_in: &Path, faults: &[String]) {
    faults.iter().for_each(|fault| eprintln!("{}: {fault}", named_in.display()));
}
