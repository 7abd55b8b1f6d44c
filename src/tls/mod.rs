//! TLS on both sides: certificates by name, the server's and the client's configuration.

pub mod certificates;
pub mod client;
pub mod fault;
mod key_pair;
mod pem;
mod provider;
pub mod self_signed;
pub mod server;

pub use certificates::{CertificateTable, Certificates, LoadedCertificate};
pub use client::{ClientSide, client_config, origin_side};
pub use fault::{TlsFault, TlsProblem};
pub use self_signed::{SelfSigned, self_signed};
pub use server::server_config;
