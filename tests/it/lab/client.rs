//! A client of the node, and what it got.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use holdover::listen::http::{Conditions, serve_connection};
use holdover::listen::protocol::Protocol;
use holdover::listen::watched::{Watch, Watched};
use holdover::serve::client::{ClientConnection, TlsFacts};
use holdover::serve::handle::handle;
use holdover::serve::worker::Worker;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{DuplexStream, duplex};

/// A visitor with one HTTP/1.1 connection that came in over TLS for `www.test`, made anew when the node has closed it.
pub(crate) struct Client {
    worker: Arc<Worker>,
    conditions: Conditions,
    sender: SendRequest<Full<Bytes>>,
}

impl Client {
    pub(super) async fn new(worker: &Arc<Worker>, conditions: &Conditions) -> Self {
        let sender = connect(worker, conditions).await;
        Self { worker: Arc::clone(worker), conditions: conditions.clone(), sender }
    }

    /// GET, read to the end.
    pub(crate) async fn get(&mut self, path: &str) -> Reply {
        self.send("GET", path, &[], "").await
    }

    /// GET with further fields, read to the end.
    pub(crate) async fn get_with(&mut self, path: &str, fields: &[(&str, &str)]) -> Reply {
        self.send("GET", path, fields, "").await
    }

    /// Any request, read to the end.
    pub(crate) async fn send(
        &mut self,
        method: &str,
        path: &str,
        fields: &[(&str, &str)],
        body: &'static str,
    ) -> Reply {
        let began = self.conditions.clock.now().monotonic;
        let response = self.begin(method, path, fields, body).await;
        let first_byte = self.conditions.clock.now().monotonic - began;
        Reply::read(response, first_byte).await
    }

    /// Any request; its body is left to be read.
    pub(crate) async fn begin(
        &mut self,
        method: &str,
        path: &str,
        fields: &[(&str, &str)],
        body: &'static str,
    ) -> Response<Incoming> {
        if self.sender.ready().await.is_err() {
            self.sender = connect(&self.worker, &self.conditions).await;
        }
        let mut request = Request::builder().method(method).uri(path);
        if !fields.iter().any(|(name, _)| *name == "host") {
            request = request.header("host", "www.test");
        }
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        self.sender.send_request(request.body(Full::from(body)).unwrap()).await.unwrap()
    }
}

async fn connect(worker: &Arc<Worker>, conditions: &Conditions) -> SendRequest<Full<Bytes>> {
    let stream = open(worker, conditions, Protocol::Http1);
    let (sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

/// A connection to the node, for clients that keep to no rule.
pub(super) fn open(worker: &Arc<Worker>, conditions: &Conditions, protocol: Protocol) -> DuplexStream {
    let (ours, theirs) = duplex(64 * 1024);
    let watch = Arc::new(Watch::new(protocol, &conditions.limits, conditions.clock.clone()));
    let mut socket = Watched::new(theirs);
    socket.watch(Arc::clone(&watch));
    let peer = SocketAddr::from(([198, 51, 100, 7], 50_000));
    let tls = Some(TlsFacts { sni: Some(Arc::from("www.test")) });
    let client = Arc::new(ClientConnection { peer, protocol: protocol.as_str(), tls });
    let (worker, conditions) = (Arc::clone(worker), conditions.clone());
    tokio::spawn(async move {
        let respond =
            move |request, body, client: &ClientConnection, arrival| handle(&worker, request, body, client, arrival);
        serve_connection(socket, watch, client, respond, &conditions).await
    });
    ours
}

/// A visitor with one HTTP/2 connection.
pub(crate) struct Http2Client {
    sender: http2::SendRequest<Full<Bytes>>,
}

impl Http2Client {
    pub(super) async fn new(worker: &Arc<Worker>, conditions: &Conditions) -> Self {
        let stream = open(worker, conditions, Protocol::Http2);
        let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self { sender }
    }

    /// Any request without a body, read to the end; the body is `None` when the stream was reset.
    pub(crate) async fn send(&mut self, method: &str, path: &str, fields: &[(&str, &str)]) -> Reply {
        Reply::read(self.begin(method, path, fields, "").await, Duration::ZERO).await
    }

    /// Any request; its body is left to be read.
    pub(crate) async fn begin(
        &mut self,
        method: &str,
        path: &str,
        fields: &[(&str, &str)],
        body: &'static str,
    ) -> Response<Incoming> {
        let mut request = Request::builder().method(method).uri(format!("https://www.test{path}"));
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        self.sender.ready().await.unwrap();
        self.sender.send_request(request.body(Full::from(body)).unwrap()).await.unwrap()
    }
}

/// A response, read as far as it came.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// `None` when it broke off.
    pub(crate) body: Option<Bytes>,
    /// How long its head took.
    pub(crate) first_byte: Duration,
}

impl Reply {
    async fn read(response: Response<Incoming>, first_byte: Duration) -> Self {
        let (head, body) = response.into_parts();
        let body = body.collect().await.ok().map(http_body_util::Collected::to_bytes);
        Self { status: head.status, headers: head.headers, body, first_byte }
    }

    /// A field's value; empty without it.
    pub(crate) fn field(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The body as text.
    #[track_caller]
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(self.body.as_ref().expect("the body broke off")).unwrap()
    }

    /// Asserts the status and the body.
    #[track_caller]
    pub(crate) fn says(&self, status: u16, body: &str) -> &Self {
        assert_eq!((self.status.as_u16(), self.text()), (status, body), "{:?}", self.headers);
        self
    }

    /// Asserts our member of `Cache-Status`, without the node's name.
    #[track_caller]
    pub(crate) fn cache_status(&self, expected: &str) -> &Self {
        assert_eq!(self.field("cache-status"), format!("lab; {expected}"));
        self
    }

    /// Asserts `Age`.
    #[track_caller]
    pub(crate) fn aged(&self, seconds: u32) -> &Self {
        assert_eq!(self.field("age"), seconds.to_string());
        self
    }

    /// Asserts that the head came within `time`.
    #[track_caller]
    pub(crate) fn within(&self, time: Duration) -> &Self {
        assert!(self.first_byte <= time, "it took {:?}", self.first_byte);
        self
    }
}
