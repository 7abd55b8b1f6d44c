//! The floor: rustls on tokio with canned bytes and no HTTP, which is what an HTTPS response costs before anybody has
//! decided anything.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::{self, cipher_suite};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// Answers every request at `address` with one of the files in `directory`, chosen by the first request of a connection.
///
/// # Errors
/// The address or the files are not to be had.
pub(crate) async fn serve(address: SocketAddr, directory: &Path) -> io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    let acceptor = acceptor(directory)?;
    let canned: Arc<Vec<(String, Bytes)>> = Arc::new(
        super::plan::FILES
            .iter()
            .map(|(name, _)| Ok((format!("GET /{name} "), canned(&std::fs::read(directory.join(name))?))))
            .collect::<io::Result<_>>()?,
    );
    loop {
        let (tcp, _) = listener.accept().await?;
        let (acceptor, canned) = (acceptor.clone(), Arc::clone(&canned));
        tokio::spawn(async move { answer(tcp, &acceptor, &canned).await });
    }
}

async fn answer(tcp: TcpStream, acceptor: &TlsAcceptor, canned: &[(String, Bytes)]) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    let mut stream = acceptor.accept(tcp).await?;
    stream.get_mut().1.set_buffer_limit(Some(WRITE_BUFFER_BYTES));
    let mut request = [0; 4096];
    let mut response = None;
    loop {
        let length = stream.read(&mut request).await?;
        if length == 0 {
            return Ok(());
        }
        let response = *response.get_or_insert_with(|| {
            let chosen = canned.iter().find(|(start, _)| request.starts_with(start.as_bytes()));
            &chosen.unwrap_or(&canned[0]).1
        });
        stream.write_all(response).await?;
        stream.flush().await?;
    }
}

fn canned(body: &[u8]) -> Bytes {
    let mut response = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len()).into_bytes();
    response.extend_from_slice(body);
    response.into()
}

fn acceptor(directory: &Path) -> io::Result<TlsAcceptor> {
    let certificate = CertificateDer::from_pem_file(directory.join("chain.pem")).map_err(io::Error::other)?;
    let key = PrivateKeyDer::from_pem_file(directory.join("key.pem")).map_err(io::Error::other)?;
    let provider = rustls::crypto::CryptoProvider {
        cipher_suites: vec![cipher_suite::TLS13_AES_128_GCM_SHA256],
        ..aws_lc_rs::default_provider()
    };
    let config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .and_then(|config| config.with_no_client_auth().with_single_cert(vec![certificate], key))
        .map_err(io::Error::other)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// The best of those that were tried.
const WRITE_BUFFER_BYTES: usize = 64 * 1024;
