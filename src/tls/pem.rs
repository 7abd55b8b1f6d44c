//! Certificates and keys out of PEM files (RFC 7468).

use std::path::Path;

use rustls::pki_types::pem::{Error, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::fault::{TlsFault, TlsProblem};

/// All certificates of a file, at least one; `subject` names the file in a fault.
pub(super) fn chain(subject: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsFault> {
    let text = read(subject, path)?;
    let chain = CertificateDer::pem_slice_iter(&text)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| TlsFault::new(subject, TlsProblem::BadPem(describe(error))))?;
    if chain.is_empty() { Err(TlsFault::new(subject, TlsProblem::NoCertificate)) } else { Ok(chain) }
}

/// The first private key of a file, in any of the three usual forms.
pub(super) fn private_key(subject: &str, path: &Path) -> Result<PrivateKeyDer<'static>, TlsFault> {
    let text = read(subject, path)?;
    PrivateKeyDer::from_pem_slice(&text).map_err(|error| {
        let problem = match error {
            Error::NoItemsFound => TlsProblem::NoKey,
            error => TlsProblem::BadPem(describe(error)),
        };
        TlsFault::new(subject, problem)
    })
}

fn read(subject: &str, path: &Path) -> Result<Vec<u8>, TlsFault> {
    std::fs::read(path).map_err(|error| TlsFault::new(subject, TlsProblem::Unreadable(error)))
}

/// The library prints lines as lists of numbers, and one of a key file may hold a secret.
fn describe(error: Error) -> String {
    match error {
        Error::MissingSectionEnd { .. } => "a section has no END line".to_owned(),
        Error::IllegalSectionStart { .. } => "a BEGIN line is malformed".to_owned(),
        Error::Base64Decode(_) => "a section is not base64".to_owned(),
        error => error.to_string(),
    }
}
