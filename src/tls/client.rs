//! The client's side of TLS, towards origins.

use std::path::Path;
use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore, version};

use super::fault::{TlsFault, TlsProblem};
use super::pem;
use super::provider::provider;

/// TLS 1.3 and 1.2 with HTTP/1.1, verified against the certificates in `ca_file`, or else Mozilla's trust anchors.
///
/// # Errors
/// `ca_file` cannot be read, holds no certificate, or one that cannot be a trust anchor.
pub fn client_config(ca_file: Option<&Path>) -> Result<Arc<ClientConfig>, TlsFault> {
    let anchors = match ca_file {
        Some(path) => private_anchors(path)?,
        None => RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() },
    };
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&version::TLS13, &version::TLS12])
        .expect("the provider has cipher suites and key exchange groups for both versions")
        .with_root_certificates(anchors)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
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
}
