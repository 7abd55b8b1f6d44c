//! A node without sockets that answers from what is stored, for benches and tests of hits.

use std::hint::black_box;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use holdover::cache::compressor::Compressor;
use holdover::cache::stored::Arrival;
use holdover::clock::Clock;
use holdover::config::model::LogTarget;
use holdover::config::{Surroundings, load};
use holdover::node::assembly::{Assembly, World};
use holdover::origin::dns::answers::Lookup;
use holdover::origin::dns::discovery::Resolve;
use holdover::origin::request::connect::{Dial, Dialing};
use holdover::semantics::key::{CacheKey, cache_key};
use holdover::semantics::target::Target;
use holdover::semantics::vary::Nominated;
use holdover::serve::client::{ClientConnection, TlsFacts};
use holdover::serve::handle::handle;
use holdover::serve::responding::Responding;
use holdover::serve::worker::Worker;
use holdover::telemetry::{Events, Metrics};
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode};
use http_body::Body;
use http_body_util::Empty;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

#[path = "put.rs"]
mod put;
use put::put;

/// A node without sockets, and a client of it.
pub(crate) struct Node {
    worker: Arc<Worker>,
    compressor: Arc<Compressor>,
    client: Arc<ClientConnection>,
    clock: Clock,
}

impl Node {
    pub(crate) fn new() -> Self {
        Self::workers(1).remove(0)
    }

    /// So many workers of one node.
    pub(crate) fn workers(count: usize) -> Vec<Self> {
        let config = load(CONFIG, &Surroundings::none("bench.toml")).expect("the configuration is sound");
        let (clock, metrics) = (Clock::new(), Metrics::new());
        let events = Events::new(&LogTarget::Off, clock.clone(), metrics.clone()).expect("a log that is off opens");
        let world = World { dial: Arc::new(Nowhere), resolve: Arc::new(Nowhere) };
        let assembly = Assembly::new(&config, world, watch::Sender::default(), clock.clone(), events, metrics)
            .expect("it needs no files");
        let client = ClientConnection {
            peer: SocketAddr::from(([198, 51, 100, 7], 50_000)),
            protocol: "h1",
            tls: Some(TlsFacts { sni: Some(Arc::from("www.test")) }),
        };
        let worker = || Self {
            worker: assembly.worker(TaskTracker::new()),
            compressor: Arc::clone(&assembly.compressor),
            client: Arc::new(client.clone()),
            clock: clock.clone(),
        };
        (0..count).map(|_| worker()).collect()
    }

    /// Stores a response as a fill would.
    pub(crate) fn store(&self, path: &str, bytes: usize) {
        self.store_as(path, bytes, false);
    }

    /// Stores a response that may be coded.
    pub(crate) fn store_codable(&self, path: &str, bytes: usize) {
        self.store_as(path, bytes, true);
    }

    /// Makes the content codings that were ordered.
    pub(crate) fn compress(&self) {
        self.compressor.run_waiting();
    }

    fn store_as(&self, path: &str, bytes: usize, codable: bool) {
        let (store, key) = (&self.worker.shared.store, key(path));
        let arrival = Arrival {
            fields: fields(RESPONSE_FIELDS),
            nominated: Nominated::of(&[http::header::ACCEPT_ENCODING], &fields(REQUEST_FIELDS)),
            codable,
            ..Arrival::plain(&key, store.fence("www.test", path).stamps_with(&[], &[]), self.clock.now().monotonic)
        };
        put(store, arrival, bytes as u64).expect("it fits");
    }

    /// The status that a request is answered with, and how many bytes.
    pub(crate) fn answer(&self, request: Asked) -> (StatusCode, usize) {
        let (request, body) = request.into_parts();
        let arrival = self.clock.monotonic();
        let Responding::Now(response) = handle(&self.worker, request, body, &self.client, arrival) else {
            panic!("a hit never waits");
        };
        let (status, mut body) = (response.status(), response.into_body());
        let mut received = 0;
        while let Poll::Ready(Some(Ok(frame))) = Pin::new(&mut body).poll_frame(&mut Context::from_waker(Waker::noop()))
        {
            received += black_box(frame).data_ref().map_or(0, Bytes::len);
        }
        (status, received)
    }
}

/// A request without a body.
pub(crate) type Asked = Request<Empty<Bytes>>;

/// What a browser asks.
pub(crate) fn request(path: &str) -> Asked {
    let mut request = Request::new(Empty::new());
    *request.uri_mut() = path.parse().expect("it is a path");
    *request.headers_mut() = fields(REQUEST_FIELDS);
    request
}

fn key(path: &str) -> CacheKey {
    cache_key(&Target::new("https", "www.test", None, path))
}

fn fields(lines: &[(&'static str, &'static str)]) -> HeaderMap {
    let line = |&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value));
    lines.iter().map(line).collect()
}

/// No origin is ever asked.
struct Nowhere;

impl Resolve for Nowhere {
    fn resolve<'a>(&'a self, _host: &'a str) -> Pin<Box<dyn Future<Output = Lookup> + Send + 'a>> {
        Box::pin(std::future::pending())
    }

    fn locate<'a>(&'a self, service: &'a str) -> Pin<Box<dyn Future<Output = Lookup> + Send + 'a>> {
        self.resolve(service)
    }
}

impl Dial for Nowhere {
    fn dial(&self, _address: SocketAddr) -> Dialing {
        Box::pin(std::future::pending())
    }
}

const CONFIG: &str = r#"
[listen]
https = ["127.0.0.1:8443"]

[log]
access = "off"
events = "off"

[cache]
memory = "16GiB"

[[certificate]]
self_signed = ["www.test"]

[[site]]
name = "www"
hosts = ["www.test"]

[[site.origin]]
name = "primary"
url = "http://primary.test"
"#;

/// Of every response.
pub(crate) const ETAG: &str = "\"5f3c1b2a9d8e7\"";

const REQUEST_FIELDS: &[(&str, &str)] = &[
    ("host", "www.test"),
    ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
    ("accept", "*/*"),
    ("accept-language", "en-US,en;q=0.5"),
    ("accept-encoding", "gzip, deflate, br, zstd"),
    ("referer", "https://www.test/"),
];

const RESPONSE_FIELDS: &[(&str, &str)] = &[
    ("date", "Thu, 01 Jan 2026 00:00:00 GMT"),
    ("content-type", "text/javascript; charset=utf-8"),
    ("cache-control", "public, max-age=86400"),
    ("etag", ETAG),
    ("last-modified", "Wed, 31 Dec 2025 00:00:00 GMT"),
    ("vary", "accept-encoding"),
    ("x-content-type-options", "nosniff"),
];
