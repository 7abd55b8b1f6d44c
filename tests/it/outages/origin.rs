//! An origin in a network of its own, which breaks in one way at a time.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use holdover::clock::Clock;
use http::{Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::sleep;

use super::content;
use crate::wires::Namespace;

/// What an origin does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Conduct {
    /// It serves the site.
    Good,
    /// Nothing listens.
    Refuses,
    /// It accepts connections and never answers.
    Hangs,
    /// It answers 500, though its health page is fine.
    Fails,
    /// It answers 200 with another page than asked for, cacheable; its health page tells.
    Lies,
    /// It takes 1.5 s before every head, though its health page is fine.
    Drags,
}

/// An origin of the site.
pub(crate) struct Origin {
    namespace: Namespace,
    shared: Arc<Shared>,
    listening: Option<JoinHandle<()>>,
}

impl Origin {
    /// Starts a good one, which takes `latency` for every head, and writes down in `journal` what it is asked for.
    pub(crate) async fn start(number: usize, latency: Duration, namespace: &Namespace, journal: &Journal) -> Self {
        let shared = Shared {
            number,
            latency,
            conduct: Mutex::new(Conduct::Good),
            journal: journal.clone(),
            clock: Clock::new(),
        };
        let mut origin = Self { namespace: namespace.clone(), shared: Arc::new(shared), listening: None };
        origin.listens().await;
        origin
    }

    /// Its network.
    pub(crate) fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Changes what it does. From and to what concerns whole connections that is a restart.
    pub(crate) async fn becomes(&mut self, conduct: Conduct) {
        let before = std::mem::replace(&mut *self.shared.conduct.lock().unwrap(), conduct);
        if [before, conduct].iter().any(|conduct| matches!(conduct, Conduct::Refuses | Conduct::Hangs)) {
            self.stops().await;
        }
        if conduct != Conduct::Refuses && self.listening.is_none() {
            self.listens().await;
        }
    }

    async fn listens(&mut self) {
        let address = SocketAddr::from(([0, 0, 0, 0], PORT));
        let listener = self.namespace.within(move || std::net::TcpListener::bind(address)).await.unwrap();
        listener.set_nonblocking(true).unwrap();
        let (listener, shared) = (TcpListener::from_std(listener).unwrap(), Arc::clone(&self.shared));
        self.listening = Some(tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let _no_latency_of_its_own = stream.set_nodelay(true);
                let shared = Arc::clone(&shared);
                let service = service_fn(move |request| answer(request, Arc::clone(&shared)));
                connections.spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        }));
    }

    /// Listener and connections are closed when this returns.
    async fn stops(&mut self) {
        if let Some(listening) = self.listening.take() {
            listening.abort();
            drop(listening.await);
        }
    }
}

struct Shared {
    number: usize,
    latency: Duration,
    conduct: Mutex<Conduct>,
    journal: Journal,
    clock: Clock,
}

async fn answer(request: Request<Incoming>, shared: Arc<Shared>) -> Result<Response<Full<Bytes>>, Infallible> {
    let conduct = *shared.conduct.lock().unwrap();
    let path = request.uri().path();
    let is_probe = path == HEALTH_PAGE;
    if !is_probe {
        let entry = Entry { at: shared.clock.now().monotonic, origin: shared.number, conduct };
        shared.journal.0.lock().unwrap().push(entry);
    }
    match conduct {
        Conduct::Refuses | Conduct::Hangs => std::future::pending().await,
        Conduct::Lies if is_probe => return Ok(plain(StatusCode::SERVICE_UNAVAILABLE, "ill\n")),
        _ if is_probe => return Ok(plain(StatusCode::OK, "well\n")),
        Conduct::Drags => sleep(DRAG).await,
        Conduct::Good | Conduct::Fails | Conduct::Lies => sleep(shared.latency).await,
    }
    Ok(match conduct {
        Conduct::Fails => plain(StatusCode::INTERNAL_SERVER_ERROR, "broken\n"),
        Conduct::Lies => page("another page\n".into(), "\"another\"", "max-age=600"),
        _ if request.headers().get(header::IF_NONE_MATCH).is_some_and(|tag| *tag == *content::entity_tag(path)) => {
            let mut unchanged = page(Bytes::new(), &content::entity_tag(path), content::cache_control(path));
            *unchanged.status_mut() = StatusCode::NOT_MODIFIED;
            unchanged
        }
        _ => page(content::body(path), &content::entity_tag(path), content::cache_control(path)),
    })
}

fn plain(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    Response::builder().status(status).body(text.into()).unwrap()
}

fn page(body: Bytes, tag: &str, cache_control: &str) -> Response<Full<Bytes>> {
    let response = Response::builder().header(header::ETAG, tag).header(header::CACHE_CONTROL, cache_control);
    response.header(header::CONTENT_TYPE, "text/plain").body(body.into()).unwrap()
}

/// What all origins were asked for, health pages aside, in order.
#[derive(Clone, Default)]
pub(crate) struct Journal(Arc<Mutex<Vec<Entry>>>);

/// A request that reached an origin.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    /// When.
    pub(crate) at: Instant,
    /// Which origin; 0 is the first.
    pub(crate) origin: usize,
    /// What it does then.
    pub(crate) conduct: Conduct,
}

impl Journal {
    /// All entries from `since` on.
    pub(crate) fn since(&self, since: Instant) -> Vec<Entry> {
        self.0.lock().unwrap().iter().filter(|entry| entry.at >= since).copied().collect()
    }
}

/// Where origins listen.
pub(crate) const PORT: u16 = 8080;

/// What probes ask for.
pub(crate) const HEALTH_PAGE: &str = "/healthz";

/// How long an origin that drags takes for a head.
const DRAG: Duration = Duration::from_millis(1500);
