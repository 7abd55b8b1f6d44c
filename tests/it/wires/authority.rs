//! A certificate authority, and what it signs.

use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use super::Folder;

/// An authority whose certificate lies in its folder as `ca.pem`, beside the pairs it issued.
pub(crate) struct Authority {
    folder: Folder,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    /// A new one.
    pub(crate) fn new() -> Self {
        let folder = Folder::new();
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // A name unlike those of what it signs, which would pass for self-signed otherwise.
        params.distinguished_name.push(DnType::CommonName, "authority of a test");
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        folder.write("ca.pem", issuer.pem());
        Self { folder, issuer }
    }

    /// Its own certificate.
    pub(crate) fn anchor(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// Issues a certificate for `name`; says where chain and key are.
    pub(crate) fn issue(&self, name: &str) -> (PathBuf, PathBuf) {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new([name.to_owned()]).unwrap().signed_by(&key, &self.issuer).unwrap();
        let chain = self.folder.write(&format!("{name}.pem"), certificate.pem());
        (chain, self.folder.write(&format!("{name}.key"), key.serialize_pem()))
    }

    /// The same as a `[[certificate]]` of a configuration.
    pub(crate) fn certificate(&self, name: &str) -> String {
        let (chain, key) = self.issue(name);
        format!("\n[[certificate]]\nchain = {chain:?}\nkey = {key:?}\n")
    }
}
