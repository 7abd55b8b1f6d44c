//! A client over real sockets, each request on a connection of its own.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use holdover::tls::client::client_config;
use http::{HeaderMap, Method, Request, Response, Version};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{Authority, PATIENCE};

/// A visitor of one host on one listener.
#[derive(Clone)]
pub(crate) struct Client {
    address: SocketAddr,
    host: String,
    tls: Option<Tls>,
}

#[derive(Clone)]
struct Tls {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl Client {
    /// Plain HTTP/1.1.
    pub(crate) fn plain(address: SocketAddr, host: &str) -> Self {
        Self { address, host: host.to_owned(), tls: None }
    }

    /// HTTP/1.1 over TLS, trusting `authority`.
    pub(crate) fn tls(address: SocketAddr, host: &str, authority: &Authority) -> Self {
        let config = client_config(Some(&authority.anchor())).unwrap();
        let name = ServerName::try_from(host.to_owned()).unwrap();
        Self { address, host: host.to_owned(), tls: Some(Tls { config, name }) }
    }

    /// The same, offering these protocols.
    pub(crate) fn offering(mut self, protocols: &[&str]) -> Self {
        let tls = self.tls.as_mut().expect("protocols are offered in a handshake");
        let mut config = ClientConfig::clone(&tls.config);
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        tls.config = Arc::new(config);
        self
    }

    /// The same, with requests for another host on connections for this one.
    pub(crate) fn asking_for(mut self, host: &str) -> Self {
        host.clone_into(&mut self.host);
        self
    }

    /// GET, read to the end.
    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<Reply> {
        self.get_with(path, &[]).await
    }

    /// GET with further fields, read to the end.
    pub(crate) async fn get_with(&self, path: &str, fields: &[(&str, &str)]) -> anyhow::Result<Reply> {
        let exchange = async {
            let response = self.begin(Method::GET, path, fields).await?;
            Reply::read(response).await
        };
        timeout(PATIENCE, exchange).await?
    }

    /// Any request without a body; its response's body is left to be read.
    pub(crate) async fn begin(
        &self,
        method: Method,
        path: &str,
        fields: &[(&str, &str)],
    ) -> anyhow::Result<Response<Incoming>> {
        self.connect().await?.begin(method, path, fields).await
    }

    /// A connection for any number of requests.
    pub(crate) async fn connect(&self) -> anyhow::Result<Connection> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let sender = match &self.tls {
            None => open_http1(stream).await?,
            Some(tls) => {
                let connector = TlsConnector::from(Arc::clone(&tls.config));
                let stream = connector.connect(tls.name.clone(), stream).await?;
                if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                    open_http2(stream).await?
                } else {
                    open_http1(stream).await?
                }
            }
        };
        Ok(Connection { host: self.host.clone(), sender })
    }

    /// Writes these bytes and reads all that comes until the node closes; a reset is a close.
    pub(crate) async fn raw(&self, bytes: &[u8]) -> String {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let Some(tls) = &self.tls else { return exchange(stream, bytes).await };
        let stream = TlsConnector::from(Arc::clone(&tls.config)).connect(tls.name.clone(), stream).await.unwrap();
        exchange(stream, bytes).await
    }
}

/// A connection of a client.
pub(crate) struct Connection {
    host: String,
    sender: Sender,
}

enum Sender {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

impl Connection {
    /// Any request without a body; its response's body is left to be read.
    pub(crate) async fn begin(
        &mut self,
        method: Method,
        path: &str,
        fields: &[(&str, &str)],
    ) -> anyhow::Result<Response<Incoming>> {
        let mut request = Request::builder().method(method);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        match &mut self.sender {
            Sender::Http1(sender) => {
                let request = request.uri(path).header("host", &self.host).body(Full::default())?;
                sender.ready().await?;
                Ok(sender.send_request(request).await?)
            }
            Sender::Http2(sender) => {
                let request = request.uri(format!("https://{}{path}", self.host)).body(Full::default())?;
                sender.ready().await?;
                Ok(sender.send_request(request).await?)
            }
        }
    }

    /// The same connection once more, where it carries more than one request at a time.
    pub(crate) fn shared(&self) -> Option<Self> {
        match &self.sender {
            Sender::Http1(_) => None,
            Sender::Http2(sender) => Some(Self { host: self.host.clone(), sender: Sender::Http2(sender.clone()) }),
        }
    }

    /// Whether no further request can be sent.
    pub(crate) fn is_closed(&self) -> bool {
        match &self.sender {
            Sender::Http1(sender) => sender.is_closed(),
            Sender::Http2(sender) => sender.is_closed(),
        }
    }
}

async fn open_http1(io: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> anyhow::Result<Sender> {
    let (sender, connection) = http1::handshake(TokioIo::new(io)).await?;
    tokio::spawn(connection);
    Ok(Sender::Http1(sender))
}

async fn open_http2(io: TlsStream<TcpStream>) -> anyhow::Result<Sender> {
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(io)).await?;
    tokio::spawn(connection);
    Ok(Sender::Http2(sender))
}

async fn exchange(mut io: impl AsyncRead + AsyncWrite + Unpin, bytes: &[u8]) -> String {
    // A node that has refused need not read on.
    let _refused = io.write_all(bytes).await;
    let mut answer = Vec::new();
    let mut piece = [0; 4096];
    let all = async {
        while let Ok(length @ 1..) = io.read(&mut piece).await {
            answer.extend_from_slice(&piece[..length]);
        }
    };
    timeout(PATIENCE, all).await.expect("the node closes a connection it has refused");
    String::from_utf8_lossy(&answer).into_owned()
}

/// A whole response.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) version: Version,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Reply {
    /// Reads a response to its end.
    pub(crate) async fn read(response: Response<Incoming>) -> anyhow::Result<Self> {
        let (head, body) = response.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok(Self { status: head.status.as_u16(), version: head.version, headers: head.headers, body })
    }

    /// A field's value; empty without it.
    pub(crate) fn field(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The body as text.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// Asserts the status and the body.
    #[track_caller]
    pub(crate) fn says(&self, status: u16, body: &str) -> &Self {
        assert_eq!((self.status, self.text()), (status, body), "{:?}", self.headers);
        self
    }
}
