//! Clients that check every byte, as fast as they can or as slowly as they are told.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;

use crate::content::Content;
use crate::node::Node;

/// What clients have got so far.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Bodies received whole, every byte right.
    pub(crate) whole: AtomicU64,
    /// Bytes checked, those of bodies that were left halfway included.
    pub(crate) bytes: AtomicU64,
    /// Bodies with a byte that was not right, or of another length.
    pub(crate) wrong: AtomicU64,
    /// Requests without an answer, or whose answer broke off.
    pub(crate) failed: AtomicU64,
    /// The first of the failures.
    pub(crate) first_failure: Mutex<Option<String>>,
}

impl Tally {
    /// Counts a failure.
    pub(crate) fn fail(&self, failure: String) {
        self.failed.fetch_add(1, Ordering::Relaxed);
        self.first_failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(failure);
    }
}

/// What is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    /// HTTP/1.1 in plain text.
    Http,
    /// HTTP/1.1 over TLS.
    Https,
    /// HTTP/2 over TLS.
    Http2,
}

/// How a body is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// As it comes.
    Full,
    /// So many bytes a second, with little room for more.
    Slow(u32),
}

/// A connection to the node; it is made with the first request, and again after a failure.
pub(crate) struct Visitor {
    node: Arc<Node>,
    tally: Arc<Tally>,
    over: Over,
    pace: Pace,
    sender: Option<Sender>,
}

enum Sender {
    Http1(http1::SendRequest<Empty<Bytes>>),
    Http2(http2::SendRequest<Empty<Bytes>>),
}

impl Visitor {
    /// Somebody without a connection yet.
    pub(crate) fn new(node: &Arc<Node>, tally: &Arc<Tally>, over: Over, pace: Pace) -> Self {
        Self { node: Arc::clone(node), tally: Arc::clone(tally), over, pace, sender: None }
    }

    /// `count` visitors over one HTTP/2 connection.
    pub(crate) async fn together(self, count: usize) -> anyhow::Result<Vec<Self>> {
        let Sender::Http2(sender) = self.connect().await? else { bail!("HTTP/1.1 carries one request at a time") };
        let sender = |_| Some(Sender::Http2(sender.clone()));
        let (node, tally) = (|| Arc::clone(&self.node), || Arc::clone(&self.tally));
        let Self { over, pace, .. } = self;
        Ok((0..count).map(|index| Self { node: node(), tally: tally(), over, pace, sender: sender(index) }).collect())
    }

    /// Asks for a body, checks it, and counts what came of it.
    pub(crate) async fn visit(&mut self, path: &str) {
        let failure = match timeout(PATIENCE, self.fetch(path)).await {
            Ok(Ok(())) => return,
            Ok(Err(failure)) => format!("{path}: {failure:#}"),
            Err(_) => format!("{path}: not there after {PATIENCE:?}"),
        };
        self.tally.fail(failure);
    }

    async fn fetch(&mut self, path: &str) -> anyhow::Result<()> {
        let content = Content::of(path).context("no path of ours")?;
        let mut sender = match self.sender.take() {
            Some(sender) if !sender.is_closed() => sender,
            Some(_) | None => self.connect().await?,
        };
        let request = Request::get(self.target(path)).header(header::HOST, "localhost").body(Empty::new())?;
        let response = sender.send(request).await?;
        if response.status() != StatusCode::OK {
            bail!("status {} {:?}", response.status(), response.headers().get("cache-status"));
        }
        let mut body = response.into_body();
        let mut offset = 0;
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame?.into_data() else { continue };
            if !content.is(offset, &data) {
                self.tally.wrong.fetch_add(1, Ordering::Relaxed);
                bail!("a wrong byte at {offset} or soon after");
            }
            offset += data.len() as u64;
            self.tally.bytes.fetch_add(data.len() as u64, Ordering::Relaxed);
            if let Pace::Slow(rate) = self.pace {
                sleep(Duration::from_secs_f64(data.len() as f64 / f64::from(rate))).await;
            }
        }
        if offset != content.length {
            self.tally.wrong.fetch_add(1, Ordering::Relaxed);
            bail!("a clean end after {offset} bytes");
        }
        self.tally.whole.fetch_add(1, Ordering::Relaxed);
        self.sender = Some(sender);
        Ok(())
    }

    fn target(&self, path: &str) -> String {
        if self.over == Over::Http2 { format!("https://localhost{path}") } else { path.to_owned() }
    }

    async fn connect(&self) -> anyhow::Result<Sender> {
        let socket = TcpSocket::new_v4()?;
        if self.pace != Pace::Full {
            socket.set_recv_buffer_size(SLOW_BUFFER_BYTES)?;
        }
        let address = if self.over == Over::Http { self.node.http } else { self.node.https };
        let stream = socket.connect(address).await?;
        stream.set_nodelay(true)?;
        match self.over {
            Over::Http => open_http1(stream).await,
            Over::Https => open_http1(self.secure(stream, b"http/1.1").await?).await,
            Over::Http2 => open_http2(self.secure(stream, b"h2").await?).await,
        }
    }

    async fn secure(
        &self,
        stream: TcpStream,
        protocol: &[u8],
    ) -> anyhow::Result<tokio_rustls::client::TlsStream<TcpStream>> {
        let mut config = (*self.node.trust).clone();
        config.alpn_protocols = vec![protocol.to_vec()];
        let name = ServerName::try_from("localhost")?;
        Ok(TlsConnector::from(Arc::new(config)).connect(name, stream).await?)
    }
}

impl Sender {
    async fn send(&mut self, request: Request<Empty<Bytes>>) -> anyhow::Result<Response<Incoming>> {
        match self {
            Self::Http1(sender) => {
                sender.ready().await?;
                Ok(sender.send_request(request).await?)
            }
            Self::Http2(sender) => {
                sender.ready().await?;
                Ok(sender.send_request(request).await?)
            }
        }
    }

    fn is_closed(&self) -> bool {
        match self {
            Self::Http1(sender) => sender.is_closed(),
            Self::Http2(sender) => sender.is_closed(),
        }
    }
}

async fn open_http1(io: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> anyhow::Result<Sender> {
    let (sender, connection) = http1::Builder::new().max_buf_size(BUFFER_BYTES).handshake(TokioIo::new(io)).await?;
    // How it ends is seen by whoever sends over it.
    tokio::spawn(async move { drop(connection.await) });
    Ok(Sender::Http1(sender))
}

async fn open_http2(io: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> anyhow::Result<Sender> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder.initial_stream_window_size(STREAM_WINDOW_BYTES);
    let (sender, connection) = builder.handshake(TokioIo::new(io)).await?;
    tokio::spawn(async move { drop(connection.await) });
    Ok(Sender::Http2(sender))
}

/// Longest time for one body: the slowest readers take most of it.
const PATIENCE: Duration = Duration::from_secs(300);

/// What a client reads at once; hyper takes no less than 8 KiB.
const BUFFER_BYTES: usize = 16 * 1024;

/// Receive buffer of a slow client, so that what it has not read waits at the node.
const SLOW_BUFFER_BYTES: u32 = 8 * 1024;

/// What a client has room for on one HTTP/2 stream.
const STREAM_WINDOW_BYTES: u32 = 64 * 1024;
