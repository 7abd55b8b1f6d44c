//! Which certificate a name gets, and what is wrong with those that cannot be used.

use std::fs;
use std::path::PathBuf;

use super::*;

/// A directory of this test's own, removed at its end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("holdover-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("the temporary directory is writable");
        Self(path)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).expect("the folder is writable");
        path
    }

    /// `name.pem` and `name.key` for these DNS names.
    fn certificate(&self, name: &str, names: &[&str]) -> CertificateSource {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let made = rcgen::generate_simple_self_signed(names).expect("the names are valid");
        let chain = self.write(&format!("{name}.pem"), &made.cert.pem());
        let key = self.write(&format!("{name}.key"), &made.signing_key.serialize_pem());
        CertificateSource::Files { chain, key }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn self_signed(names: &[&str]) -> CertificateSource {
    CertificateSource::SelfSigned { names: names.iter().map(|&name| name.to_owned()).collect() }
}

#[test]
fn the_certificate_is_chosen_by_name() {
    let sources = [
        self_signed(&["first.example"]),
        self_signed(&["*.example.org", "example.org"]),
        self_signed(&["WWW.example.org"]),
        self_signed(&["first.example", "second.example"]),
    ];
    let table = CertificateTable::load(&sources).expect("all names are valid");
    let keys: Vec<_> = ["first.example", "example.org", "www.example.org", "second.example"]
        .map(|name| Arc::clone(table.choose(Some(name)).expect("each source has a name of its own")))
        .into();
    let check = |server_name: Option<&str>, expected: Option<usize>| {
        let found = table.choose(server_name).map(|key| keys.iter().position(|other| Arc::ptr_eq(key, other)));
        assert_eq!(found, expected.map(Some), "{server_name:?}");
    };
    check(None, Some(0));
    check(Some("first.example"), Some(0));
    check(Some("example.org"), Some(1));
    check(Some("a.example.org"), Some(1));
    check(Some("A.Example.ORG"), Some(1));
    check(Some("www.example.org"), Some(2));
    check(Some("a.b.example.org"), None);
    check(Some("*.example.org"), Some(1));
    check(Some("second.example"), Some(3));
    check(Some("foreign.example"), None);
    check(Some("org"), None);
    check(Some(""), None);
}

#[test]
fn an_empty_table_has_no_certificate_for_anyone() {
    let table = CertificateTable::load(&[]).expect("there is nothing to fail");
    assert!(table.choose(None).is_none());
    assert!(table.choose(Some("example.org")).is_none());
}

#[test]
fn files_are_loaded_with_their_names() {
    let folder = Folder::new("loaded");
    let table = CertificateTable::load(&[folder.certificate("a", &["A.example", "*.a.example"])]).expect("valid");
    let source = folder.0.join("a.pem").display().to_string();
    let names = ["a.example", "*.a.example"].map(str::to_owned).into();
    assert_eq!(table.loaded(), [LoadedCertificate { source, names }]);
}

#[test]
fn a_certificate_for_addresses_alone_may_only_be_the_first() {
    assert!(CertificateTable::load(&[self_signed(&["127.0.0.1"]), self_signed(&["a.example"])]).is_ok());
    let faults = CertificateTable::load(&[self_signed(&["a.example"]), self_signed(&["127.0.0.1"])]);
    assert!(matches!(&faults.expect_err("no name")[..], [TlsFault { problem: TlsProblem::NoName, .. }]));
}

#[test]
fn every_fault_of_every_source_is_told() {
    let folder = Folder::new("faults");
    let path = |name: &str| folder.0.join(name);
    folder.certificate("a", &["a.example"]);
    folder.certificate("b", &["b.example"]);
    folder.write("empty.pem", "");
    folder.write("broken.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n");
    folder.write("noise.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    let files = |chain: &str, key: &str| CertificateSource::Files { chain: path(chain), key: path(key) };
    let sources = [
        files("a.pem", "a.key"),
        files("a.pem", "b.key"),
        files("empty.pem", "a.pem"),
        files("missing.pem", "missing.key"),
        files("broken.pem", "a.key"),
        files("noise.pem", "a.key"),
        self_signed(&["bücher.example"]),
    ];
    let faults = CertificateTable::load(&sources).expect_err("most sources are faulty");
    let told: Vec<String> =
        faults.iter().map(|fault| fault.to_string().replace(&format!("{}/", folder.0.display()), "")).collect();
    let expected = [
        "private key b.key: does not belong to the first certificate in a.pem; expected",
        "certificate empty.pem: no certificate found; expected a PEM chain, leaf first",
        "private key a.pem: no private key found; expected",
        "certificate missing.pem: cannot be read: No such file",
        "private key missing.key: cannot be read: No such file",
        "certificate broken.pem: not valid PEM (a section has no END line)",
        "certificate noise.pem: not a usable certificate (",
        "self-signed certificate for bücher.example: cannot be made (",
    ];
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    for (told, expected) in told.iter().zip(expected) {
        assert!(told.starts_with(expected), "{told}");
    }
}

#[test]
fn one_file_may_hold_chain_and_key() {
    let folder = Folder::new("both");
    folder.certificate("a", &["a.example"]);
    let read = |name: &str| fs::read_to_string(folder.0.join(name)).expect("written above");
    let both = folder.write("both.pem", &(read("a.key") + &read("a.pem")));
    let table = CertificateTable::load(&[CertificateSource::Files { chain: both.clone(), key: both }]);
    assert!(table.is_ok(), "{table:?}");
}
