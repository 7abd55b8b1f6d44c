//! An origin that sends what the test wrote, byte for byte.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

use super::Authority;

/// A piece of what an origin sends.
pub(crate) enum Piece {
    /// These bytes.
    Bytes(Vec<u8>),
    /// Nothing, until the test gives a permit.
    Wait(Arc<Semaphore>),
}

/// A running origin; probes of `/` are good.
pub(crate) struct Origin {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Origin {
    /// Starts one that answers every request head with what `answer` makes of it.
    pub(crate) async fn start(answer: impl Fn(&str) -> Vec<Piece> + Send + Sync + 'static) -> Self {
        Self::listen(None, answer).await
    }

    /// The same over TLS.
    pub(crate) async fn tls(
        pair: (impl AsRef<Path>, impl AsRef<Path>),
        answer: impl Fn(&str) -> Vec<Piece> + Send + Sync + 'static,
    ) -> Self {
        Self::listen_tls(pair, WebPkiClientVerifier::no_client_auth(), answer).await
    }

    /// The same for clients alone that show a certificate of this authority.
    pub(crate) async fn tls_for_clients_of(
        authority: &Authority,
        pair: (impl AsRef<Path>, impl AsRef<Path>),
        answer: impl Fn(&str) -> Vec<Piece> + Send + Sync + 'static,
    ) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(authority.anchor()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
        Self::listen_tls(pair, verifier, answer).await
    }

    async fn listen_tls(
        (chain, key): (impl AsRef<Path>, impl AsRef<Path>),
        verifier: Arc<dyn ClientCertVerifier>,
        answer: impl Fn(&str) -> Vec<Piece> + Send + Sync + 'static,
    ) -> Self {
        let chain = CertificateDer::pem_file_iter(chain).unwrap().map(Result::unwrap).collect();
        let key = PrivateKeyDer::from_pem_file(key).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = config.with_client_cert_verifier(verifier).with_single_cert(chain, key).unwrap();
        Self::listen(Some(TlsAcceptor::from(Arc::new(config))), answer).await
    }

    async fn listen(tls: Option<TlsAcceptor>, answer: impl Fn(&str) -> Vec<Piece> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (heads, answer) = (Arc::new(Mutex::new(Vec::new())), Arc::new(answer));
        let seen = Arc::clone(&heads);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (tls, answer, seen) = (tls.clone(), Arc::clone(&answer), Arc::clone(&seen));
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, &*answer, &seen).await,
                        Some(tls) => match tls.accept(stream).await {
                            Ok(stream) => serve(stream, &*answer, &seen).await,
                            Err(_) => None,
                        },
                    }
                });
            }
        });
        Self { address, heads }
    }

    /// The heads of all requests for this path.
    pub(crate) fn requests(&self, path: &str) -> Vec<String> {
        let heads = self.heads.lock().unwrap();
        heads.iter().filter(|head| head.split(' ').nth(1) == Some(path)).cloned().collect()
    }
}

/// Ends with the connection.
async fn serve(
    mut io: impl AsyncRead + AsyncWrite + Unpin,
    answer: &(dyn Fn(&str) -> Vec<Piece> + Send + Sync),
    seen: &Mutex<Vec<String>>,
) -> Option<()> {
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(io.read_u8().await.ok()?);
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        seen.lock().unwrap().push(head.clone());
        for piece in answer(&head) {
            match piece {
                Piece::Bytes(bytes) => io.write_all(&bytes).await.ok()?,
                Piece::Wait(gate) => gate.acquire().await.ok()?.forget(),
            }
            io.flush().await.ok()?;
        }
    }
}

/// A whole 200 response with these fields, each ending in CRLF, and this body.
pub(crate) fn response(fields: &str, body: &str) -> Vec<Piece> {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n{fields}\r\n{body}", body.len());
    vec![Piece::Bytes(head.into_bytes())]
}
