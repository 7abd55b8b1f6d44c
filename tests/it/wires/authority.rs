//! A certificate authority, and what it signs.

use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use holdover::clock::Clock;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};

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
        self.issue_with(name, CertificateParams::new([name.to_owned()]).unwrap())
    }

    /// The same; it was issued 60 days ago, and expires when so much time has passed.
    pub(crate) fn issue_for(&self, name: &str, left: Duration) -> (PathBuf, PathBuf) {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.not_before = date_time_ymd(1970, 1, 1) + since_1970() - 60 * DAY;
        params.not_after = date_time_ymd(1970, 1, 1) + since_1970() + left;
        self.issue_with(name, params)
    }

    /// The same as the first; an intermediate certificate expires when so much time has passed.
    pub(crate) fn issue_through_intermediate(&self, name: &str, left: Duration) -> (PathBuf, PathBuf) {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "intermediate of a test");
        params.not_after = date_time_ymd(1970, 1, 1) + since_1970() + left;
        let issuer = CertifiedIssuer::signed_by(params, KeyPair::generate().unwrap(), &self.issuer).unwrap();
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new([name.to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
        self.write(name, &(leaf.pem() + &issuer.pem()), &key)
    }

    fn issue_with(&self, name: &str, params: CertificateParams) -> (PathBuf, PathBuf) {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        self.write(name, &certificate.pem(), &key)
    }

    fn write(&self, name: &str, chain: &str, key: &KeyPair) -> (PathBuf, PathBuf) {
        let chain = self.folder.write(&format!("{name}.pem"), chain);
        (chain, self.folder.write(&format!("{name}.key"), key.serialize_pem()))
    }

    /// The same as a `[[certificate]]` of a configuration.
    pub(crate) fn certificate(&self, name: &str) -> String {
        let (chain, key) = self.issue(name);
        format!("\n[[certificate]]\nchain = {chain:?}\nkey = {key:?}\n")
    }
}

fn since_1970() -> Duration {
    Clock::new().now().wall.duration_since(UNIX_EPOCH).unwrap()
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
