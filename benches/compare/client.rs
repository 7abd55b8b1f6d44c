//! A client of our own, for what load generators do not do: check bodies, shake hands, be idle, fill a cache.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;

use holdover::clock::Clock;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientSessionMemoryCache, Resumption};
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{self, cipher_suite, kx_group};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, HandshakeKind, SignatureScheme, version};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Which handshakes a client makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Handshake {
    /// With a certificate.
    Full,
    /// With the ticket of the connection before.
    Resumed,
}

/// A connection that speaks HTTP/1.1.
pub(crate) struct Connection {
    /// With its port, as load generators write it: it is part of the cache key.
    host: String,
    stream: TlsStream<TcpStream>,
    buffer: Vec<u8>,
}

impl Connection {
    /// Connects with a full handshake.
    ///
    /// # Errors
    /// TCP or TLS fails.
    pub(crate) async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = connect(address, &connector(Handshake::Full)).await?;
        Ok(Self { host: format!("localhost:{}", address.port()), stream, buffer: Vec::new() })
    }

    /// The body of a response with status 200 and a `Content-Length`.
    ///
    /// # Errors
    /// The connection breaks, or the response is another one.
    pub(crate) async fn get(&mut self, path: &str) -> io::Result<Vec<u8>> {
        let (head, length) = self.ask("GET", path).await?;
        while self.buffer.len() < head + length {
            self.read_more().await?;
        }
        let rest = self.buffer.split_off(head + length);
        let mut whole = std::mem::replace(&mut self.buffer, rest);
        Ok(whole.split_off(head))
    }

    /// The length of the body that a response with status 200 would have.
    ///
    /// # Errors
    /// As for [`Connection::get`].
    pub(crate) async fn head(&mut self, path: &str) -> io::Result<usize> {
        let (head, length) = self.ask("HEAD", path).await?;
        self.buffer.drain(..head);
        Ok(length)
    }

    /// Where the head of the response ends, and the length that it states.
    async fn ask(&mut self, method: &str, path: &str) -> io::Result<(usize, usize)> {
        let request = format!("{method} {path} HTTP/1.1\r\nhost: {}\r\n\r\n", self.host);
        self.stream.write_all(request.as_bytes()).await?;
        self.stream.flush().await?;
        loop {
            match framing(&self.buffer)? {
                Some(framing) => return Ok(framing),
                None => self.read_more().await?,
            }
        }
    }

    async fn read_more(&mut self) -> io::Result<()> {
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

/// Shakes hands again and again on `lanes` connections at once, until `seconds` are over; how often.
///
/// # Errors
/// A handshake fails, or is of another kind than wanted.
pub(crate) async fn shake_hands(address: SocketAddr, kind: Handshake, lanes: u64, seconds: f64) -> io::Result<u64> {
    let clock = Clock::new();
    let begin = clock.now().monotonic;
    let made = Arc::new(AtomicU64::new(0));
    let mut tasks = JoinSet::new();
    for _ in 0..lanes {
        let (clock, made) = (clock.clone(), Arc::clone(&made));
        tasks.spawn(async move {
            let connector = connector(kind);
            let mut wanted = HandshakeKind::Full;
            while clock.now().monotonic.duration_since(begin).as_secs_f64() < seconds {
                let mut stream = connect(address, &connector).await?;
                if stream.get_ref().1.handshake_kind() != Some(wanted) {
                    return Err(io::Error::other("a handshake of another kind"));
                }
                if kind == Handshake::Resumed {
                    wanted = HandshakeKind::Resumed;
                }
                take_ticket(&mut stream).await?;
                stream.shutdown().await?;
                made.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.map_err(io::Error::other)??;
    }
    Ok(made.load(Ordering::Relaxed))
}

/// Asks for heads alone on `lanes` connections at once, until `seconds` are over; how often.
///
/// # Errors
/// One of the responses is another one.
pub(crate) async fn ask_for_heads(
    address: SocketAddr,
    path: &'static str,
    lanes: u32,
    seconds: f64,
) -> io::Result<u64> {
    let clock = Clock::new();
    let begin = clock.now().monotonic;
    let mut tasks = JoinSet::new();
    for _ in 0..lanes {
        let clock = clock.clone();
        tasks.spawn(async move {
            let mut connection = Connection::open(address).await?;
            let mut answers = 0;
            while clock.now().monotonic.duration_since(begin).as_secs_f64() < seconds {
                connection.head(path).await?;
                answers += 1;
            }
            io::Result::Ok(answers)
        });
    }
    let mut all = 0;
    while let Some(ended) = tasks.join_next().await {
        all += ended.map_err(io::Error::other)??;
    }
    Ok(all)
}

/// Opens `count` connections, has each answered once, and returns them idle.
///
/// # Errors
/// One of them fails.
pub(crate) async fn idle(address: SocketAddr, count: usize, path: &'static str) -> io::Result<Vec<Connection>> {
    let mut all = Vec::with_capacity(count);
    let mut tasks = JoinSet::new();
    for opened in 0..count {
        tasks.spawn(async move {
            let mut connection = Connection::open(address).await?;
            connection.get(path).await?;
            io::Result::Ok(connection)
        });
        if opened >= LANES {
            all.extend(tasks.join_next().await.transpose().map_err(io::Error::other)?.transpose()?);
        }
    }
    while let Some(ended) = tasks.join_next().await {
        all.push(ended.map_err(io::Error::other)??);
    }
    Ok(all)
}

async fn connect(address: SocketAddr, connector: &TlsConnector) -> io::Result<TlsStream<TcpStream>> {
    let tcp = TcpStream::connect(address).await?;
    tcp.set_nodelay(true)?;
    connector.connect(ServerName::try_from("localhost").expect("it is a name"), tcp).await
}

/// Waits for the ticket that comes after the handshake, so that the server has done all its work.
async fn take_ticket(stream: &mut TlsStream<TcpStream>) -> io::Result<()> {
    poll_fn(|context| {
        let mut nothing = [0; 1];
        loop {
            if stream.get_ref().1.tls13_tickets_received() > 0 {
                return Poll::Ready(Ok(()));
            }
            match Pin::new(&mut *stream).poll_read(context, &mut ReadBuf::new(&mut nothing)) {
                Poll::Ready(Ok(())) => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending if stream.get_ref().1.tls13_tickets_received() > 0 => {}
                Poll::Pending => return Poll::Pending,
            }
        }
    })
    .await
}

/// TLS 1.3, AES-128-GCM, X25519: what every server here can do, so that all do the same.
fn connector(kind: Handshake) -> TlsConnector {
    let provider = CryptoProvider {
        cipher_suites: vec![cipher_suite::TLS13_AES_128_GCM_SHA256],
        kx_groups: vec![kx_group::X25519],
        ..aws_lc_rs::default_provider()
    };
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&version::TLS13])
        .expect("the provider has what TLS 1.3 needs")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate))
        .with_no_client_auth();
    config.resumption = match kind {
        Handshake::Full => Resumption::disabled(),
        Handshake::Resumed => Resumption::store(Arc::new(ClientSessionMemoryCache::new(8))),
    };
    TlsConnector::from(Arc::new(config))
}

/// Where the body begins and how long it is, once the head is there.
fn framing(received: &[u8]) -> io::Result<Option<(usize, usize)>> {
    let Some(end) = received.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
    let head = String::from_utf8_lossy(&received[..end]).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    match length.filter(|_| head.starts_with("http/1.1 200")) {
        Some(length) => Ok(Some((end + 4, length))),
        None => Err(io::Error::other(format!("an unexpected response: {head}"))),
    }
}

/// The servers here are our own and their certificate is new; what verifying it costs the client is no figure of theirs.
#[derive(Debug)]
struct AnyCertificate;

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256]
    }
}

/// Connections under way at once.
const LANES: usize = 64;
