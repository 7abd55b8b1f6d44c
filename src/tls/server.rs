//! The server's side of TLS: one configuration for life, so that no reload costs a resumption.

use std::sync::Arc;

use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::server::NoServerSessionStorage;
use rustls::{Error, ServerConfig, version};

use super::certificates::Certificates;
use super::provider::provider;

/// TLS 1.3 and 1.2, HTTP/2 and HTTP/1.1 by ALPN, no early data, certificates from `certificates` at each handshake.
///
/// # Errors
/// The system gives no random bytes for ticket keys.
pub fn server_config(certificates: Arc<Certificates>) -> Result<Arc<ServerConfig>, Error> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&version::TLS13, &version::TLS12])?
        .with_no_client_auth()
        .with_cert_resolver(certificates);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.ignore_client_order = true;
    // Tickets resume a session without state on our side; a session store would be a lock shared by all workers.
    config.ticketer = Ticketer::new()?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    // A second ticket serves clients that open several connections at once and costs every handshake its work.
    config.send_tls13_tickets = 1;
    config.max_early_data_size = 0;
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::certificates::CertificateTable;
    use rustls::{CipherSuite, NamedGroup};

    #[test]
    fn preferences_are_ours_and_early_data_is_off() {
        let certificates = Arc::new(Certificates::new(CertificateTable::default()));
        let config = server_config(certificates).expect("the system has random bytes");
        let provider = config.crypto_provider();
        assert_eq!(provider.cipher_suites[0].suite(), CipherSuite::TLS13_AES_128_GCM_SHA256);
        assert_eq!(provider.kx_groups[0].name(), NamedGroup::X25519MLKEM768);
        assert_eq!(config.alpn_protocols, [b"h2".to_vec(), b"http/1.1".to_vec()]);
        assert!(config.ignore_client_order && config.ticketer.enabled());
        assert_eq!((config.send_tls13_tickets, config.max_early_data_size), (1, 0));
        assert!(config.cert_compressors.is_empty());
    }
}
