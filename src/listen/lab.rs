//! One connection served over a pipe, in virtual time, and the client's end of it.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Response;
use http::request::Parts;
use http_body::{Body, Frame};
use http_body_util::Empty;
use hyper::client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex};
use tokio::sync::broadcast;
use tokio::task::JoinHandle;
use tokio::time::{Sleep, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::deadline::AbortReason;
use super::http::{Conditions, Ending, RequestBody, Respond, serve_connection};
use super::protocol::Protocol;
use super::watched::{Watch, Watched};
use crate::clock::Clock;
use crate::config::model::{Listen, LogTarget};
use crate::serve::client::ClientConnection;
use crate::serve::responding::Responding;
use crate::telemetry::{Event, Events, Metrics};

/// One connection served over a pipe, and the client's end of it.
pub(super) struct Lab {
    pub(super) client: DuplexStream,
    pub(super) served: JoinHandle<Ending>,
    pub(super) clock: Clock,
    pub(super) started: Instant,
    pub(super) tasks: TaskTracker,
    pub(super) drain: CancellationToken,
    pub(super) events: broadcast::Receiver<Arc<Event>>,
    room: Arc<AtomicUsize>,
}

impl Lab {
    pub(super) fn new<R: Respond>(protocol: Protocol, respond: R) -> Self {
        Self::over(protocol, respond, |pipe| async { pipe })
    }

    /// With another protocol between HTTP and the pipe.
    pub(super) fn over<R, F, IO>(
        protocol: Protocol,
        respond: R,
        shake_hands: impl FnOnce(Watched<Roomed>) -> F + Send + 'static,
    ) -> Self
    where
        R: Respond,
        F: Future<Output = IO> + Send,
        IO: AsyncRead + AsyncWrite + Send + Unpin,
    {
        let (client, pipe) = duplex(PIPE_BYTES);
        let room = Arc::new(AtomicUsize::new(0));
        let server = Roomed { pipe, room: Arc::clone(&room) };
        let conditions = conditions();
        let received = conditions.events.subscribe();
        let (tasks, drain, clock) = (conditions.tasks.clone(), conditions.drain.clone(), conditions.clock.clone());
        let started = clock.now().monotonic;
        let served = tokio::spawn(async move {
            let watch = Arc::new(Watch::new(protocol, &conditions.limits, conditions.clock.clone()));
            let mut socket = Watched::new(server);
            socket.watch(Arc::clone(&watch));
            let peer = SocketAddr::from(([127, 0, 0, 1], 40_000));
            let client = Arc::new(ClientConnection { peer, tls: None, protocol: protocol.as_str() });
            serve_connection(shake_hands(socket).await, watch, client, respond, &conditions).await
        });
        Self { client, served, clock, started, tasks, drain, events: received, room }
    }

    /// Whole seconds since the connection began; it rounds, because deadlines are a few microseconds off.
    pub(super) fn seconds(&self) -> u64 {
        (self.clock.now().monotonic - self.started + Duration::from_millis(500)).as_secs()
    }

    pub(super) async fn send(&mut self, text: &str) {
        self.client.write_all(text.as_bytes()).await.expect("the connection is sound");
    }

    /// Reads one response, chunked or with a length, and checks how it begins.
    pub(super) async fn reads(&mut self, beginning: &str) {
        let mut text = String::new();
        while !is_whole(&text) {
            let byte = self.client.read_u8().await.expect("the response is whole");
            text.push(byte.into());
        }
        assert!(text.starts_with(beginning), "{text}");
    }

    /// As the protocol has it, exactly then; a client that was quicker to close is no fault.
    pub(super) async fn closed_at(&mut self, seconds: u64) {
        self.ends_at(seconds, |ending| matches!(ending, Ending::Closed | Ending::Failed(_))).await;
    }

    pub(super) async fn aborted_at(&mut self, seconds: u64, reason: AbortReason) {
        self.ends_at(seconds, |ending| matches!(ending, Ending::Aborted(found) if *found == reason)).await;
    }

    pub(super) async fn ends_at(&mut self, seconds: u64, expected: impl Fn(&Ending) -> bool) {
        let ending = timeout(1000 * SECOND, &mut self.served).await.expect("it ends").expect("it does not panic");
        assert_eq!(self.seconds(), seconds, "{ending:?}");
        assert!(expected(&ending), "{ending:?}");
    }

    pub(super) async fn told_of_panic(&mut self, expected: &str) {
        let event = timeout(10 * SECOND, self.events.recv()).await.expect("it is told").expect("the node lives");
        let expected = Event::RequestPanicked { site: "unknown".to_owned(), message: expected.to_owned() };
        assert_eq!(*event, expected);
    }

    /// Bytes of the buffer into which the connection last tried to read.
    pub(super) fn room(&self) -> usize {
        self.room.load(Ordering::Relaxed)
    }

    /// Turns the client's end into an HTTP/2 client.
    pub(super) async fn h2_client(&mut self) -> H2Client {
        let (unused, _) = duplex(1);
        let io = TokioIo::new(std::mem::replace(&mut self.client, unused));
        let mut builder = client::conn::http2::Builder::new(TokioExecutor::new());
        builder.initial_stream_window_size(STREAM_WINDOW_BYTES);
        let (client, connection) = builder.handshake(io).await.expect("the connection is sound");
        tokio::spawn(connection);
        client
    }
}

/// The server's end of the pipe; notes how much its reader has room for.
pub(super) struct Roomed {
    pipe: DuplexStream,
    room: Arc<AtomicUsize>,
}

impl AsyncRead for Roomed {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.room.store(buffer.remaining(), Ordering::Relaxed);
        Pin::new(&mut this.pipe).poll_read(context, buffer)
    }
}

impl AsyncWrite for Roomed {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().pipe).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().pipe).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().pipe).poll_shutdown(context)
    }
}

fn is_whole(response: &str) -> bool {
    let Some((head, body)) = response.split_once("\r\n\r\n") else { return false };
    match head.split_once("content-length: ") {
        Some((_, rest)) => rest.lines().next().and_then(|length| length.parse().ok()) == Some(body.len()),
        None => body.ends_with("0\r\n\r\n"),
    }
}

pub(super) type H2Client = client::conn::http2::SendRequest<Empty<Bytes>>;

/// A body that gives each piece after so many seconds.
pub(super) struct Script {
    pieces: VecDeque<(u64, Bytes)>,
    wait: Option<Pin<Box<Sleep>>>,
    pub(super) panics: bool,
}

impl Script {
    pub(super) fn new(pieces: impl IntoIterator<Item = (u64, Bytes)>) -> Self {
        Self { pieces: pieces.into_iter().collect(), wait: None, panics: false }
    }
}

impl Body for Script {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        let Some((seconds, piece)) = this.pieces.front().cloned() else { return Poll::Ready(None) };
        if seconds > 0 {
            let wait =
                this.wait.get_or_insert_with(|| Box::pin(sleep(SECOND * u32::try_from(seconds).expect("small"))));
            std::task::ready!(wait.as_mut().poll(context));
            assert!(!this.panics, "a bug in a body");
        }
        this.wait = None;
        this.pieces.pop_front();
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.pieces.is_empty()
    }
}

// ---- What it is given ----

pub(super) type Answer = Responding<Script>;

pub(super) fn instant(_: Parts, _: RequestBody, _: &ClientConnection, _: Instant) -> Answer {
    Responding::Now(Response::new(Script::new([(0, "hello".into())])))
}

/// What a connection of its own is served under.
pub(super) fn conditions() -> Conditions {
    let clock = Clock::new();
    let events = Events::new(&LogTarget::Off, clock.clone(), Metrics::new()).expect("nothing is opened");
    let (tasks, drain) = (TaskTracker::new(), CancellationToken::new());
    Conditions { limits: Arc::new(limits()), clock, events, tasks, drain }
}

pub(super) fn limits() -> Listen {
    Listen {
        https: Vec::new(),
        http: Vec::new(),
        admin: Vec::new(),
        connections_max: 100,
        handshake_timeout: 5 * SECOND,
        head_timeout: 10 * SECOND,
        idle_timeout: 15 * SECOND,
        h2_idle_timeout: 60 * SECOND,
        write_timeout: 20 * SECOND,
        age_max: 200 * SECOND,
    }
}

pub(super) const GET: &str = "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n";
pub(super) const SECOND: Duration = Duration::from_secs(1);
const PIPE_BYTES: usize = 16 * 1024;

/// A client takes so much of a response before it asks for more.
const STREAM_WINDOW_BYTES: u32 = 64 * 1024;
