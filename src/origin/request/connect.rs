//! The one dialer: probes and traffic reach an origin in the same way.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::client::conn::http1::Builder;
use rustix::io::Errno;
use rustls::ClientConfig;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::task::TaskTracker;

use super::portion::{PORTION_MAX_BYTES, Portions};
use super::retry::FailureKind;
use super::wire::Wire;
use crate::origin::causes::with_causes;
use crate::origin::pool::Origin;

/// The body of a request to an origin.
pub type RequestBody = UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;

/// A byte stream to an origin.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Opens byte streams. Implemented by TCP and, in tests, by streams in memory.
pub trait Dial: Send + Sync + 'static {
    /// Connects to `address`; the caller bounds the wait.
    fn dial(&self, address: SocketAddr) -> Dialing;
}

/// A connection on its way.
pub type Dialing = Pin<Box<dyn Future<Output = io::Result<Box<dyn Stream>>> + Send>>;

/// TCP. All that one of them dials share what may be read at once.
#[derive(Debug, Default)]
pub struct TcpDial {
    portions: Portions,
}

impl Dial for TcpDial {
    fn dial(&self, address: SocketAddr) -> Dialing {
        let portions = self.portions.clone();
        Box::pin(async move {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            Ok(Box::new(portions.of(stream)) as Box<dyn Stream>)
        })
    }
}

/// Connects to `address` of `origin`, TLS included, within `wait`, and speaks HTTP/1.1 over it. The connection's task is
/// spawned on `tasks` and ends with the returned wire. Calls `opened` when the stream is open and has yet to shake hands.
///
/// # Errors
/// `Connect`, `ConnectTimeout`, `Exhausted` or `Tls`, with the cause in words.
pub async fn connect(
    dial: &dyn Dial,
    origin: &Origin,
    address: SocketAddr,
    wait: Duration,
    tasks: &TaskTracker,
    opened: impl FnOnce(),
) -> Result<Wire, ConnectError> {
    let connected = async {
        let stream = open(dial, address).await?;
        opened();
        let stream = match &origin.tls {
            None => stream,
            Some(tls) => Box::new(secure(stream, &tls.config, &tls.server_name).await?),
        };
        speak(stream, tasks).await
    };
    within(wait, connected).await
}

/// The same with a full handshake. Returns also the certificates that were shown in it, the origin's own first.
///
/// # Errors
/// Those of [`connect`].
pub async fn connect_in_full(
    dial: &dyn Dial,
    origin: &Origin,
    address: SocketAddr,
    wait: Duration,
    tasks: &TaskTracker,
) -> Result<(Wire, Vec<CertificateDer<'static>>), ConnectError> {
    let connected = async {
        let mut stream = open(dial, address).await?;
        let mut shown = Vec::new();
        if let Some(tls) = &origin.tls {
            let secured = secure(stream, &tls.full_config, &tls.server_name).await?;
            shown = secured.get_ref().1.peer_certificates().map(<[_]>::to_vec).unwrap_or_default();
            stream = Box::new(secured);
        }
        Ok((speak(stream, tasks).await?, shown))
    };
    within(wait, connected).await
}

async fn within<T>(
    wait: Duration,
    connected: impl Future<Output = Result<T, ConnectError>>,
) -> Result<T, ConnectError> {
    timeout(wait, connected).await.unwrap_or_else(|_| {
        Err(ConnectError { kind: FailureKind::ConnectTimeout, cause: format!("no connection within {wait:?}") })
    })
}

async fn open(dial: &dyn Dial, address: SocketAddr) -> Result<Box<dyn Stream>, ConnectError> {
    let refused = |error: io::Error| ConnectError { kind: refusal(&error), cause: error.to_string() };
    dial.dial(address).await.map_err(refused)
}

/// An address is not to be blamed for what this node lacks: with no descriptors left, every origin would seem dead.
fn refusal(error: &io::Error) -> FailureKind {
    let lacks = error.raw_os_error().and_then(|code| LACKS.iter().find(|lack| lack.raw_os_error() == code));
    if lacks.is_some() { FailureKind::Exhausted } else { FailureKind::Connect }
}

/// Descriptors of the process and of the system, local ports, buffers, memory.
const LACKS: [Errno; 5] = [Errno::MFILE, Errno::NFILE, Errno::ADDRNOTAVAIL, Errno::NOBUFS, Errno::NOMEM];

async fn secure(
    stream: Box<dyn Stream>,
    config: &Arc<ClientConfig>,
    server_name: &ServerName<'static>,
) -> Result<TlsStream<Box<dyn Stream>>, ConnectError> {
    let secured = TlsConnector::from(Arc::clone(config)).connect(server_name.clone(), stream).await;
    secured.map_err(|error| ConnectError { kind: FailureKind::Tls, cause: with_causes(&error) })
}

async fn speak(stream: Box<dyn Stream>, tasks: &TaskTracker) -> Result<Wire, ConnectError> {
    let mut builder = Builder::new();
    builder.max_buf_size(PORTION_MAX_BYTES).max_header_size(HEAD_BYTES_MAX);
    let opened = Wire::open(&builder, stream, tasks).await;
    opened.map_err(|error| ConnectError { kind: FailureKind::Connect, cause: error.to_string() })
}

/// Why no connection came about.
#[derive(Debug, thiserror::Error)]
#[error("{}: {cause}", kind.as_str())]
pub struct ConnectError {
    /// `Connect`, `ConnectTimeout`, `Exhausted` or `Tls`.
    pub kind: FailureKind,
    /// For the event log.
    pub cause: String,
}

/// Largest response head accepted from an origin.
const HEAD_BYTES_MAX: usize = 64 * 1024;
