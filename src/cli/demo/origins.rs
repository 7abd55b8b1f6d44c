//! Origins to lose: small HTTP/1.1 file servers on loopback that can fall ill, be killed in the middle of a body and revived.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use http::header::{ALLOW, CACHE_CONTROL};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Interval;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::answer::answer;
use super::assets::{Assets, HEALTH, LARGE_FILE};

/// One origin of the demo; dropping it kills it.
#[derive(Debug)]
pub(super) struct DemoOrigin {
    site: Arc<OriginSite>,
    address: SocketAddr,
    life: Mutex<Life>,
}

/// How an origin differs from a plain file server.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Behavior {
    /// Bytes per second of the 20 MiB file, so that a kill can land inside its body; as fast as possible without.
    pub(super) large_file_rate: Option<u64>,
}

/// How an origin answers while it is alive. Its health page is fine all the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mood {
    /// It breaks off every body in the middle, and the connection with it.
    BreaksOff,
    /// As it should.
    Good,
    /// It takes every request, and never answers.
    Hangs,
}

impl DemoOrigin {
    /// Starts serving `assets` on the current runtime; port 0 picks a free one.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub(super) async fn start(
        name: &'static str,
        address: SocketAddr,
        assets: &Assets,
        behavior: Behavior,
    ) -> io::Result<Self> {
        let site = Arc::new(OriginSite {
            name: HeaderValue::from_static(name),
            assets: assets.clone(),
            behavior,
            mood: Mutex::new(Mood::Good),
            requests: AtomicU64::new(0),
        });
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let life = Mutex::new(Life::begin(listener, site.clone()));
        Ok(Self { site, address, life })
    }

    /// Where it listens, alive or not.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes the listener and resets every connection, bodies in flight included, as a crash does.
    ///
    /// Takes effect when the runtime next runs this origin's tasks.
    pub(super) fn kill(&self) {
        self.life.lock().unwrap_or_else(PoisonError::into_inner).end();
    }

    /// Listens again on the same address; does nothing while it is alive.
    ///
    /// # Errors
    /// The address cannot be bound any more.
    pub(super) async fn revive(&self) -> io::Result<()> {
        let Some(ending) = self.life.lock().unwrap_or_else(PoisonError::into_inner).ending() else { return Ok(()) };
        ending.wait().await;
        let listener = TcpListener::bind(self.address).await?;
        *self.life.lock().unwrap_or_else(PoisonError::into_inner) = Life::begin(listener, self.site.clone());
        Ok(())
    }

    /// Answers like this from here on.
    pub(super) fn is_in(&self, mood: Mood) {
        *self.site.mood.lock().unwrap_or_else(PoisonError::into_inner) = mood;
    }

    /// Requests received since the start, probes included.
    pub(super) fn requests(&self) -> u64 {
        self.site.requests.load(Ordering::Relaxed)
    }
}

impl Drop for DemoOrigin {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What runs between a start and a kill.
#[derive(Debug)]
struct Life {
    killed: CancellationToken,
    tasks: TaskTracker,
}

impl Life {
    fn begin(listener: TcpListener, site: Arc<OriginSite>) -> Self {
        let life = Self { killed: CancellationToken::new(), tasks: TaskTracker::new() };
        let (killed, tasks) = (life.killed.clone(), life.tasks.clone());
        life.tasks.spawn(async move {
            tokio::select! {
                () = accept(listener, site, &killed, &tasks) => {}
                () = killed.cancelled() => {}
            }
        });
        life
    }

    fn end(&self) {
        self.killed.cancel();
        self.tasks.close();
    }

    /// The tasks to wait for, if this life was ended.
    fn ending(&self) -> Option<TaskTracker> {
        self.killed.is_cancelled().then(|| self.tasks.clone())
    }
}

async fn accept(listener: TcpListener, site: Arc<OriginSite>, killed: &CancellationToken, tasks: &TaskTracker) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors, most likely: some will be free in a moment.
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let (site, killed) = (site.clone(), killed.clone());
        tasks.spawn(async move {
            let connection = Connection { stream, killed: killed.clone() };
            let service = service_fn(async |request| Ok::<_, Infallible>(site.respond(&request).await));
            tokio::select! {
                // A client that goes away is no news.
                _ = http1::Builder::new().serve_connection(TokioIo::new(connection), service) => {}
                () = killed.cancelled() => {}
            }
        });
    }
}

/// What one origin says.
#[derive(Debug)]
struct OriginSite {
    name: HeaderValue,
    assets: Assets,
    behavior: Behavior,
    mood: Mutex<Mood>,
    requests: AtomicU64,
}

impl OriginSite {
    async fn respond(&self, request: &Request<Incoming>) -> Response<PacedBody> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let path = request.uri().path();
        let mood = if path == HEALTH { Mood::Good } else { *self.mood.lock().unwrap_or_else(PoisonError::into_inner) };
        if mood == Mood::Hangs {
            std::future::pending::<()>().await;
        }
        let mut response = self.answer(request.method(), path, request.headers());
        response.headers_mut().insert(X_ORIGIN, self.name.clone());
        let rate = self.behavior.large_file_rate.filter(|_| path == LARGE_FILE);
        response.map(|body| {
            let breaks_at = (mood == Mood::BreaksOff).then_some(body.len() / 2);
            PacedBody::new(body, rate, breaks_at)
        })
    }

    fn answer(&self, method: &Method, path: &str, request: &HeaderMap) -> Response<Bytes> {
        if !matches!(*method, Method::GET | Method::HEAD) {
            let mut response = Response::new(Bytes::from_static(b"This origin serves files.\n"));
            *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        match self.assets.find(path) {
            Some(representation) => answer(representation, method, request),
            None => {
                let mut response = Response::new(Bytes::from_static(b"There is no such file.\n"));
                *response.status_mut() = StatusCode::NOT_FOUND;
                response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("max-age=5"));
                response
            }
        }
    }
}

/// Bytes handed out at once or at a steady rate, to their end or until it breaks off.
struct PacedBody {
    rest: Bytes,
    pace: Option<Pace>,
    /// With so many bytes left.
    breaks_at: Option<usize>,
}

struct Pace {
    ticks: Interval,
    bytes_per_tick: usize,
}

impl PacedBody {
    fn new(rest: Bytes, bytes_per_second: Option<u64>, breaks_at: Option<usize>) -> Self {
        let pace = bytes_per_second.map(|rate| Pace {
            ticks: tokio::time::interval(TICK),
            bytes_per_tick: usize::try_from(rate / TICKS_PER_SECOND).unwrap_or(usize::MAX).max(1),
        });
        Self { rest, pace, breaks_at }
    }
}

impl Body for PacedBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        let waiting = self.rest.len() - self.breaks_at.unwrap_or(0).min(self.rest.len());
        if waiting == 0 {
            return Poll::Ready(Some(Err(io::ErrorKind::BrokenPipe.into())));
        }
        let piece = match &mut self.pace {
            None => waiting,
            Some(pace) => {
                ready!(pace.ticks.poll_tick(context));
                pace.bytes_per_tick.min(waiting)
            }
        };
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(piece)))))
    }

    fn is_end_stream(&self) -> bool {
        !self.rest.has_remaining()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.remaining() as u64)
    }
}

/// A client's connection, which ends with a reset instead of a clean close once its origin was killed.
struct Connection {
    stream: TcpStream,
    killed: CancellationToken,
}

impl Drop for Connection {
    fn drop(&mut self) {
        if self.killed.is_cancelled() {
            // What the kernel still holds would be delivered otherwise. A socket already gone needs no reset.
            let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// Tells who answered, which the representations, being the same everywhere, do not.
const X_ORIGIN: HeaderName = HeaderName::from_static("x-origin");

const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

const TICKS_PER_SECOND: u64 = 50;
const TICK: Duration = Duration::from_millis(1000 / TICKS_PER_SECOND);

#[cfg(test)]
mod tests;
