//! What is known of the client's connection.

use std::net::SocketAddr;
use std::sync::Arc;

/// One client connection; the same for all of its requests.
#[derive(Clone, Debug)]
pub struct ClientConnection {
    /// The client's address.
    pub peer: SocketAddr,
    /// `h1` or `h2`.
    pub protocol: &'static str,
    /// Present when the connection is TLS.
    pub tls: Option<TlsFacts>,
}

impl ClientConnection {
    /// `https` or `http`.
    pub fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }
}

/// What the TLS handshake told.
#[derive(Clone, Debug)]
pub struct TlsFacts {
    /// Server Name Indication (RFC 6066 §3), lower-case, when the client sent one.
    pub sni: Option<Arc<str>>,
}
