//! A certificate chain and the key that belongs to it.

use std::path::Path;

use rustls::Error;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use super::fault::{TlsFault, TlsProblem};
use super::pem;
use super::provider::provider;

/// The two parts of a pair, as faults name them.
pub(super) struct Subjects<'a> {
    /// `certificate a.pem`
    pub(super) certificate: &'a str,
    /// `private key a.key`
    pub(super) private_key: &'a str,
    /// Where the certificate comes from: `a.pem`.
    pub(super) source: &'a str,
}

/// Reads both files; what is wrong with either is told.
pub(super) fn read(
    subjects: &Subjects<'_>,
    chain_path: &Path,
    key_path: &Path,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), Vec<TlsFault>> {
    match (pem::chain(subjects.certificate, chain_path), pem::private_key(subjects.private_key, key_path)) {
        (Ok(chain), Ok(key)) => Ok((chain, key)),
        (chain, key) => Err(chain.err().into_iter().chain(key.err()).collect()),
    }
}

/// Proves that the key signs for the chain's first certificate.
pub(super) fn certify(
    subjects: &Subjects<'_>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<CertifiedKey, TlsFault> {
    let key = provider()
        .key_provider
        .load_private_key(key)
        .map_err(|error| TlsFault::new(subjects.private_key, TlsProblem::BadKey(error.to_string())))?;
    let certified = CertifiedKey::new(chain, key);
    match certified.keys_match() {
        Ok(()) => Ok(certified),
        Err(Error::InconsistentKeys(_)) => {
            Err(TlsFault::new(subjects.private_key, TlsProblem::KeyMismatch(subjects.source.to_owned())))
        }
        Err(error) => Err(TlsFault::new(subjects.certificate, TlsProblem::BadCertificate(error.to_string()))),
    }
}
