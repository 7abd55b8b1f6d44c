//! The client's side of TLS, towards origins.

use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::ServerCertVerifier;
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, RootCertStore, version};

use super::fault::{TlsFault, TlsProblem};
use super::key_pair::{self, Subjects};
use super::pem;
use super::provider::provider;
use crate::config::model::ClientCertificate;

/// How connections to an origin are made.
#[derive(Clone, Debug)]
pub struct ClientSide {
    /// What they are made with.
    pub config: Arc<ClientConfig>,
    /// The same, and every handshake is a full one: in a resumed session the certificate is that of the first.
    pub full_config: Arc<ClientConfig>,
    /// What the origin's certificates are verified with.
    pub verifier: Arc<dyn ServerCertVerifier>,
}

/// TLS 1.3 and 1.2 with HTTP/1.1, verified against the certificates in `ca_file`, or else Mozilla's trust anchors.
///
/// # Errors
/// `ca_file` cannot be read, holds no certificate, or one that cannot be a trust anchor.
pub fn client_config(ca_file: Option<&Path>) -> Result<Arc<ClientConfig>, TlsFault> {
    Ok(side(anchors(ca_file)?, None).config)
}

/// The same, with a certificate for origins that ask for one.
///
/// # Errors
/// Every fault of `ca_file`, as above, and of the two files of `own`: unreadable or empty, or a key that does not belong to
/// the certificate.
pub fn origin_side(ca_file: Option<&Path>, own: Option<&ClientCertificate>) -> Result<ClientSide, Vec<TlsFault>> {
    match (anchors(ca_file), own.map(key_pair).transpose()) {
        (Ok(anchors), Ok(own)) => Ok(side(anchors, own)),
        (anchors, own) => Err(anchors.err().into_iter().chain(own.err().into_iter().flatten()).collect()),
    }
}

fn side(anchors: RootCertStore, own: Option<CertifiedKey>) -> ClientSide {
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(anchors), provider())
        .build()
        .expect("there are trust anchors, and no revocation lists to refuse");
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&version::TLS13, &version::TLS12])
        .expect("the provider has cipher suites and key exchange groups for both versions")
        .with_webpki_verifier(Arc::clone(&verifier));
    let mut config = match own {
        Some(own) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(own))),
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let mut full_config = config.clone();
    full_config.resumption = Resumption::disabled();
    ClientSide { config: Arc::new(config), full_config: Arc::new(full_config), verifier }
}

fn key_pair(own: &ClientCertificate) -> Result<CertifiedKey, Vec<TlsFault>> {
    let source = own.chain.display().to_string();
    let certificate = format!("client_certificate {source}");
    let private_key = format!("client_key {}", own.key.display());
    let subjects = Subjects { certificate: &certificate, private_key: &private_key, source: &source };
    let (chain, key) = key_pair::read(&subjects, &own.chain, &own.key)?;
    key_pair::certify(&subjects, chain, key).map_err(|fault| vec![fault])
}

fn anchors(ca_file: Option<&Path>) -> Result<RootCertStore, TlsFault> {
    match ca_file {
        Some(path) => private_anchors(path),
        None => Ok(RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() }),
    }
}

fn private_anchors(path: &Path) -> Result<RootCertStore, TlsFault> {
    let subject = format!("ca_file {}", path.display());
    let mut anchors = RootCertStore::empty();
    for certificate in pem::chain(&subject, path)? {
        anchors
            .add(certificate)
            .map_err(|error| TlsFault::new(&subject, TlsProblem::BadCertificate(error.to_string())))?;
    }
    Ok(anchors)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_anchors_are_the_default() {
        let config = client_config(None).expect("nothing is read");
        assert_eq!(config.alpn_protocols, [b"http/1.1".to_vec()]);
    }

    #[test]
    fn a_missing_ca_file_is_named() {
        let fault = client_config(Some(Path::new("/nowhere/ca.pem"))).expect_err("the file is missing");
        assert!(fault.to_string().starts_with("ca_file /nowhere/ca.pem: cannot be read: "), "{fault}");
    }

    #[test]
    fn every_missing_file_of_an_origin_is_named() {
        let own = ClientCertificate { chain: "/nowhere/client.pem".into(), key: "/nowhere/client.key".into() };
        let faults = origin_side(Some(Path::new("/nowhere/ca.pem")), Some(&own)).expect_err("the files are missing");
        let told: Vec<String> = faults.iter().map(ToString::to_string).collect();
        for (told, expected) in told.iter().zip([
            "ca_file /nowhere/ca",
            "client_certificate /nowhere/client.p",
            "client_key /nowhere/client.k",
        ]) {
            assert!(told.starts_with(expected), "{told}");
        }
        assert_eq!(told.len(), 3, "{told:?}");
    }
}
