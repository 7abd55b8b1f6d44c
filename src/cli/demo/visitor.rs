//! The drill's visitors: they ask over real TLS connections and check every byte.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::stage::Stage;
use super::tally::Met;
use crate::tls::client::client_config;

/// One visitor with one connection, made again when it breaks.
pub(super) struct Visitor {
    address: SocketAddr,
    tls: Arc<rustls::ClientConfig>,
    connection: Option<SendRequest<Empty<Bytes>>>,
}

/// What a visitor got.
pub(super) struct Reply {
    /// Status.
    pub(super) status: StatusCode,
    /// Fields.
    pub(super) headers: HeaderMap,
    /// The whole body.
    pub(super) body: Bytes,
}

impl Visitor {
    /// A visitor to the demo's edge.
    pub(super) fn new(stage: &Stage) -> anyhow::Result<Self> {
        let address = stage.node().address("https").context("the demo's node listens for https")?;
        let tls = client_config(Some(&stage.certificate())).map_err(|fault| anyhow!(fault))?;
        Ok(Self { address, tls, connection: None })
    }

    /// Asks for `path`, whole.
    pub(super) async fn get(&mut self, path: &str) -> anyhow::Result<Reply> {
        match timeout(PATIENCE, self.ask(path)).await {
            Ok(Ok(reply)) => Ok(reply),
            Ok(Err(error)) => {
                self.connection = None;
                Err(error)
            }
            Err(_) => {
                self.connection = None;
                Err(anyhow!("no whole answer within {PATIENCE:?}"))
            }
        }
    }

    async fn ask(&mut self, path: &str) -> anyhow::Result<Reply> {
        let mut sender = match self.connection.take() {
            Some(sender) if !sender.is_closed() => sender,
            Some(_) | None => self.connect().await?,
        };
        sender.ready().await?;
        let request =
            Request::get(path).header(header::HOST, format!("localhost:{}", self.address.port())).body(Empty::new())?;
        let response = sender.send_request(request).await?;
        let (head, body) = response.into_parts();
        let body = body.collect().await.context("the body broke off")?.to_bytes();
        self.connection = Some(sender);
        Ok(Reply { status: head.status, headers: head.headers, body })
    }

    async fn connect(&self) -> anyhow::Result<SendRequest<Empty<Bytes>>> {
        let stream = TcpStream::connect(self.address).await?;
        let name = ServerName::try_from("localhost")?;
        let stream = TlsConnector::from(Arc::clone(&self.tls)).connect(name, stream).await?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(async move { drop(connection.await) });
        Ok(sender)
    }
}

impl Reply {
    /// What it is to a visitor who expects `body`, or, where `may_be_refused`, an honest 503.
    pub(super) fn judge(&self, path: &str, body: &[u8], may_be_refused: bool) -> Met {
        let has = |name| self.headers.contains_key(name);
        match self.status {
            StatusCode::OK if self.body == body => Met::Answer { stale: self.is_stale() },
            StatusCode::OK => Met::WrongBytes,
            StatusCode::SERVICE_UNAVAILABLE if may_be_refused && has(header::RETRY_AFTER) => Met::Refusal,
            status => Met::Failure(format!("{path}: {status}")),
        }
    }

    /// Whether the answer's own `Cache-Status` says that it was stale.
    fn is_stale(&self) -> bool {
        let status = self.headers.get("cache-status").and_then(|value| value.to_str().ok());
        status.is_some_and(|status| status.contains("ttl=-"))
    }
}

/// Longer than a request's own deadline, so that a wait that should not be is seen as one.
const PATIENCE: Duration = Duration::from_secs(15);
