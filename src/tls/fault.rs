//! What is wrong with a certificate, a key or a bundle of trust anchors, in the operator's words.

use std::io;

use thiserror::Error;

/// One fault: which file, and what is wrong with it.
#[derive(Debug, Error)]
#[error("{subject}: {problem}")]
pub struct TlsFault {
    /// `certificate a.pem`, `private key a.key`, `ca_file ca.pem`, `client_key client.key`.
    pub subject: String,
    /// What is wrong, and the accepted form.
    pub problem: TlsProblem,
}

impl TlsFault {
    pub(super) fn new(subject: impl Into<String>, problem: TlsProblem) -> Self {
        Self { subject: subject.into(), problem }
    }
}

/// What is wrong, and the accepted form.
#[derive(Debug, Error)]
pub enum TlsProblem {
    /// Not an X.509 version 3 certificate.
    #[error("not a usable certificate ({0}); expected X.509 version 3")]
    BadCertificate(String),
    /// A key of a kind that cannot sign here.
    #[error("not a usable key ({0}); expected ECDSA P-256 or P-384, Ed25519, or RSA of 2048 to 8192 bits")]
    BadKey(String),
    /// Text that looks like PEM and is not.
    #[error("not valid PEM ({0})")]
    BadPem(String),
    /// The key signs for another certificate.
    #[error("does not belong to the first certificate in {0}; expected its key, and the leaf first in the chain")]
    KeyMismatch(String),
    /// No certificate in the file.
    #[error("no certificate found; expected a PEM chain, leaf first")]
    NoCertificate,
    /// No private key in the file.
    #[error("no private key found; expected one in PEM, not encrypted: PKCS#8, PKCS#1 or SEC1")]
    NoKey,
    /// Names no DNS name, so no client can ask for it.
    #[error("no DNS name in subjectAltName; only the first certificate may do without, for clients that send no name")]
    NoName,
    /// A self-signed certificate could not be made for these names.
    #[error("cannot be made ({0}); expected DNS names or IP addresses")]
    NotMade(String),
    /// The file could not be read.
    #[error("cannot be read: {0}")]
    Unreadable(io::Error),
}
