//! Self-signed certificates, for the demo and for trying things out.

use rcgen::{CertificateParams, DistinguishedName, DnType, Error, ExtendedKeyUsagePurpose, KeyPair};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};

/// A certificate and its key.
#[derive(Debug)]
pub struct SelfSigned {
    /// Its own issuer; a client that trusts it can verify it.
    pub certificate: CertificateDer<'static>,
    /// ECDSA P-256.
    pub key: PrivatePkcs8KeyDer<'static>,
    certificate_pem: String,
    key_pem: String,
}

impl SelfSigned {
    /// The certificate as a file holds it.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// The key as a file holds it.
    pub fn key_pem(&self) -> &str {
        &self.key_pem
    }
}

/// Makes a certificate for DNS names and IP addresses; `localhost` brings the loopback addresses along.
///
/// # Errors
/// A name is neither an address nor made of ASCII characters.
pub fn self_signed(names: &[String]) -> Result<SelfSigned, Error> {
    let mut subject_names = names.to_vec();
    if names.iter().any(|name| name == "localhost") {
        let loopback = ["127.0.0.1", "::1"].map(str::to_owned);
        subject_names.extend(loopback.into_iter().filter(|address| !names.contains(address)));
    }
    let mut parameters = CertificateParams::new(subject_names)?;
    parameters.distinguished_name = DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, names.first().map_or("holdover", String::as_str));
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
    let certificate = parameters.self_signed(&key)?;
    Ok(SelfSigned {
        certificate_pem: certificate.pem(),
        key_pem: key.serialize_pem(),
        certificate: certificate.into(),
        key: PrivatePkcs8KeyDer::from(key.serialize_der()),
    })
}
