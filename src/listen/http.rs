//! One client connection, from the end of its handshake to its end: hyper's road, our deadlines.

use std::convert::Infallible;
use std::error::Error;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response, StatusCode};
use http_body::Body;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::sleep_until;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::deadline::{AbortReason, Verdict, verdict};
use super::http1::Http1;
use super::late_flush::{Flushed, LateFlush};
use super::panic::{caught, caught_in};
use super::protocol::Protocol;
use super::stream::NewestStream;
use super::watched::{InFlight, Watch, WatchedRequest, WatchedResponse};
use crate::clock::Clock;
use crate::config::model::Listen;
use crate::serve::client::ClientConnection;
use crate::serve::responding::Responding;
use crate::telemetry::{Event, Events};

/// A request's body as handlers get it; its error is hyper's, so that a broken upload looks the same everywhere.
pub type RequestBody = UnsyncBoxBody<Bytes, hyper::Error>;

/// Answers requests: any function from a request and its connection to a response.
pub trait Respond: Clone + Send + Sync + 'static {
    /// The body of its responses.
    type Body: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Send + Unpin + 'static;

    /// Answers one request, whose head was there at `arrival`.
    fn respond(
        &self,
        request: Parts,
        body: RequestBody,
        client: &ClientConnection,
        arrival: Instant,
    ) -> Responding<Self::Body>;
}

impl<F, B> Respond for F
where
    F: Fn(Parts, RequestBody, &ClientConnection, Instant) -> Responding<B> + Clone + Send + Sync + 'static,
    B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Send + Unpin + 'static,
{
    type Body = B;

    fn respond(&self, request: Parts, body: RequestBody, client: &ClientConnection, arrival: Instant) -> Responding<B> {
        self(request, body, client, arrival)
    }
}

/// What the connections of one worker share.
#[derive(Clone, Debug)]
pub struct Conditions {
    /// Deadlines.
    pub limits: Arc<Listen>,
    /// The time.
    pub clock: Clock,
    /// Where panics are told.
    pub events: Events,
    /// Counts listeners, connections and HTTP/2 streams, so that a drain can wait for them.
    pub tasks: TaskTracker,
    /// Once cancelled, nothing is accepted and every connection closes after the requests in flight.
    pub drain: CancellationToken,
}

/// How a connection ended.
#[derive(Debug)]
pub enum Ending {
    /// The client kept the node waiting.
    Aborted(AbortReason),
    /// As the protocol has it.
    Closed,
    /// The client broke the connection or the protocol, or a response could not be completed.
    Failed(Box<dyn Error + Send + Sync>),
    /// A response's body panicked.
    Panicked,
}

/// Serves one connection until it ends. `watch` is the one that the [`Watched`](super::watched::Watched) socket inside
/// `io` tells; `respond` answers the requests.
pub async fn serve_connection<IO, R>(
    io: IO,
    watch: Arc<Watch>,
    client: Arc<ClientConnection>,
    respond: R,
    conditions: &Conditions,
) -> Ending
where
    IO: AsyncRead + AsyncWrite + Send + Unpin,
    R: Respond,
{
    let alarm = Panics { events: conditions.events.clone(), client };
    let handler = Arc::new(Handler { respond, alarm: alarm.clone() });
    let newest = NewestStream::default();
    let service = {
        let (watch, newest) = (Arc::clone(&watch), newest.clone());
        service_fn(move |request: Request<Incoming>| answer(&handler, request, InFlight::begin(&watch, &newest)))
    };
    let served = match watch.protocol() {
        Protocol::Http1 => {
            let connection = pin!(Http1::new(http1_builder(), io, service, Arc::clone(&watch)));
            caught_in(pin!(drive(connection, Http1::finish, Http1::rest, &watch, conditions))).await
        }
        Protocol::Http2 => {
            let streams = Streams { tasks: conditions.tasks.clone(), alarm: alarm.clone(), newest };
            let io = LateFlush::new(io);
            let connection = http2_builder(streams).serve_connection(TokioIo::new(io.clone()), service);
            let connection = pin!(Flushed::new(connection, io, http2::Connection::graceful_shutdown));
            caught_in(pin!(drive(connection, Flushed::finish, |_| {}, &watch, conditions))).await
        }
    };
    served.unwrap_or_else(|message| {
        alarm.tell(message);
        Ending::Panicked
    })
}

/// What answers the requests of one connection.
struct Handler<R> {
    respond: R,
    alarm: Panics,
}

/// Answers one request as soon as it is there, while nothing else of its connection is done: what hyper reads next then goes
/// where it was. A handler that panics costs that request alone.
fn answer<R: Respond>(
    handler: &Arc<Handler<R>>,
    request: Request<Incoming>,
    in_flight: InFlight,
) -> Answering<R::Body> {
    let (request, body) = request.into_parts();
    let body = watched_request(body, &in_flight);
    let arrival = in_flight.watch().present();
    match caught(|| handler.respond.respond(request, body, &handler.alarm.client, arrival)) {
        Ok(Responding::Now(response)) => Answering::Now(Some(watched_response(response, in_flight))),
        Ok(Responding::Later(response)) => {
            let handler = Arc::clone(handler);
            Answering::Later(Box::pin(async move { handler.response(caught_in(response).await, in_flight) }))
        }
        Err(message) => Answering::Now(Some(handler.response(Err(message), in_flight))),
    }
}

impl<R: Respond> Handler<R> {
    /// The response, or one that says that there is none.
    fn response(
        &self,
        response: Result<Response<R::Body>, String>,
        in_flight: InFlight,
    ) -> Response<WatchedResponse<R::Body>> {
        match response {
            Ok(response) => watched_response(response, in_flight),
            Err(message) => {
                self.alarm.tell(message);
                let mut response = Response::new(WatchedResponse::new(None, in_flight));
                *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
                response
            }
        }
    }
}

fn watched_response<B>(response: Response<B>, in_flight: InFlight) -> Response<WatchedResponse<B>> {
    response.map(|body| WatchedResponse::new(Some(body), in_flight))
}

/// What hyper waits for.
enum Answering<B> {
    /// Until it is taken.
    Now(Option<Response<WatchedResponse<B>>>),
    Later(Pin<Box<dyn Future<Output = Response<WatchedResponse<B>>> + Send>>),
}

impl<B: Unpin> Future for Answering<B> {
    type Output = Result<Response<WatchedResponse<B>>, Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            Self::Now(response) => Poll::Ready(Ok(response.take().expect("polled until it is ready"))),
            Self::Later(response) => response.as_mut().poll(context).map(Ok),
        }
    }
}

/// A request without a body, which nearly all are, costs no allocation here: an empty body has no size.
fn watched_request(body: Incoming, in_flight: &InFlight) -> RequestBody {
    if body.is_end_stream() {
        return Empty::new().map_err(|never| match never {}).boxed_unsync();
    }
    WatchedRequest::new(body, Arc::clone(in_flight.watch())).boxed_unsync()
}

/// Polls the connection and holds it to its deadlines and to the drain.
async fn drive<C>(
    mut connection: Pin<&mut C>,
    finish: fn(Pin<&mut C>),
    rest: fn(Pin<&mut C>),
    watch: &Watch,
    conditions: &Conditions,
) -> Ending
where
    C: Future<Output = Result<(), Box<dyn Error + Send + Sync>>>,
{
    let mut drained = pin!(conditions.drain.cancelled());
    let mut alarm = pin!(sleep_until((watch.look() + conditions.limits.head_timeout).into()));
    let mut finishing: Option<Instant> = None;
    let mut known: Option<Waker> = None;
    std::future::poll_fn(|context: &mut Context<'_>| {
        // Whoever polls is mostly here for bytes. To poll the drain and the alarm takes locks, so that each waker polls them
        // once, and again when they move, and otherwise they are only looked at.
        let is_known = known.as_ref().is_some_and(|waker| waker.will_wake(context.waker()));
        if !is_known {
            known = Some(context.waker().clone());
            let _ = drained.as_mut().poll(context);
        }
        loop {
            let now = watch.look();
            if let Poll::Ready(result) = connection.as_mut().poll(context) {
                return Poll::Ready(result.map_or_else(Ending::Failed, |()| Ending::Closed));
            }
            let due = if finishing.is_none() && conditions.drain.is_cancelled() {
                Verdict::Finish
            } else {
                verdict(&watch.activity(finishing), &conditions.limits, now)
            };
            match due {
                Verdict::Abort(reason) => return Poll::Ready(Ending::Aborted(reason)),
                Verdict::Rest => rest(connection.as_mut()),
                Verdict::Finish => {
                    finishing = Some(now);
                    finish(connection.as_mut());
                }
                Verdict::Keep { until } => {
                    // A deadline that moved away needs no new alarm: the old one asks, and is told the new one.
                    let is_moved = alarm.is_elapsed() || alarm.deadline() > until.into();
                    if is_moved {
                        alarm.as_mut().reset(until.into());
                    }
                    if (is_known && !is_moved) || alarm.as_mut().poll(context).is_pending() {
                        return Poll::Pending;
                    }
                }
            }
        }
    })
    .await
}

fn http1_builder() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .header_read_timeout(None)
        .half_close(false)
        .keep_alive(true)
        .max_buf_size(H1_BUFFER_BYTES)
        .max_header_size(HEAD_BYTES);
    builder
}

fn http2_builder(streams: Streams) -> http2::Builder<Streams> {
    let mut builder = http2::Builder::new(streams);
    builder
        .timer(TokioTimer::new())
        .keep_alive_interval(H2_PING_INTERVAL)
        .keep_alive_timeout(H2_PING_TIMEOUT)
        .max_concurrent_streams(H2_STREAMS)
        .max_header_list_size(HEAD_BYTES as u32)
        .initial_stream_window_size(H2_STREAM_WINDOW_BYTES)
        .initial_connection_window_size(H2_CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(H2_SEND_BUFFER_BYTES)
        .max_pending_accept_reset_streams(H2_RESETS_PENDING)
        .max_local_error_reset_streams(H2_LOCAL_RESETS);
    builder
}

/// Runs HTTP/2 streams, each in a task of its own, where a panic or a client that does not take its response costs that
/// stream alone.
#[derive(Clone)]
struct Streams {
    tasks: TaskTracker,
    alarm: Panics,
    newest: NewestStream,
}

impl<F> Executor<F> for Streams
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, stream: F) {
        let (alarm, watch) = (self.alarm.clone(), self.newest.take());
        // Boxed, so that the task is small: tasks are moved several times until they lie where they stay.
        let stream = Box::pin(stream);
        self.tasks.spawn(async move {
            let ended = match watch {
                Some(watch) => watch.held(pin!(caught_in(stream))).await,
                None => Some(caught_in(stream).await),
            };
            if let Some(Err(message)) = ended {
                alarm.tell(message);
            }
        });
    }
}

/// Tells of panics.
#[derive(Clone)]
struct Panics {
    events: Events,
    client: Arc<ClientConnection>,
}

impl Panics {
    /// A handler that panicked cannot say which site it served, so the name in the TLS handshake has to do.
    fn tell(&self, message: String) {
        let name = self.client.tls.as_ref().and_then(|tls| tls.sni.as_deref());
        self.events.emit(Event::RequestPanicked { site: name.unwrap_or("unknown").to_owned(), message });
    }
}

/// Read and write buffer of an HTTP/1 connection; hyper's own default is six times that.
const H1_BUFFER_BYTES: usize = 64 * 1024;

/// Largest request head, request line and fields together; the list of fields over HTTP/2.
const HEAD_BYTES: usize = 16 * 1024;

/// Requests at once on one HTTP/2 connection; RFC 9113 §6.5.2 recommends no less.
const H2_STREAMS: u32 = 100;

/// What a client may send of one request's body before a handler takes any.
const H2_STREAM_WINDOW_BYTES: u32 = 64 * 1024;

/// The same over all streams of a connection.
const H2_CONNECTION_WINDOW_BYTES: u32 = 256 * 1024;

/// Response bytes buffered for one stream.
const H2_SEND_BUFFER_BYTES: usize = 64 * 1024;

/// Streams reset before they were accepted: above it the client is flooding (CVE-2023-44487).
const H2_RESETS_PENDING: usize = 20;

/// Streams we had to reset for the client's errors: above it the client is flooding (CVE-2025-8671).
const H2_LOCAL_RESETS: usize = 128;

/// Between PINGs that find out whether an HTTP/2 client is still there.
const H2_PING_INTERVAL: Duration = Duration::from_secs(30);

/// Longest wait for the answer to one.
const H2_PING_TIMEOUT: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests;
