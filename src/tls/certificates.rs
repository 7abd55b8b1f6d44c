//! Certificates by DNS name: loaded whole, swapped whole, chosen by the name a client asks for (RFC 6066 §3).

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use webpki::EndEntityCert;

use super::fault::{TlsFault, TlsProblem};
use super::key_pair::{self, Subjects};
use super::self_signed;
use crate::config::model::CertificateSource;

/// The certificates in use, replaced as a whole while handshakes go on.
#[derive(Debug)]
pub struct Certificates {
    table: ArcSwap<CertificateTable>,
}

impl Certificates {
    /// Offers what is in `table`.
    pub fn new(table: CertificateTable) -> Self {
        Self { table: ArcSwap::from_pointee(table) }
    }

    /// Offers what is in `table` from the next handshake on.
    pub fn publish(&self, table: CertificateTable) {
        self.table.store(Arc::new(table));
    }
}

impl ResolvesServerCert for Certificates {
    /// `None` makes rustls send the alert `access_denied`, which is what a client that asks for a foreign name gets.
    fn resolve(&self, client_hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.table.load().choose(client_hello.server_name()).cloned()
    }
}

/// Certificates by DNS name; does not change once loaded.
#[derive(Debug, Default)]
pub struct CertificateTable {
    first: Option<Arc<CertifiedKey>>,
    exact: HashMap<Box<str>, Arc<CertifiedKey>>,
    /// By the name without its `*.`.
    wildcards: HashMap<Box<str>, Arc<CertifiedKey>>,
    loaded: Vec<LoadedCertificate>,
}

/// One certificate of a table, as an event tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadedCertificate {
    /// The chain's file, or `self-signed`.
    pub source: String,
    /// DNS names it is valid for, lower-case, `*.` included.
    pub names: Vec<String>,
}

impl CertificateTable {
    /// Loads every source; of several certificates for one name the first in the list is offered.
    ///
    /// # Errors
    /// Every fault of every source: an unreadable or empty file, a key that does not belong to its certificate, or a
    /// certificate that no client could ask for.
    pub fn load(sources: &[CertificateSource]) -> Result<Self, Vec<TlsFault>> {
        let mut table = Self::default();
        let mut faults = Vec::new();
        for source in sources {
            match load(source).and_then(|certificate| table.add(certificate)) {
                Ok(()) => {}
                Err(fault) => faults.extend(fault),
            }
        }
        if faults.is_empty() { Ok(table) } else { Err(faults) }
    }

    /// The certificates in the order of their sources.
    pub fn loaded(&self) -> &[LoadedCertificate] {
        &self.loaded
    }

    /// The certificate for the name in a client hello: the exact name, then a wildcard over its first label
    /// (RFC 9525 §6.3). A client that sends no name gets the first certificate; a foreign name gets none.
    pub fn choose(&self, server_name: Option<&str>) -> Option<&Arc<CertifiedKey>> {
        let Some(name) = server_name else { return self.first.as_ref() };
        let name = name.to_ascii_lowercase();
        self.exact.get(name.as_str()).or_else(|| {
            let (_, parent) = name.split_once('.')?;
            self.wildcards.get(parent)
        })
    }

    fn add(&mut self, certificate: Certificate) -> Result<(), Vec<TlsFault>> {
        let Certificate { source, key, names } = certificate;
        // A certificate for an address alone still serves clients that send no name, if it is the first.
        if names.is_empty() && self.first.is_some() {
            return Err(vec![TlsFault::new(format!("certificate {source}"), TlsProblem::NoName)]);
        }
        for name in &names {
            let (map, name) = match name.strip_prefix("*.") {
                Some(parent) => (&mut self.wildcards, parent),
                None => (&mut self.exact, name.as_str()),
            };
            map.entry(name.into()).or_insert_with(|| Arc::clone(&key));
        }
        self.first.get_or_insert(key);
        self.loaded.push(LoadedCertificate { source, names });
        Ok(())
    }
}

struct Certificate {
    source: String,
    key: Arc<CertifiedKey>,
    names: Vec<String>,
}

fn load(source: &CertificateSource) -> Result<Certificate, Vec<TlsFault>> {
    match source {
        CertificateSource::Files { chain, key } => load_files(chain, key),
        CertificateSource::SelfSigned { names } => make(names).map_err(|fault| vec![fault]),
    }
}

fn load_files(chain_path: &Path, key_path: &Path) -> Result<Certificate, Vec<TlsFault>> {
    let source = chain_path.display().to_string();
    let certificate = format!("certificate {source}");
    let private_key = format!("private key {}", key_path.display());
    let subjects = Subjects { certificate: &certificate, private_key: &private_key, source: &source };
    let (chain, key) = key_pair::read(&subjects, chain_path, key_path)?;
    certify(&subjects, chain, key).map_err(|fault| vec![fault])
}

fn make(names: &[String]) -> Result<Certificate, TlsFault> {
    let subject = format!("self-signed certificate for {}", names.join(", "));
    let made = self_signed(names).map_err(|error| TlsFault::new(&subject, TlsProblem::NotMade(error.to_string())))?;
    let subjects = Subjects { certificate: &subject, private_key: &subject, source: "self-signed" };
    certify(&subjects, vec![made.certificate], made.key.into())
}

/// Reads the first certificate's names, and proves that the key signs for it.
fn certify(
    subjects: &Subjects<'_>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Certificate, TlsFault> {
    let names = dns_names(&chain).map_err(|problem| TlsFault::new(subjects.certificate, problem))?;
    let key = Arc::new(key_pair::certify(subjects, chain, key)?);
    Ok(Certificate { source: subjects.source.to_owned(), key, names })
}

/// The DNS names of the leaf's `subjectAltName`; its common name counts for nothing (RFC 9525 §2).
fn dns_names(chain: &[CertificateDer<'_>]) -> Result<Vec<String>, TlsProblem> {
    let leaf = chain.first().ok_or(TlsProblem::NoCertificate)?;
    let leaf = EndEntityCert::try_from(leaf).map_err(|error| TlsProblem::BadCertificate(format!("{error:?}")))?;
    Ok(leaf.valid_dns_names().map(str::to_ascii_lowercase).collect())
}

#[cfg(test)]
mod tests;
